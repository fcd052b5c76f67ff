"""From the 202 to the customer's mail in the hand of the mail server, at a steady rate, with every role running."""

import contextlib
import os
import statistics
import time

from . import pacer, services, settings, workers
from .processes import Process, Trouble, free_port

ROLES = ["ingress", "sync", "scheduling", "notification"]


def contenders():
    return ["neff"]


def measure(_, scale):
    services.fresh_database(workers.resources())
    services.purge()
    sink_port, http_port = free_port(), free_port()
    notes = settings.WORK / "mail.txt"
    tls = os.environ["NEFF_TLS_DIR"]
    environment = {
        "SMTP_URL": f"smtps://bench:bench@localhost:{sink_port}?cafile={tls}/ca.pem",
        "NEFF_HTTP_ADDRESS": f"127.0.0.1:{http_port}",
    }
    count = scale.latency_rate * scale.latency_seconds
    with open(settings.DELIVERIES, encoding="utf-8") as file:
        lines = [line for _, line in zip(range(count), file)]
    if len(lines) < count:
        raise Trouble(f"there are only {len(lines)} deliveries")
    with contextlib.ExitStack() as stack:
        stack.enter_context(Process("smtp-sink", [
            "/usr/bin/python3", settings.ROOT / "Benchmarks" / "bench" / "smtp_sink.py", sink_port, f"{tls}/server.pem",
            f"{tls}/server-key.pem", notes]))
        time.sleep(0.5)
        for role in ROLES:
            stack.enter_context(workers.start(role, environment)[0])
        accepted, refused = pacer.send(lines, http_port, scale.latency_rate)
        handed = await_mail(notes, set(accepted), limit=30)
    waits = sorted((handed[address] - accepted[address]) * 1000 for address in accepted if address in handed)
    if not waits:
        raise Trouble("no mail came out")
    quantiles = statistics.quantiles(waits, n=100)
    services.purge()
    yield "200/s", {
        "p50_ms": quantiles[49], "p99_ms": quantiles[98], "max_ms": waits[-1], "sent": count, "refused": refused,
        "missing": len(accepted) - len(waits),
    }


def await_mail(notes, wanted, limit):
    """The first mail to each address; returns when all have one, or at the limit."""
    end = time.monotonic() + limit
    while True:
        first = {}
        with open(notes, encoding="utf-8") as file:
            for line in file:
                at, _, address = line.rstrip("\n").partition(" ")
                first.setdefault(address, float(at))
        if wanted <= first.keys() or time.monotonic() > end:
            return first
        time.sleep(0.5)
