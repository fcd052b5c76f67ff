"""Tables in Markdown from the samples of a run."""

import statistics

from . import targets

TITLES = {
    "route": ("Webhook route", "Signed bodies of 2.4 KB; answered 202 after the confirm of a quorum queue. Requests per second."),
    "loop": ("Worker loop", "Inbox row and one effect in a transaction, acknowledged after its commit. Messages per second."),
    "booking": ("Booking path", "Consultation, allocation, change log and outbox by the shipped workers. Bookings per second."),
    "latency": ("Latency", "From the 202 to the customer's mail in the hand of the mail server."),
    "footprint": ("Memory and start-up", "Each role by itself."),
    "growth": ("Growth", "The booking path on small and on large tables."),
}
LABELS = {
    "rate": "per s", "p50_ms": "p50 ms", "p99_ms": "p99 ms", "max_ms": "max ms", "cpu_us": "CPU µs each",
    "resident_mb": "resident MB", "ready_s": "ready s", "rows": "rows", "missing": "missing", "refused": "refused",
}


def number(value):
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(samples, key):
    """Median, and the spread from the lowest to the highest where there are several."""
    values = [sample[key] for sample in samples if key in sample]
    if not values:
        return ""
    text = number(statistics.median(values))
    return f"{text} ({number(min(values))}–{number(max(values))})" if len(values) > 1 else text


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
                     + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def section(results, name):
    found = results[name]
    keys = [key for key in LABELS
            if any(key in sample for variants in found.values() for samples in variants.values() for sample in samples)]
    rows = []
    for variant in dict.fromkeys(variant for variants in found.values() for variant in variants):
        for contender, variants in found.items():
            samples = [sample for sample in variants.get(variant, []) if "plans" not in sample]
            if samples:
                rows.append([contender, variant, *[cell(samples, key) for key in keys]])
    variant_title = "connections, or in flight" if name == "route" else ""
    return table(["", variant_title, *[LABELS[key] for key in keys]], rows)


def verdict_table(results):
    rows = []
    for what, sign, wanted, seen in targets.verdicts(results):
        if seen is None:
            continue
        is_met = targets.is_met(sign, wanted, seen)
        verdict = "met" if is_met else f"missed by {targets.missed_by(wanted, seen):.0f} %"
        rows.append([what, f"{'at least' if sign == '>=' else 'at most'} {wanted:g}", number(seen), verdict])
    return table(["Target", "Wanted", "Seen", ""], rows)


def plan_table(results):
    samples = results.get("growth", {}).get("large", {}).get("plans", [])
    if not samples:
        return ""
    rows = []
    for plan in samples[-1]["plans"]:
        statement = plan["statement"]
        statement = statement if len(statement) <= 110 else statement[:107] + "..."
        rows.append([f"`{statement}`".replace("|", "\\|"), plan["seen"], "<br>".join(plan["access"]) or "no table",
                     ", ".join(plan["scanned"]) or "none"])
    return table(["Statement", "Seen", "How it reaches its rows", "Large tables read from end to end"], rows)


def document(results, facts):
    """The whole page; `facts` are date, machine and versions as (name, value)."""
    parts = ["# Performance", "", *facts, ""]
    if verdicts := verdict_table(results):
        parts += ["## Targets", "", verdicts, ""]
    for name, (title, explanation) in TITLES.items():
        if results.get(name):
            parts += [f"## {title}", "", explanation, "", section(results, name), ""]
            if name == "growth" and (plans := plan_table(results)):
                parts += ["Plans that the server logged on the large tables:", "", plans, ""]
    return "\n".join(parts)
