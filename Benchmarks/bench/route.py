"""The webhook route: signed posts by wrk, answered after the broker's confirm; and the raw publisher as the ceiling."""

import json
import os
import re

from . import services, settings
from .processes import Process, Trouble, free_port, run

UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def contenders():
    return {"neff": neff, "go": go, "fastapi": fastapi, "raw publisher": None}


def neff(port):
    return Process("neff-ingress", [settings.NEFF, "ingress"], {
        **settings.login("ingress"),
        "NEFF_HTTP_ADDRESS": f"127.0.0.1:{port}", "NEFF_LOG_LEVEL": "warning", "NEFF_WEBHOOK_TOLERANCE_S": "86400"})


def go(port):
    return Process("go-webhook", [settings.BIN / "go-webhook"], {
        **settings.login("ingress"), "LISTEN": f"127.0.0.1:{port}"})


def fastapi(port):
    return Process("fastapi", [
        settings.PYTHON, "-m", "uvicorn", "webhook_fastapi:app", "--host", "127.0.0.1", "--port", port, "--workers",
        os.cpu_count(), "--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log",
    ], settings.login("ingress"), cwd=settings.PEERS / "python")


def wrk(port, connections, seconds):
    """One run of the load generator."""
    text = run([
        "wrk", "-t", min(2, connections), "-c", connections, "-d", f"{seconds}s", "--timeout", "10s", "--latency", "-s",
        settings.ROOT / "Benchmarks" / "webhooks.lua", f"http://127.0.0.1:{port}",
    ], seconds + 60, {"DELIVERIES": str(settings.DELIVERIES)})

    def found(pattern):
        match = re.search(pattern, text, re.MULTILINE)
        return match.groups() if match else None

    rate = found(r"^Requests/sec:\s+([\d.]+)")
    if not rate:
        raise Trouble(f"wrk said: {text[-300:]}")
    refused = found(r"Non-2xx or 3xx responses: (\d+)")
    errors = found(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
    sample = {
        "rate": float(rate[0]), "requests": int(found(r"(\d+) requests in")[0]),
        "bad": int(refused[0]) if refused else 0, "errors": sum(map(int, errors)) if errors else 0,
    }
    for quantile in ("50", "99"):
        value, unit = found(rf"^\s+{quantile}%\s+([\d.]+)(us|ms|s)\s*$")
        sample[f"p{quantile}_ms"] = float(value) * UNITS[unit]
    return sample


def measure(name, scale):
    """One slot: every number of connections in turn. Yields (connections, sample)."""
    start = contenders()[name]
    if start is None:
        for connections in scale.connections:
            services.purge("sync")
            told = json.loads(run(
                [settings.BIN / "raw-publisher", connections, scale.seconds, 0, settings.DELIVERIES],
                scale.seconds + 60, settings.login("ingress")))
            yield connections, {"rate": told["messages"] / told["seconds"], "bad": 0, "errors": 0}
        return
    port = free_port()
    with start(port) as process:
        process.await_ready(f"http://127.0.0.1:{port}/readyz")
        services.purge("sync")
        wrk(port, 16, scale.warm_up_seconds)
        for connections in scale.connections:
            services.purge("sync")
            before = process.cpu_seconds()
            sample = wrk(port, connections, scale.seconds)
            sample["cpu_us"] = (process.cpu_seconds() - before) * 1e6 / max(1, sample["requests"])
            sample["resident_mb"] = process.resident_mb()
            yield connections, sample
    services.purge("sync")
