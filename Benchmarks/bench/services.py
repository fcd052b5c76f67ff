"""The database and the virtual host that everything is measured on."""

import base64
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from . import settings
from .processes import Trouble, run

EFFECTS = """create table effects (message_id text primary key, type text not null, body bytea not null,
             at timestamptz not null default clock_timestamp());
             grant insert on effects to neff_sync"""


def postgres_environment(database=settings.DATABASE):
    """How libpq's programs find the server; a password in their arguments could be seen by others."""
    parts = urllib.parse.urlsplit(settings.DATABASE_URL)
    return {
        "PGHOST": parts.hostname, "PGPORT": str(parts.port), "PGUSER": parts.username, "PGPASSWORD": parts.password,
        "PGDATABASE": database, "PGSSLMODE": "disable",
    }


def sql(text, database=settings.DATABASE, limit=600):
    """Runs statements and returns the rows of the last one as lists of texts."""
    result = subprocess.run(
        ["psql", "-qXAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-f", "-"], input=text, capture_output=True,
        text=True, timeout=limit, check=False, env={**postgres_environment(database), "PATH": "/usr/bin:/bin"})
    if result.returncode != 0:
        raise Trouble(f"psql: {result.stderr[-400:]}")
    return [line.split("\t") for line in result.stdout.splitlines()]


def number(text):
    return float(sql(text)[0][0] or 0)


def fresh_database(resources=None):
    """Makes the database anew, with the shipped schema, the table of the plain effect, and estimators if wanted."""
    name = settings.DATABASE
    sql(f"drop database if exists {name} with (force);\ncreate database {name};", database="postgres")
    run([settings.NEFF, "migrate", "up"], 60)
    sql(EFFECTS)
    if resources:
        run([settings.NEFF, "resources", "import", resources], 60, settings.login("operator"))
    # Slots begin with the same amount of unwritten work: none.
    sql("checkpoint", database="postgres")


def clear_effects():
    sql("truncate effects, inbox;\ncheckpoint;")


def management(method, path, body=None):
    parts = urllib.parse.urlsplit(settings.MANAGEMENT_URL)
    credentials = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{parts.hostname}:{parts.port}{path}", method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def queues():
    return management("GET", f"/api/queues/{settings.VIRTUAL_HOST}?columns=name,messages")


def purge(*names):
    """Empties queues; all of the virtual host if none is named."""
    for name in names or [queue["name"] for queue in queues()]:
        try:
            management("DELETE", f"/api/queues/{settings.VIRTUAL_HOST}/{name}/contents")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise


def delete_queue(name):
    try:
        management("DELETE", f"/api/queues/{settings.VIRTUAL_HOST}/{name}")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise


def left_in(name, limit=15):
    """Messages in a queue once the broker's statistics have settled at zero, or after the limit."""
    end = time.monotonic() + limit
    while True:
        count = sum(queue.get("messages", 0) for queue in queues() if queue["name"] == name)
        if count == 0 or time.monotonic() > end:
            return count
        time.sleep(0.5)


def fill(count, deliveries=settings.DELIVERIES):
    """Puts a backlog into the queue `sync`, as the ingress would have."""
    run([settings.BIN / "raw-publisher", 1000, 0, count, deliveries], 300, settings.login("ingress"))
