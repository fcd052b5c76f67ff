"""The shipped workers as processes, and the resources that they book."""

import json
import time

from . import services, settings
from .processes import Process, Trouble, free_port

ESTIMATORS = 60


def resources():
    """Estimators enough that every booking finds one: the work of a booking is measured, not that of a full calendar."""
    path = settings.WORK / "resources.json"
    path.write_text(json.dumps({"resources": [
        {"kind": "estimator", "name": f"Estimator {number}", "email": f"estimator.{number}@neffpaving.example"}
        for number in range(ESTIMATORS)
    ] + [
        {"kind": "crew", "name": f"Crew {number}", "email": f"crew.{number}@neffpaving.example"} for number in range(4)
    ]}), encoding="utf-8")
    return path


def start(role, environment=None):
    """`neff ingress` or `neff worker ROLE`; returns it and the seconds it took to be ready."""
    port = free_port()
    command = [settings.NEFF, "ingress"] if role == "ingress" else [settings.NEFF, "worker", role]
    process = Process(f"neff-{role}", command, {
        **settings.login(role), "NEFF_ADMIN_ADDRESS": f"127.0.0.1:{port}", "NEFF_LOG_LEVEL": "warning", "NEFF_WEBHOOK_TOLERANCE_S": "86400",
        **(environment or {})})
    try:
        return process, process.await_ready(f"http://127.0.0.1:{port}/readyz")
    except Trouble:
        process.stop()
        raise


def await_count(query, wanted, limit, processes):
    """Waits until a count in the database is reached."""
    end = time.monotonic() + limit
    while (count := services.number(query)) < wanted:
        for process in processes:
            process.check()
        if time.monotonic() > end:
            raise Trouble(f"{count:.0f} of {wanted} after {limit} s: {query}")
        time.sleep(0.25)
