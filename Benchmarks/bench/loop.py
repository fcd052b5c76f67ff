"""The worker loop: consume, inbox row and effect in one transaction, acknowledge after the commit."""

import json
import os
import re
import time

from . import services, settings
from .processes import Process, Trouble, run

STATEMENTS = """\\set id random(1, 9223372036854775807)
begin;
insert into inbox (consumer, message_id) values ('pgbench', 'm' || :id) on conflict on constraint inbox_once do nothing;
insert into effects (message_id, type, body) values ('m' || :id, 'calendly.invitee.created', convert_to(:body, 'UTF8'));
commit;
"""


def plain(lanes, batch):
    def start():
        return Process("plain-worker", [settings.RELEASE / "PlainWorker"], {
            **settings.login("sync"), "QUEUE": "sync", "LANES": str(lanes), "BATCH": str(batch), "PREFETCH": "256"})
    return start, "sync", False


def go():
    return Process("go-worker", [settings.BIN / "go-worker"], {
        **settings.login("sync"), "QUEUE": "sync", "LANES": "16", "PREFETCH": "256"})


def aio():
    return Process("aio-worker", [settings.PYTHON, "worker_aio.py"], {
        **settings.login("sync"), "QUEUE": "sync", "LANES": "16", "PREFETCH": "256"}, cwd=settings.PEERS / "python")


# Celery and Dramatiq declare their own queues, which no role of ours may, so they work as the administrator.
def celery():
    return Process("celery", [
        settings.PYTHON, "-m", "celery", "-A", "worker_celery", "worker", "--pool", "prefork", "--concurrency", 4,
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning",
    ], cwd=settings.PEERS / "python")


def dramatiq():
    return Process("dramatiq", [
        settings.PYTHON, "-m", "dramatiq", "worker_dramatiq", "--processes", os.cpu_count(), "--threads", 8,
    ], {"dramatiq_prefetch_multiplier": "8"}, cwd=settings.PEERS / "python")


# Name: how to start it, its queue, and whether it gets the smaller backlog.
CONTENDERS = {
    "neff": plain(8, 64),
    "neff, one message per transaction": plain(16, 1),
    "go, 16 lanes": (go, "sync", False),
    "dramatiq, 2x8 threads": (dramatiq, "peer.dramatiq", True),
    "aio-pika + asyncpg, 16 lanes": (aio, "sync", True),
    "celery, 4 processes": (celery, "peer.celery", True),
}


def contenders():
    return [*CONTENDERS, "pgbench, 16 clients", "raw consumer"]


def measure(name, scale):
    """One slot; yields (variant, sample)."""
    services.clear_effects()
    services.purge("sync")
    if name == "raw consumer":
        services.fill(scale.messages)
        told = json.loads(run([settings.BIN / "raw-consumer", "sync", 500, scale.messages], scale.limit_seconds,
                              settings.login("sync")))
        yield "rate", {"rate": told["messages"] / told["seconds"]}
    elif name.startswith("pgbench"):
        yield "rate", {"rate": pgbench(scale)}
    else:
        yield "rate", drain(name, scale)
    services.clear_effects()


def drain(name, scale):
    """A contender alone on its backlog, timed from its first effect to its last."""
    start, queue, is_slow = CONTENDERS[name]
    count = scale.messages_slow if is_slow else scale.messages
    if queue == "sync":
        services.fill(count)
    else:
        services.purge(queue)
        script = "worker_celery.py" if "celery" in queue else "worker_dramatiq.py"
        run([settings.PYTHON, settings.PEERS / "python" / script, count, settings.DELIVERIES], 300)
    with start() as process:
        end = time.monotonic() + scale.limit_seconds
        done = 0
        while done < count:
            process.check()
            if time.monotonic() > end:
                raise Trouble(f"{name} had done {done} of {count} after {scale.limit_seconds} s")
            time.sleep(0.25)
            done = services.number("select count(*) from effects")
        cpu, resident = process.cpu_seconds(), process.resident_mb()
    left = services.left_in(queue)
    effects, span = services.sql("select count(*), extract(epoch from max(at) - min(at)) from effects")[0]
    if int(effects) != count or left:
        raise Trouble(f"{name}: {effects} effects of {count} messages, {left} left in {queue}")
    return {"rate": (count - 1) / float(span), "cpu_us": cpu * 1e6 / count, "resident_mb": resident}


def pgbench(scale):
    script = settings.WORK / "loop.sql"
    script.write_text(STATEMENTS, encoding="utf-8")
    with open(settings.DELIVERIES, encoding="utf-8") as file:
        body = file.readline().rstrip("\n").partition("\t")[2]
    text = run([
        "pgbench", "-n", "-M", "prepared", "-c", 16, "-j", 2, "-T", scale.seconds, "-D", f"body={body}", "-f", script,
    ], scale.seconds + 60, services.postgres_environment())
    match = re.search(r"tps = ([\d.]+) \(without", text)
    if not match:
        raise Trouble(f"pgbench said: {text[-300:]}")
    return float(match[1])
