-- breaking: no
-- What an effect follows from: the id that is common to everything that one outside event has led to, and its trace.
-- Rows from before have neither.

alter table change_log add column correlation_id text, add column trace_id text;
create index change_log_by_correlation on change_log (correlation_id) where correlation_id is not null;

-- The event that the notice tells of, too: the table has only its type and sequence so far.
alter table notifications add column correlation_id text, add column message_id text, add column trace_id text;
create index notifications_by_correlation on notifications (correlation_id) where correlation_id is not null;
