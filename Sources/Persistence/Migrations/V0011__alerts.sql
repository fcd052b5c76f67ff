-- breaking: no
-- What operators are told of without asking, and a way to look into bodies.

-- A condition that somebody should see to. Open from the moment it is noticed until it is over; at most one open alert for
-- each kind and key, so that it is announced once and not on every pass.
create table alerts (
    id text not null,
    -- new_fingerprint, letter_rate, retry_age, retention.
    kind text not null,
    -- What it is about: a fingerprint, or the work queue.
    key text not null,
    -- For people; holds no personal data.
    summary text not null,
    details jsonb not null,
    raised_at timestamptz not null,
    cleared_at timestamptz,
    constraint alerts_key primary key (id),
    constraint alerts_order check (cleared_at is null or raised_at <= cleared_at)
);
create unique index alerts_open_once on alerts (kind, key) where cleared_at is null;
create index alerts_by_subject on alerts (kind, key);

-- When the longest retried message that a worker has sent back to a tier failed first; null if it knows of none.
alter table workers add column oldest_retry_at timestamptz;

-- A body as a document; null if it is none.
create function letter_document(body bytea) returns jsonb language plpgsql immutable strict as $$
begin
    return convert_from(body, 'UTF8')::jsonb;
exception when others then
    return null;
end
$$;

create index dead_letters_by_death on dead_letters (died_at);
create index dead_letters_unresolved on dead_letters (fingerprint) where resolved_at is null;

-- The journal counts letters in their groups, gives older letters their fingerprints, watches the conditions, and deletes
-- what the retention no longer keeps; a trigger lets it delete resolved letters only.
grant select, insert, update on dead_letter_groups, alerts to neff_deadletters;
grant update (normalised_error, fingerprint), delete on dead_letters to neff_deadletters;
grant select, insert, update on alerts to neff_operator;
-- What the API says of a letter is read from there.
grant select on alerts, calendly_invitees to neff_ingress;
