"""The webhook route in FastAPI and aio-pika. Run with uvicorn, one worker for each core, uvloop and httptools."""

import contextlib
import datetime
import hashlib
import hmac
import json
import os
import time

import aio_pika
from fastapi import FastAPI, Request, Response

TOLERANCE_S, FUTURE_SKEW_S = 86_400, 60
KEY = os.environ["CALENDLY_WEBHOOK_SIGNING_KEY"].encode()
broker = {}


@contextlib.asynccontextmanager
async def life(_):
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    # A message that comes back as unroutable raises, as one that is refused does.
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    broker["inbound"] = await channel.get_exchange("inbound", ensure=False)
    yield
    await connection.close()


app = FastAPI(lifespan=life, openapi_url=None)


def is_signed(header, body):
    parts = [part.strip().partition("=") for part in header.split(",")]
    at = next((value for name, _, value in parts if name == "t"), "")
    if not at.isdigit() or not -FUTURE_SKEW_S <= time.time() - int(at) <= TOLERANCE_S:
        return False
    expected = hmac.digest(KEY, at.encode() + b"." + body, "sha256").hex()
    return any([hmac.compare_digest(expected, value) for name, _, value in parts if name == "v1"])


def message_id(*parts):
    text = b"".join(b"%d:%s" % (len(part.encode()), part.encode()) for part in parts)
    return hashlib.sha256(text).digest()[:16].hex()


@app.get("/readyz")
async def readyz():
    return Response()


@app.post("/webhooks/calendly")
async def webhook(request: Request):
    body = await request.body()
    if not is_signed(request.headers.get("calendly-webhook-signature", ""), body):
        return Response(status_code=401)
    try:
        document = json.loads(body)
        event, uri = document["event"], document["payload"]["uri"]
    except (ValueError, KeyError, TypeError):
        return Response(status_code=400)
    now = datetime.datetime.now(datetime.timezone.utc)
    identity = message_id("calendly", event, uri)
    message = aio_pika.Message(
        body,
        headers={
            "attempt": 0,
            "schema-version": 1,
            "signature": "valid",
            "received-at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        },
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=identity,
        correlation_id=identity,
        type=f"calendly.{event}",
        app_id="neff",
        timestamp=now,
    )
    try:
        await broker["inbound"].publish(message, routing_key=f"calendly.{event}", mandatory=True, timeout=5)
    except Exception:
        return Response(status_code=503, headers={"Retry-After": "1"})
    return Response(status_code=202)
