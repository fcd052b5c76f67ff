-- breaking: no
-- The business: who is served, by whom, when, and every change of it.

create extension if not exists btree_gist;

create table resources (
    id text not null,
    kind text not null,
    name text not null,
    email text,
    phone text,
    -- For estimators: the user at Calendly who is this person.
    calendly_user text,
    -- For equipment: what it is, such as paver or roller. Jobs ask for a type, not for a machine.
    equipment_type text,
    skills text[] not null default '{}',
    time_zone text not null default 'America/New_York',
    active boolean not null default true,
    created_at timestamptz not null default now(),
    constraint resources_key primary key (id),
    constraint resources_kind_known check (kind in ('crew', 'estimator', 'equipment')),
    constraint resources_equipment_typed check ((kind = 'equipment') = (equipment_type is not null)),
    constraint resources_calendly_user_once unique (calendly_user),
    constraint resources_name_once unique (kind, name)
);

create table consultation_types (
    kind text not null,
    name text not null,
    duration_minutes integer not null,
    buffer_before_minutes integer not null,
    buffer_after_minutes integer not null,
    notice_minutes integer not null,
    horizon_days integer not null,
    -- Emergency calls are taken at any hour.
    any_hour boolean not null default false,
    -- Event types at Calendly that are this kind, by URI; a name that contains the kind's word counts too.
    event_types text[] not null default '{}',
    constraint consultation_types_key primary key (kind),
    constraint consultation_types_kind_known
        check (kind in ('residential', 'commercial', 'maintenance', 'emergency', 'triage')),
    constraint consultation_types_lengths_sane check (
        duration_minutes between 5 and 1440 and buffer_before_minutes between 0 and 1440
        and buffer_after_minutes between 0 and 1440)
);

create table service_types (
    code text not null,
    name text not null,
    category text not null,
    duration_minutes integer not null,
    buffer_before_minutes integer not null default 0,
    buffer_after_minutes integer not null default 0,
    -- Each type of equipment that a crew needs on site, one machine of each.
    equipment_types text[] not null default '{}',
    skills text[] not null default '{}',
    any_hour boolean not null default false,
    constraint service_types_key primary key (code),
    constraint service_types_category_known
        check (category in ('residential', 'commercial', 'maintenance', 'emergency', 'custom')),
    constraint service_types_lengths_sane check (duration_minutes between 15 and 1440)
);

-- When work may be booked, in local time of the site's zone. ISO weekday: 1 is Monday.
create table business_hours (
    weekday integer not null,
    opens time not null,
    closes time not null,
    constraint business_hours_key primary key (weekday),
    constraint business_hours_weekday_known check (weekday between 1 and 7),
    constraint business_hours_open_first check (opens < closes)
);

create table holidays (
    day date not null,
    name text not null,
    constraint holidays_key primary key (day)
);

-- One booking in the customer's eyes, through all its reschedules.
create table consultations (
    id text not null,
    kind text not null,
    state text not null,
    -- Goes up with each change that people are told of.
    sequence integer not null default 0,
    -- Goes up with each change of the row.
    version integer not null default 1,
    customer_name text not null,
    customer_email text,
    customer_phone text,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    time_zone text not null,
    address text,
    answers jsonb not null default '{}',
    hosts jsonb not null default '[]',
    event_type text,
    event_name text,
    cancel_url text,
    reschedule_url text,
    canceled_by text,
    cancel_reason text,
    -- The invitee at Calendly that stands for this consultation now.
    current_invitee text not null,
    -- What people were last told, so that nobody is told the same again, and so that a move can say from when.
    announced_state text,
    announced_invitee text,
    announced_starts_at timestamptz,
    announced_ends_at timestamptz,
    -- Set when two rows turn out to be one chain of reschedules.
    merged_into text,
    assignment text not null default 'pending',
    assignee text,
    -- The sequence that the assignment was made for; an older request is stale.
    assignment_sequence integer not null default -1,
    assignment_reasons jsonb not null default '[]',
    assignment_alternatives jsonb not null default '[]',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint consultations_key primary key (id),
    constraint consultations_kind_known
        check (kind in ('residential', 'commercial', 'maintenance', 'emergency', 'triage')),
    constraint consultations_state_known check (state in ('booked', 'rescheduling', 'no_show', 'canceled')),
    constraint consultations_assignment_known check (assignment in ('pending', 'assigned', 'unassigned', 'released')),
    constraint consultations_time_order check (starts_at < ends_at),
    constraint consultations_announced_whole check (
        num_nulls(announced_state, announced_invitee, announced_starts_at, announced_ends_at) in (0, 4)),
    constraint consultations_merged_exists foreign key (merged_into) references consultations (id),
    constraint consultations_assignee_exists foreign key (assignee) references resources (id)
);
create index consultations_by_start on consultations (starts_at, id) where merged_into is null;
create index consultations_by_merge on consultations (merged_into) where merged_into is not null;
create index consultations_by_created on consultations (created_at, id) where merged_into is null;

-- What Calendly has said of each invitee: one row per invitee URI, the newest snapshot, never deleted. A cancellation that
-- comes before its booking leaves a row here, and a late booking cannot undo it.
create table calendly_invitees (
    uri text not null,
    event_uri text,
    consultation_id text not null,
    -- Known only through a link from another invitee until its own webhook comes.
    is_placeholder boolean not null default false,
    -- A valid delivery said so; final.
    canceled boolean not null default false,
    -- When a stale delivery said so last, and when a valid one last said otherwise: the hint counts unless it is older.
    canceled_hint_at timestamptz,
    active_at timestamptz,
    rescheduled boolean not null default false,
    old_invitee text,
    new_invitee text,
    no_show_uri text,
    no_show_at timestamptz,
    no_show_cleared_at timestamptz,
    -- Calendly's own time of the snapshot, with microseconds.
    snapshot_at timestamptz,
    -- Whether the snapshot came with a valid signature in time, or is only a hint.
    is_hint boolean not null default false,
    snapshot jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint calendly_invitees_key primary key (uri),
    constraint calendly_invitees_consultation_exists
        foreign key (consultation_id) references consultations (id) deferrable initially deferred
);
create index calendly_invitees_by_consultation on calendly_invitees (consultation_id);

-- Webhooks that no rule acts on, kept so that nothing a vendor said is lost.
create table calendly_unhandled (
    message_id text not null,
    event text not null,
    received_at timestamptz not null,
    body bytea not null,
    constraint calendly_unhandled_key primary key (message_id)
);

create sequence job_numbers;

create table jobs (
    id text not null,
    number text not null,
    state text not null,
    sequence integer not null default 0,
    version integer not null default 1,
    service text not null,
    priority text not null,
    customer_name text not null,
    customer_email text,
    customer_phone text,
    address text not null,
    time_zone text not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    crew text,
    notes text,
    cancel_reason text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint jobs_key primary key (id),
    constraint jobs_number_once unique (number),
    constraint jobs_state_known check (state in
        ('requested', 'scheduled', 'confirmed', 'in_progress', 'on_hold', 'needs_reschedule', 'completed', 'canceled')),
    constraint jobs_priority_known check (priority in ('emergency', 'high', 'standard', 'low')),
    constraint jobs_time_order check (starts_at < ends_at),
    constraint jobs_service_exists foreign key (service) references service_types (code),
    constraint jobs_crew_exists foreign key (crew) references resources (id)
);
create index jobs_by_start on jobs (starts_at, id);
create index jobs_by_created on jobs (created_at, id);

-- Who or what is taken, and when. Buffers are inside the interval. The exclusion constraint is what makes double booking
-- impossible, whoever writes.
create table allocations (
    id bigint generated always as identity,
    resource_id text not null,
    during tstzrange not null,
    active boolean not null default true,
    subject_kind text not null,
    subject_id text not null,
    created_at timestamptz not null default now(),
    released_at timestamptz,
    constraint allocations_key primary key (id),
    constraint allocations_resource_exists foreign key (resource_id) references resources (id),
    constraint allocations_subject_known check (subject_kind in ('consultation', 'job')),
    constraint allocations_range_proper check (
        not isempty(during) and lower(during) is not null and upper(during) is not null
        and lower_inc(during) and not upper_inc(during)),
    constraint allocations_released_whole check (active = (released_at is null)),
    constraint allocations_no_overlap exclude using gist (resource_id with =, during with &&) where (active)
);
create index allocations_by_subject on allocations (subject_kind, subject_id) where active;

create table change_log (
    id bigint generated always as identity,
    at timestamptz not null default now(),
    subject_kind text not null,
    subject_id text not null,
    change_type text not null,
    before jsonb,
    after jsonb,
    actor text not null,
    source text not null,
    reason text,
    request_id text,
    constraint change_log_key primary key (id)
);
create index change_log_by_subject on change_log (subject_kind, subject_id, id);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'table % is append-only: % is refused', tg_table_name, tg_op using errcode = '55000';
end
$$;
create trigger change_log_append_only before update or delete on change_log
    for each row execute function refuse_change();
create trigger change_log_no_truncate before truncate on change_log
    for each statement execute function refuse_change();

create table notifications (
    id text not null,
    -- What happened, once: event type, subject and sequence.
    occasion text not null,
    recipient text not null,
    channel text not null default 'email',
    template text not null,
    subject_kind text not null,
    subject_id text not null,
    sequence integer not null,
    -- The stable Message-ID of the mail, so that a receiver can tell a repeat.
    mail_id text not null,
    data jsonb not null,
    status text not null default 'planned',
    attempts integer not null default 0,
    -- The send journal of the process that holds it, from the claim until the outcome is committed.
    claimed_by text,
    claimed_at timestamptz,
    -- Set when a send was cut off at the one instant in which nobody can know whether the server took it.
    ambiguous boolean not null default false,
    sent_at timestamptz,
    reply text,
    -- Why the last attempt failed: a short class such as smtp.550, and words for a person.
    error_code text,
    error text,
    -- When the outside event that caused it reached us.
    received_at timestamptz not null,
    created_at timestamptz not null default now(),
    constraint notifications_key primary key (id),
    constraint notifications_once unique (occasion, recipient, channel),
    constraint notifications_status_known
        check (status in ('planned', 'sending', 'sent', 'superseded', 'failed', 'unknown')),
    constraint notifications_channel_known check (channel in ('email', 'sms', 'dashboard')),
    constraint notifications_sent_whole check ((status = 'sent') = (sent_at is not null))
);
create index notifications_by_subject on notifications (subject_kind, subject_id, sequence);
create index notifications_unfinished on notifications (created_at) where status in ('planned', 'sending');
