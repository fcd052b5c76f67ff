-- breaking: no
-- One group role per service, without a password. Log-in roles are made members of them when a system is installed. Roles
-- belong to the whole server, so they may be there already.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['neff_ingress', 'neff_sync', 'neff_scheduling', 'neff_notification', 'neff_operator'] loop
        begin
            execute format('create role %I nologin', wanted);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
end
$$;

grant usage on schema public to neff_ingress, neff_sync, neff_scheduling, neff_notification, neff_operator;
grant select on schema_migrations to neff_ingress, neff_sync, neff_scheduling, neff_notification, neff_operator;

grant select, insert, update on operations to neff_ingress, neff_scheduling;
grant select, insert, delete on spool to neff_ingress;
grant select on api_keys, jobs, consultations, resources, service_types, allocations, change_log to neff_ingress;
grant update (last_used_at) on api_keys to neff_ingress;

grant select, insert on inbox to neff_sync, neff_scheduling, neff_notification, neff_operator;
grant select, insert, update, delete on outbox to neff_sync, neff_scheduling, neff_notification;
grant select, insert, update, delete on suspects to neff_sync, neff_scheduling, neff_notification;
grant select, insert, update on workers to neff_sync, neff_scheduling, neff_notification, neff_operator;

grant select, insert, update on consultations, calendly_invitees to neff_sync;
grant select, insert on calendly_unhandled to neff_sync;
grant select on consultation_types to neff_sync, neff_scheduling;
grant select, update on consultations to neff_scheduling;
grant insert on change_log to neff_sync, neff_scheduling;
grant select on change_log to neff_sync, neff_scheduling;

grant select on resources, service_types, business_hours, holidays to neff_scheduling;
-- Row locks need the right to update some column of the table, and the scheduler locks the resources that it books.
grant update (active) on resources to neff_scheduling;
grant select, insert, update on jobs, allocations to neff_scheduling;
grant usage on sequence job_numbers to neff_scheduling;

grant select, insert, update on notifications to neff_notification;

grant select on all tables in schema public to neff_operator;
grant insert, update on dead_letters, api_keys, resources to neff_operator;
grant insert, delete on outbox, spool to neff_operator;
