-- breaking: no
-- How much each resource has to do in each week, so that whoever has least is found without reading everybody's week.

create table resource_loads (
    -- Monday of the week in which the work begins, in UTC: a measure for fairness, not for anybody's calendar.
    week date not null,
    resource_id text not null,
    seconds bigint not null,
    constraint resource_loads_key primary key (week, resource_id),
    constraint resource_loads_resource_exists foreign key (resource_id) references resources (id)
)
-- Every booking updates a row in place.
with (fillfactor = 50);

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

-- For every writer of allocations. Its rows are taken in one order, so that no two writers wait for each other here.
create function resource_loads_follow() returns trigger language plpgsql security definer set search_path = public as $$
begin
    if tg_op = 'INSERT' then
        insert into resource_loads as known (week, resource_id, seconds)
        select l.week, l.resource_id, sum(l.seconds)
        from added a, allocation_load(a.resource_id, a.during, a.subject_kind, a.active, 1) as l
        group by l.week, l.resource_id order by l.resource_id, l.week
        on conflict on constraint resource_loads_key do update set seconds = known.seconds + excluded.seconds;
    elsif tg_op = 'UPDATE' then
        insert into resource_loads as known (week, resource_id, seconds)
        select l.week, l.resource_id, sum(l.seconds)
        from (
            select l.* from added a, allocation_load(a.resource_id, a.during, a.subject_kind, a.active, 1) as l
            union all
            select l.* from removed a, allocation_load(a.resource_id, a.during, a.subject_kind, a.active, -1) as l
        ) as l
        group by l.week, l.resource_id having sum(l.seconds) <> 0 order by l.resource_id, l.week
        on conflict on constraint resource_loads_key do update set seconds = known.seconds + excluded.seconds;
    else
        insert into resource_loads as known (week, resource_id, seconds)
        select l.week, l.resource_id, sum(l.seconds)
        from removed a, allocation_load(a.resource_id, a.during, a.subject_kind, a.active, -1) as l
        group by l.week, l.resource_id order by l.resource_id, l.week
        on conflict on constraint resource_loads_key do update set seconds = known.seconds + excluded.seconds;
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

grant select on resource_loads to neff_scheduling, neff_operator;
