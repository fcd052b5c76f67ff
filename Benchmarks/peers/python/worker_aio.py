"""The worker loop in aio-pika and asyncpg: lanes of one event loop, one transaction each, ack after the commit."""

import asyncio
import os
import signal

import aio_pika
import asyncpg
import uvloop

LANES = int(os.environ.get("LANES", 16))
CLAIM = """insert into inbox (consumer, message_id) values ('aio', $1)
           on conflict on constraint inbox_once do nothing returning message_id"""


async def lane(messages, pool):
    while True:
        message = await messages.get()
        async with message.process(requeue=True), pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(CLAIM, message.message_id) is not None:
                await connection.execute(
                    "insert into effects (message_id, type, body) values ($1, $2, $3)",
                    message.message_id,
                    message.type,
                    message.body,
                )


async def main():
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=LANES, max_size=LANES)
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=int(os.environ.get("PREFETCH", 256)))
    messages = asyncio.Queue()
    queue = await channel.get_queue(os.environ["QUEUE"], ensure=False)
    lanes = [asyncio.create_task(lane(messages, pool)) for _ in range(LANES)]
    tag = await queue.consume(messages.put)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await queue.cancel(tag)
    for task in lanes:
        task.cancel()
    await connection.close()
    await pool.close()


uvloop.run(main())
