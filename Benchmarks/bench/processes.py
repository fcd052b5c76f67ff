"""Processes of the benchmark: each leads a group of its own, is waited for, measured through /proc, and stopped by number."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from . import settings

TICKS = os.sysconf("SC_CLK_TCK")


class Trouble(Exception):
    """A slot that could not be measured; the run goes on and reports it."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def merged(environment):
    """Our environment with what a program gets beside it; None takes a variable away."""
    return {key: value for key, value in {**os.environ, **(environment or {})}.items() if value is not None}


class Process:
    """A program in the background, with its output in .local/bench/log."""

    def __init__(self, name, command, environment=None, cwd=settings.ROOT):
        log = settings.WORK / "log"
        log.mkdir(exist_ok=True)
        self.name = name
        self.log = log / f"{name}.log"
        self.started = time.monotonic()
        with open(self.log, "wb") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd,
                env=merged(environment), start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def check(self):
        if self.child.poll() is not None:
            tail = self.log.read_text(errors="replace")[-400:]
            raise Trouble(f"{self.name} ended with {self.child.returncode}: {tail}")

    def await_ready(self, url, limit=30):
        """Waits until the address answers 200; returns the seconds since the start."""
        end = self.started + limit
        while time.monotonic() < end:
            self.check()
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return time.monotonic() - self.started
            except (urllib.error.URLError, OSError):
                time.sleep(0.005)
        raise Trouble(f"{self.name} was not ready within {limit} s; see {self.log}")

    def members(self):
        """Process ids of the group, children included."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    if os.getpgid(int(entry)) == self.child.pid:
                        found.append(int(entry))
                except OSError:
                    pass
        return found

    def resident_mb(self):
        """Resident memory of all its processes; pages that forked ones share are counted for each."""
        total = 0
        for pid in self.members():
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("Rss:"))
            except OSError:
                pass
        return total / 1024

    def cpu_seconds(self):
        """Processor time of all its processes so far."""
        total = 0
        for pid in self.members():
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                    fields = file.read().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
            except OSError:
                pass
        return total / TICKS

    def stop(self, limit=25):
        """SIGTERM, and SIGKILL for what is left of the group after the limit."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(limit)
            except subprocess.TimeoutExpired:
                pass
        for pid in self.members():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.child.wait()


def run(command, limit, environment=None):
    """Runs a program to its end and returns what it printed."""
    result = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit,
        env=merged(environment), cwd=settings.ROOT, check=False)
    if result.returncode != 0:
        raise Trouble(f"{command[0]} ended with {result.returncode}: {(result.stderr or result.stdout)[-400:]}")
    return result.stdout
