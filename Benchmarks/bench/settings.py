"""Where things are, who logs in as what, and how long slots take; everything comes from scripts/bench through the environment."""

import os
import pathlib
import re
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = ROOT / ".local"
WORK = STATE / "bench"
BIN = WORK / "bin"
PEERS = ROOT / "Benchmarks" / "peers"
PYTHON = WORK / "venv" / "bin" / "python"
RELEASE = pathlib.Path(os.environ.get("RELEASE_FOLDER", ROOT / ".build" / "release"))
NEFF = RELEASE / "neff"
DELIVERIES = WORK / "deliveries.tsv"

AMQP_URL = os.environ["AMQP_URL"]
DATABASE_URL = os.environ["DATABASE_URL"]
MANAGEMENT_URL = os.environ["RABBITMQ_MANAGEMENT_URL"]
VIRTUAL_HOST = urllib.parse.urlsplit(AMQP_URL).path[1:]
DATABASE = urllib.parse.urlsplit(DATABASE_URL).path[1:]

SECRETS = re.compile(r"(NEFF_(BROKER|DATABASE)_PASSWORD|AMQP_URL|DATABASE_URL)_")


def login(role):
    """What a service finds in its environment: its own broker user and database log-in, and nobody else's passwords."""
    def url(text, user, password):
        parts = urllib.parse.urlsplit(text)
        return parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}").geturl()

    name = role.replace("-", "")
    mine = {
        "AMQP_URL": url(AMQP_URL, f"neff-{name}", os.environ[f"NEFF_BROKER_PASSWORD_{name.upper()}"]),
        "DATABASE_URL": url(DATABASE_URL, f"neff_login_{name}", os.environ[f"NEFF_DATABASE_PASSWORD_{name.upper()}"]),
        "NEFF_STATE_DIR": str(WORK / "state"),
    }
    hidden = {key: None for key in os.environ if SECRETS.match(key)}
    return {**hidden, "AMQPS_URL": None, "DATABASE_TLS_URL": None, "RABBITMQ_MANAGEMENT_URL": None, **mine}


class Scale:
    """How much is done in each slot: enough to be steady, or (quick) just enough to see that it works."""

    def __init__(self, quick):
        self.seconds = 2 if quick else 6
        self.warm_up_seconds = 1 if quick else 2
        self.connections = [1, 16, 64, 256]
        self.messages = 2_000 if quick else 30_000
        # The slow peers get fewer, so that a round stays short; all are timed between first and last effect.
        self.messages_slow = 1_000 if quick else 8_000
        self.bookings = 500 if quick else 4_000
        self.latency_seconds = 4 if quick else 20
        self.latency_rate = 200
        self.memory_messages = 5_000 if quick else 200_000
        self.growth_small = 1_000 if quick else 10_000
        self.growth_large = 10_000 if quick else 1_000_000
        # No slot may take longer than this, whatever is wrong.
        self.limit_seconds = 60 if quick else 180
