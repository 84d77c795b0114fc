"""What the engine needs from the outside, as Protocols that every adapter and its twin fulfil."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sentinel.blobs import Blob as Blob
from sentinel.core.topics import TopicSpec
from sentinel.records import (
    Commit,
    Floats,
    InputRecord,
    OutputRecord,
    TopicPartition,
)
from sentinel.state_store import Fence as Fence
from sentinel.state_store import Fences as Fences
from sentinel.state_store import PartitionState as PartitionState
from sentinel.state_store import StateStore as StateStore
from sentinel.state_store import StoreFacts as StoreFacts
from sentinel.versions import Artifact, ModelEvent, ServingReport, Shelf
from sentinel.votes import Annotator, Case, Casework, FeedbackProgress

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


class CaseStore(Protocol):
    """Votes, labels and annotators. Raises TransientError when out of reach."""

    async def progress(self) -> FeedbackProgress | None:
        """How far feedback has been counted; None before the first save."""
        ...

    async def cases(self, transaction_ids: Sequence[str]) -> dict[str, Case]:
        """The cases of these transactions, those that there are."""
        ...

    async def annotators(self, names: Sequence[str]) -> dict[str, Annotator]:
        """What is known of these annotators, of those of whom anything is."""
        ...

    async def latest_annotators(self) -> list[Annotator]:
        """Everybody who voted, who voted last first; a bounded number."""
        ...

    async def unsettled(self, count: int) -> list[Case]:
        """The open and contested cases of the newest votes, newest first, at most `count`.

        No more than UNSETTLED_COUNT_MAX are remembered.
        """
        ...

    async def recent(self, count: int) -> list[Case]:
        """The cases of the newest votes, newest first, at most `count`.

        No more than RECENT_COUNT_MAX are remembered.
        """
        ...

    async def save(self, before: FeedbackProgress | None, work: Casework) -> None:
        """Write all of it or nothing. FencedError if the progress stored is not `before`."""
        ...


class ModelStore(Protocol):
    """The model registry. Raises TransientError when out of reach."""

    async def shelf(self) -> Shelf:
        """Where every version stands now; an empty shelf before the first."""
        ...

    async def manifests(self, versions: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The manifests of these versions, of those that there are."""
        ...

    async def load(self, version: str) -> Artifact:
        """One version, whole. Raises ModelError when anything is missing or was changed."""
        ...

    async def add(self, artifact: Artifact) -> None:
        """Keep a version that no shelf names yet, with the SHA-256 of its text in its manifest.

        What is kept under that version is never changed: ModelError if it has another text.
        """
        ...

    async def change(self, before: Shelf, after: Shelf, events: Sequence[ModelEvent]) -> None:
        """Put one shelf in the place of another, and its events into the history: all or nothing.

        FencedError if the shelf is not `before` any more.
        """
        ...

    async def history(self) -> list[ModelEvent]:
        """Every event, oldest first."""
        ...

    async def update(self) -> bytes | None:
        """What was last noted of the update under way; None while there never was one."""
        ...

    async def note_update(self, before: bytes | None, after: bytes) -> None:
        """Note how an update stands. FencedError if `before` is not what is noted."""
        ...

    async def outlook(self) -> bytes | None:
        """What was last noted of what the next update waits for; None before the first time."""
        ...

    async def note_outlook(self, outlook: bytes) -> None:
        """Note what the next update waits for, for people to read: whoever notes last is right."""
        ...


class ReportStore(Protocol):
    """What instances say that they serve. Raises TransientError when out of reach."""

    async def report(self, report: ServingReport, *, ttl_s: float) -> None:
        """Put it in the place of what the instance has said before; forgotten after `ttl_s`."""
        ...

    async def end(self, report: ServingReport) -> None:
        """It holds no more: keep it among the newest REPORT_COUNT_MAX of those."""
        ...

    async def reports(self) -> list[ServingReport]:
        """What instances serve now, by their names, at most REPORT_COUNT_MAX."""
        ...

    async def ended(self) -> list[ServingReport]:
        """What holds no more, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Savepoint:
    """What was saved of a trainer's memory.

    Attributes
    ----------
    number
        One more than that of the savepoint before it.
    piece_count
        Pieces are numbered from 0.
    sha256
        Of the head and all pieces.
    head
        What the trainer says of it, in bytes of its own.
    """

    number: int
    piece_count: int
    sha256: str
    head: bytes

    @property
    def name(self) -> str:
        """Under which its pieces are kept: no two of different contents have the same."""
        return f"{self.number}-{self.sha256[:16]}"


class SavepointStore(Protocol):
    """One savepoint, and another while it is written. Raises TransientError when out of reach."""

    async def savepoint(self) -> Savepoint | None:
        """The one that was kept last; None if there is none that can be read."""
        ...

    async def piece(self, savepoint: Savepoint, number: int) -> bytes | None:
        """One piece of it; None if it is not there (any more)."""
        ...

    async def add_piece(self, savepoint: Savepoint, number: int, data: bytes) -> None:
        """Write a piece of one that is to be kept; it is gone after a while if that never is."""
        ...

    async def keep(self, before: Savepoint | None, after: Savepoint) -> None:
        """Put one in the place of another, whose pieces then go: all or nothing.

        FencedError if `before` is not the one that is kept, or not all pieces of `after` are there.
        """
        ...


class Worker(Protocol):
    """One object that lives in a process of its own."""

    async def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method there; raises the ModelError or RecordError that it raises.

        Whatever else goes wrong in it is a TrainingError. WorkerLostError when the process died,
        took too long or needed too much memory: another has taken its place, whose object is as it
        was made.
        """
        ...


class Explainer(Protocol):
    """Feature contributions, computed away from the event loop."""

    def register(self, version: str, text: str) -> None:
        """Make a model version known; its text is LightGBM's own format."""
        ...

    def forget(self, version: str) -> None:
        """Drop a version that will not be asked for again."""
        ...

    async def warm(self, version: str) -> str:
        """Load a registered version there, and try all that is asked of a model.

        Returns why it will not be explained, though it can be scored; empty when it will. Raises
        ModelError when it cannot be loaded or scored there, or no worker survives it, and
        TransientError when that cannot be found out: there is no worker, no memory, no time.
        """
        ...

    async def contributions(self, model_version: str, features: Floats) -> Floats:
        """Contribution of each feature to the raw score, finite, float64 (n, n_features).

        Raises TransientError when the worker is too busy, too slow or gone, and ModelError when it
        does not know the version, or the version cannot be explained.
        """
        ...
