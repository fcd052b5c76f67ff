"""The worker loop in Dramatiq: processes with threads, a quorum queue.

`python worker_dramatiq.py COUNT DELIVERIES` sends COUNT messages; `dramatiq worker_dramatiq` handles them."""

import os
import sys

import dramatiq
import effect
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import CurrentMessage


class QuorumBroker(RabbitmqBroker):
    """Declares quorum queues, so that its messages are kept as safely as everybody else's."""

    def _build_queue_arguments(self, queue_name):
        return {**super()._build_queue_arguments(queue_name), "x-queue-type": "quorum"}


broker = QuorumBroker(url=os.environ["AMQP_URL"], confirm_delivery=True)
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="peer.dramatiq", max_retries=8)
def deliver(kind, body):
    effect.apply("dramatiq", CurrentMessage.get_current_message().message_id, kind, body)


if __name__ == "__main__":
    bodies = [line.rstrip("\n").split("\t", 1)[1] for line in open(sys.argv[2], encoding="utf-8")]
    for index in range(int(sys.argv[1])):
        deliver.send("calendly.invitee.created", bodies[index % len(bodies)])
