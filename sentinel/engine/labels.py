"""Labels reach the features: read by every instance, applied by the owner of the transaction."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sentinel.codec.records import decode_label
from sentinel.codec.schema import SchemaParams
from sentinel.core.features.events import MARK_FRAUD, MARK_GENUINE, MARK_WITHDRAWN
from sentinel.core.features.state import Labels
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions import InputPartition
from sentinel.errors import RecordError
from sentinel.metrics import Metrics
from sentinel.ports import StateStore, Tail
from sentinel.records import InputRecord, Label, LabelWord, Transactions
from sentinel.texts import Texts

log = logging.getLogger(__name__)

_MARKS: dict[LabelWord, int] = {
    "fraud": MARK_FRAUD,
    "genuine": MARK_GENUINE,
    "withdrawn": MARK_WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class LabelsWaiting:
    """Labels that are read and not applied.

    Attributes
    ----------
    next_in_s
        How far the event time of a partition must go for the next one, in seconds; None if all that
        wait are due.
    """

    count: int
    next_in_s: float | None


class LabelTail:
    """Reads the labels topic from end to end and gives each label to the partition it concerns.

    Parameters
    ----------
    log
        Names the log of the topic.
    store
        Knows which labels its blobs hold already.
    entities
        The kinds of entities that have state.
    partition_of
        The input partition of an account: how the producer of the transactions spreads them.
    """

    def __init__(
        self,
        tail: Tail,
        topic: str,
        log: str,
        store: StateStore,
        entities: Sequence[str],
        partitions: Mapping[int, InputPartition],
        partition_of: "PartitionOf",
        metrics: Metrics,
        params: EngineParams,
    ) -> None:
        self._tail = tail
        self.topic = topic
        self.log = log
        self._store = store
        self._entities = entities
        self._partitions = partitions
        self._partition_of = partition_of
        self._metrics = metrics
        self._params = params
        self._reading = asyncio.Lock()
        self._feedback_seen = -1  # newest feedback that gave a label
        self._seen_to = 0  # labels below this offset have been read once
        self._repeated: set[int] = set()  # offsets of labels that say again what was said
        self.read_to = 0

    @property
    def is_full(self) -> bool:
        """Whether so many labels wait that no more should be read."""
        waiting = sum(len(partition.waiting) for partition in self._partitions.values())
        return waiting > self._params.labels_waiting_max

    def waiting(self) -> "LabelsWaiting":
        """How many labels wait for their time, and for how long the next one will."""
        ahead = [
            due_ms - partition.watermark_ms
            for partition in self._partitions.values()
            if (due_ms := partition.waiting.next_due_ms) is not None and partition.watermark_ms
        ]
        count = sum(len(partition.waiting) for partition in self._partitions.values())
        return LabelsWaiting(count, max(min(ahead), 0) / 1000.0 if ahead else None)

    @property
    def trouble(self) -> str:
        """Why labels are not read on; empty while they are."""
        if not self.is_full:
            return ""
        limit = f"engine.labels_waiting_max is {self._params.labels_waiting_max:,}"
        return f"no more labels are read: as many wait for their time as may ({limit})"

    async def poll(self, timeout_s: float) -> int:
        """Read what there is; returns how many labels that were."""
        async with self._reading:
            read = await self._tail.poll(timeout_s=timeout_s, count_max=10_000)
            records = read.get(self.topic, ())
            await self._take_all([found for record in records if (found := self._read(record))])
            for partition in self._partitions.values():
                partition.labels_read = max(partition.labels_read, self.read_to)
        return len(records)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            if self.is_full or await self.poll(self._params.poll_timeout_s) == 0:
                await asyncio.sleep(self._params.poll_timeout_s)

    def _read(self, record: InputRecord) -> "Read | None":
        """The label, if it concerns one of our partitions."""
        self.read_to = record.offset + 1
        try:
            label = decode_label(record.value)
        except RecordError as error:
            log.warning("label at offset %d is not readable: %s", record.offset, error)
            return None
        if self._is_repeated(record.offset, label):
            return None
        account = label.entities.get("account")
        partition = self._partitions.get(self._partition_of(account)) if account else None
        if partition is None or record.offset < partition.labels_read:
            return None  # not ours, or read again on behalf of another partition
        # Nothing is known of a transaction before it happens; and a source may date a label into
        # the future: then the broker's own time counts.
        due_ms = min(max(label.observed_ms, label.event_time_ms + 1), record.timestamp)
        return Read(partition, record.offset, due_ms, label)

    async def _take_all(self, labels: "Sequence[Read]") -> None:
        """Let labels wait for their time, but for what the state includes already."""
        old = [one.offset for one in labels if one.offset < one.partition.labels_old_to]
        applied: dict[int, set[str]] = {}
        for entity in self._entities if old else ():
            found = await self._store.applied_labels(entity, self.log, old)
            for offset, is_applied in zip(old, found, strict=True):
                if is_applied:
                    applied.setdefault(offset, set()).add(entity)
        for partition, offset, due_ms, label in labels:
            done = applied.get(offset, set())
            named = {entity for entity in self._entities if label.entities.get(entity)}
            if not named <= done:
                partition.waiting.add(due_ms, offset, label, frozenset(done))

    def _is_repeated(self, offset: int, label: Label) -> bool:
        """Whether the label was given before: feedback read again after a crash repeats it."""
        if offset >= self._seen_to:
            self._seen_to = offset + 1
            if 0 <= label.feedback_offset <= self._feedback_seen:
                self._repeated.add(offset)
            self._feedback_seen = max(self._feedback_seen, label.feedback_offset)
        return offset in self._repeated

    async def rewind(self, offset: int) -> None:
        """Read again from `offset` if that is behind, for a partition that needs older labels.

        Between two polls: what a poll under way brings is newer than `offset`.
        """
        async with self._reading:
            if offset < self.read_to:
                self.read_to = offset
                self._tail.seek(self.topic, offset)


class PartitionOf:
    """Kafka's default partitioner over the account: murmur2 of the key's bytes.

    https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/utils/Utils.java
    """

    def __init__(self, partition_count: int) -> None:
        assert partition_count > 0
        self._partition_count = partition_count

    def __call__(self, account: str) -> int:
        return (murmur2(account.encode()) & 0x7FFFFFFF) % self._partition_count


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2, as an unsigned integer."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k ^= k >> 24
        h = (h * m & mask) ^ (k * m & mask)
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h ^= h >> 13
    h = h * m & mask
    return h ^ (h >> 15)


class Read(NamedTuple):
    """A label that was read, for a partition of ours."""

    partition: InputPartition
    offset: int
    due_ms: int
    label: Label


class DueLabel(NamedTuple):
    """A label to apply: before which row of a batch, for which partition, and where it stands."""

    row: int
    partition: int
    offset: int
    label: Label
    applied: frozenset[str]  # the kinds of entities whose state includes it already


def label_rows(due: Sequence[DueLabel], schema: SchemaParams) -> tuple[Transactions, Labels]:
    """Labels as rows that `FeatureState.fold` applies; their offsets are those of the labels."""
    n = len(due)
    labels = [one.label for one in due]
    mark = [_MARKS[label.label] for label in labels]
    change = [(x.label == "fraud") - (x.supersedes == "fraud") for x in labels]
    kinds = ("account", *schema.entities)
    rows = Transactions(
        transaction_id=Texts.of(label.transaction_id for label in labels),
        partition=np.array([one.partition for one in due], dtype=np.int64),
        offset=np.array([one.offset for one in due], dtype=np.int64),
        event_time_ms=np.array([label.event_time_ms for label in labels], dtype=np.int64),
        amount_minor=np.zeros(n, dtype=np.int64),
        entities={
            kind: Texts.of(label.entities.get(kind) or None for label in labels) for kind in kinds
        },
        numeric={name: np.full(n, np.nan) for name in (*schema.numeric, *schema.boolean)},
        categorical={name: Texts.of([None] * n) for name in schema.categorical},
    )
    applied = {
        kind: np.array([kind in one.applied for one in due])
        for kind in frozenset().union(*(one.applied for one in due))
    }
    return rows, Labels(np.array(mark, dtype=np.int64), np.array(change, dtype=np.int64), applied)
