"""Counts the archive against what the topics still hold."""

import asyncio
from dataclasses import dataclass

from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.kafka import KafkaBroker, KafkaTail
from sentinel.codec.archive import Kind, decode_archived
from sentinel.config import Config
from sentinel.engine.archive.logs import log_files
from sentinel.engine.tail import read_to_end
from sentinel.errors import RecordError
from sentinel.operations.topics import archive_kafka
from sentinel.ports import LogArchive
from sentinel.records import InputRecord, TopicPartition

_SILENT_S_MAX = 20.0
_NAMES: dict[Kind, tuple[str, ...]] = {
    "decisions": ("decision_id",),
    "labels": ("feedback_log", "feedback_offset"),  # another log begins anew
}


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
        archive = ParquetArchive(config.archive)
        logs = [
            await log_files(archive, broker, topic, kind, is_noted=False) for topic, kind in kinds
        ]
        counts = [await broker.partition_count(topic) for topic, _ in kinds]
    for (topic, kind), files, count in zip(kinds, logs, counts, strict=True):
        for number in range(count):
            at = TopicPartition(topic, number)
            async with KafkaTail(params, [topic], partition=number) as tail:
                found.append(await _verified(archive, files, tail, at, kind))
    return found


async def _verified(
    archive: ParquetArchive, files: LogArchive, tail: KafkaTail, at: TopicPartition, kind: Kind
) -> Verified:
    segments = await asyncio.to_thread(files.segments, at.partition, with_parts=True)
    end = max((segment.last + 1 for segment in segments), default=0)
    names = _NAMES[kind]
    in_log: set[object] = set()
    first, behind = None, 0
    async for records in read_to_end(tail, at.topic, timeout_s=_SILENT_S_MAX):
        first = records[0].offset if first is None else first
        behind += sum(record.offset >= end for record in records)
        in_log |= {value_of(kind, record) for record in records if record.offset < end}
    in_log.discard(None)
    rows: list[object] = []
    for segment in segments:
        frame = await asyncio.to_thread(archive.read, segment, ["offset", *names])
        frame = frame.filter(frame["offset"] >= (first or 0)).select(names)
        rows += [tuple("" if value is None else value for value in row) for row in frame.rows()]
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


def value_of(kind: Kind, record: InputRecord) -> object:
    """What names a decision or a label; None of a record that is neither."""
    try:
        found = decode_archived(kind, record)
    except RecordError:
        return None
    return tuple(getattr(found, name) for name in _NAMES[kind])
