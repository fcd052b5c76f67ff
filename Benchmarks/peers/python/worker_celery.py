"""The worker loop in Celery: forked workers, late acknowledgement, a quorum queue.

`python worker_celery.py COUNT DELIVERIES` sends COUNT tasks; `celery -A worker_celery worker` handles them."""

import os
import sys

import effect
from celery import Celery
from kombu import Exchange, Queue

app = Celery("peer", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_queues=[
        Queue(
            "peer.celery",
            Exchange("peer.celery", type="direct"),
            routing_key="peer.celery",
            queue_arguments={"x-queue-type": "quorum"},
        )
    ],
    task_default_queue="peer.celery",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)


@app.task(name="deliver")
def deliver(kind, body):
    effect.apply("celery", deliver.request.id, kind, body)


if __name__ == "__main__":
    bodies = [line.rstrip("\n").split("\t", 1)[1] for line in open(sys.argv[2], encoding="utf-8")]
    with app.producer_pool.acquire(block=True) as producer:
        for index in range(int(sys.argv[1])):
            body = bodies[index % len(bodies)]
            deliver.apply_async(("calendly.invitee.created", body), producer=producer)
