-- breaking: no
-- Replay campaigns: dead letters that are sent again under rules, a few at first, by an owner that outlives the terminal.
--
-- A letter belongs to a campaign (dead_letters.status replaying) from the campaign's planning until the letter's outcome
-- is known. Whoever changes rows of a campaign locks its row in replay_campaigns first, so that acts of operators, the
-- runner and the journal take turns. Workers never touch that row: see replay_begun and ReplayFence.swift.

create table replay_campaigns (
    id text not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    reason text,
    -- What was asked for; which letters that came to is in replay_letters.
    selection jsonb not null,
    -- Null sends each letter to where it died.
    target_queue text,
    canary integer not null,
    -- Sizes of the batches after the canary; each has its outcomes before the next begins.
    ramp integer[] not null,
    -- Letters per second; null is as fast as the outcomes come.
    rate double precision,
    max_in_flight integer not null,
    -- Share of failures, 0 to 1, above which the campaign stops itself.
    abort_above double precision not null,
    phase text not null default 'planned',
    phase_since timestamptz not null default now(),
    phase_reason text,
    -- Raised by a recall. Messages carry the epoch they were sent in.
    epoch integer not null default 1,
    -- Since when nothing of it is on the way any more.
    settled_at timestamptz,
    lease_holder text,
    lease_until timestamptz,
    -- Digest of the API request that made it.
    request_hash text,
    constraint replay_campaigns_key primary key (id),
    constraint replay_campaigns_phase_known check (phase in
        ('planned', 'canary', 'ramping', 'running', 'paused', 'done', 'aborted', 'recalled')),
    constraint replay_campaigns_rules_sane check (
        canary >= 0 and max_in_flight > 0 and (rate is null or rate > 0) and abort_above between 0 and 1),
    constraint replay_campaigns_recall_raises_epoch check ((phase = 'recalled') = (epoch > 1)),
    constraint replay_campaigns_settled_ended check (settled_at is null or phase in ('done', 'aborted', 'recalled')),
    constraint replay_campaigns_lease_whole check ((lease_holder is null) = (lease_until is null))
);
create index replay_campaigns_unsettled on replay_campaigns (created_at) where settled_at is null;

-- One row for each letter of a campaign, for ever: what the campaign did with it.
create table replay_letters (
    campaign_id text not null,
    letter_id text not null,
    message_id text not null,
    -- The work queue it is sent to; unrouted for letters that go back to where they were sent with no queue to take them.
    queue text not null,
    -- Whose inbox tells its outcome; null is any consumer's.
    consumer text,
    -- The replays header it is sent with. No other replay of the same message has the same number.
    replay_number integer not null,
    state text not null default 'waiting',
    published_at timestamptz,
    resolved_at timestamptz,
    detail text,
    -- The dead letter that it became again.
    successor_id text,
    constraint replay_letters_key primary key (campaign_id, letter_id),
    constraint replay_letters_of_campaign foreign key (campaign_id) references replay_campaigns (id),
    constraint replay_letters_state_known check (state in
        ('waiting', 'publishing', 'published', 'applied', 'done', 'failed', 'recalled', 'withdrawn')),
    constraint replay_letters_resolved_whole check (
        (state in ('waiting', 'publishing', 'published')) = (resolved_at is null))
);
create index replay_letters_by_state on replay_letters (campaign_id, state, letter_id);
create index replay_letters_by_outcome on replay_letters (campaign_id, resolved_at desc) where state in ('done', 'failed');
create index replay_letters_by_message on replay_letters (message_id);
create index replay_letters_by_letter on replay_letters (letter_id);

-- Effects outside the database that a worker has begun for a replayed message: too late to recall it. A row goes when the
-- effect turns out not to have happened, or when its campaign is settled.
create table replay_begun (
    campaign_id text not null,
    message_id text not null,
    -- One try of one worker.
    holder text not null,
    begun_at timestamptz not null default now(),
    constraint replay_begun_key primary key (campaign_id, message_id, holder)
);

-- When what a message asks for is over; null if its body does not tell. Only a hint, for plans: the patch is not looked at.
create function letter_ends_at(body bytea) returns timestamptz language plpgsql stable strict as $$
declare
    document jsonb;
begin
    document := convert_from(body, 'UTF8')::jsonb;
    return coalesce(document #>> '{payload,scheduled_event,end_time}', document #>> '{visit,ends_at}',
        document #>> '{request,starts_at}')::timestamptz;
exception when others then
    -- Bodies are anything that somebody sent.
    return null;
end
$$;

grant select (id, epoch) on replay_campaigns to neff_sync, neff_scheduling, neff_notification;
grant select, insert, delete on replay_begun to neff_sync, neff_scheduling, neff_notification;
grant select, insert, update on replay_campaigns, replay_letters to neff_operator, neff_ingress;
grant select on replay_begun to neff_ingress;
grant select, delete on replay_begun to neff_operator;
grant update (campaign_id) on dead_letters to neff_ingress;

-- The dead-letters worker journals letters and carries campaigns out. Roles belong to the whole server, so this one may be
-- there already.
do $$
begin
    create role neff_deadletters nologin;
exception when duplicate_object or unique_violation then
    null;
end
$$;
grant usage on schema public to neff_deadletters;
grant select, update on replay_campaigns, replay_letters to neff_deadletters;
grant select, delete on replay_begun to neff_deadletters;
grant select on inbox to neff_deadletters;
grant select, insert on dead_letters, operator_log to neff_deadletters;
grant update (status, campaign_id, resolved_at, resolved_by, resolution_reason) on dead_letters to neff_deadletters;
