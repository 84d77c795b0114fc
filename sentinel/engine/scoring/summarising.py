"""Summaries: what was decided, counted, for whoever looks for drift.

A batch is only noted, cell by cell. It is counted at the cut, in a thread, and published before the
offsets of the cut are committed: what was committed was counted, and what is replayed is counted
from where it was.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sentinel.codec.drift.counts import pack_counts, sums_as_listed
from sentinel.codec.drift.summaries import in_parts
from sentinel.core.decision import ACTIONS
from sentinel.core.drift.counts.noting import Binning, NotedRows, joined, noted, steps_of
from sentinel.core.drift.counts.segments import Segmentation
from sentinel.core.drift.params import DriftParams
from sentinel.core.features.hashing import hash64
from sentinel.core.features.state import Folded
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.scoring.judging import JudgedBatch
from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.records import Floats, OutputRecord, Transactions
from sentinel.stored.summaries import Summary, SummarySpan

SAMPLE_ROW_COUNT = 5_000  # of rows from which columns can be drawn where nothing else has any
_ROW_COUNT_MAX = 2_000_000  # noted between two cuts: some 150 MB
_RECORD_BYTES = 512  # that key, headers and Kafka itself add to a value


@dataclass(frozen=True, slots=True)
class _Span:
    """What one input partition has decided from one cut to the next."""

    partition: InputPartition
    begin: int
    end: int


class Summaries:
    """Notes what is decided; a participant of the cut."""

    def __init__(
        self,
        broker: Broker,
        topic: str,
        input_name: str,
        partitions: Mapping[int, InputPartition],
        metrics: Metrics,
        params: DriftParams,
        segmentation: Segmentation,
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._input_name = input_name
        self._partitions = partitions
        self._metrics = metrics
        self._params = params
        self._segmentation = segmentation
        self._binning: Binning | None = None
        self._keys: dict[tuple[str, str], int] = {}  # of version and arm
        self._noted: list[NotedRows] = []
        self._row_count = 0
        self._begins: dict[int, tuple[InputPartition, int]] = {}
        self._sample: list[Floats] = []
        self._sample_count = 0
        self._bytes_max: int | None = None  # of a record that the topic takes, once it was asked

    @property
    def binning(self) -> Binning | None:
        """In whose cells is counted; None before anybody has said so."""
        return self._binning

    def use(self, binning: Binning) -> None:
        """Count in these cells from now on; what is noted in others since the last cut is lost."""
        if self._binning is None or binning.digest != self._binning.digest:
            self._binning = binning
            self._noted, self._row_count = [], 0
            self._sample, self._sample_count = [], 0

    def sample(self) -> Floats | None:
        """Features of the first rows, (n, F), to draw columns from; None until there are enough."""
        if self._sample_count < SAMPLE_ROW_COUNT:
            return None
        return np.concatenate(self._sample)

    def note(self, rows: Transactions, judged: JudgedBatch, folded: Folded) -> None:
        """A batch has been decided."""
        at = folded.mark == 0  # a repetition, or what is in the history, is no row of the stream
        at[judged.unscored] = False  # what rules of thumb decide says nothing of the model
        if not self._params.enabled or not at.any():
            return
        features = folded.features if at.all() else folded.features[at]
        if self._binning is None:
            self._note_sample(features)
            return
        if self._row_count + len(features) > _ROW_COUNT_MAX:
            self._metrics.unsummarised += len(features)
            return
        verdicts = judged.verdicts
        keys = [self._key(arm.model.version, arm.full_name) for arm in judged.arms]
        probability = verdicts.probability[at]
        self._noted.append(
            noted(
                partition=rows.partition[at],
                step=rows.event_time_ms[at] // self._params.step_ms,
                key=np.array(keys)[verdicts.arm[at]],
                action=verdicts.action[at],
                amount_minor=rows.amount_minor[at],
                probability=probability,
                account_hashes=hash64(rows.entities["account"])[at],
                is_counted=folded.in_hour[at] < self._params.rows_per_account_max,
                cells=self._binning.cells(features, probability),
                segments=self._segmentation.of_rows(features),
            )
        )
        self._row_count += len(features)

    def _key(self, version: str, arm: str) -> int:
        return self._keys.setdefault((version, arm), len(self._keys))

    def _note_sample(self, features: Floats) -> None:
        if self._sample_count < SAMPLE_ROW_COUNT:
            self._sample.append(features)
            self._sample_count += len(features)

    def at_cut(self) -> Callable[[], Awaitable[None]]:
        """What was noted since the last cut, to be counted and published."""
        spans = [span for p in self._partitions.values() if (span := self._span(p)) is not None]
        pieces, self._noted, self._row_count = self._noted, [], 0
        self._begins = {s.partition.at.partition: (s.partition, s.end) for s in spans}
        return partial(self._settle, spans, pieces, self._binning, dict(self._keys))

    def _span(self, partition: InputPartition) -> _Span | None:
        """From where it was at the last cut, or since it is ours; None while it catches up."""
        if not partition.is_live:
            return None
        owned, begin = self._begins.get(partition.at.partition, (None, 0))
        if owned is not partition:
            begin = partition.live_from
        return _Span(partition, begin, partition.next_offset)

    async def _settle(
        self,
        spans: Sequence[_Span],
        pieces: Sequence[NotedRows],
        binning: Binning | None,
        keys: Mapping[tuple[str, str], int],
    ) -> None:
        if not pieces or binning is None:
            return
        if self._bytes_max is None:
            self._bytes_max = await self._broker.record_bytes_max(self._topic)
        bytes_max = self._bytes_max - _RECORD_BYTES
        summaries = await asyncio.to_thread(self._counted, spans, pieces, binning, list(keys))
        for span, summary in summaries:
            values = await asyncio.to_thread(in_parts, summary, bytes_max)
            self._metrics.unsummarised += values.left_out
            key = f"{summary.partition}".encode()
            records = [OutputRecord(key, value) for value in values.encoded]
            await self._broker.publish(self._topic, 0, records, source=span.partition.at)

    def _counted(
        self,
        spans: Sequence[_Span],
        pieces: Sequence[NotedRows],
        binning: Binning,
        keys: Sequence[tuple[str, str]],
    ) -> list[tuple[_Span, Summary]]:
        """A summary of each partition of which a row was noted."""
        rows = joined(pieces)
        found = []
        for span in spans:
            at = np.flatnonzero(rows.partition == span.partition.at.partition)
            if at.size:
                found.append((span, self._summary(span, rows.where(at), binning, keys)))
        return found

    def _summary(
        self,
        span: _Span,
        rows: NotedRows,
        binning: Binning,
        keys: Sequence[tuple[str, str]],
    ) -> Summary:
        step_ms = self._params.step_ms
        spans = []
        for one in steps_of(rows):
            version, arm = keys[one.key]
            actions = {
                name: int(n) for name, n in zip(ACTIONS, one.actions, strict=False) if n
            }  # fmt: skip
            spans.append(
                SummarySpan(
                    one.step * step_ms, version, arm, one.row_count, actions,
                    pack_counts(one.counts), sums_as_listed(one.scores),
                    b"" if one.segments is None else pack_counts(one.segments),
                )
            )  # fmt: skip
        return Summary(
            topic=self._input_name,
            log=span.partition.log,
            partition=span.partition.at.partition,
            begin=span.begin,
            end=span.end,
            columns=binning.digest,
            step_ms=step_ms,
            spans=spans,
            segmentation=self._segmentation.digest,
        )
