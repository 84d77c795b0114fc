"""Which of the archived files came of the log that a topic is now."""

import asyncio

from sentinel.adapters.archive import LogFiles, ParquetArchive, Segment
from sentinel.codec.archive import Kind
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.logs import log_id
from sentinel.errors import ConfigError, RecordError, TransientError
from sentinel.ports import Broker
from sentinel.records import TopicPartition

_NOTE = "log"


async def log_of(broker: Broker, topic: str) -> str:
    """The short name of what the topic is now. Raises TransientError when it does not exist."""
    seen = await broker.look(topic)
    if seen is None:
        raise TransientError(f"{topic} does not exist any more")
    return log_id(seen.name)


async def log_files(
    files: ParquetArchive, broker: Broker, topic: str, kind: Kind, *, is_noted: bool
) -> LogFiles:
    """The files that came of the log that the topic is now.

    An older version named its files by the cluster alone. They are taken for those of the first log
    that is asked for, unless that ends before they do; `is_noted` keeps that beside them, so that
    they are not those of the next one, too.
    """
    log, former = await log_of(broker, topic), log_id(broker.cluster_id)
    name = f"{kind}-{_NOTE}"
    noted = await asyncio.to_thread(files.note, former, name)
    if noted is not None:
        try:
            owner = decode_stored(str, noted)
        except RecordError as error:
            raise ConfigError(
                f"the note {former}-{name}.json of the archive cannot be read ({error.detail}): "
                f'it says which log the files {former}-… came of; write "{log}" into it, or ""'
            ) from error
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
