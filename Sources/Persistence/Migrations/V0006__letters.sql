-- breaking: no
-- What operators need around a dead letter: what is alike, a patch beside the original, and a record of who did what.
--
-- The contract of dead_letters:
--   Original     The columns that say how the message came and why it died are written once; a trigger refuses changes.
--   patch        An RFC 6902 document, null if there is none. What is published is the body with the patch applied.
--   status       dead -> replaying -> replayed, or back to dead. A letter that is replaying belongs to the replay campaign
--                in campaign_id, and nobody else touches it. dead -> discarded, and back to dead when it is restored.
--   resolved_*   Set in replayed and discarded, and only there. Only resolved letters can be deleted.
--   fingerprint  Alike letters have the same one: error code, normalised error, message type, handler and build. Null
--                until the journal has computed it, as for letters of an older program.

alter table dead_letters
    -- Where the message was published first; exchange and routing_key say where a replay goes.
    add column original_exchange text,
    add column original_routing_key text,
    -- The role and queue that gave it up, such as scheduling/scheduling.urgent; broker/<queue> if no worker did.
    add column handler text,
    -- The version of the worker that gave it up; null if no worker did.
    add column build text,
    add column normalised_error text,
    add column fingerprint text,
    add column patch jsonb,
    add column patched_at timestamptz,
    add column patched_by text,
    add column patch_reason text,
    add column campaign_id text,
    drop constraint dead_letters_status_known,
    add constraint dead_letters_status_known check (status in ('dead', 'replaying', 'replayed', 'discarded')),
    drop constraint dead_letters_resolved_whole,
    add constraint dead_letters_resolved_whole check ((status in ('dead', 'replaying')) = (resolved_at is null)),
    add constraint dead_letters_replaying_owned check (status <> 'replaying' or campaign_id is not null),
    add constraint dead_letters_patch_whole check (num_nulls(patch, patched_at, patched_by) in (0, 3)),
    add constraint dead_letters_patch_is_list check (jsonb_typeof(patch) = 'array');
create index dead_letters_by_fingerprint on dead_letters (fingerprint, id);
create index dead_letters_by_campaign on dead_letters (campaign_id, id) where campaign_id is not null;
create index dead_letters_by_resolution on dead_letters (resolved_at) where resolved_at is not null;

create function dead_letters_keep_original() returns trigger language plpgsql as $$
begin
    if (new.id, new.death_key, new.queue, new.message_id, new.type, new.exchange, new.routing_key, new.correlation_id,
        new.properties, new.headers, new.body, new.reason, new.error_code, new.error_text, new.attempts,
        new.attempt_count, new.replay_count, new.died_at)
        is distinct from
        (old.id, old.death_key, old.queue, old.message_id, old.type, old.exchange, old.routing_key, old.correlation_id,
        old.properties, old.headers, old.body, old.reason, old.error_code, old.error_text, old.attempts,
        old.attempt_count, old.replay_count, old.died_at)
        or (old.fingerprint is not null and
            (new.original_exchange, new.original_routing_key, new.handler, new.build, new.fingerprint)
            is distinct from
            (old.original_exchange, old.original_routing_key, old.handler, old.build, old.fingerprint))
    then
        raise exception 'the original of dead letter % is never changed; give it a patch', old.id
            using errcode = '55000';
    end if;
    return new;
end
$$;
create trigger dead_letters_original_kept before update on dead_letters
    for each row execute function dead_letters_keep_original();

create function dead_letters_keep_unresolved() returns trigger language plpgsql as $$
begin
    if old.resolved_at is null then
        raise exception 'dead letter % is % and cannot be deleted; discard it first', old.id, old.status
            using errcode = '55000';
    end if;
    return old;
end
$$;
create trigger dead_letters_unresolved_kept before delete on dead_letters
    for each row execute function dead_letters_keep_unresolved();
create trigger dead_letters_no_truncate before truncate on dead_letters
    for each statement execute function refuse_change();

-- One row for each fingerprint there ever was; it stays when its letters are purged.
create table dead_letter_groups (
    fingerprint text not null,
    -- The fingerprint without the build: the same error in other builds has the same cause.
    cause text not null,
    type text not null,
    handler text not null,
    build text,
    error_code text,
    normalised_error text not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    -- Letters that were ever journalled.
    letters bigint not null,
    -- The youngest letter.
    example text not null,
    constraint dead_letter_groups_key primary key (fingerprint),
    constraint dead_letter_groups_order check (first_seen <= last_seen)
);
create index dead_letter_groups_by_cause on dead_letter_groups (cause);
create index dead_letter_groups_by_last_seen on dead_letter_groups (last_seen desc);

-- What operators did: who, when, what, to what, and why. Each row holds the hash of the one before it, so a row that was
-- changed, taken out or put in later is found. OperatorLog.swift computes and checks the hashes.
create table operator_log (
    id bigint not null,
    at timestamptz not null,
    actor text not null,
    act text not null,
    subject text not null,
    reason text,
    details jsonb not null,
    -- Null in the first row only.
    previous_hash text,
    hash text not null,
    constraint operator_log_key primary key (id),
    constraint operator_log_hash_once unique (hash),
    -- A chain cannot fork, and it has one beginning.
    constraint operator_log_no_fork unique nulls not distinct (previous_hash),
    constraint operator_log_chained foreign key (previous_hash) references operator_log (hash),
    constraint operator_log_hash_form check (hash ~ '^[0-9a-f]{64}$')
);
create index operator_log_by_subject on operator_log (subject, id);
create trigger operator_log_append_only before update or delete on operator_log
    for each row execute function refuse_change();
create trigger operator_log_no_truncate before truncate on operator_log
    for each statement execute function refuse_change();

grant select, insert on operator_log to neff_operator, neff_ingress;
grant select, insert, update on dead_letter_groups to neff_operator;
grant delete on dead_letters to neff_operator;
grant select on dead_letters, dead_letter_groups, workers, inbox, notifications to neff_ingress;
grant update (status, resolved_at, resolved_by, resolution_reason, patch, patched_at, patched_by, patch_reason)
    on dead_letters to neff_ingress;
