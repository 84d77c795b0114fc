"""What the producer remembers of its deliveries, without a broker."""

import asyncio

import pytest

from sentinel.adapters.kafka.client import KafkaParams
from sentinel.adapters.kafka.producer import Producer, Sent
from sentinel.errors import TransientError


async def test_a_failed_delivery_behind_a_settled_one_is_heard_of_at_the_flush() -> None:
    producer = Producer(KafkaParams(bootstrap_servers="127.0.0.1:1", pending_batch_count_max=2))
    producer._producer._closed = True  # never started: nothing to close
    loop = asyncio.get_running_loop()
    arrived, lost = loop.create_future(), loop.create_future()
    producer._pending.extend([Sent(arrived, "t-0", 3), Sent(lost, "t-1", 20)])
    lost.set_exception(ConnectionError("gone"))
    arrived.set_result(None)

    await producer._make_room()

    with pytest.raises(
        TransientError, match="1 of 1 batches were not delivered, the first, of 20 records to t-1"
    ):
        await producer.flush()
