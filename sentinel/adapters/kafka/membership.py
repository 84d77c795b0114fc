"""What a member of a consumer group owns, and its callbacks around a rebalance."""

import asyncio
import time
from collections.abc import Collection, Iterable

from aiokafka import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.ports import PartitionsCallback
from sentinel.records import TopicPartition


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Runs the callbacks and remembers how they ended.

    The client logs what a callback raises and goes on as if nothing had happened; here the failure
    is kept and raised by `check`, where the engine looks.
    """

    def __init__(self, on_assigned: PartitionsCallback, on_revoked: PartitionsCallback) -> None:
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._failed: asyncio.Task[None] | None = None
        self.is_rebalancing = True
        self.has_joined = False
        self.generation = 0
        self.assigned_s = 0.0  # by the wall clock, as the client notes its fetches
        self.partitions: frozenset[TopicPartition] = frozenset()

    def check(self) -> None:
        """Raise, once, what a callback raised."""
        failed, self._failed = self._failed, None
        if failed is not None:
            failed.result()

    def readable(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Those of these partitions that are owned and whose callback has ended."""
        if self.is_rebalancing:
            return []
        return [partition for partition in partitions if partition in self.partitions]

    async def on_partitions_revoked(self, revoked: Collection[ClientPartition]) -> None:
        self.is_rebalancing = True
        self.generation += 1
        await self._run(self._on_revoked, revoked)
        self.partitions = frozenset()

    async def on_partitions_assigned(self, assigned: Collection[ClientPartition]) -> None:
        self.partitions = frozenset(TopicPartition(*partition) for partition in assigned)
        await self._run(self._on_assigned, assigned)
        self.assigned_s = time.time()
        self.is_rebalancing = False
        self.has_joined = True

    async def _run(self, callback: PartitionsCallback, of: Collection[ClientPartition]) -> None:
        if not of:
            return
        partitions = sorted(TopicPartition(*partition) for partition in of)
        task = asyncio.create_task(_call(callback, partitions))
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()  # of interest only when the consumer was closed meanwhile
        if not task.cancelled() and task.exception() is not None:
            self._failed = task


async def _call(callback: PartitionsCallback, partitions: list[TopicPartition]) -> None:
    await callback(partitions)
