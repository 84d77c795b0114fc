"""The one consumer-group member: it feeds each task's inbox and never more than that can hold."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from sentinel.engine.params import EngineParams
from sentinel.ports import Broker
from sentinel.records import Batch, InputRecord, TopicPartition


class Inbox:
    """A bounded queue of batches for one task, which can tell when all of them are done."""

    def __init__(self, batch_count_max: int, *, small_count: int = 0) -> None:
        self._queue: asyncio.Queue[Batch] = asyncio.Queue(maxsize=batch_count_max)
        self._small_count = small_count
        self._is_last_small = False
        self._waiting_count = 0
        self.on_room: Callable[[], None] = _nobody_waits  # called when a batch was taken

    @property
    def has_room(self) -> bool:
        """Whether one batch more fits.

        Behind a small batch none does: what comes meanwhile is better worked on together.
        """
        if self._is_last_small and not self._queue.empty():
            return False
        return not self._queue.full()

    def put(self, batch: Batch) -> None:
        """Add a batch; the dispatcher asks for room first."""
        self._is_last_small = batch.count < self._small_count
        self._queue.put_nowait(batch)

    async def take(self, timeout_s: float) -> Batch | None:
        """The next batch, or None when none comes in time."""
        try:
            async with asyncio.timeout(timeout_s):
                batch = await self._queue.get()
        except TimeoutError:
            return None
        self.on_room()
        return batch

    def done(self) -> None:
        """The batch taken last has been worked through."""
        self._queue.task_done()

    async def join(self) -> None:
        """Wait until every batch that was put is done."""
        self._waiting_count += 1
        try:
            await self._queue.join()
        finally:
            self._waiting_count -= 1

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the end of what was put: no time for a second try."""
        return self._waiting_count > 0


def _nobody_waits() -> None:
    pass


class Dispatcher:
    """Polls the partitions whose inbox has room. Not asking for the others is the back-pressure.

    Parameters
    ----------
    inboxes
        By topic.
    """

    def __init__(
        self,
        broker: Broker,
        inboxes: Mapping[str, Inbox],
        params: EngineParams,
        *,
        clock_s: Callable[[], float],
    ) -> None:
        self._broker = broker
        self._inboxes = inboxes
        self._params = params
        self._clock_s = clock_s
        self._ready: set[TopicPartition] = set()
        self._read_ms: dict[TopicPartition, int] = {}  # time of the newest record read
        self._stopped = asyncio.Event()
        self._room = asyncio.Event()
        for inbox in inboxes.values():
            inbox.on_room = self._room.set
        self.last_progress_s = clock_s()

    def admit(self, partition: TopicPartition) -> None:
        """Start to read a partition that has been taken over."""
        self._ready.add(partition)
        self.last_progress_s = self._clock_s()  # what came before was waiting, not idleness

    def withhold(self, partition: TopicPartition) -> None:
        """Stop reading a partition that is about to be given up."""
        self._ready.discard(partition)

    def stop(self) -> None:
        """Read no further; what is in the inboxes is still worked through."""
        self._stopped.set()
        self._ready.clear()

    async def run(self) -> None:
        """Read until stopped."""
        while not self._stopped.is_set():
            self._room.clear()
            open_partitions = [at for at in sorted(self._ready) if self._inboxes[at.topic].has_room]
            is_full = len(open_partitions) < len(self._ready)
            # A task takes a batch long before a poll that finds nothing would end.
            timeout_s = 0.0 if is_full else self._params.poll_timeout_s
            oldest = self._oldest(open_partitions)
            polled = await self._poll(oldest, timeout_s)
            if not polled and len(oldest) < len(open_partitions):
                polled = await self._poll(open_partitions, timeout_s)
            self._hand_over(polled)
            if not polled:
                await self._wait_for_room() if is_full else await asyncio.sleep(0)

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(self._params.poll_timeout_s):
                await self._room.wait()
        except TimeoutError:
            pass  # polling is the sign of life

    async def _poll(
        self, partitions: Sequence[TopicPartition], timeout_s: float
    ) -> Mapping[TopicPartition, Sequence[InputRecord]]:
        return await self._broker.poll(
            partitions, timeout_s=timeout_s, count_max=self._params.batch_count_max
        )

    def _oldest(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Of each topic's partitions that are a batch behind, only that with the oldest records.

        So a backlog is read roughly in the order in which it was written, and entities that
        partitions share see their transactions in about the order of event time.
        """
        behind: dict[str, list[TopicPartition]] = {}
        for at in partitions:
            if (self._broker.lag(at) or 0) >= self._params.batch_count_max:
                behind.setdefault(at.topic, []).append(at)
        oldest = {min(found, key=lambda at: self._read_ms.get(at, 0)) for found in behind.values()}
        return [at for at in partitions if at.topic not in behind or at in oldest]

    def _hand_over(self, polled: Mapping[TopicPartition, Sequence[InputRecord]]) -> None:
        by_topic: dict[str, dict[TopicPartition, Sequence[InputRecord]]] = {}
        for at, records in polled.items():
            if records and at in self._ready:
                self._read_ms[at] = records[-1].timestamp
                by_topic.setdefault(at.topic, {})[at] = records
        for topic, by_partition in by_topic.items():
            ends = {at: r[-1].offset + 1 + (self._broker.lag(at) or 0) for at, r in polled.items()}
            self._inboxes[topic].put(Batch(topic, by_partition, self._clock_s(), ends))
            self.last_progress_s = self._clock_s()
