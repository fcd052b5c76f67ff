-- breaking: no
-- What keeps messages from being lost or acted on twice: inbox, outbox, spool, operations, dead letters, workers.

-- One row per message and consumer, written in the transaction of its effect. It is the receipt that a redelivery or a
-- replay, at whatever age, finds; so it is small and kept for ever.
create table inbox (
    consumer text not null,
    message_id text not null,
    handled_at timestamptz not null default now(),
    constraint inbox_once primary key (consumer, message_id)
);

-- Messages that must follow an effect, written in its transaction and deleted once the broker has confirmed them.
create table outbox (
    id bigint generated always as identity,
    message_id text not null,
    exchange text not null,
    routing_key text not null,
    type text not null,
    correlation_id text not null,
    causation_id text,
    received_at timestamptz not null,
    schema_version integer not null default 1,
    trace_parent text,
    body bytea not null,
    created_at timestamptz not null default now(),
    -- A later time makes it a scheduled message.
    available_at timestamptz not null default now(),
    constraint outbox_key primary key (id),
    constraint outbox_message_once unique (message_id)
);
create index outbox_by_availability on outbox (available_at, id);

-- What the ingress accepted while the broker was away; published in order once it is back.
create table spool (
    id bigint generated always as identity,
    message_id text not null,
    exchange text not null,
    routing_key text not null,
    type text not null,
    correlation_id text not null,
    received_at timestamptz not null,
    content_type text not null,
    schema_version integer not null default 1,
    trace_parent text,
    signature text,
    body bytea not null,
    created_at timestamptz not null default now(),
    constraint spool_key primary key (id),
    -- A sender's retry while the first copy is still here adds nothing.
    constraint spool_message_once unique (message_id)
);

-- What became of a request to the API. The row is also the record of its idempotency key.
create table operations (
    id text not null,
    principal text not null,
    route text not null,
    idempotency_key text not null,
    request_hash text not null,
    status text not null default 'pending',
    -- HTTP status and body of the answer, once there is one.
    http_status integer,
    outcome jsonb,
    subject_id text,
    message_id text not null,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint operations_key primary key (id),
    constraint operations_idempotency_once unique (principal, route, idempotency_key),
    constraint operations_status_known check (status in ('pending', 'succeeded', 'failed')),
    constraint operations_finished_whole check (
        (status = 'pending') = (finished_at is null) and (status = 'pending') = (http_status is null))
);

create table dead_letters (
    id text not null,
    -- Queue, message id, attempts and replays: a second journalling of the same death adds nothing.
    death_key text not null,
    queue text not null,
    message_id text not null,
    type text not null,
    exchange text not null,
    routing_key text not null,
    correlation_id text,
    properties jsonb not null,
    headers jsonb not null,
    body bytea not null,
    -- rejected (by a handler), delivery_limit (crashed its worker), unrouted, expired, maxlen.
    reason text not null,
    error_code text,
    error_text text,
    attempts jsonb not null default '[]',
    attempt_count integer not null default 0,
    replay_count integer not null default 0,
    died_at timestamptz not null default now(),
    status text not null default 'dead',
    resolved_at timestamptz,
    resolved_by text,
    resolution_reason text,
    constraint dead_letters_key primary key (id),
    constraint dead_letters_death_once unique (death_key),
    constraint dead_letters_status_known check (status in ('dead', 'replayed', 'discarded')),
    constraint dead_letters_resolved_whole check ((status = 'dead') = (resolved_at is null))
);
create index dead_letters_by_queue on dead_letters (queue, died_at desc) where status = 'dead';
create index dead_letters_by_message on dead_letters (message_id);

-- One row per running worker process, refreshed while it lives.
create table workers (
    id text not null,
    role text not null,
    host text not null,
    pid integer not null,
    version text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    stopped_at timestamptz,
    handled bigint not null default 0,
    retried bigint not null default 0,
    dead_lettered bigint not null default 0,
    in_flight integer not null default 0,
    constraint workers_key primary key (id)
);
create index workers_by_seen on workers (seen_at desc);

-- Messages that are tried alone because an earlier consumer of theirs may have crashed: a row from just before the try
-- until its settlement. A row that a new process finds was in the hand of one that died.
create table suspects (
    consumer text not null,
    message_id text not null,
    -- Tries that nobody came back from, the present one included.
    tries integer not null,
    tried_at timestamptz not null default now(),
    constraint suspects_key primary key (consumer, message_id)
);

-- Keys for machines and staff. Only a digest of the secret part is stored; keys are random, so a fast digest is enough.
create table api_keys (
    id text not null,
    name text not null,
    role text not null,
    -- The first characters, shown in lists so that people know which key is which.
    prefix text not null,
    secret_sha256 bytea not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    constraint api_keys_key primary key (id),
    constraint api_keys_secret_once unique (secret_sha256),
    constraint api_keys_role_known check (role in
        ('admin', 'operations_manager', 'dispatcher', 'sales', 'field_supervisor', 'office', 'ops', 'service'))
);
