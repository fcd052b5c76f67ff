"""The booking path on small and on large tables, and the plans of its statements on the large ones."""

import json
import re

from . import booking, services, settings, workers
from .processes import run

FILL = """
insert into consultations (id, kind, state, customer_name, customer_email, starts_at, ends_at, time_zone, current_invitee,
        announced_state, announced_invitee, announced_starts_at, announced_ends_at, assignment, assignee,
        assignment_sequence, created_at)
    select 'old-c-' || n, 'residential', 'booked', 'Customer ' || n, 'old.' || n || '@example.com', at, at + interval '1 hour',
        'America/New_York', 'old-i-' || n, 'booked', 'old-i-' || n, at, at + interval '1 hour', 'assigned', r.id, 0, at
    from (select n, now() - interval '10 years' + n / {people} * interval '2 hours' as at, n % {people} as turn
          from generate_series(1, {rows}) as n) as past
    join (select id, row_number() over (order by id) - 1 as turn from resources where kind = 'estimator') as r using (turn);
insert into calendly_invitees (uri, event_uri, consultation_id, active_at, snapshot_at)
    select 'old-i-' || n, 'old-e-' || n, 'old-c-' || n, now() - interval '1 year', now() - interval '1 year'
    from generate_series(1, {rows}) as n;
insert into jobs (id, number, state, service, priority, customer_name, address, time_zone, starts_at, ends_at, created_at)
    select 'old-j-' || n, 'OLD-' || n, 'completed', (select code from service_types order by code limit 1), 'standard',
        'Customer ' || n, '1 Orchard Hill Rd', 'America/New_York', at, at + interval '4 hours', at
    from (select n, now() - interval '10 years' + n * interval '5 minutes' as at from generate_series(1, {rows}) as n) as past;
insert into allocations (resource_id, during, subject_kind, subject_id)
    select assignee, tstzrange(starts_at, ends_at), 'consultation', id from consultations where id like 'old-c-%';
insert into change_log (at, subject_kind, subject_id, change_type, actor, source)
    select starts_at, 'consultation', id, 'booked', 'calendly', 'webhook' from consultations where id like 'old-c-%';
insert into inbox (consumer, message_id) select 'old', 'old-m-' || n from generate_series(1, 2 * {rows}) as n;
vacuum analyze;
"""
RECORD = """
alter database {database} set session_preload_libraries = 'auto_explain';
alter database {database} set auto_explain.log_min_duration = 0;
alter database {database} set auto_explain.log_format = 'json';
alter database {database} set auto_explain.log_analyze = on;
alter database {database} set auto_explain.log_timing = off;
alter database {database} set auto_explain.sample_rate = {rate};
"""
FORGET = """
alter database {database} reset all;
"""
# Tables of a handful of rows, which the planner rightly reads from end to end.
SMALL = {"resources", "consultation_types", "service_types", "business_hours", "holidays", "workers", "suspects",
         "schema_migrations"}


def contenders():
    return ["small", "large"]


def measure(name, scale):
    rows = scale.growth_small if name == "small" else scale.growth_large
    services.fresh_database(workers.resources())
    services.purge()
    services.sql(FILL.format(rows=rows, people=workers.ESTIMATORS), limit=900)
    services.sql("checkpoint", database="postgres")
    for _, sample in booking.measure_on_present_data("booking path", scale):
        yield "rate", {**sample, "rows": rows}
    if name == "large":
        yield "plans", {"plans": plans(scale)}


def plans(scale):
    """Has the server log its own plans while the workers run, and tells for each statement how it reached its rows."""
    # Other bookings than those that are there already, which would be no work.
    scale = type(scale)(True)
    deliveries = settings.WORK / "more-deliveries.tsv"
    deliveries.write_text(
        run([settings.NEFF, "sandbox", "deliveries", "--count", scale.bookings], 60), encoding="utf-8")
    log = settings.STATE / "log" / "postgres.log"
    begin = log.stat().st_size
    services.sql(RECORD.format(database=settings.DATABASE, rate=0.05), database="postgres")
    try:
        for _ in booking.measure_on_present_data("booking path", scale, deliveries):
            pass
    finally:
        services.sql(FORGET.format(database=settings.DATABASE), database="postgres")
    with open(log, encoding="utf-8", errors="replace") as file:
        file.seek(begin)
        text = file.read()
    found = {}
    for match in re.finditer(r"plan:\n\t\{\n(.*?)\n\t\}(?=\n\S|\Z)", text, re.DOTALL):
        try:
            plan = json.loads("{" + match[1].replace("\n\t", "\n") + "}")
        except ValueError:
            continue
        statement = " ".join(plan["Query Text"].split())
        entry = found.setdefault(statement, {"seen": 0, "access": set(), "scanned": set()})
        entry["seen"] += 1
        walk(plan["Plan"], entry)
    return [
        {"statement": statement, "seen": entry["seen"], "access": sorted(entry["access"]),
         "scanned": sorted(entry["scanned"])}
        for statement, entry in sorted(found.items(), key=lambda item: -item[1]["seen"])
    ]


def walk(node, entry):
    """Notes how a plan's nodes reach their rows; a large table that is read from end to end is what we look for."""
    kind, table = node["Node Type"], node.get("Relation Name")
    if "Index Name" in node:
        entry["access"].add(f"{kind}: {node['Index Name']}")
    elif kind == "Seq Scan" and table:
        entry["access"].add(f"Seq Scan: {table}")
        if table not in SMALL:
            entry["scanned"].add(table)
    elif kind == "ModifyTable":
        entry["access"].add(f"{node['Operation']}: {table}")
    for child in node.get("Plans", []):
        walk(child, entry)
