"""What becomes of the callbacks of a member of a consumer group."""

import asyncio
from collections.abc import Sequence

from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka.membership import Membership
from sentinel.records import TopicPartition
from tests.children import WAIT_S_MAX


async def test_a_callback_ends_when_the_consumer_is_closed() -> None:
    """Else it would wait for ever for an instance that is gone, and keep all of it in memory."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def callback(partitions: Sequence[TopicPartition]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    membership = Membership(callback, callback)
    closed = asyncio.create_task(membership.on_partitions_assigned([ClientPartition("t", 0)]))
    await began.wait()
    closed.cancel()

    async with asyncio.timeout(WAIT_S_MAX):
        await ended.wait()
