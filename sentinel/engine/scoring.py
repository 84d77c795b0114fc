"""Scoring: records in, decisions out."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby

import numpy as np

from sentinel.codec.decisions import Stamp, Verdicts, decisions
from sentinel.codec.transactions import Rejected, SchemaParams, TransactionDecoder
from sentinel.core.decision import ACTIONS, APPROVE, PolicyParams, actions, severities
from sentinel.core.features.state import FeatureState, Folded, joined
from sentinel.engine.alerts import Alerts, Flagged
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.entities import EntityLoader
from sentinel.engine.labels import DueLabel, label_rows
from sentinel.engine.params import TopicParams
from sentinel.engine.partitions import InputPartition
from sentinel.engine.serving import ServingModel
from sentinel.errors import TransientError
from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.records import (
    Batch,
    Floats,
    InputRecord,
    OutputRecord,
    TopicPartition,
    Transactions,
    part,
)

Slice = list[tuple[TopicPartition, InputRecord]]


class Scoring:
    """Turns batches of transactions into decisions and alerts, and counts them into the state."""

    def __init__(
        self,
        *,
        broker: Broker,
        state: FeatureState,
        loader: EntityLoader,
        serving: ServingModel,
        alerts: Alerts,
        dead_letters: DeadLetters,
        partitions: Mapping[int, InputPartition],
        schema: SchemaParams,
        policy: PolicyParams,
        topics: TopicParams,
        metrics: Metrics,
        config_version: str,
    ) -> None:
        self._broker = broker
        self._state = state
        self._loader = loader
        self._serving = serving
        self._alerts = alerts
        self._dead_letters = dead_letters
        self._partitions = partitions
        self._schema = schema
        self._decoder = TransactionDecoder(schema)
        self._policy = policy
        self._decision_topic = topics.full(topics.decisions)
        self._metrics = metrics
        recommended = tuple(
            policy.recommended.get(s, ()) for s in ("low", "medium", "high", "critical")
        )
        self._stamp = Stamp(
            topic=topics.full(topics.transactions),
            model_version=serving.version,
            schema_version=state.fingerprint,
            config_version=config_version,
            recommended=recommended,
        )

    async def score(
        self, batch: Batch, catch_up: Callable[[InputPartition], Awaitable[None]]
    ) -> None:
        """Decide every record of the batch that is live, fold every one.

        `catch_up` is awaited for a partition between its last silent record and its first live one.
        """
        silent: Slice = []
        live: Slice = []
        ends: dict[int, int] = {}
        for at, records in batch.records.items():
            partition = self._partitions.get(at.partition)
            if partition is None or not records:
                continue  # given up meanwhile: its next owner reads it again
            ends[at.partition] = records[-1].offset + 1
            for record in records:
                (live if record.offset >= partition.live_from else silent).append((at, record))
        await self._replay(silent, ends, catch_up)
        if live:
            await self._decide(live, batch.received_s)
        for number, end in ends.items():
            self._partitions[number].next_offset = end

    async def _replay(
        self,
        silent: Slice,
        ends: Mapping[int, int],
        catch_up: Callable[[InputPartition], Awaitable[None]],
    ) -> None:
        """Fold what was decided before, and catch up the partitions that have folded all of it.

        Positions move only behind what is folded: a cut may be taken whenever room is made.
        """
        if silent:
            rows, _ = self._decode(silent)
            if await self._loader.load(rows):
                # Stored state may hold some of these records: not knowing it, they count twice.
                raise TransientError("a replay needs the state store, which is away")
            self._state.fold(rows)
            self._note_times(rows)
            self._metrics.replayed += len(silent)
        for number, end in ends.items():
            partition = self._partitions[number]
            if partition.is_recovering:
                partition.next_offset = min(end, partition.live_from)
            if not (partition.is_recovering or partition.is_caught_up):
                await catch_up(partition)

    def _decode(self, part: Slice) -> tuple[Transactions, list[Rejected]]:
        numbers = np.array([at.partition for at, _ in part], dtype=np.int64)
        return self._decoder.decode(numbers, [record for _, record in part])

    def _note_times(self, rows: Transactions) -> None:
        for number, partition in self._partitions.items():
            times = rows.event_time_ms[rows.partition == number]
            if times.size:
                partition.watermark_ms = max(partition.watermark_ms, int(times.max()))

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
            if partition.waiting and at.size:
                found = partition.due_labels(rows.event_time_ms[at], rows.offset[at])
                due += [DueLabel(int(at[i]), number, offset, label) for i, offset, label in found]
        return sorted(due, key=lambda label: label[:3])

    def _apply(self, labels: Sequence[DueLabel]) -> None:
        """Let labels change the state of the entities of their transactions."""
        for label in labels:
            self._partitions[label.partition].take(label.offset)
        rows, marks = label_rows(labels, self._schema)
        self._state.fold(rows, marks)
        self._metrics.labels_applied += len(labels)

    async def _decide(self, part: Slice, received_s: float) -> None:
        clock_s = time.perf_counter()
        rows, rejected = self._decode(part)
        clock_s = self._metrics.lap("decode", clock_s)
        due = self._due_labels(rows)
        partial, due = await self._load(rows, due)
        clock_s = self._metrics.lap("load", clock_s)
        folded = self._fold(rows, due)
        clock_s = self._metrics.lap("features", clock_s)
        raw = self._serving.model.raw_scores(folded.features)
        probability = self._serving.calibration.probability(raw)
        verdicts = Verdicts(
            score=self._serving.model.scores_of(raw),
            probability=probability,
            action=actions(probability, self._policy),
            severity=severities(probability, self._policy),
            features=folded.features,
        )
        degraded: dict[int, list[str]] = {i: ["late"] for i in np.flatnonzero(folded.late).tolist()}
        for i in partial:
            degraded.setdefault(i, []).append("state")
        self._metrics.lap("score", clock_s)
        await self._dead_letters.publish([(*part[r.index], r.error) for r in rejected])
        await self._publish(rows, verdicts, degraded, folded.usual)
        stamps = np.array([record.timestamp for _, record in part], dtype=np.float64)
        self._count(verdicts, folded, len(rejected), len(degraded), stamps, received_s)

    async def _load(
        self, rows: Transactions, due: list[DueLabel]
    ) -> tuple[list[int], list[DueLabel]]:
        """Bring all entities into memory at once, lest one makes another leave.

        Returns the rows whose state is not whole, and the labels that can be applied: one whose
        transaction is not in memory would be lost, so it waits, and those behind it.
        """
        if not due:
            return await self._loader.load(rows), due
        incomplete = await self._loader.load(rows, label_rows(due, self._schema)[0])
        labels = [i - len(rows) for i in incomplete if i >= len(rows)]
        return [i for i in incomplete if i < len(rows)], due[: min(labels, default=len(due))]

    async def _publish(
        self, rows: Transactions, verdicts: Verdicts, degraded: dict[int, list[str]], usual: Floats
    ) -> None:
        clock_s = time.perf_counter()
        encoded = decisions(rows, verdicts, range(len(rows)), degraded, self._stamp)
        clock_s = self._metrics.lap("encode", clock_s)
        accounts = rows.entities["account"]
        for number in np.unique(rows.partition).tolist():
            at = np.flatnonzero(rows.partition == number).tolist()
            keys = [(accounts[i] or "").encode() for i in at]
            records = [OutputRecord(key, encoded[i]) for key, i in zip(keys, at, strict=True)]
            source = self._partitions[number].at
            await self._broker.publish(self._decision_topic, number, records, source=source)
            flagged = [
                (i, key) for i, key in zip(at, keys, strict=True) if verdicts.action[i] != APPROVE
            ]
            if flagged:
                index = [i for i, _ in flagged]
                rows_flagged = Flagged(
                    source=source,
                    keys=[key for _, key in flagged],
                    decisions=[encoded[i] for i in index],
                    features=verdicts.features[index],
                    usual=usual[index],
                )
                self._alerts.submit(rows_flagged, self._serving)
        self._metrics.lap("publish", clock_s)

    def _count(
        self,
        verdicts: Verdicts,
        folded: Folded,
        rejected_count: int,
        degraded_count: int,
        stamps_ms: Floats,
        received_s: float,
    ) -> None:
        metrics = self._metrics
        count = verdicts.score.size
        metrics.transactions += count + rejected_count
        metrics.decisions += count
        metrics.late += int(folded.late.sum())
        metrics.degraded += degraded_count
        by_action = np.bincount(verdicts.action, minlength=len(ACTIONS)).tolist()
        metrics.actions.update(dict(zip(ACTIONS, by_action, strict=True)))
        metrics.count_scores(verdicts.probability)
        metrics.batch_size.observe(float(count))
        metrics.last_decision_s = asyncio.get_running_loop().time()
        if metrics.first_record_s is None:
            metrics.first_record_s = received_s
        metrics.engine_s.observe(metrics.last_decision_s - received_s)
        # How long a record took since it was appended is a fact about us: processing time is meant.
        waited_s = time.time() - stamps_ms / 1000.0
        metrics.latency_s.observe_many(np.maximum(waited_s, 0.0))

    async def apply_owed(self, partition: InputPartition, *, count_max: int) -> None:
        """Apply the labels that were applied before the commit that this partition goes on from."""
        owed = partition.owed_labels()
        for begin in range(0, len(owed), count_max):
            number = partition.at.partition
            labels = [DueLabel(0, number, *label) for label in owed[begin : begin + count_max]]
            if await self._loader.load(label_rows(labels, self._schema)[0]):
                raise TransientError("labels of before need the state store, which is away")
            self._apply(labels)
