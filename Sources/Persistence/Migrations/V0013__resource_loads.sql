-- breaking: no
-- How much each resource has to do in each week, so that whoever has least is found without reading everybody's week.
--
-- Every change of allocations adds rows here and changes none, so that writers never wait for each other because of it.
-- From time to time the changes are folded into sums.

create table resource_loads (
    -- Monday of the week in which the work begins, in UTC: a measure for fairness, not for anybody's calendar.
    week date not null,
    resource_id text not null,
    seconds bigint not null,
    constraint resource_loads_key primary key (week, resource_id)
);

create table resource_load_changes (
    id bigint generated always as identity,
    week date not null,
    resource_id text not null,
    seconds bigint not null,
    constraint resource_load_changes_key primary key (id)
);
create index resource_load_changes_by_week on resource_load_changes (week);

-- What one allocation adds to a week, or takes from it with a sign of -1.
create function allocation_load(resource text, span tstzrange, kind text, is_active boolean, sign integer)
returns table (week date, resource_id text, seconds bigint) language sql immutable as $$
    select date_trunc('week', lower(span) at time zone 'UTC')::date, resource,
        sign * extract(epoch from upper(span) - lower(span))::bigint
    where is_active and kind in ('appointment', 'job', 'consultation')
$$;

insert into resource_loads (week, resource_id, seconds)
select l.week, l.resource_id, sum(l.seconds)
from allocations a, allocation_load(a.resource_id, a.during, a.subject_kind, a.active, 1) as l
group by l.week, l.resource_id;

-- For every writer of allocations.
create function resource_loads_follow() returns trigger language plpgsql security definer set search_path = public as $$
begin
    if tg_op <> 'DELETE' then
        insert into resource_load_changes (week, resource_id, seconds)
        select l.week, l.resource_id, sum(l.seconds)
        from added a, allocation_load(a.resource_id, a.during, a.subject_kind, a.active, 1) as l
        group by l.week, l.resource_id;
    end if;
    if tg_op <> 'INSERT' then
        insert into resource_load_changes (week, resource_id, seconds)
        select l.week, l.resource_id, sum(l.seconds)
        from removed a, allocation_load(a.resource_id, a.during, a.subject_kind, a.active, -1) as l
        group by l.week, l.resource_id;
    end if;
    return null;
end
$$;
create trigger allocations_added after insert on allocations
    referencing new table as added for each statement execute function resource_loads_follow();
create trigger allocations_changed after update on allocations
    referencing old table as removed new table as added for each statement execute function resource_loads_follow();
create trigger allocations_removed after delete on allocations
    referencing old table as removed for each statement execute function resource_loads_follow();

-- Adds changes to the sums, the oldest first; one caller at a time, and nobody else changes the sums.
-- Returns how many changes are gone.
create function fold_resource_loads(most integer) returns integer language plpgsql security definer
set search_path = public as $$
declare
    folded integer;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('resource_loads', 0)) then
        return 0;
    end if;
    with gone as (
        delete from resource_load_changes
        where id = any(array(select id from resource_load_changes order by id limit most)) returning week, resource_id, seconds
    ), sums as (
        insert into resource_loads as known (week, resource_id, seconds)
        select week, resource_id, sum(seconds) from gone group by week, resource_id
        on conflict on constraint resource_loads_key do update set seconds = known.seconds + excluded.seconds
    )
    select count(*) into folded from gone;
    return folded;
end
$$;
revoke execute on function fold_resource_loads(integer) from public;
grant execute on function fold_resource_loads(integer) to neff_scheduling;
grant select on resource_loads, resource_load_changes to neff_scheduling, neff_operator;
