-- breaking: no
-- Running the workers: paused queues, circuit breakers, drain receipts, and the ledger of everything accepted.

-- Queues that an operator has stopped. Workers hear of a change on the channel queue_pauses, and look every few seconds.
create table queue_pauses (
    queue text not null,
    reason text,
    paused_by text not null,
    paused_at timestamptz not null default now(),
    constraint queue_pauses_key primary key (queue)
);

-- What each worker process thinks of the outside services that it needs. A row counts while its worker is alive.
create table breakers (
    worker text not null,
    dependency text not null,
    state text not null,
    -- Failures in a row that opened it, and why the last of them failed.
    failures integer not null,
    error_code text,
    changed_at timestamptz not null,
    -- When the next trial may begin; null unless open.
    retry_at timestamptz,
    seen_at timestamptz not null default now(),
    constraint breakers_key primary key (worker, dependency),
    constraint breakers_state_known check (state in ('closed', 'open', 'half_open'))
);

-- What each worker process did with what it had in hand when it was told to stop.
create table drain_receipts (
    id bigint generated always as identity,
    worker text not null,
    role text not null,
    stopped_at timestamptz not null default now(),
    in_hand integer not null,
    finished integer not null,
    postponed integer not null,
    returned integer not null,
    left_behind integer not null,
    duration_ms integer not null,
    constraint drain_receipts_key primary key (id)
);
create index drain_receipts_by_time on drain_receipts (stopped_at desc);

-- Every message that the system has answered for: accepted by the ingress, or published from outbox or spool. Rows are only
-- appended, and one message may have several (a sender's repeat, a relay that was cut off), so there is no unique key: an
-- index would cost more than everything else here. A BRIN index finds a span of time.
create table ledger (
    message_id text not null,
    routing_key text not null,
    -- Who must handle it: the inbox's names of the consumers that its routing key led to at the time, comma-separated;
    -- unrouted if there was none.
    consumers text not null,
    accepted_at timestamptz not null,
    -- ingress, spool or outbox.
    source text not null,
    constraint ledger_source_known check (source in ('ingress', 'spool', 'outbox'))
);
create index ledger_by_time on ledger using brin (accepted_at);

-- What an operator gave up and later removed from the dead letters; so small that it is kept for ever, as the inbox is.
create table ledger_write_offs (
    consumer text not null,
    message_id text not null,
    written_off_at timestamptz not null default now(),
    constraint ledger_write_offs_once primary key (consumer, message_id)
);

create function ledger_write_off() returns trigger language plpgsql security definer set search_path = public as $$
begin
    insert into ledger_write_offs (consumer, message_id) values (split_part(old.queue, '.', 1), old.message_id)
    on conflict on constraint ledger_write_offs_once do nothing;
    return null;
end
$$;
create trigger dead_letters_written_off after delete on dead_letters
    for each row when (old.status = 'discarded') execute function ledger_write_off();

-- The journal of dead letters follows pauses too; its role is made in full by a later migration.
do $$
begin
    create role neff_deadletters nologin;
exception when duplicate_object or unique_violation then
    -- Roles belong to the whole server.
    null;
end
$$;

grant select on queue_pauses to neff_sync, neff_scheduling, neff_notification, neff_deadletters, neff_operator;
grant insert, update, delete on queue_pauses to neff_operator;
grant select, insert, update, delete on breakers to neff_sync, neff_scheduling, neff_notification;
grant select, insert on drain_receipts to neff_sync, neff_scheduling, neff_notification;
grant insert on ledger to neff_ingress, neff_sync, neff_scheduling, neff_notification;
grant select, delete on ledger to neff_operator;
grant select on breakers, drain_receipts, ledger_write_offs to neff_operator;
