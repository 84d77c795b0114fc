"""Decisions, labels and the audit into the archive: a process and a consumer group of its own."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from operator import add

from sentinel.archive.files import day_of
from sentinel.codec.archive import (
    Archived,
    Kind,
    archive_rows,
    decode_archived,
    model_of,
    source_of,
)
from sentinel.core.learning.maturity import MaturityParams
from sentinel.engine.archive.counting import OutcomeCounter
from sentinel.engine.archive.linking import Linker
from sentinel.engine.archive.logs import log_files, log_of
from sentinel.engine.archive.publishing import ExamplePublisher
from sentinel.engine.archive.spans import ArchiveSpan, first_times
from sentinel.engine.params import TopicParams
from sentinel.errors import ConfigError, FileGoneError, RecordError, TransientError
from sentinel.ports import Archive, Broker, LogArchive, Tail
from sentinel.records import Commit, InputRecord, TopicPartition

log = logging.getLogger(__name__)

FeatureNames = Callable[[str, int], tuple[str, ...]]

_POLL_COUNT_MAX = 10_000
_EXPIRE_S = 3_600.0
_LOOK_S = 5.0  # so often it is looked at whether a topic is the one that is read


@dataclass(slots=True)
class Buffer:
    """Records of one partition that wait to be written."""

    next_offset: int
    reach: dict[str, int]  # the newest transaction, or feedback, that was archived, by source
    records: list[InputRecord] = field(default_factory=list)
    since_s: float = 0.0  # when the oldest came
    sure_to: int = 0  # records below this offset are of the log that the files are of

    def drop_to(self, offset: int) -> None:
        """Forget what is written; others may have come meanwhile."""
        self.records = [record for record in self.records if record.offset > offset]


@dataclass(frozen=True, slots=True)
class Counts:
    """What came of it: rows and their files, what was repeated, examples, votes placed."""

    rows: int = 0
    files: int = 0
    repeated: int = 0
    examples: int = 0
    placed: int = 0

    def __add__(self, more: "Counts") -> "Counts":
        return Counts(*map(add, astuple(self), astuple(more)))


@dataclass(frozen=True, slots=True)
class ArchiverParams:
    """When what was read is written, and what follows from it.

    Attributes
    ----------
    interval_s, row_count_max
        A file is written when its oldest record has waited for so long, or it has so many rows.
    examples_interval_s
        So often what was archived becomes examples, and feedback on it is placed.
    maturity
        When what nobody speaks of is an example, too.
    """

    interval_s: float
    row_count_max: int
    examples_interval_s: float
    maturity: MaturityParams


class Archiver:
    """Writes what it reads to files, and only then commits.

    Parameters
    ----------
    topics
        By their full names.
    feature_names
        As the model of a version names its features, of which there are so many.
    tail
        Reads the topic of examples.
    counter
        Counts what came of experiments.
    clock_s
        Monotonic seconds.
    """

    def __init__(
        self,
        topics: TopicParams,
        broker: Broker,
        archive: Archive,
        tail: Tail,
        params: ArchiverParams,
        counter: OutcomeCounter,
        *,
        feature_names: FeatureNames,
        clock_s: Callable[[], float],
    ) -> None:
        self._kinds: dict[str, Kind] = {
            topics.decisions: "decisions",
            topics.labels: "labels",
            topics.audit: "audit",
        }
        self._transactions = topics.transactions
        self._params = params
        self._broker = broker
        self._archive = archive
        self._logs: dict[str, LogArchive] = {}  # by topic
        self._looked_s = clock_s()
        self._clock_s = clock_s
        self._feature_names = feature_names
        self._buffers: dict[TopicPartition, Buffer] = {}
        self._writing = asyncio.Lock()
        self._feedback = TopicPartition(topics.feedback, 0)
        self._owned: set[TopicPartition] = set()
        self._followed_s = clock_s()
        horizon_s = params.maturity.horizon_max_s
        self.linker = Linker(archive, broker, topics.feedback, horizon_s=horizon_s)
        self._examples = topics.examples
        self.publisher = ExamplePublisher(archive, broker, tail, topics.examples, params.maturity)
        self.counter = counter
        self._written = Counts()
        self._commit_count = 0
        self._assigned_s: float | None = None
        self._progress_s: float | None = None  # when something came last; None before any could

    @property
    def counts(self) -> Counts:
        """What it has done so far."""
        return replace(self._written, examples=self.publisher.count, placed=self.linker.count)

    def is_settled(self, age_s: float) -> bool:
        """Whether it has committed something, or had its partitions for so long."""
        is_old = self._assigned_s is not None and self._clock_s() - self._assigned_s > age_s
        return is_old or self._commit_count > 0

    @property
    def idle_s(self) -> float:
        """For how long nothing has come, since something could."""
        return 0.0 if self._progress_s is None else self._clock_s() - self._progress_s

    async def run(self, stop: asyncio.Event) -> None:
        """Archive until stopped, then what is left.

        Raises TransientError when the broker does, or a topic was replaced by another one.
        """
        for topic in (self._feedback.topic, self._examples):
            await log_of(self._broker, topic)
        for topic, kind in self._kinds.items():
            self._logs[topic] = await log_files(
                self._archive, self._broker, topic, kind, is_noted=True
            )
        await self._broker.subscribe(
            [*self._kinds, self._feedback.topic],
            on_assigned=self._on_assigned,
            on_revoked=self._on_revoked,
        )
        expired_s = float("-inf")
        while not stop.is_set():
            if self._clock_s() - expired_s > _EXPIRE_S:
                # How long files are kept is a fact about us: processing time is meant.
                await asyncio.to_thread(self._archive.expire, datetime.now(UTC).date())
                expired_s = self._clock_s()
            try:
                polled = await self._broker.poll(
                    self._wanted(), timeout_s=0.2, count_max=_POLL_COUNT_MAX
                )
            except TransientError:
                await self._look()  # the log may be gone, and with it what is not written yet
                raise
            self._take(polled)
            if self._clock_s() - self._looked_s >= _LOOK_S:
                await self._look()
            for at in list(self._buffers):
                await self._write_due(at)
            if self._clock_s() - self._followed_s >= self._params.examples_interval_s:
                await self._follow()
        for at in list(self._buffers):
            await self._write(at)
        await self._follow()

    def _wanted(self) -> list[TopicPartition]:
        is_heard = self._feedback in self._owned and not self.linker.is_full
        return [*sorted(self._buffers), *([self._feedback] if is_heard else [])]

    async def _follow(self) -> None:
        """Do what follows from the files: examples, and feedback that waited for them.

        Whoever owns the labels does the one, whoever owns the feedback the other.
        """
        self._followed_s = self._clock_s()
        async with self._writing:  # a rebalance may come meanwhile
            try:
                if any(self._kinds.get(at.topic) == "labels" for at in self._owned):
                    await self.publisher.work()
                    await self.counter.work()
                if self._feedback in self._owned:
                    await self.linker.work()
                    await self._commit(self._feedback, self.linker.taken_to)
            except FileGoneError as error:
                log.info("%s; it is read again later", error)
            except ConfigError as error:  # a damaged file: what comes is archived all the same
                log.error("%s; examples and votes wait for that", error)

    async def _on_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        for at in assigned:
            if at == self._feedback:
                self._broker.seek(
                    at, max(await self.linker.begin(), await self._broker.start_offset(at))
                )
                continue
            if self._kinds[at.topic] == "labels":
                await self.publisher.begin()
                self.counter.begin()
            files = self._logs[at.topic]
            newest = await asyncio.to_thread(files.settle, at.partition)
            reach = await asyncio.to_thread(files.reach, at.partition)
            first = await self._broker.start_offset(at)
            start = first if newest is None else newest.last + 1
            if start < first:
                log.warning(
                    "%s-%d: the log begins at %d, what lies between that and %d was deleted "
                    "before it was archived", at.topic, at.partition, first, start,
                )  # fmt: skip
            self._buffers[at] = Buffer(max(start, first), reach)
            self._broker.seek(at, max(start, first))
        self._owned |= set(assigned)  # only now: `run` goes on meanwhile, and may follow the files
        self._progress_s = self._clock_s()
        self._assigned_s = self._assigned_s or self._progress_s

    async def _on_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        for at in revoked:
            await self._write(at)
            self._buffers.pop(at, None)
        async with self._writing:
            self._owned -= set(revoked)

    def _take(self, polled: Mapping[TopicPartition, Sequence[InputRecord]]) -> None:
        for at, records in polled.items():
            if at == self._feedback:
                self.linker.take(records)
                continue
            buffer = self._buffers.get(at)
            if buffer is None or not records:
                continue
            if not buffer.records:
                buffer.since_s = self._clock_s()
            buffer.records += list(records)
            self._progress_s = self._clock_s()

    async def _write_due(self, at: TopicPartition) -> None:
        buffer, params = self._buffers[at], self._params
        is_old = self._clock_s() - buffer.since_s >= params.interval_s
        if buffer.records and (is_old or len(buffer.records) >= params.row_count_max):
            await self._write(at)

    async def _write(self, at: TopicPartition) -> None:
        """Write all that waits of a partition, and commit behind it."""
        async with self._writing:  # a rebalance may come meanwhile
            buffer = self._buffers.get(at)  # there is none of feedback
            if buffer is not None and buffer.records:
                await self._prove(at.topic)
                await self._write_files(at, buffer)
                await self._commit(at, buffer.next_offset)

    async def _look(self) -> None:
        """Look whether the topics are those that are read."""
        self._looked_s = self._clock_s()
        async with self._writing:
            for topic in (*self._kinds, self._feedback.topic, self._examples):
                await self._prove(topic)

    async def _prove(self, topic: str) -> None:
        """Make sure that what was read of a topic is of the log that the files are of.

        Raises TransientError when it is another one by now: what is known to be of the former is
        written before, since nobody can read it again.
        """
        seen = await self._broker.look(topic)
        is_same = seen is not None and seen.name == self._broker.log_of(topic)
        for at, buffer in list(self._buffers.items()):
            if at.topic == topic and buffer.records and is_same:
                buffer.sure_to = buffer.records[-1].offset + 1
            elif at.topic == topic and not is_same:
                buffer.records = [one for one in buffer.records if one.offset < buffer.sure_to]
                await self._write_files(at, buffer)
                buffer.records = []
        if not is_same:
            raise TransientError(f"{topic} was deleted, or is another one by now: starting again")

    async def _write_files(self, at: TopicPartition, buffer: Buffer) -> None:
        kind, records = self._kinds[at.topic], list(buffer.records)
        for span in self._spans(kind, records):
            await self._write_span(at, buffer, span)
            buffer.drop_to(span.records[-1].offset)
        if records:
            buffer.drop_to(records[-1].offset)
            buffer.next_offset = records[-1].offset + 1

    async def _commit(self, at: TopicPartition, offset: int) -> None:
        await self._broker.commit({at: Commit(offset)})
        self._commit_count += 1

    async def rescue(self) -> None:
        """Write what waits and commit nothing, as when the log that it came from is gone.

        Where somebody else has written on meanwhile the log goes on, and so does whoever that is.
        """
        async with self._writing:
            for at, buffer in self._buffers.items():
                newest = await asyncio.to_thread(self._logs[at.topic].newest, at.partition)
                if buffer.records and (newest is None or newest.last < buffer.next_offset):
                    await self._write_files(at, buffer)

    def _spans(self, kind: Kind, records: Sequence[InputRecord]) -> Iterator[ArchiveSpan]:
        """Records that fit into one file: of one day and source, with the same features."""
        span: ArchiveSpan | None = None
        for record in records:
            try:
                found = decode_archived(kind, record)
            except RecordError as error:
                log.warning("left out of the archive: %s of %s", error.unquoted, kind)
                continue
            source = source_of(found, self._transactions)
            layout = day_of(record.timestamp), self._names(found), source
            if span is None or span.does_end(layout, self._params.row_count_max):
                if span is not None:
                    yield span
                span = ArchiveSpan(layout)
            span.records.append(record)
            span.found.append(found)
        if span is not None:
            yield span

    async def _write_span(self, at: TopicPartition, buffer: Buffer, span: ArchiveSpan) -> None:
        last = span.records[-1].offset
        _, names, source = span.layout
        rows = archive_rows(span.records, span.found)
        fresh = first_times(rows, buffer.reach.get(source, -1))
        self._written += Counts(repeated=len(rows) - len(fresh))
        if not len(fresh):
            return
        offsets, position = (buffer.next_offset, last), int(fresh.position[-1])
        write = self._logs[at.topic].write
        await asyncio.to_thread(write, at.partition, offsets, (source, position), fresh, names)
        buffer.next_offset, buffer.reach[source] = last + 1, position
        self._written += Counts(rows=len(fresh), files=1)

    def _names(self, found: Archived) -> tuple[str, ...]:
        version, count = model_of(found)
        return self._feature_names(version, count) if version else ()
