"""Kafka: a member of a consumer group, and a reader of whole topics."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sentinel.core.topics import TopicSpec
from sentinel.records import Commit, InputRecord, OutputRecord, TopicPartition

PartitionsCallback = Callable[[Sequence[TopicPartition]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TopicLog:
    """What a topic is, and how many partitions it has.

    `name` differs after the topic was deleted and created again where the broker gives topics ids
    (Apache Kafka 2.8), and after the cluster was: an in-memory broker is another one at each start.
    """

    name: str
    partition_count: int


class Broker(Protocol):
    """A Kafka cluster: one consumer-group member and one producer.

    Every method raises TransientError when the cluster cannot be reached or refuses.
    """

    @property
    def cluster_id(self) -> str:
        """Names the cluster."""
        ...

    async def look(self, topic: str) -> TopicLog | None:
        """What a topic is now; None when it does not exist."""
        ...

    def log_of(self, topic: str) -> str:
        """Names the log that the offsets of a topic belong to, as it was when it was first looked
        at; `ensure_topics` has looked at its topics.
        """
        ...

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create what is missing, give more partitions to what has too few beside another topic.

        Raises ConfigError when a partition count differs that cannot be mended.
        """
        ...

    async def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; 0 when it does not exist."""
        ...

    async def record_bytes_max(self, topic: str) -> int:
        """The largest record that a topic takes, with key and headers, as far as that is told."""
        ...

    async def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: PartitionsCallback,
        on_revoked: PartitionsCallback,
    ) -> None:
        """Join the group. The callbacks run before the first poll and around each rebalance.

        They are never called with nothing, and not on leaving. In a rebalance all partitions are
        revoked, then the new share is assigned, each at its committed offset. What a callback
        raises comes out of the next poll. A callback must end well within the session timeout.
        """
        ...

    async def poll(
        self, partitions: Sequence[TopicPartition], *, timeout_s: float, count_max: int
    ) -> Mapping[TopicPartition, Sequence[InputRecord]]:
        """Up to `count_max` records of these partitions, in offset order in each.

        Partitions that are not owned are left out; while a rebalance is under way nothing comes.
        Poll at least once in a while, with no partitions if need be: it is the sign of life. Once a
        poll was cancelled, do not poll again. Raises TransientError when the records to go on with
        were deleted unread.
        """
        ...

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns now."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on reading at `offset`. Raises FencedError if the partition is not owned."""
        ...

    async def committed(self, partition: TopicPartition) -> Commit | None:
        """What the group last committed for the partition.

        Some brokers, Tansu among them, do not keep the metadata: it may come back empty.
        """
        ...

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit next offsets. Raises FencedError when the partitions were lost meanwhile."""
        ...

    async def start_offset(self, partition: TopicPartition) -> int:
        """The oldest offset that the log still holds."""
        ...

    async def end_offset(self, partition: TopicPartition) -> int:
        """The offset behind the newest record of the log, whether it is committed or not.

        A broker that does not tell it, as Tansu, gives one that no log reaches.
        """
        ...

    def lag(self, partition: TopicPartition) -> int | None:
        """Records behind the end of the log, as last fetched; None before the first fetch."""
        ...

    def silent_s(self, partition: TopicPartition) -> float | None:
        """For how long the cluster has answered no fetch of this partition; None if not owned.

        0 while fetched records wait to be polled, for then none is asked.
        """
        ...

    async def publish(
        self,
        topic: str,
        partition: int,
        records: Sequence[OutputRecord],
        *,
        source: TopicPartition | None = None,
    ) -> None:
        """Hand records over in order; waits while the producer is full, but not for delivery.

        `source` is the input partition that they come of. A broker that was told to deliver exactly
        once keeps them from readers of committed records until the next commit of that partition,
        and drops them when there is none.
        """
        ...

    async def flush(self) -> None:
        """Wait until all that was published is acknowledged; TransientError if any was not."""
        ...


class Tail(Protocol):
    """Every record of some single-partition topics, read by every instance, outside any group."""

    async def poll(
        self, *, timeout_s: float, count_max: int
    ) -> Mapping[str, Sequence[InputRecord]]:
        """New records by topic, in offset order."""
        ...

    def seek(self, topic: str, offset: int) -> None:
        """Go on reading a topic at `offset` (0 reads from the oldest record kept)."""
        ...

    def lag(self, topic: str) -> int | None:
        """Records behind the end of the topic, as last fetched; None before the first fetch."""
        ...
