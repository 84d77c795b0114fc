"""Which of the archived files came of the log that a topic is now."""

import asyncio
from typing import TypeVar

from sentinel.archive import Segment
from sentinel.codec.archive import Kind
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.logs import log_id
from sentinel.errors import ConfigError, RecordError, TransientError
from sentinel.ports import Archive, Broker, LogArchive
from sentinel.records import TopicPartition

T = TypeVar("T")

_NOTE = "log"


async def log_of(broker: Broker, topic: str) -> str:
    """The short name of what the topic is now. Raises TransientError when it does not exist."""
    seen = await broker.look(topic)
    if seen is None:
        raise TransientError(f"{topic} does not exist any more")
    return log_id(seen.name)


def noted(kind: type[T], data: bytes, name: str) -> T:
    """What a note beside the files says. Raises ConfigError when that cannot be read."""
    try:
        return decode_stored(kind, data)
    except RecordError as error:
        raise ConfigError(
            f"[archive] directory: notes/{name} is not what the archive writes ({error.detail}): "
            "restore it, or take it away, and what it says is begun anew"
        ) from error


async def log_files(
    files: Archive, broker: Broker, topic: str, kind: Kind, *, is_noted: bool
) -> LogArchive:
    """The files that came of the log that the topic is now.

    An older version named its files by the cluster alone. They are taken for those of the first log
    that is asked for, unless that ends before they do; `is_noted` keeps that beside them, so that
    they are not those of the next one, too.
    """
    log, former = await log_of(broker, topic), log_id(broker.cluster_id)
    name = f"{kind}-{_NOTE}"
    kept = await asyncio.to_thread(files.note, former, name)
    if kept is not None:
        owner = noted(str, kept, f"{former}-{name}.json")
        return files.log(kind, log, former if owner == log else "")
    found = await asyncio.to_thread(files.log(kind, former).segments)
    if not found:
        return files.log(kind, log)
    is_owner = await _reaches(broker, topic, found)
    if is_noted:
        data = encode_stored(log if is_owner else "")
        await asyncio.to_thread(files.keep, former, name, data)
    return files.log(kind, log, former if is_owner else "")


async def _reaches(broker: Broker, topic: str, found: list[Segment]) -> bool:
    """Whether the log has all offsets that these files have."""
    count = await broker.partition_count(topic)
    lasts: dict[int, int] = {}
    for one in found:
        lasts[one.partition] = max(one.last, lasts.get(one.partition, -1))
    for partition, last in lasts.items():
        if partition >= count:
            return False
        if await broker.end_offset(TopicPartition(topic, partition)) <= last:
            return False
    return True
