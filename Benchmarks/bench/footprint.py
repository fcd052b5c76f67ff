"""Memory and start-up of each role: seconds from start to ready, resident memory when idle, and after many messages."""

import time

from . import loop, services, workers
from .processes import free_port

ROLES = ["ingress", "sync", "scheduling", "notification", "dead-letters"]


def contenders():
    return [*ROLES, "worker loop over many messages"]


def measure(name, scale):
    if name not in ROLES:
        yield from grown(scale)
        return
    process, seconds = workers.start(name, {"NEFF_HTTP_ADDRESS": f"127.0.0.1:{free_port()}"})
    with process:
        time.sleep(2)
        yield "idle", {"ready_s": seconds, "resident_mb": process.resident_mb()}


def grown(scale):
    """Resident memory of the worker loop at a tenth of its messages and at their end: flat, or a leak."""
    services.clear_effects()
    services.purge("sync")
    with loop.plain(8, 64)[0]() as process:
        for share in (0.1, 0.9):
            services.fill(int(scale.memory_messages * share))
            done = scale.memory_messages * (0.1 if share == 0.1 else 1)
            workers.await_count("select count(*) from effects", int(done), scale.limit_seconds, [process])
            yield "a tenth" if share == 0.1 else "all", {"resident_mb": process.resident_mb(), "messages": done}
    services.clear_effects()
