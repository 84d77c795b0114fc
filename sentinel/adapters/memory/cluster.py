"""A Kafka cluster in memory: logs, consumer groups, and rebalances among their members."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sentinel.errors import FencedError
from sentinel.ports import PartitionsCallback
from sentinel.records import Commit, OutputRecord, TopicPartition


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A record in a log; fits `records.InputRecord`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class Log:
    """One partition. Records below `start` have been deleted by retention."""

    start: int = 0
    records: list[MemoryRecord] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.records)


@dataclass(eq=False, slots=True)
class MemoryMember:
    """One member of a group, and what it owns in the group's present generation."""

    number: int
    topics: frozenset[str]
    on_assigned: PartitionsCallback
    on_revoked: PartitionsCallback
    partitions: frozenset[TopicPartition] = frozenset()
    failure: asyncio.Task[None] | None = None  # what a callback raised, for the next poll to raise
    left: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Group:
    """A consumer group: who is in it, and what it has committed."""

    members: list[MemoryMember] = field(default_factory=list)
    committed: dict[TopicPartition, Commit] = field(default_factory=dict)
    is_stale: bool = False  # somebody came or went since the last assignment
    is_rebalancing: bool = False
    rebalance: asyncio.Task[None] | None = None  # the last one, under way or over


class MemoryCluster:
    """Logs and groups. It outlives the brokers on it, and the event loop."""

    def __init__(
        self, cluster_id: str = "memory", *, clock_ms: Callable[[], int] = lambda: 0
    ) -> None:
        self.cluster_id = cluster_id
        self._clock_ms = clock_ms
        self._topics: dict[str, list[Log]] = {}
        self._created_count = 0
        self._ids: dict[str, int] = {}  # of each topic, as a broker gives them
        self._groups: dict[str, Group] = {}
        self._member_count = 0
        self._silent: dict[TopicPartition, float] = {}  # since when
        self._waiters: dict[asyncio.Future[None], None] = {}  # in the order they came
        self.record_bytes_max: dict[str, int] = {}  # by topic, where it is not without an end

    def create_topic(self, topic: str, partition_count: int) -> None:
        assert topic not in self._topics
        assert partition_count >= 1
        self._topics[topic] = [Log() for _ in range(partition_count)]
        self._created_count += 1
        self._ids[topic] = self._created_count

    def delete_topic(self, topic: str) -> None:
        """Delete a topic, and what groups have committed for it."""
        del self._topics[topic]
        for group in self._groups.values():
            for at in [at for at in group.committed if at.topic == topic]:
                del group.committed[at]

    def grow_topic(self, topic: str, partition_count: int) -> None:
        """Give a topic more partitions; every group is rebalanced."""
        logs = self._topics[topic]
        assert partition_count > len(logs)
        logs += [Log() for _ in range(partition_count - len(logs))]
        for group in self._groups.values():
            group.is_stale = True
        self.notify()

    def log_name(self, topic: str) -> str:
        """Names the topic that has the name now."""
        return f"{self.cluster_id}/{self._ids[topic]}"

    def partition_counts(self) -> dict[str, int]:
        return {topic: len(logs) for topic, logs in self._topics.items()}

    def partition_count(self, topic: str) -> int:
        return len(self._topics.get(topic, ()))

    def log(self, partition: TopicPartition) -> Log:
        return self._topics[partition.topic][partition.partition]

    def records(self, topic: str) -> list[MemoryRecord]:
        """All that a topic holds, partition by partition."""
        return [record for log in self._topics.get(topic, ()) for record in log.records]

    def append(self, partition: TopicPartition, records: Sequence[OutputRecord]) -> None:
        log = self.log(partition)
        for record in records:
            headers = tuple((header.name, header.value) for header in record.headers)
            log.records.append(
                MemoryRecord(log.end, self._clock_ms(), record.key, record.value, headers)
            )
        self.notify()

    def silence(self, *partitions: TopicPartition) -> None:
        """Answer no more fetches of these partitions, and again of all that are not named."""
        now_s = asyncio.get_running_loop().time()
        self._silent = {at: self._silent.get(at, now_s) for at in partitions}

    def silent_s(self, partition: TopicPartition) -> float:
        """For how long the partition has been silent."""
        now_s = asyncio.get_running_loop().time()
        return now_s - self._silent.get(partition, now_s)

    def trim(self, partition: TopicPartition, start: int) -> None:
        """Delete the records below `start`, as retention would."""
        log = self.log(partition)
        assert log.start <= start <= log.end
        del log.records[: start - log.start]
        log.start = start

    def read(self, partition: TopicPartition, offset: int, count_max: int) -> list[MemoryRecord]:
        """Records from `offset` on; an offset outside the log goes to its oldest record."""
        log = self.log(partition)
        if partition in self._silent:
            return []
        if not log.start <= offset <= log.end:
            offset = log.start
        first = offset - log.start
        return log.records[first : first + max(0, count_max)]

    async def changed(self, timeout_s: float) -> None:
        """Wait until something happens in the cluster, at most so long."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await asyncio.wait({waiter}, timeout=timeout_s)
        finally:
            del self._waiters[waiter]

    def notify(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def group(self, group_id: str) -> Group:
        return self._groups.setdefault(group_id, Group())

    def join(
        self,
        group_id: str,
        topics: Sequence[str],
        on_assigned: PartitionsCallback,
        on_revoked: PartitionsCallback,
    ) -> MemoryMember:
        """Add a member; it owns nothing before the group is settled."""
        self._member_count += 1
        member = MemoryMember(self._member_count, frozenset(topics), on_assigned, on_revoked)
        group = self.group(group_id)
        group.members.append(member)
        group.is_stale = True
        self.notify()
        return member

    def leave(self, group_id: str, member: MemoryMember) -> None:
        """Remove a member, without callbacks: it knows, or it is dead."""
        group = self.group(group_id)
        member.left.set()
        if member in group.members:
            group.members.remove(member)
            group.is_stale = True
            self.notify()

    async def settle(self, group_id: str) -> None:
        """Rebalance if somebody came or went: every member gives up all, then gets its share.

        Once: whoever comes or goes meanwhile is for the next poll to settle.
        """
        group = self.group(group_id)
        if group.is_stale and not group.is_rebalancing:
            group.is_stale = False
            group.is_rebalancing = True
            # In a task of its own: whoever happens to come first may die in the middle of it, and
            # the callbacks of the others go on.
            group.rebalance = rebalance = asyncio.create_task(self._rebalance(group))
            await asyncio.wait({rebalance})
            rebalance.result()

    async def _rebalance(self, group: Group) -> None:
        try:
            for member in list(group.members):
                await _call(member, member.on_revoked)
                member.partitions = frozenset()
            members = list(group.members)
            for member in members:
                member.partitions = self._share(member, members)
            for member in members:
                if member in group.members:
                    await _call(member, member.on_assigned)
        except asyncio.CancelledError:
            group.is_stale = True  # the loop ends: whoever comes next does it all again
            raise
        finally:
            group.is_rebalancing = False
            self.notify()

    def _share(
        self, member: MemoryMember, members: Sequence[MemoryMember]
    ) -> frozenset[TopicPartition]:
        """What the range assignor gives to one member."""
        share: list[TopicPartition] = []
        for topic in member.topics:
            takers = [other.number for other in members if topic in other.topics]
            place = sorted(takers).index(member.number)
            each, rest = divmod(self.partition_count(topic), len(takers))
            first = place * each + min(place, rest)
            count = each + (1 if place < rest else 0)
            share += (TopicPartition(topic, p) for p in range(first, first + count))
        return frozenset(share)

    def commit(
        self, group_id: str, member: MemoryMember, commits: Mapping[TopicPartition, Commit]
    ) -> None:
        group = self.group(group_id)
        if member not in group.members or not commits.keys() <= member.partitions:
            raise FencedError(f"{sorted(commits)} belong to another member by now")
        group.committed.update(commits)


async def _call(member: MemoryMember, callback: PartitionsCallback) -> None:
    """Run a callback as the real client does: in a task of its own, whose failure is kept.

    The others do not wait for a member that is gone.
    """
    if not member.partitions or member.left.is_set():
        return

    async def run() -> None:
        await callback(sorted(member.partitions))

    task = asyncio.create_task(run())
    leaving = asyncio.create_task(member.left.wait())
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        task.cancel()  # of interest only when it was not done
    if task.done() and not task.cancelled() and task.exception() is not None:
        member.failure = task
