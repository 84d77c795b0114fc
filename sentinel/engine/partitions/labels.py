"""Labels reach the features: read by every instance, applied by the owner of the transaction."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from sentinel.codec.records import decode_label
from sentinel.codec.schema import SchemaParams
from sentinel.core.features.kernels.events import MARK_FRAUD, MARK_GENUINE, MARK_WITHDRAWN
from sentinel.core.features.state import Labels
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.partitions.placement import Placement
from sentinel.errors import RecordError
from sentinel.metrics import Metrics
from sentinel.ports import StateStore, Tail
from sentinel.records import InputRecord, Label, LabelWord, Transactions
from sentinel.texts import Texts

log = logging.getLogger(__name__)

_HOMELESS_COUNT = 500  # labels of unknown accounts that are asked for again with each poll

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
    placement
        Knows the input partition of an account.
    """

    def __init__(
        self,
        tail: Tail,
        topic: str,
        log: str,
        store: StateStore,
        entities: Sequence[str],
        partitions: Mapping[int, InputPartition],
        placement: Placement,
        metrics: Metrics,
        params: EngineParams,
    ) -> None:
        self._tail = tail
        self.topic = topic
        self.log = log
        self._store = store
        self._entities = entities
        self._partitions = partitions
        self._placement = placement
        self._homeless: dict[int, Read] = {}  # of accounts that nobody knows yet
        self._metrics = metrics
        self._params = params
        self._reading = asyncio.Lock()
        self._feedback_seen: dict[str, int] = {}  # newest feedback that gave a label, by its log
        self._seen_to = 0  # labels below this offset have been read once
        self._repeated: set[int] = set()  # offsets of labels that say again what was said
        self.read_to = 0

    @property
    def is_full(self) -> bool:
        """Whether so many labels wait that no more should be read."""
        waiting = sum(len(partition.gate.waiting) for partition in self._partitions.values())
        return waiting + len(self._homeless) > self._params.labels_waiting_max

    def waiting(self) -> "LabelsWaiting":
        """How many labels wait for their time, and for how long the next one will."""
        ahead = [
            due_ms - partition.watermark_ms
            for partition in self._partitions.values()
            if (due_ms := partition.gate.waiting.next_due_ms) is not None and partition.watermark_ms
        ]
        count = sum(len(partition.gate.waiting) for partition in self._partitions.values())
        count += len(self._homeless)
        return LabelsWaiting(count, max(min(ahead), 0) / 1000.0 if ahead else None)

    @property
    def trouble(self) -> str:
        """Why labels are not read on; empty while they are."""
        if not self.is_full:
            return ""
        limit = f"engine.labels_waiting_max is {self._params.labels_waiting_max:,}"
        return f"no more labels are read: as many wait for their time as may ({limit})"

    def unread(self) -> int | None:
        """Labels that wait to be read; None while that is not known."""
        return self._tail.lag(self.topic)

    async def poll(self, timeout_s: float) -> int:
        """Read what there is; returns how many labels that were."""
        async with self._reading:
            read = await self._tail.poll(timeout_s=timeout_s, count_max=10_000)
            records = read.get(self.topic, ())
            labels = [found for record in records if (found := self._read(record))]
            await self._take_all([*islice(self._homeless.values(), _HOMELESS_COUNT), *labels])
            for partition in self._partitions.values():
                partition.gate.read_to = max(partition.gate.read_to, self.read_to)
                partition.gate.homeless = next(iter(self._homeless), None)
        return len(records)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            if self.is_full or await self.poll(self._params.poll_timeout_s) == 0:
                await asyncio.sleep(self._params.poll_timeout_s)

    def _read(self, record: InputRecord) -> "Read | None":
        """The label, if it says something that was not said before."""
        self.read_to = record.offset + 1
        try:
            label = decode_label(record.value)
        except RecordError as error:
            log.warning("label at offset %d is not readable: %s", record.offset, error.unquoted)
            return None
        if self._is_repeated(record.offset, label) or not label.entities.get("account"):
            return None
        # Nothing is known of a transaction before it happens; and a source may date a label into
        # the future: then the broker's own time counts.
        due_ms = min(max(label.observed_ms, label.event_time_ms + 1), record.timestamp)
        return Read(record.offset, due_ms, label)

    async def _take_all(self, labels: "Sequence[Read]") -> None:
        """Give each label to the partition of its account, if that is ours, to wait for its time.

        One that was read before, on behalf of another partition, and one that the state includes
        already are left out.
        """
        accounts = [one.label.entities["account"] or "" for one in labels]
        numbers = await self._placement.partitions(accounts) if accounts else []
        ours: list[tuple[InputPartition, Read]] = []
        for number, one in zip(numbers, labels, strict=True):
            if number is None:
                self._homeless[one.offset] = one
                continue
            was_homeless = self._homeless.pop(one.offset, None) is not None
            partition = self._partitions.get(number)
            if partition is not None and (was_homeless or one.offset >= partition.gate.read_to):
                ours.append((partition, one))
        old = [one.offset for partition, one in ours if one.offset < partition.gate.old_to]
        applied = await self._applied(old)
        for partition, (offset, due_ms, label) in ours:
            done = applied.get(offset, frozenset())
            named = {entity for entity in self._entities if label.entities.get(entity)}
            if not named <= done:
                partition.gate.waiting.add(due_ms, offset, label, done)

    async def _applied(self, offsets: Sequence[int]) -> dict[int, frozenset[str]]:
        """Of these labels, the kinds of entities whose stored state includes each."""
        applied: dict[int, frozenset[str]] = {}
        for entity in self._entities if offsets else ():
            found = await self._store.applied_labels(entity, self.log, offsets)
            for offset, is_applied in zip(offsets, found, strict=True):
                if is_applied:
                    applied[offset] = applied.get(offset, frozenset()) | {entity}
        return applied

    def _is_repeated(self, offset: int, label: Label) -> bool:
        """Whether the label was given before: feedback read again after a crash repeats it."""
        if offset >= self._seen_to:
            self._seen_to = offset + 1
            seen = self._feedback_seen.get(label.feedback_log, -1)
            if 0 <= label.feedback_offset <= seen:
                self._repeated.add(offset)
            self._feedback_seen[label.feedback_log] = max(seen, label.feedback_offset)
        return offset in self._repeated

    async def rewind(self, offset: int) -> None:
        """Read again from `offset` if that is behind, for a partition that needs older labels.

        Between two polls: what a poll under way brings is newer than `offset`.
        """
        async with self._reading:
            if offset < self.read_to:
                self.read_to = offset
                self._tail.seek(self.topic, offset)


class Read(NamedTuple):
    """A label that was read, and when it is due."""

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
