-- breaking: no
-- A command that ends as a dead letter ends its operation, so that whoever asked is not left waiting for ever. A number for
-- each change of an assignment. And indexes for what would otherwise read tables that only grow.

-- The letter that holds the command; null again once a replay has carried it out.
alter table operations add column dead_letter text;
-- The journal finds the operation of a letter by the command's message.
create index operations_by_message on operations (message_id);

grant select on operations to neff_deadletters;
grant update (status, http_status, outcome, finished_at, dead_letter) on operations to neff_deadletters;

-- One event of Calendly can change an assignment more than once: by itself, and through others of the same group event.
alter table consultations add column assignment_revision integer not null default 0;

-- The jobs of one crew, in pages.
create index jobs_by_crew on jobs (crew, starts_at, id);
-- `neff status` counts what was refused; what is still to be sent has an index.
create index notifications_failed on notifications (created_at) where status = 'failed';
create index operations_pending on operations (created_at) where status = 'pending';
