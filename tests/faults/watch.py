"""Watches a run from outside: tails what it publishes, and samples what it commits."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition as ClientPartition

from tests.faults.ledger import Ledger

SAMPLE_INTERVAL_S = 0.25
# So many later samples may pass until a decision below a committed offset has been read here: the
# tail needs some seconds of its own after an outage. One that was never flushed never comes.
PATIENCE_SAMPLES = 60
REQUEST_TIMEOUT_MS = 4_000


@dataclass(frozen=True, slots=True)
class Names:
    """Where one group of instances reads and writes."""

    group: str
    transactions: str
    decisions: str
    dead_letters: str
    partition_count: int


@dataclass(slots=True)
class CommitWatch:
    """Judges samples of committed offsets against what can be read."""

    samples: int = 0
    early: int = 0  # a committed offset passed what had been published
    backward: int = 0
    last: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _open: deque[tuple[int, int, int]] = field(default_factory=deque)

    def sample(self, committed: dict[int, int], ledger: Ledger) -> None:
        self.samples += 1
        for partition, offset in committed.items():
            if offset < (before := self.last.get(partition, 0)):
                self.backward += 1
                self.notes.append(f"partition {partition}: {before} then {offset}")
            self.last[partition] = offset
            self._open.append((self.samples, partition, offset))
        while self._open:
            at, partition, offset = self._open[0]
            if ledger.frontiers.get(partition, 0) < offset:
                if self.samples - at < PATIENCE_SAMPLES:
                    return
                self.early += 1
                self.notes.append(f"partition {partition}: {offset} committed, not published")
            self._open.popleft()


class Watcher:
    """Runs beside the instances until it is left; survives outages of the broker."""

    def __init__(self, servers: str, names: Names) -> None:
        self._servers = servers
        self._names = names
        self.ledger = Ledger()
        self.commits = CommitWatch()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
            metadata_max_age_ms=2_000,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=50,
        )
        await self._consumer.start()
        numbers = range(self._names.partition_count)
        self._consumer.assign(
            [
                *(ClientPartition(self._names.decisions, number) for number in numbers),
                ClientPartition(self._names.dead_letters, 0),
            ]
        )
        self._tasks = [asyncio.create_task(self._tail()), asyncio.create_task(self._sample())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        stopping = asyncio.create_task(self._consumer.stop())
        await asyncio.wait({stopping}, timeout=5.0)
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait({stopping})

    def check(self) -> None:
        """Raise what ended a task."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _tail(self) -> None:
        while True:
            try:
                polled = await self._consumer.getmany(timeout_ms=100, max_records=2_000)
            except KafkaError:
                await asyncio.sleep(0.1)
                continue
            for at, records in polled.items():
                for record in records:
                    if at.topic == self._names.decisions:
                        self.ledger.decided(record.value)
                    else:
                        self.ledger.bury(record.headers, record.value, self._names.transactions)
            await asyncio.sleep(0)

    async def _sample(self) -> None:
        while True:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await self._sample_with_one_client()
            await asyncio.sleep(SAMPLE_INTERVAL_S)

    async def _sample_with_one_client(self) -> None:
        client = AIOKafkaAdminClient(
            bootstrap_servers=self._servers, request_timeout_ms=REQUEST_TIMEOUT_MS
        )
        try:
            await client.start()
            while True:
                if found := await self._committed(client):
                    self.commits.sample(found, self.ledger)
                await asyncio.sleep(SAMPLE_INTERVAL_S)
        finally:
            await client.close()

    async def _committed(self, client: AIOKafkaAdminClient) -> dict[int, int]:
        topic = self._names.transactions
        asked = [ClientPartition(topic, number) for number in range(self._names.partition_count)]
        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
            found = await client.list_consumer_group_offsets(self._names.group, partitions=asked)
        return {at.partition: value.offset for at, value in found.items() if value.offset >= 0}
