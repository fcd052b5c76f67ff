"""What is aimed at, as ratios within one run, and what a run says about it."""

import statistics


def median(results, section, name, variant, key="rate"):
    values = [sample[key] for sample in results.get(section, {}).get(name, {}).get(str(variant), []) if key in sample]
    return statistics.median(values) if values else None


def ratio(results, section, ours, theirs, variant, key="rate"):
    mine, other = (median(results, section, name, variant, key) for name in (ours, theirs))
    return mine / other if mine and other else None


def verdicts(results):
    """Rows of (what, at least or at most, wanted, seen); `seen` is None where a part was not measured."""
    rows = []
    for connections, wanted in ((16, 1.5), (64, 1.5), (256, 1.1)):
        rows.append((f"webhook route, {connections} connections: rate over Go's", ">=", wanted,
                     ratio(results, "route", "neff", "go", connections)))
    for connections in (16, 64, 256):
        rows.append((f"webhook route, {connections} connections: p99 over Go's", "<=", 1.0,
                     ratio(results, "route", "neff", "go", connections, "p99_ms")))
    for connections in (16, 64, 256):
        rows.append((f"webhook route, {connections} connections: rate over the raw publisher's", ">=", 0.6,
                     ratio(results, "route", "neff", "raw publisher", connections)))
    for name, wanted in (("go, 16 lanes", 3.0), ("celery, 4 processes", 10.0), ("dramatiq, 2x8 threads", 5.0)):
        rows.append((f"worker loop: rate over {name}", ">=", wanted, ratio(results, "loop", "neff", name, "rate")))
    path, plain = median(results, "booking", "booking path", "rate"), median(results, "loop", "neff", "rate")
    rows.append(("booking path: rate over the plain loop's", ">=", 0.35, path / plain if path and plain else None))
    rows.append(("latency at 200/s, webhook accepted to mail handed over: p99 in ms", "<=", 150.0,
                 median(results, "latency", "neff", "200/s", "p99_ms")))
    for role in results.get("footprint", {}):
        if "idle" in results["footprint"][role]:
            rows.append((f"{role}: resident MB when idle", "<=", 40.0,
                         median(results, "footprint", role, "idle", "resident_mb")))
            rows.append((f"{role}: seconds from start to ready", "<=", 1.0,
                         median(results, "footprint", role, "idle", "ready_s")))
    grown = "worker loop over many messages"
    tenth, whole = (median(results, "footprint", grown, variant, "resident_mb") for variant in ("a tenth", "all"))
    rows.append(("worker loop: resident after all messages over that after a tenth", "<=", 1.1,
                 whole / tenth if whole and tenth else None))
    large, small = median(results, "growth", "large", "rate"), median(results, "growth", "small", "rate")
    rows.append(("booking path: rate on large tables over that on small ones", ">=", 0.9,
                 large / small if large and small else None))
    return rows


def is_met(sign, wanted, seen):
    return seen >= wanted if sign == ">=" else seen <= wanted


def missed_by(wanted, seen):
    """How far off, in per cent of what was wanted."""
    return abs(seen - wanted) / wanted * 100
