"""Examples onto their topic: archived labels joined with archived decisions, each once.

How far it has come is kept beside the archive's files, after the examples are out. What was
published behind that is read from the topic itself at the start, so that a crash between the two
neither loses an example nor repeats one.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from sentinel.archive import Segment
from sentinel.codec.records import decode_example, keyed
from sentinel.codec.stored import encode_stored
from sentinel.core.learning.maturity import MaturityParams
from sentinel.core.logs import log_id
from sentinel.engine.archive.examples import (
    decided_last,
    example_list,
    example_rows,
    horizons,
    presumed_again,
    presumed_rows,
    span_ms,
    superseding,
)
from sentinel.engine.archive.labels import Labels, current_labels, label_frame, labels_from
from sentinel.engine.archive.logs import log_of, noted
from sentinel.engine.tail import read_to_end
from sentinel.errors import RecordError
from sentinel.ports import Archive, Broker, Tail
from sentinel.records import WITHDRAWN, Example, Ints, TopicPartition

log = logging.getLogger(__name__)

NOTE = "examples"
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_SILENT_S_MAX = 20.0
_PUBLISH_COUNT_MAX = 5_000
_LABEL_COUNT_MAX = 50_000  # joined at once


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """When a label was withdrawn, and by which feedback: silence counts from then on."""

    observed_ms: int
    feedback_offset: int


@dataclass(frozen=True, slots=True)
class PublishingProgress:
    """How far examples were published to one log of them.

    Attributes
    ----------
    labels_to
        By log: labels below this offset are published, or wait. An older version knew one log.
    waiting
        Labels whose decision is not archived yet, as rows.
    withdrawn
        Transactions whose label was withdrawn, and which are not presumed genuine again yet.
    presumed_to_ms
        What happened by then and stayed silent is published.
    published_to
        Examples below this offset of their topic are part of this progress.
    """

    labels_to: dict[str, int] | int = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    withdrawn: dict[str, Withdrawn] = field(default_factory=dict)
    presumed_to_ms: int = 0
    published_to: int = 0


class ExamplePublisher:
    """Follows the archive: what is new in it becomes examples.

    Another log of examples than before is given all that the archive holds, of whatever log.
    """

    def __init__(
        self,
        files: Archive,
        broker: Broker,
        tail: Tail,
        topic: str,
        params: MaturityParams,
    ) -> None:
        self._files = files
        self._broker = broker
        self._tail = tail
        self._topic = topic
        self._params = params
        self._progress = PublishingProgress()
        self._log = ""
        self._spans_ms: dict[Segment, tuple[int, int]] = {}  # of event time
        self._searched: frozenset[Segment] = frozenset()  # hold nothing of what waits
        self._looked_ms = 0  # the newest event time when last nothing was new to presume
        # Examples that are out, and not part of the progress, with their transactions.
        self._seen: set[tuple[str, str]] = set()
        self.count = 0

    async def begin(self) -> None:
        """Take up where the one before has stopped."""
        self._log = await log_of(self._broker, self._topic)
        self._progress = await self._noted()
        self._tail.seek(self._topic, self._progress.published_to)
        self._seen, self._searched = set(), frozenset()
        await self._follow()

    async def _noted(self) -> PublishingProgress:
        """What was noted of the log of examples; older versions named logs by the cluster alone."""
        kept = await asyncio.to_thread(self._files.note, self._log, NOTE)
        if kept is not None:
            return noted(PublishingProgress, kept, f"{self._log}-{NOTE}.json")
        former = log_id(self._broker.cluster_id)
        kept = await asyncio.to_thread(self._files.note, former, NOTE)
        if kept is None:
            return PublishingProgress()
        found = noted(PublishingProgress, kept, f"{former}-{NOTE}.json")
        if await self._broker.end_offset(TopicPartition(self._topic, 0)) < found.published_to:
            return PublishingProgress()
        to = found.labels_to
        return replace(found, labels_to={former: to} if isinstance(to, int) else to)

    async def work(self) -> None:
        """Publish what there is to publish."""
        before = self._progress
        assert isinstance(before.labels_to, dict)
        new = await asyncio.to_thread(labels_from, self._files, before.labels_to, _LABEL_COUNT_MAX)
        labels = new.rows
        settled, waiting = await asyncio.to_thread(self._join, labels)
        await self._publish(settled)
        withdrawn = still_withdrawn(before.withdrawn, labels)
        silence = _Silence(before.presumed_to_ms)
        if new.is_all:  # else others speak first
            silence = await asyncio.to_thread(self._silence, withdrawn)
        while (examples := await asyncio.to_thread(next, silence.examples, None)) is not None:
            await self._publish(examples)
        after = replace(
            before,
            labels_to=new.offsets,
            waiting=waiting,
            withdrawn={n: one for n, one in withdrawn.items() if n not in silence.again},
            presumed_to_ms=silence.to_ms,
        )
        if after != before:
            await self._follow()
            self._progress = replace(after, published_to=self._progress.published_to)
            self._seen = set()
            data = encode_stored(self._progress)
            await asyncio.to_thread(self._files.keep, self._log, NOTE, data)

    async def _follow(self) -> None:
        """Read the examples that are out and not part of the progress."""
        async with aclosing(
            read_to_end(self._tail, self._topic, timeout_s=_SILENT_S_MAX)
        ) as batches:
            async for records in batches:
                for record in records:
                    try:
                        self._seen.add(_name(decode_example(record.value)))
                    except RecordError as error:
                        log.warning("example at offset %d: %s", record.offset, error.unquoted)
                self._progress = replace(self._progress, published_to=records[-1].offset + 1)

    def _join(self, labels: list[dict[str, Any]]) -> tuple[list[Example], list[dict[str, Any]]]:
        """Examples of labels whose decision is archived, and the labels that go on waiting."""
        fresh, labels = labels, [*self._progress.waiting, *labels]
        if not labels:
            return [], []
        decisions = self._decided(labels, fresh)
        known = set(decisions["transaction_id"].to_list())
        oldest_ms = max(row["event_time_ms"] for row in labels) - round(
            self._params.horizon_max_s * 1000
        )
        waiting = [row for row in labels if row["transaction_id"] not in known]
        kept = [row for row in waiting if row["event_time_ms"] >= oldest_ms]
        if len(kept) < len(waiting):
            log.warning(
                "%d labels are of transactions that were never archived", len(waiting) - len(kept)
            )
        settled = [row for row in labels if row["transaction_id"] in known]
        if not settled:
            return [], kept
        rows = example_rows(decisions, label_frame(settled))
        rows = superseding(rows, self._progress.presumed_to_ms, self._params)
        return example_list(rows), kept

    def _decided(
        self, labels: Sequence[Mapping[str, Any]], fresh: Sequence[Mapping[str, Any]]
    ) -> pl.DataFrame:
        """The decisions that labels are about, as far as they are archived.

        Files that have been searched for what waits are not searched again, and for what is fresh
        those of its time come first: an archive of years is not read for each new label. Where a
        label has a wrong time, all are, once.
        """
        segments = self._spans()
        times_ms = np.sort([row["event_time_ms"] for row in fresh])
        is_waiting = len(labels) > len(fresh)
        near = [
            one
            for one, span in segments.items()
            if (is_waiting and one not in self._searched) or _has_any(times_ms, span)
        ]
        found = self._files.matching(near, list({row["transaction_id"] for row in labels}))
        known = set(found["transaction_id"].to_list())
        reach_ms = max((last for _, last in segments.values()), default=0)
        missing = {
            row["transaction_id"]
            for row in fresh
            if row["transaction_id"] not in known and row["event_time_ms"] <= reach_ms
        }
        others = [one for one in segments if one not in near]
        if missing and others:
            more = self._files.matching(others, list(missing))
            found = pl.concat([found, more], how="diagonal_relaxed")
        self._searched = frozenset(segments)
        return found

    def _spans(self) -> dict[Segment, tuple[int, int]]:
        """The files of decisions, each with its oldest and its newest event time."""
        segments = self._files.segments("decisions")
        self._spans_ms = {
            one: self._spans_ms.get(one) or span_ms(self._files, one) for one in segments
        }
        return self._spans_ms

    def _silence(self, withdrawn: Mapping[str, Withdrawn]) -> "_Silence":
        """Up to when silence means genuine, and what is presumed so of what is new of that.

        A day at once at most: the group waits for the next poll meanwhile. And where nothing was
        new, not again within the hour of event time: each look goes through files.
        """
        begin_ms = self._progress.presumed_to_ms
        segments = self._spans()
        if not segments:
            return _Silence(begin_ms)
        begin_ms = max(begin_ms, min(first for first, _ in self._spans_ms.values()) - 1)
        newest_ms = max(last for _, last in self._spans_ms.values())
        least_ms = round(self._params.horizon_min_s * 1000) + _DAY_MS
        is_early = newest_ms - begin_ms < least_ms and not withdrawn
        if is_early or newest_ms - self._looked_ms < _HOUR_MS:
            return _Silence(self._progress.presumed_to_ms)
        labels = current_labels(self._files)
        mature_ms = horizons(labels, newest_ms, self._params).mature_ms
        again = frozenset(n for n, one in withdrawn.items() if one.observed_ms <= mature_ms)
        end_ms = begin_ms + _DAY_MS
        if mature_ms < end_ms:
            self._looked_ms = newest_ms
            to_ms, silent = self._progress.presumed_to_ms, []
        else:
            to_ms, silent = end_ms, [one for one in segments if self._holds(one, begin_ms, end_ms)]
        examples = self._presumed(silent, labels, (begin_ms, end_ms), again)
        return _Silence(to_ms, again, examples)

    def _holds(self, segment: Segment, begin_ms: int, end_ms: int) -> bool:
        """Whether a file has decisions of these event times."""
        first_ms, last_ms = self._spans_ms[segment]
        return first_ms <= end_ms and last_ms > begin_ms

    def _presumed(
        self,
        segments: Sequence[Segment],
        labels: Labels,
        between_ms: tuple[int, int],
        again: Collection[str],
    ) -> Iterator[list[Example]]:
        """What was silent, file by file, then what has been silent since a label was withdrawn."""
        for one in segments:
            for frame in decided_last(self._files, one, self._spans_ms):
                yield example_list(presumed_rows(frame, labels, between_ms, self._params))
        if again:
            names = sorted(again)
            decisions = self._files.matching(self._files.segments("decisions"), names)
            yield example_list(presumed_again(decisions, labels, names, self._params))

    async def _publish(self, examples: Sequence[Example]) -> None:
        fresh = [example for example in examples if _name(example) not in self._seen]
        for begin in range(0, len(fresh), _PUBLISH_COUNT_MAX):
            records = [
                keyed(example.transaction_id, example)
                for example in fresh[begin : begin + _PUBLISH_COUNT_MAX]
            ]
            await self._broker.publish(self._topic, 0, records)
        if fresh:
            await self._broker.flush()
            self._seen |= {_name(example) for example in fresh}
            self.count += len(fresh)


def _has_any(times_ms: Ints, span_ms: tuple[int, int]) -> bool:
    """Whether any of the ascending times is in a span."""
    first_ms, last_ms = span_ms
    return bool(
        np.searchsorted(times_ms, last_ms, side="right") > np.searchsorted(times_ms, first_ms)
    )


def _name(example: Example) -> tuple[str, str]:
    """Clusters may have given the same name to decisions on two transactions."""
    return example.id, example.transaction_id


@dataclass(frozen=True, slots=True)
class _Silence:
    """Up to when silence was told, what it tells, and of which transactions it tells it again."""

    to_ms: int
    again: frozenset[str] = frozenset()
    examples: Iterator[list[Example]] = field(default_factory=lambda: iter(()))


def still_withdrawn(
    before: Mapping[str, Withdrawn], labels: Sequence[Mapping[str, Any]]
) -> dict[str, Withdrawn]:
    """The transactions whose label is withdrawn behind some labels, in the order of their log."""
    found = dict(before)
    for row in labels:
        found.pop(row["transaction_id"], None)
        if row["label"] == WITHDRAWN:
            since = Withdrawn(row["observed_ms"], row["feedback_offset"])
            found[row["transaction_id"]] = since
    return found
