-- breaking: no
-- The journal of dead letters works under a role of its own, which writes letters and nothing else. What other roles had
-- and never used is taken back.
do $$
begin
    create role neff_deadletters nologin;
exception when duplicate_object or unique_violation then
    -- Roles belong to the whole server.
    null;
end
$$;

grant usage on schema public to neff_deadletters;
grant select on schema_migrations to neff_deadletters;
-- Select, because a letter that is there already is passed over.
grant select, insert on dead_letters to neff_deadletters;
grant select, insert, update on workers to neff_deadletters;

-- The scheduler finishes operations; only the ingress begins them, and it finishes none.
revoke insert on operations from neff_scheduling;
revoke update on operations from neff_ingress;

-- Before PostgreSQL 15 everybody could make tables here, and a server upgraded from then still lets them.
revoke create on schema public from public;
