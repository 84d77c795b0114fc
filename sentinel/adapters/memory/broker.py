"""The broker port in memory."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Self

from numpy.random import Generator

from sentinel.adapters.memory.cluster import MemoryCluster, MemoryMember
from sentinel.adapters.memory.faults import Faults
from sentinel.core.topics import TopicSpec, lacking, resolved
from sentinel.errors import FencedError, TransientError
from sentinel.ports import PartitionsCallback, TopicLog
from sentinel.record_blocks import RecordBlock
from sentinel.records import Commit, InputRecord, OutputRecord, TopicPartition

_RECORD_BYTES_MAX = 1 << 30

Transaction = list[tuple[TopicPartition, Sequence[OutputRecord]]]


class MemoryBroker:
    """`ports.Broker` on a `MemoryCluster`: a member of a group, and a producer.

    With an `rng`, published records reach the log some at once, some later, at the latest at flush;
    the order within a partition is kept, nothing else is promised. A failed flush or a `crash`
    loses a part of what had not arrived. Without an `rng` they arrive at once.

    What comes of a partition of the `exactly_once` topics arrives with its commit, all or nothing:
    here every reader is one of committed records.
    """

    def __init__(
        self,
        cluster: MemoryCluster,
        *,
        group_id: str = "sentinel",
        faults: Faults | None = None,
        rng: Generator | None = None,
        exactly_once: Collection[str] = (),
    ) -> None:
        self._cluster = cluster
        self._group_id = group_id
        self._faults = faults or Faults()
        self._rng = rng
        self._member: MemoryMember | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._polled: set[TopicPartition] = set()
        self._unsent: dict[TopicPartition, list[OutputRecord]] = defaultdict(list)
        self._exactly_once = exactly_once
        self._logs: dict[str, str] = {}
        self._transactions: dict[TopicPartition, Transaction] = defaultdict(list)  # by source

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.crash()

    def crash(self) -> None:
        """Leave at once. What was published and not flushed may have arrived or not."""
        self._send_some()
        self._unsent.clear()
        self._transactions.clear()
        if self._member is not None:
            self._cluster.leave(self._group_id, self._member)

    @property
    def cluster_id(self) -> str:
        return self._cluster.cluster_id

    async def look(self, topic: str) -> TopicLog | None:
        with self._faults.call("look"):
            count = self._cluster.partition_count(topic)
            if not count:
                return None
            found = TopicLog(self._cluster.log_name(topic), count)
            self._logs.setdefault(topic, found.name)
            return found

    def log_of(self, topic: str) -> str:
        return self._logs[topic]

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        with self._faults.call("ensure_topics"):
            counts = self._cluster.partition_counts()
            for topic in resolved(topics, counts):
                if topic.name not in counts:
                    self._cluster.create_topic(topic.name, topic.partition_count)
            for topic in lacking(topics, self._cluster.partition_counts()):
                self._cluster.grow_topic(topic.name, topic.partition_count)
            for topic in topics:
                self._logs.setdefault(topic.name, self._cluster.log_name(topic.name))

    async def partition_count(self, topic: str) -> int:
        with self._faults.call("partition_count"):
            return self._cluster.partition_count(topic)

    async def record_bytes_max(self, topic: str) -> int:
        with self._faults.call("record_bytes_max"):
            return self._cluster.record_bytes_max.get(topic, _RECORD_BYTES_MAX)

    async def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: PartitionsCallback,
        on_revoked: PartitionsCallback,
    ) -> None:
        assert self._member is None, "subscribe once"

        async def reset_and_assign(partitions: Sequence[TopicPartition]) -> None:
            self._reset(partitions)
            await on_assigned(partitions)

        with self._faults.call("subscribe"):
            self._member = self._cluster.join(self._group_id, topics, reset_and_assign, on_revoked)
            await self._cluster.settle(self._group_id)
            self._raise_failure()

    def _reset(self, partitions: Sequence[TopicPartition]) -> None:
        committed = self._cluster.group(self._group_id).committed
        self._polled.clear()
        self._positions = {
            partition: committed.get(partition, Commit(self._cluster.log(partition).start)).offset
            for partition in partitions
        }

    def _raise_failure(self) -> None:
        assert self._member is not None
        failure, self._member.failure = self._member.failure, None
        if failure is not None:
            failure.result()

    async def poll(
        self, partitions: Sequence[TopicPartition], *, timeout_s: float, count_max: int
    ) -> Mapping[TopicPartition, Sequence[InputRecord]]:
        assert self._member is not None, "subscribe first"
        with self._faults.call("poll"):
            await asyncio.sleep(0)  # as a real one does: whoever polls in a loop lets others run
            await self._cluster.settle(self._group_id)
            self._raise_failure()
            found = self._read(partitions, count_max)
            if not found:
                await self._cluster.changed(timeout_s)
                found = self._read(partitions, count_max)
        return found

    def _read(
        self, partitions: Sequence[TopicPartition], count_max: int
    ) -> dict[TopicPartition, Sequence[InputRecord]]:
        if self._cluster.group(self._group_id).is_rebalancing:
            return {}
        found: dict[TopicPartition, Sequence[InputRecord]] = {}
        for partition in partitions:
            if partition not in self.assignment():
                continue
            self._polled.add(partition)
            log = self._cluster.log(partition)
            if not log.start <= self._positions[partition] <= log.end:
                raise TransientError(f"poll: OffsetOutOfRange, {partition} begins at {log.start}")
            records = self._cluster.read(partition, self._positions[partition], count_max)
            if records:
                found[partition] = RecordBlock.of(records)
                self._positions[partition] = records[-1].offset + 1
                count_max -= len(records)
        return found

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset() if self._member is None else self._member.partitions

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert offset >= 0
        with self._faults.call("seek"):
            if partition not in self.assignment():
                raise FencedError(f"seek {partition}: it is not assigned")
            self._positions[partition] = offset

    async def committed(self, partition: TopicPartition) -> Commit | None:
        with self._faults.call("committed"):
            return self._cluster.group(self._group_id).committed.get(partition)

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        assert self._member is not None
        with self._faults.call("commit"):
            self._cluster.commit(self._group_id, self._member, commits)
            for source in commits:
                for partition, records in self._transactions.pop(source, []):
                    self._cluster.append(partition, records)

    async def start_offset(self, partition: TopicPartition) -> int:
        with self._faults.call("start_offset"):
            return self._cluster.log(partition).start

    async def end_offset(self, partition: TopicPartition) -> int:
        with self._faults.call("end_offset"):
            return self._cluster.log(partition).end

    def lag(self, partition: TopicPartition) -> int | None:
        if partition not in self._polled or partition not in self.assignment():
            return None
        return max(0, self._cluster.log(partition).end - self._positions[partition])

    def silent_s(self, partition: TopicPartition) -> float | None:
        return self._cluster.silent_s(partition) if partition in self.assignment() else None

    async def publish(
        self,
        topic: str,
        partition: int,
        records: Sequence[OutputRecord],
        *,
        source: TopicPartition | None = None,
    ) -> None:
        with self._faults.call("publish"):
            limit = self._cluster.record_bytes_max.get(topic, _RECORD_BYTES_MAX)
            if any(_byte_count(record) > limit for record in records):
                raise TransientError(f"{topic}-{partition} takes no record of over {limit} bytes")
            if source is not None and source.topic in self._exactly_once:
                self._transactions[source].append((TopicPartition(topic, partition), records))
                return
            self._unsent[TopicPartition(topic, partition)].extend(records)
            self._send_some()

    async def flush(self) -> None:
        try:
            with self._faults.call("flush"):
                for partition, records in self._unsent.items():
                    self._cluster.append(partition, records)
                self._unsent.clear()
        finally:
            if self._unsent:  # the flush failed
                self._send_some()
                self._unsent.clear()

    def _send_some(self) -> None:
        """Let a first part of what is under way arrive, in each partition another one."""
        for partition, records in self._unsent.items():
            count = len(records)
            if self._rng is not None:
                count = int(self._rng.integers(0, count, endpoint=True))
            self._cluster.append(partition, records[:count])
            del records[:count]


def _byte_count(record: OutputRecord) -> int:
    headers = sum(len(header.name) + len(header.value) for header in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
