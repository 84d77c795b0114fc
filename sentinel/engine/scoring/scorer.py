"""Scoring: records in, decisions out."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from sentinel.codec.decisions import Stamp, decisions
from sentinel.codec.rows import Rejected
from sentinel.codec.schema import SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.core.decision import APPROVE
from sentinel.core.features.entity_table.table import NEWEST
from sentinel.core.features.kernels.events import REPEATED, UNCOUNTED
from sentinel.core.features.state import FeatureState, Folded, joined
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.machine.clock import RecordClock
from sentinel.engine.params import TopicParams
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.partitions.label_gate import WaitingLabel
from sentinel.engine.partitions.labels import DueLabel, label_rows
from sentinel.engine.partitions.placement import Placement
from sentinel.engine.scoring.alerts import Alerts, Flagged
from sentinel.engine.scoring.arms.arm_counts import ArmNotes
from sentinel.engine.scoring.counting import count_amounts, count_decisions, count_times
from sentinel.engine.scoring.entities import EntityLoader, StoreAnswer
from sentinel.engine.scoring.judging import Judge, JudgedBatch
from sentinel.engine.scoring.summarising import Summaries
from sentinel.errors import TransientError
from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.record_blocks import OutputBlock, timestamps
from sentinel.records import (
    Batch,
    Floats,
    InputRecord,
    Ints,
    TopicPartition,
    Transactions,
    chosen,
    part,
)
from sentinel.serving_model import ServingModel

# From load to publish: about 4 and 12 ms.
_MIDDLING_ROW_COUNT = 256
_LONG_ROW_COUNT = 1024


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A batch that waits for its turn: decoded, with what the store said of its entities.

    Attributes
    ----------
    pieces
        The records of each partition; `rejected` counts over them in that order.
    """

    pieces: list[tuple[TopicPartition, Sequence[InputRecord]]]
    rows: Transactions
    rejected: list[Rejected]
    answer: StoreAnswer

    def record(self, index: int) -> tuple[TopicPartition, InputRecord]:
        """The record that stands at `index` over all pieces, and where it came from."""
        for at, records in self.pieces:
            if index < len(records):
                return at, records[index]
            index -= len(records)
        raise IndexError(index)

    def stamps(self) -> Floats:
        """When each record was appended, epoch milliseconds, shape (n,)."""
        return np.concatenate([timestamps(records) for _, records in self.pieces]).astype(float)


@dataclass(frozen=True, slots=True)
class PartedBatch:
    """A batch whose turn has come.

    Attributes
    ----------
    ends
        The offset behind its last record of each partition.
    silent
        Rows that were decided before, and are only folded; None where there are none.
    live
        What is to be decided; None where nothing is.
    """

    ends: dict[int, int]
    silent: Transactions | None
    live: PreparedBatch | None


class Scoring:
    """Turns batches of transactions into decisions and alerts, and counts them into the state."""

    def __init__(
        self,
        *,
        broker: Broker,
        state: FeatureState,
        loader: EntityLoader,
        judge: Judge,
        alerts: Alerts,
        summaries: Summaries,
        arm_notes: ArmNotes,
        dead_letters: DeadLetters,
        partitions: Mapping[int, InputPartition],
        schema: SchemaParams,
        topics: TopicParams,
        input_name: str,
        placement: Placement,
        record_clock: RecordClock,
        metrics: Metrics,
    ) -> None:
        self._broker = broker
        self._state = state
        self._loader = loader
        self._judge = judge
        self._placement = placement
        self._record_clock = record_clock
        self._alerts = alerts
        self._summaries = summaries
        self._arm_notes = arm_notes
        self._dead_letters = dead_letters
        self._partitions = partitions
        self._schema = schema
        self._decoder = TransactionDecoder(schema)
        self._decision_topic = topics.full(topics.decisions)
        self._metrics = metrics
        self._stamp = Stamp(
            topic=input_name,
            schema_version=state.fingerprint,
            config_version="",
            arms=(),
            currency=schema.reporting_currency,
        )

    async def prepare(self, batch: Batch) -> PreparedBatch:
        """Decode a batch and ask the store for what is missing; changes nothing."""
        clock_s = time.perf_counter()
        pieces = [
            (at, records)
            for at, records in batch.records.items()
            if at.partition in self._partitions and records
        ]
        rows, rejected = self._decoder.decode([(at.partition, r) for at, r in pieces])
        self._metrics.lap("decode", clock_s)
        return PreparedBatch(pieces, rows, rejected, await self._loader.ask(rows))

    def part(self, prepared: PreparedBatch) -> PartedBatch:
        """What is to be done with each record, now that it is the batch's turn.

        A partition given up since it was prepared is read again by its next owner.
        """
        ends = {
            at.partition: records[-1].offset + 1
            for at, records in prepared.pieces
            if at.partition in self._partitions
        }
        live_from = {number: self._partitions[number].live_from for number in ends}
        for partition, newest_ms in self._newest(prepared.rows):
            partition.busy_ms = max(partition.busy_ms, newest_ms)
        first = {at.partition: records[0].offset for at, records in prepared.pieces}
        if first.keys() == ends.keys() and all(first[n] >= live_from[n] for n in ends):
            return PartedBatch(ends, None, prepared)
        rows = prepared.rows
        at = np.array([live_from.get(n, -1) for n in rows.partition.tolist()], dtype=np.int64)
        is_live = (at >= 0) & (rows.offset >= at)
        rejected = [
            r
            for r in prepared.rejected
            if prepared.record(r.index)[1].offset
            >= live_from.get(prepared.record(r.index)[0].partition, NEWEST)
        ]
        live = chosen(rows, np.flatnonzero(is_live))
        silent = chosen(rows, np.flatnonzero((at >= 0) & ~is_live))
        has_live = len(live) > 0 or bool(rejected)
        return PartedBatch(
            ends,
            silent if len(silent) else None,
            replace(prepared, rows=live, rejected=rejected) if has_live else None,
        )

    async def replay(self, batch: PartedBatch) -> list[InputPartition]:
        """Fold what was decided before; returns the partitions that are to be caught up now.

        Positions move only behind what is folded. Raises TableFullError, having folded nothing.
        """
        if batch.silent is not None:
            if await self._loader.load(batch.silent):
                # Stored state may hold some of these records: not knowing it, they count twice.
                raise TransientError("a replay needs the state store, which is away")
            self._state.fold(batch.silent)
            self._note_times(batch.silent)
            self._metrics.replayed += len(batch.silent)
        behind = []
        for number, end in batch.ends.items():
            partition = self._partitions[number]
            if partition.is_recovering:
                partition.next_offset = min(end, partition.live_from)
            if not (partition.is_recovering or partition.is_caught_up):
                behind.append(partition)
        return behind

    def _note_times(self, rows: Transactions) -> None:
        for partition, newest_ms in self._newest(rows):
            partition.watermark_ms = max(partition.watermark_ms, newest_ms)

    def _newest(self, rows: Transactions) -> Iterator[tuple[InputPartition, int]]:
        """The newest event time of each partition that has a row."""
        for number, partition in self._partitions.items():
            times = rows.event_time_ms[rows.partition == number]
            if times.size:
                yield partition, int(times.max())

    def _fold(self, rows: Transactions, due: Sequence[DueLabel]) -> Folded:
        """Fold rows, and between them the labels that fall due."""
        folded = []
        begin = 0
        for end, group in groupby(due, key=lambda label: label.row):
            if end > begin:
                folded.append(self._state.fold(part(rows, begin, end)))
                begin = end
            self._apply(list(group))
        folded.append(self._state.fold(part(rows, begin, len(rows)) if begin else rows))
        self._note_times(rows)
        return joined(folded)

    def _due_labels(self, rows: Transactions) -> list[DueLabel]:
        """In the order of the rows, and of their log."""
        due = []
        for number, partition in self._partitions.items():
            at = np.flatnonzero(rows.partition == number)
            if len(partition.gate.waiting) and at.size:
                found = partition.due_labels(rows.event_time_ms[at], rows.offset[at])
                due += [_due(int(at[i]), number, one) for i, one in found]
        return sorted(due, key=lambda label: label[:3])

    def _apply(self, labels: Sequence[DueLabel]) -> None:
        """Let labels change the state of the entities of their transactions."""
        for label in labels:
            self._partitions[label.partition].gate.waiting.take(label.offset)
        rows, marks = label_rows(labels, self._schema)
        self._state.fold(rows, marks)
        self._metrics.labels_applied += len(labels)

    async def decide(self, batch: PartedBatch, received_s: float) -> None:
        """Decide every live record, and fold it. Raises TableFullError, having folded nothing."""
        if batch.live is not None:
            await self._decide(batch.live, received_s)
        for number, end in batch.ends.items():
            self._partitions[number].next_offset = end

    async def _decide(self, prepared: PreparedBatch, received_s: float) -> None:
        clock_s = time.perf_counter()
        rows, rejected = prepared.rows, prepared.rejected
        due = self._due_labels(rows)
        partial, due = await self._load(rows, due, prepared.answer)
        self._placement.look(rows)
        partial = sorted({*partial, *self._loader.doubtful(rows)})
        clock_s = self._metrics.lap("load", clock_s)
        clock_s = await self._yield_to_loop(len(rows), clock_s)
        folded = self._fold(rows, due)
        clock_s = self._metrics.lap("features", clock_s)
        clock_s = await self._yield_to_loop(len(rows), clock_s, from_count=_MIDDLING_ROW_COUNT)
        judged = self._judge.judge(rows, folded.features)
        degraded: dict[int, list[str]] = defaultdict(list)
        known = np.flatnonzero(folded.mark == UNCOUNTED).tolist()
        again = np.flatnonzero(folded.mark == REPEATED).tolist()
        late = np.flatnonzero(folded.late).tolist()
        flags = {"history": known, "duplicate": again, "late": late, "state": partial}
        flags["model"] = judged.unscored
        flags["arm"] = judged.fallen_back
        for flag, places in flags.items():
            for i in places:
                degraded[i].append(flag)
        clock_s = self._metrics.lap("score", clock_s)
        await self._yield_to_loop(len(rows), clock_s)
        refused = [(*prepared.record(r.index), r.error) for r in rejected]
        await self._dead_letters.publish(refused)
        await self._publish(rows, judged, degraded, folded.usual)
        clock_s = time.perf_counter()
        self._summaries.note(rows, judged, folded)
        self._arm_notes.note(rows, judged)
        self._metrics.lap("summarise", clock_s)
        count_decisions(self._metrics, judged)
        count_amounts(self._metrics, judged, rows.amount_minor)
        self._metrics.transactions += len(rows) + len(rejected)
        self._metrics.late += len(late)
        self._metrics.in_history += len(known)
        self._metrics.duplicates += len(again)
        self._metrics.degraded += len(degraded)
        stamps = prepared.stamps()
        self._record_clock.note(stamps)
        count_times(self._metrics, len(rows), stamps, received_s)

    async def _yield_to_loop(
        self, row_count: int, since_s: float, *, from_count: int = _LONG_ROW_COUNT
    ) -> float:
        """Let the loop serve its sockets between two long computations; returns the time now.

        A broker or a store that waits for the end of a long batch costs more than the way here; a
        short batch is sooner done. To do it oftener, or to fold in slices, took a sixth of the
        throughput.
        """
        if row_count >= from_count:
            await asyncio.sleep(0)
        return self._metrics.lap("others", since_s)

    async def _load(
        self, rows: Transactions, due: list[DueLabel], answer: StoreAnswer
    ) -> tuple[list[int], list[DueLabel]]:
        """Bring all entities into memory at once, lest one makes another leave.

        Returns the rows whose state is not whole, and the labels that can be applied: one whose
        transaction is not in memory would be lost, so it waits.
        """
        if not due:
            return await self._loader.load(rows, answer=answer), due
        incomplete = await self._loader.load(rows, label_rows(due, self._schema)[0], answer)
        waits = {i - len(rows) for i in incomplete if i >= len(rows)}
        ready = [one for i, one in enumerate(due) if i not in waits]
        return [i for i in incomplete if i < len(rows)], ready

    async def _publish(
        self, rows: Transactions, judged: JudgedBatch, degraded: dict[int, list[str]], usual: Floats
    ) -> None:
        clock_s, verdicts = time.perf_counter(), judged.verdicts
        stamp = replace(
            self._stamp,
            config_version=judged.config_version,
            arms=tuple(arm.stamp() for arm in judged.arms),
            shadow_version=judged.shadow_version,
        )
        encoded = decisions(rows, verdicts, degraded, stamp)
        clock_s = self._metrics.lap("encode", clock_s)
        clock_s = await self._yield_to_loop(len(rows), clock_s)
        accounts = rows.entities["account"]
        for number in np.unique(rows.partition).tolist():
            at = np.flatnonzero(rows.partition == number)
            block = OutputBlock(accounts.take(at), encoded.take(at))
            source = self._partitions[number].at
            await self._broker.publish(self._decision_topic, number, block, source=source)
            for model, own in _by_model(judged, at[verdicts.action[at] != APPROVE]):
                self._alerts.submit(
                    Flagged(
                        source=source,
                        keys=[accounts.bytes_at(i) or b"" for i in own.tolist()],
                        decisions=[encoded.bytes_at(i) or b"" for i in own.tolist()],
                        features=verdicts.features[own],
                        usual=usual[own],
                        reason_count_max=judged.arms[
                            0
                        ].policy.reason_count_max,  # no arm has its own
                    ),
                    model,
                )
        self._metrics.lap("publish", clock_s)

    def owed(self, partition: InputPartition, *, count_max: int) -> list[list[DueLabel]]:
        """The labels that were applied before the commit that this partition goes on from."""
        owed = [_due(0, partition.at.partition, one) for one in partition.owed_labels()]
        return [owed[begin : begin + count_max] for begin in range(0, len(owed), count_max)]

    async def apply_owed(self, labels: Sequence[DueLabel]) -> None:
        """Apply some of them. Raises TableFullError, having folded nothing."""
        if await self._loader.load(label_rows(labels, self._schema)[0]):
            raise TransientError("labels of before need the state store, which is away")
        self._apply(labels)


def _by_model(judged: JudgedBatch, at: Ints) -> Iterator[tuple[ServingModel | None, Ints]]:
    """These rows by the model that has decided them; None where a rule of thumb has."""
    verdicts = judged.verdicts
    numbers = np.where(np.isnan(verdicts.score[at]), -1, verdicts.arm[at])
    for number in np.unique(numbers).tolist():
        yield None if number < 0 else judged.arms[number].model, at[numbers == number]


def _due(row: int, partition: int, one: WaitingLabel) -> DueLabel:
    return DueLabel(row, partition, one.offset, one.label, one.applied)
