"""Scoring: records in, decisions out."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import numpy as np

from sentinel.codec.decisions import Stamp, Verdicts, decisions
from sentinel.codec.transactions import Rejected, SchemaParams, TransactionDecoder
from sentinel.core.decision import ACTIONS, APPROVE, PolicyParams, actions, severities
from sentinel.core.features.state import FeatureState, Folded, joined
from sentinel.engine.alerts import Alerts, Flagged
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.entities import EntityLoader
from sentinel.engine.labels import label_rows
from sentinel.engine.params import TopicParams
from sentinel.engine.partitions import InputPartition
from sentinel.engine.serving import ServingModel
from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.records import (
    Batch,
    Floats,
    InputRecord,
    Label,
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
            rows, _, _ = await self._read(silent)
            self._state.fold(rows)
            self._note_times(rows)
            self._metrics.replayed += len(silent)
        for number, end in ends.items():
            partition = self._partitions[number]
            if partition.is_recovering:
                partition.next_offset = min(end, partition.live_from)
            if not (partition.is_recovering or partition.is_caught_up):
                await catch_up(partition)

    async def _read(self, part: Slice) -> tuple[Transactions, list[Rejected], list[int]]:
        """Decode, and bring every entity into memory. Returns rows whose state is not whole."""
        clock_s = time.perf_counter()
        numbers = np.array([at.partition for at, _ in part], dtype=np.int64)
        rows, rejected = self._decoder.decode(numbers, [record for _, record in part])
        clock_s = self._metrics.lap("decode", clock_s)
        degraded = await self._loader.load(rows)
        self._metrics.lap("load", clock_s)
        return rows, rejected, degraded

    def _note_times(self, rows: Transactions) -> None:
        for number, partition in self._partitions.items():
            times = rows.event_time_ms[rows.partition == number]
            if times.size:
                partition.watermark_ms = max(partition.watermark_ms, int(times.max()))

    async def _fold(self, rows: Transactions) -> Folded:
        """Fold rows, and between them the labels that fall due."""
        due = self._due_labels(rows)
        label_batches = [label_rows([(o, x)], number, self._schema) for _, number, o, x in due]
        for label_row, _ in label_batches:
            await self._loader.load(label_row)
        folded = []
        begin = 0
        for (end, number, offset, _), (label_row, marks) in zip(due, label_batches, strict=True):
            if end > begin:
                folded.append(self._state.fold(part(rows, begin, end)))
                begin = end
            if self._partitions[number].take(offset):
                self._state.fold(label_row, marks)
                self._metrics.labels_applied += 1
        folded.append(self._state.fold(part(rows, begin, len(rows)) if begin else rows))
        self._note_times(rows)
        return joined(folded)

    def _due_labels(self, rows: Transactions) -> list[tuple[int, int, int, Label]]:
        """(before which row, partition, offset, label), in the order of the rows."""
        due = []
        for number, partition in self._partitions.items():
            if partition.waiting:
                at = np.flatnonzero(rows.partition == number)
                for i, offset, label in partition.due_labels(rows.event_time_ms[at]):
                    due.append((int(at[i]), number, offset, label))
        return sorted(due, key=lambda x: x[:3])

    async def _decide(self, part: Slice, received_s: float) -> None:
        rows, rejected, partial = await self._read(part)
        clock_s = time.perf_counter()
        folded = await self._fold(rows)
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
            await self._broker.publish(self._decision_topic, number, records)
            flagged = [
                (i, key) for i, key in zip(at, keys, strict=True) if verdicts.action[i] != APPROVE
            ]
            if flagged:
                index = [i for i, _ in flagged]
                rows_flagged = Flagged(
                    partition=number,
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

    async def apply_labels(self, number: int, labels: list[tuple[int, Label]]) -> None:
        """Let labels change the state of the entities of their transactions."""
        rows, marks = label_rows(labels, number, self._schema)
        await self._loader.load(rows)
        self._state.fold(rows, marks)
        self._metrics.labels_applied += len(rows)
