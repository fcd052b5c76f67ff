"""The real work: webhooks to consultations, allocations, change log and outbox, by the shipped workers."""

import contextlib

from . import services, settings, workers
from .processes import Trouble

HANDLED = "select count(*) from inbox where consumer = '{}'"
SPAN = "select extract(epoch from max(handled_at) - min(handled_at)) from inbox where consumer in ({})"


def contenders():
    return ["booking path", "sync alone"]


def measure(name, scale):
    services.fresh_database(workers.resources())
    services.purge()
    yield from measure_on_present_data(name, scale)


def measure_on_present_data(name, scale, deliveries=settings.DELIVERIES):
    """As `measure`, with whatever else the tables hold already; of the inbox only rows of `old` stay."""
    roles = ["sync"] if name == "sync alone" else ["sync", "scheduling"]
    services.sql("delete from inbox where consumer <> 'old'")
    services.fill(scale.bookings, deliveries)
    with contextlib.ExitStack() as stack:
        # The follower first, so that the span begins when both are there.
        processes = [stack.enter_context(workers.start(role)[0]) for role in reversed(roles)]
        workers.await_count(HANDLED.format(roles[-1]), scale.bookings, scale.limit_seconds, processes)
        cpu = sum(process.cpu_seconds() for process in processes)
    span = services.number(SPAN.format(", ".join(f"'{role}'" for role in roles)))
    assigned = services.number("select count(*) from allocations where active and subject_id not like 'old-%'")
    if len(roles) > 1 and assigned < scale.bookings:
        raise Trouble(f"only {assigned:.0f} of {scale.bookings} bookings found an estimator")
    services.purge()
    yield "rate", {"rate": scale.bookings / span, "cpu_us": cpu * 1e6 / scale.bookings}
