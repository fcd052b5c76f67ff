"""Runs the slots of all contenders, round by round, and writes what came of it."""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time

from . import booking, chart, footprint, growth, latency, loop, report, route, services, settings
from .processes import Trouble

SECTIONS = {
    "route": route, "loop": loop, "booking": booking, "latency": latency, "footprint": footprint, "growth": growth,
}
# Measured once: filling the tables takes minutes, and what these say does not vary.
ONCE = {"growth"}


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures our programs beside their peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender has its slot (default 3)")
    parser.add_argument("--quick", action="store_true", help="one round of seconds: does it work, not how fast is it")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help=f"a part ({', '.join(SECTIONS)}) or a contender, such as go; may be given again")
    parser.add_argument("--write-docs", action="store_true", help="write docs/performance.md and its chart")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if chosen.write_docs and (chosen.quick or chosen.only):
        parser.error("--write-docs wants a whole run: no --quick, no --only")
    known = [name for module in SECTIONS.values() for name in module.contenders()]
    for name in chosen.only:
        if name not in SECTIONS and not any(contender.startswith(name) for contender in known):
            parser.error(f"--only {name}: there is no such part, and no contender begins so")
    chosen.rounds = 1 if chosen.quick else chosen.rounds
    return chosen


def wanted(only, section, contender):
    """Sections narrow down sections and contenders narrow down contenders."""
    parts = [name for name in only if name in SECTIONS]
    names = [name for name in only if name not in SECTIONS]
    return (not parts or section in parts) and (not names or any(contender.startswith(name) for name in names))


def busy_share(seconds=2):
    """How much of the machine others use, before anything is measured."""
    def times():
        with open("/proc/stat", encoding="ascii") as file:
            return [int(word) for word in file.readline().split()[1:9]]

    before = times()
    time.sleep(seconds)
    spent = [late - early for early, late in zip(before, times())]
    return 1 - (spent[3] + spent[4]) / max(1, sum(spent))


def facts(chosen, scale):
    """What the reader must know of the run."""
    def told(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
        except OSError:
            return ""

    with open("/proc/meminfo", encoding="ascii") as file:
        memory = round(int(file.readline().split()[1]) / 1024 / 1024)
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    overview = services.management("GET", "/api/overview")
    server = services.sql("show server_version")[0][0].split()[0]
    return [
        f"Seen on {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d} with `scripts/bench`: release build; one machine with "
        f"{os.cpu_count()} cores ({model}) and {memory} GB that also ran RabbitMQ {overview['rabbitmq_version']}, PostgreSQL "
        f"{server} (fsync and synchronous_commit on), the mail server and the load generator. So ratios within the run mean "
        "something, and absolute figures say little about another machine.",
        "",
        f"{chosen.rounds} rounds, contenders in turn, each alone in its slot ({scale.seconds} s for each number of connections, "
        f"{scale.messages:,} messages for each worker); medians, with lowest and highest. Peers are in `Benchmarks/peers`: "
        f"{told('go', 'version').replace('go version ', '')}, Python {sys.version.split()[0]}. `CPU µs each` is the processor "
        "time of the contender itself, without broker, database and load generator.",
        "",
        "![Rates of all contenders](performance.svg)",
    ]


def main():
    chosen = arguments()
    scale = settings.Scale(chosen.quick)
    results, troubles = {}, []
    if (share := busy_share()) > 0.15:
        troubles.append(f"others used {share:.0%} of the machine before the run began, so its figures mean little")
        print(troubles[-1], flush=True)
    services.fresh_database()
    for number in range(chosen.rounds):
        for section, module in SECTIONS.items():
            if number and section in ONCE:
                continue
            contenders = [name for name in module.contenders() if wanted(chosen.only, section, name)]
            # The order is turned round every other time, so that nobody always comes after the same neighbour.
            for name in contenders if number % 2 == 0 else reversed(contenders):
                found = results.setdefault(section, {}).setdefault(name, {})
                try:
                    for variant, sample in module.measure(name, scale):
                        found.setdefault(str(variant), []).append(sample)
                        note(number, section, name, variant, sample)
                        if sample.get("bad") or sample.get("errors") or sample.get("missing"):
                            troubles.append(f"{section}, {name}, {variant}: not all was well: {sample}")
                except (Trouble, subprocess.TimeoutExpired) as trouble:
                    troubles.append(f"{section}, {name}: {trouble}")
                    print(f"      {troubles[-1]}", flush=True)
    finish(chosen, scale, results, troubles)
    return 1 if troubles else 0


def note(number, section, name, variant, sample):
    values = "  ".join(f"{report.LABELS[key]} {report.number(sample[key])}" for key in report.LABELS if key in sample)
    print(f"  {number + 1}  {section:<10} {name:<36} {variant!s:<8} {values}", flush=True)


def finish(chosen, scale, results, troubles):
    page = report.document(results, facts(chosen, scale))
    stamp = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%SZ}"
    folder = settings.WORK / "results"
    folder.mkdir(exist_ok=True)
    record = {"at": stamp, "rounds": chosen.rounds, "quick": chosen.quick, "results": results, "troubles": troubles}
    (folder / f"{stamp}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / f"{stamp}.svg").write_text(chart.draw(results), encoding="utf-8")
    (folder / f"{stamp}.md").write_text(page, encoding="utf-8")
    print()
    print(report.verdict_table(results))
    for trouble in troubles:
        print(f"trouble: {trouble}")
    print(f"\nresults: {folder}/{stamp}.md, .json and .svg")
    if chosen.write_docs and not troubles:
        write_docs(page, record, chart.draw(results))
    elif chosen.write_docs:
        print("docs/performance.md is left as it was, because not all slots went well")


def write_docs(page, record, drawing):
    """Replaces the measured part of the page; what people wrote after the mark stays."""
    docs = settings.ROOT / "docs"
    path = docs / "performance.md"
    mark = "<!-- written by hand from here on -->"
    _, found, rest = path.read_text(encoding="utf-8").partition(mark)
    path.write_text(page + (mark + rest if found else mark + "\n"), encoding="utf-8")
    (docs / "performance.svg").write_text(drawing, encoding="utf-8")
    pathlib.Path(docs / "performance.json").write_text(
        json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("docs/performance.md, .svg and .json are written")


sys.exit(main())
