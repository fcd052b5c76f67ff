"""The effect of one message for the threaded and forked peers: inbox row and effect in one transaction (psycopg2)."""

import os
import threading

import psycopg2

local = threading.local()


def connection():
    """One connection for each thread of each process, kept."""
    if getattr(local, "pid", None) != os.getpid() or local.connection.closed:
        local.connection = psycopg2.connect(os.environ["DATABASE_URL"])
        local.pid = os.getpid()
    return local.connection


def apply(consumer, message_id, kind, body):
    with connection() as transaction, transaction.cursor() as cursor:
        cursor.execute(
            "insert into inbox (consumer, message_id) values (%s, %s) on conflict on constraint inbox_once do nothing",
            (consumer, message_id),
        )
        if cursor.rowcount:
            cursor.execute(
                "insert into effects (message_id, type, body) values (%s, %s, %s)", (message_id, kind, body.encode())
            )
