-- breaking: no
-- Who and what can be booked, in full: yards, people of a crew, certificates, shifts, time off, maintenance; and a version
-- on every row that people configure, so that nobody overwrites what another has just changed.

create table yards (
    id text not null,
    name text not null,
    address text,
    latitude double precision,
    longitude double precision,
    time_zone text not null default 'America/New_York',
    active boolean not null default true,
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint yards_key primary key (id),
    constraint yards_name_once unique (name),
    constraint yards_place_whole check (num_nulls(latitude, longitude) in (0, 2)),
    constraint yards_place_on_earth check (latitude between -90 and 90 and longitude between -180 and 180)
);

alter table resources
    -- Where a crew starts from and a machine stands.
    add column yard text,
    -- For the people of a crew: which one, and what they are there, such as foreman.
    add column crew text,
    add column role text,
    -- For machines: in_service is at the workshop, out_of_service is broken or gone. Only what is available can be booked.
    add column status text not null default 'available',
    -- [{"name", "number", "expires_on"}]. A certificate with the name of a skill proves it until the end of its last day.
    add column certifications jsonb not null default '[]',
    -- [{"weekday", "from", "to"}] in the resource's own zone, ISO weekdays. None means at any time.
    add column shifts jsonb not null default '[]',
    add column version integer not null default 1,
    add column updated_at timestamptz not null default now(),
    drop constraint resources_kind_known,
    add constraint resources_kind_known check (kind in ('crew', 'crew_member', 'estimator', 'equipment')),
    add constraint resources_status_known check (status in ('available', 'in_service', 'out_of_service')),
    add constraint resources_status_of_machines check (kind = 'equipment' or status = 'available'),
    add constraint resources_members_only check (kind = 'crew_member' or num_nonnulls(crew, role) = 0),
    add constraint resources_lists_are_lists
        check (jsonb_typeof(certifications) = 'array' and jsonb_typeof(shifts) = 'array'),
    add constraint resources_yard_exists foreign key (yard) references yards (id),
    add constraint resources_crew_exists foreign key (crew) references resources (id);
create index resources_by_crew on resources (crew) where crew is not null;

alter table service_types
    -- The fewest people who do it; null if any crew will do.
    add column crew_size integer,
    -- From so long before the start its time counts as fixed: the rule is kept here, for people and for whoever enforces it.
    add column cutoff_minutes integer not null default 2880,
    add column active boolean not null default true,
    add column version integer not null default 1,
    add column created_at timestamptz not null default now(),
    add column updated_at timestamptz not null default now(),
    add constraint service_types_crew_size_sane check (crew_size between 1 and 100),
    add constraint service_types_cutoff_sane check (cutoff_minutes between 0 and 43200);

alter table consultation_types
    add column cutoff_minutes integer not null default 1440,
    add column version integer not null default 1,
    add column updated_at timestamptz not null default now(),
    add constraint consultation_types_cutoff_sane check (cutoff_minutes between 0 and 43200);

alter table holidays
    add column version integer not null default 1,
    add column updated_at timestamptz not null default now();

-- Business hours are changed as a week, so the week has the version.
create table business_calendar (
    singleton boolean not null default true,
    version integer not null default 1,
    updated_at timestamptz not null default now(),
    constraint business_calendar_key primary key (singleton),
    constraint business_calendar_one check (singleton)
);
insert into business_calendar default values;

-- Time off of people and maintenance of machines. What takes the time is an allocation whose subject is the absence, so the
-- constraint that forbids double booking forbids bookings over it too, whoever writes.
create table absences (
    id text not null,
    kind text not null,
    resource text not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    reason text not null,
    canceled_at timestamptz,
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint absences_key primary key (id),
    constraint absences_kind_known check (kind in ('time_off', 'maintenance')),
    constraint absences_time_order check (starts_at < ends_at),
    constraint absences_resource_exists foreign key (resource) references resources (id)
);
create index absences_by_start on absences (kind, starts_at, id);
create index absences_by_resource on absences (resource, starts_at);

alter table allocations
    drop constraint allocations_subject_known,
    add constraint allocations_subject_known
        check (subject_kind in ('consultation', 'job', 'appointment', 'time_off', 'maintenance'));

-- What Neff Paving does when it has changed nothing.
update service_types set crew_size = 2
    where code in ('residential_paving', 'sealcoating', 'patching', 'emergency_repair');
update service_types set crew_size = 4 where code = 'commercial_paving';
update service_types set cutoff_minutes = 0 where category = 'emergency';
update consultation_types set cutoff_minutes = 0 where kind = 'emergency';

-- The ingress writes what people configure itself: there is nothing to queue, and whoever asks waits for the answer.
grant select on consultation_types, business_hours, holidays, business_calendar, yards, absences to neff_ingress;
grant insert, update on resources, yards, service_types, absences to neff_ingress;
grant update on consultation_types, business_calendar to neff_ingress;
grant insert, delete on business_hours, holidays to neff_ingress;
grant insert, update (active, released_at) on allocations to neff_ingress;
grant insert on change_log to neff_ingress;

grant select on absences to neff_scheduling;
-- An import names yards, and is on record like every other change.
grant select on yards, absences, business_calendar to neff_operator;
grant insert on change_log to neff_operator;
