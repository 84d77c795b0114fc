"""Decisions, labels and the audit into the archive: a process and a consumer group of its own."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sentinel.adapters.archive import ParquetArchive, day_of
from sentinel.adapters.kafka import KafkaBroker, KafkaParams, KafkaTail
from sentinel.adapters.registry import ModelDirectory
from sentinel.app.assembly import topic_specs
from sentinel.app.dead_letters import read_to_end
from sentinel.codec.archive import (
    Archived,
    ArchiveRows,
    Kind,
    archive_rows,
    decode_archived,
    feature_count,
)
from sentinel.config import Config
from sentinel.errors import ConfigError, ModelError, RecordError
from sentinel.ports import Broker
from sentinel.records import Commit, InputRecord, TopicPartition

log = logging.getLogger(__name__)

_POLL_COUNT_MAX = 10_000
_EXPIRE_S = 3_600.0
_SILENT_S_MAX = 20.0


@dataclass(slots=True)
class Buffer:
    """Records of one partition that wait to be written."""

    next_offset: int
    position: int  # of the newest transaction, or feedback, that was archived
    records: list[InputRecord] = field(default_factory=list)
    since_s: float = 0.0  # when the oldest came


class Archiver:
    """Writes what it reads to files, and only then commits.

    Parameters
    ----------
    clock_s
        Monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        broker: Broker,
        archive: ParquetArchive,
        *,
        clock_s: Callable[[], float],
    ) -> None:
        topics = config.topics
        self._kinds: dict[str, Kind] = {
            topics.full(topics.decisions): "decisions",
            topics.full(topics.labels): "labels",
            topics.full(topics.audit): "audit",
        }
        self._config = config
        self._broker = broker
        self._archive = archive
        self._clock_s = clock_s
        self._models = ModelDirectory(config.model)
        self._names: dict[str, list[str]] = {}  # of features, by model version
        self._buffers: dict[TopicPartition, Buffer] = {}
        self._writing = asyncio.Lock()
        self.row_count = 0
        self.file_count = 0
        self.repeated_count = 0
        self.last_progress_s = clock_s()

    async def run(self, stop: asyncio.Event) -> None:
        """Archive until stopped, then what is left."""
        await self._broker.subscribe(
            list(self._kinds), on_assigned=self._on_assigned, on_revoked=self._on_revoked
        )
        expired_s = float("-inf")
        while not stop.is_set():
            if self._clock_s() - expired_s > _EXPIRE_S:
                # How long files are kept is a fact about us: processing time is meant.
                await asyncio.to_thread(self._archive.expire, datetime.now(UTC).date())
                expired_s = self._clock_s()
            polled = await self._broker.poll(
                sorted(self._buffers), timeout_s=0.2, count_max=_POLL_COUNT_MAX
            )
            self._take(polled)
            for at in list(self._buffers):
                await self._write_due(at)
        await self._on_revoked(list(self._buffers))

    async def _on_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        for at in assigned:
            newest = await asyncio.to_thread(
                self._archive.settle, self._kinds[at.topic], at.partition
            )
            first = await self._broker.start_offset(at)
            start = first if newest is None else newest.last + 1
            if start < first:
                log.warning(
                    "%s-%d: the log begins at %d, what lies between that and %d was deleted "
                    "before it was archived", at.topic, at.partition, first, start,
                )  # fmt: skip
            self._buffers[at] = Buffer(max(start, first), -1 if newest is None else newest.position)
            self._broker.seek(at, max(start, first))

    async def _on_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        for at in revoked:
            await self._write(at)
            self._buffers.pop(at, None)

    def _take(self, polled: Mapping[TopicPartition, Sequence[InputRecord]]) -> None:
        for at, records in polled.items():
            buffer = self._buffers.get(at)
            if buffer is None or not records:
                continue
            if not buffer.records:
                buffer.since_s = self._clock_s()
            buffer.records += list(records)
            self.last_progress_s = self._clock_s()

    async def _write_due(self, at: TopicPartition) -> None:
        buffer, params = self._buffers[at], self._config.archive
        is_old = self._clock_s() - buffer.since_s >= params.interval_s
        if buffer.records and (is_old or len(buffer.records) >= params.row_count_max):
            await self._write(at)

    async def _write(self, at: TopicPartition) -> None:
        """Write all that waits of a partition, and commit behind it."""
        async with self._writing:  # a rebalance may come meanwhile
            buffer, kind = self._buffers.get(at), self._kinds[at.topic]
            if buffer is None or not buffer.records:
                return
            records, buffer.records = buffer.records, []
            for stretch, found in self._stretches(kind, records):
                await self._write_stretch(at, kind, buffer, stretch, found)
            buffer.next_offset = records[-1].offset + 1
            await self._broker.commit({at: Commit(buffer.next_offset)})

    def _stretches(
        self, kind: Kind, records: Sequence[InputRecord]
    ) -> Iterator[tuple[list[InputRecord], list[Archived]]]:
        """Records that fit into one file: appended on one day, with as many features."""
        stretch: list[InputRecord] = []
        decoded: list[Archived] = []
        layout: tuple[object, int] | None = None
        for record in records:
            try:
                found = decode_archived(kind, record)
            except RecordError as error:
                log.warning("left out of the archive: %s of %s", error.detail, kind)
                continue
            new = day_of(record.timestamp), feature_count(found)
            if stretch and (new != layout or len(stretch) >= self._config.archive.row_count_max):
                yield stretch, decoded
                stretch, decoded = [], []
            layout = new
            stretch.append(record)
            decoded.append(found)
        if stretch:
            yield stretch, decoded

    async def _write_stretch(
        self,
        at: TopicPartition,
        kind: Kind,
        buffer: Buffer,
        records: Sequence[InputRecord],
        found: Sequence[Archived],
    ) -> None:
        rows = archive_rows(records, found)
        fresh = first_times(rows, buffer.position)
        self.repeated_count += len(rows) - len(fresh)
        if not len(fresh):
            return
        names = self._feature_names(fresh) if kind == "decisions" else []
        span, position = (buffer.next_offset, records[-1].offset), int(fresh.position[-1])
        await asyncio.to_thread(
            self._archive.write, kind, at.partition, span, position, fresh, names
        )
        buffer.next_offset, buffer.position = records[-1].offset + 1, position
        self.row_count += len(fresh)
        self.file_count += 1

    def _feature_names(self, rows: ArchiveRows) -> list[str]:
        """As the model of the first row names them, or this configuration if it is gone."""
        version = rows.columns["model_version"][0]
        if version not in self._names:
            try:
                names = list(self._models.load(version).manifest["features"])
            except (ModelError, KeyError):
                names = [feature.name for feature in self._config.features]
            self._names[version] = names
        names = self._names[version]
        if len(names) != rows.features.shape[1]:
            raise ConfigError(
                f"decisions of model {version} have {rows.features.shape[1]} features, "
                f"{len(names)} are named in {self._config.model.directory} or [[features]]"
            )
        return names


def first_times(rows: ArchiveRows, position: int) -> ArchiveRows:
    """Without what was archived before: an instance that starts again repeats what it decided."""
    kept, newest = [], position
    for number, found in enumerate(rows.position.tolist()):
        if found > newest:
            kept.append(number)
            newest = found
    if len(kept) == len(rows):
        return rows
    return replace(
        rows,
        offset=rows.offset[kept],
        appended_ms=rows.appended_ms[kept],
        position=rows.position[kept],
        columns={name: [values[i] for i in kept] for name, values in rows.columns.items()},
        features=rows.features[kept],
    )


def archive_kafka(config: Config) -> KafkaParams:
    """The archive reads in a group of its own, and only what was committed."""
    kafka = config.kafka
    isolation = "read_committed" if config.engine.delivery == "exactly_once" else kafka.isolation
    return replace(kafka, group_id=f"{kafka.group_id}-archive", isolation=isolation)


async def archive(
    config: Config, stop: asyncio.Event, watch: Callable[[Archiver], None]
) -> Archiver:
    """Run an archiver until stopped; `watch` is called twice a second."""
    clock_s = asyncio.get_running_loop().time
    async with KafkaBroker(archive_kafka(config)) as broker:
        await broker.ensure_topics(topic_specs(config))
        files = ParquetArchive(config.archive, cluster_id=broker.cluster_id)
        archiver = Archiver(config, broker, files, clock_s=clock_s)
        working = asyncio.create_task(archiver.run(stop))
        try:
            while not working.done():
                watch(archiver)
                await asyncio.wait({working}, timeout=0.5)
            working.result()
        finally:
            working.cancel()
            await asyncio.wait({working})
    return archiver


@dataclass(frozen=True, slots=True)
class Verified:
    """One partition of a topic, counted in the log and in the archive up to the same offset.

    Attributes
    ----------
    overlap_count
        Files that lie within another one.
    behind_count
        Records of the log that are not archived yet.
    """

    at: TopicPartition
    in_log: int
    in_archive: int
    doubled: int
    overlap_count: int
    behind_count: int

    @property
    def is_right(self) -> bool:
        """Whether each decision or label of the log is there once."""
        return self.in_log == self.in_archive and self.doubled == self.overlap_count == 0


async def verify(config: Config) -> list[Verified]:
    """Count the archive against what the log still holds of it."""
    topics = config.topics
    kinds: list[tuple[str, Kind]] = [
        (topics.full(topics.decisions), "decisions"),
        (topics.full(topics.labels), "labels"),
    ]
    found = []
    params = archive_kafka(config)
    async with KafkaBroker(params) as broker:
        files = ParquetArchive(config.archive, cluster_id=broker.cluster_id)
        counts = [await broker.partition_count(topic) for topic, _ in kinds]
    for (topic, kind), count in zip(kinds, counts, strict=True):
        for number in range(count):
            async with KafkaTail(params, [topic], partition=number) as tail:
                found.append(await _verified(files, tail, TopicPartition(topic, number), kind))
    return found


async def _verified(
    files: ParquetArchive, tail: KafkaTail, at: TopicPartition, kind: Kind
) -> Verified:
    segments = await asyncio.to_thread(files.segments, kind, at.partition)
    end = max((segment.last + 1 for segment in segments), default=0)
    name = {"decisions": "decision_id", "labels": "feedback_offset"}[kind]
    in_log: set[object] = set()
    first, behind = None, 0
    async for records in read_to_end(tail, at.topic, timeout_s=_SILENT_S_MAX):
        first = records[0].offset if first is None else first
        behind += sum(record.offset >= end for record in records)
        in_log |= {value_of(kind, name, record) for record in records if record.offset < end}
    in_log.discard(None)
    rows: list[object] = []
    for segment in segments:
        frame = await asyncio.to_thread(files.read, segment, ["offset", name])
        rows += frame.filter(frame["offset"] >= (first or 0))[name].to_list()
    overlaps = sum(any(other != one and other.holds(one) for other in segments) for one in segments)
    # A repetition at the beginning of the log may have been archived before it was cut off.
    distinct = set(rows)
    return Verified(
        at,
        in_log=len(in_log),
        in_archive=len(distinct & in_log),
        doubled=len(rows) - len(distinct),
        overlap_count=overlaps,
        behind_count=behind,
    )


def value_of(kind: Kind, name: str, record: InputRecord) -> object:
    """What names a decision or a label; None of a record that is neither."""
    try:
        value: object = getattr(decode_archived(kind, record), name)
    except RecordError:
        return None
    return value
