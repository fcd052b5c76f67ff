-- breaking: no
-- People: who may log in, with what password, what sessions they have, and a record of all that concerns access.

create table users (
    id text not null,
    -- As it was typed; two spellings of one address are one user.
    email text not null,
    name text not null,
    role text not null,
    -- Says by which function and parameters it was made; PasswordHash.swift reads it. Never the password.
    password_hash text not null,
    password_changed_at timestamptz not null,
    -- Null while the user may log in. Users are never deleted, because the records of what they did name them.
    disabled_at timestamptz,
    last_login_at timestamptz,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint users_key primary key (id),
    -- Outside of ASCII, the database and the program could differ about what is one spelling of another.
    constraint users_email_ascii check (email ~ '^[!-~]+$'),
    -- The role of machines is not among them.
    constraint users_role_known check (role in
        ('admin', 'operations_manager', 'dispatcher', 'sales', 'field_supervisor', 'office', 'ops')),
    constraint users_hash_form check (password_hash like '$scrypt$%')
);
create unique index users_email_once on users (lower(email));

-- A browser that has logged in. A session that ended is deleted; access_log tells that it was.
create table user_sessions (
    id text not null,
    user_id text not null,
    -- Of the cookie's value, which is stored nowhere.
    token_sha256 bytea not null,
    created_at timestamptz not null,
    -- Within a minute or so.
    last_seen_at timestamptz not null,
    -- When it ends whatever its user does; it ends earlier without use.
    expires_at timestamptz not null,
    -- What its user recognises it by.
    address text,
    user_agent text,
    constraint user_sessions_key primary key (id),
    constraint user_sessions_token_once unique (token_sha256),
    constraint user_sessions_user foreign key (user_id) references users (id),
    constraint user_sessions_order check (created_at <= last_seen_at and created_at < expires_at)
);
create index user_sessions_by_user on user_sessions (user_id, id);
create index user_sessions_by_expiry on user_sessions (expires_at);

-- Attempts to log in that have not succeeded, for each account and each address. Shared, so that a second ingress gives no
-- second chance. An account is the digest of what was typed as e-mail address, which need not be one of ours, and may be a
-- password by mistake.
create table login_throttles (
    kind text not null,
    subject text not null,
    failures integer not null,
    last_at timestamptz not null,
    -- Until then nothing is tried; null if there is nothing to wait for.
    blocked_until timestamptz,
    constraint login_throttles_key primary key (kind, subject),
    constraint login_throttles_kind_known check (kind in ('account', 'address')),
    constraint login_throttles_count check (failures >= 0)
);
create index login_throttles_by_age on login_throttles (last_at);

-- Who holds such a token may make the first administrator, once.
create table bootstrap_tokens (
    token_sha256 bytea not null,
    created_at timestamptz not null,
    created_by text not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    constraint bootstrap_tokens_key primary key (token_sha256)
);

-- Everything that concerns access: log-ins and failures, log-outs, changes of users and keys, refused permissions. Holds no
-- secrets.
create table access_log (
    id bigint generated always as identity,
    at timestamptz not null,
    -- What happened: <thing>.<verb>, such as session.begin.
    act text not null,
    -- user:<name>, key:<name>, or a person at a terminal; null where nobody has shown who they are.
    actor text,
    -- The id of the user or key that acted.
    actor_id text,
    -- The id of what it is about: a user, a session, a key.
    subject text,
    details jsonb not null,
    -- Where the request came from; null for what is done at a terminal.
    address text,
    request_id text,
    constraint access_log_key primary key (id)
);
create index access_log_by_subject on access_log (subject, id) where subject is not null;
create index access_log_by_actor on access_log (actor_id, id) where actor_id is not null;
create trigger access_log_append_only before update or delete on access_log
    for each row execute function refuse_change();
create trigger access_log_no_truncate before truncate on access_log
    for each statement execute function refuse_change();

grant select, insert, update on users to neff_ingress, neff_operator;
grant select, insert, delete on user_sessions to neff_ingress;
grant update (last_seen_at) on user_sessions to neff_ingress;
grant select, delete on user_sessions to neff_operator;
grant select, insert, update, delete on login_throttles to neff_ingress;
grant select, delete on login_throttles to neff_operator;
grant select on bootstrap_tokens to neff_ingress;
grant update (used_at) on bootstrap_tokens to neff_ingress;
grant select, insert, delete on bootstrap_tokens to neff_operator;
grant select, insert on access_log to neff_ingress, neff_operator;
-- Administrators make and revoke keys over the API too.
grant insert on api_keys to neff_ingress;
grant update (revoked_at) on api_keys to neff_ingress;
