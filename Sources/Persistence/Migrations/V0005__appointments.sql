-- breaking: no
-- One estimator for all invitees of a group event.

-- A time at which an estimator goes somewhere: for one consultation, or for all consultations of a group event at Calendly.
-- Its id is the URI of the scheduled event, or the consultation's id where no event is known. The row is kept when nobody
-- is left, so that a late message cannot bring an older time back.
create table appointments (
    id text not null,
    starts_at timestamptz,
    ends_at timestamptz,
    -- Calendly's time of what it said of the event; an older word does not move it.
    as_of timestamptz not null default '-infinity',
    assignee text,
    created_at timestamptz not null default now(),
    constraint appointments_key primary key (id),
    constraint appointments_time_whole check (num_nulls(starts_at, ends_at) in (0, 2) and starts_at < ends_at),
    constraint appointments_assignee_exists foreign key (assignee) references resources (id)
);

-- The scheduler's column: the appointment that the assignment was made for.
alter table consultations
    add column appointment text,
    add constraint consultations_appointment_exists foreign key (appointment) references appointments (id);
create index consultations_by_appointment on consultations (appointment) where appointment is not null;

-- Allocations belong to the appointment now. The kind 'consultation' stays allowed for programs of the version before.
alter table allocations
    drop constraint allocations_subject_known,
    add constraint allocations_subject_known check (subject_kind in ('consultation', 'job', 'appointment'));

create temporary table moved on commit drop as
select c.id as consultation, coalesce(i.event_uri, c.id) as appointment, c.starts_at, c.ends_at, c.assignee
from consultations c left join calendly_invitees i on i.uri = c.current_invitee
where c.merged_into is null and c.assignment in ('assigned', 'unassigned');

insert into appointments (id, starts_at, ends_at, assignee)
select distinct on (appointment) appointment, starts_at, ends_at, assignee from moved
order by appointment, assignee is null, consultation;

update consultations c set appointment = m.appointment from moved m where c.id = m.consultation;

update allocations a set subject_kind = 'appointment', subject_id = m.appointment
from moved m where a.active and a.subject_kind = 'consultation' and a.subject_id = m.consultation;

grant select, insert, update on appointments to neff_scheduling;
grant select on appointments to neff_ingress, neff_operator;
