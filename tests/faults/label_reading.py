"""What the topics, the store and the archive hold of the label chain, read from outside."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.kafka import KafkaBroker, KafkaTail
from sentinel.codec.archive import Kind
from sentinel.codec.dead_letters import decode_dead_letter
from sentinel.codec.records import decode_example, decode_label, decode_object
from sentinel.codec.stored import decode_stored
from sentinel.config import Config
from sentinel.core.logs import log_id
from sentinel.engine.archive.linking import NOTE, LinkingProgress
from sentinel.engine.tail import read_to_end
from sentinel.records import InputRecord
from tests.faults.label_oracle import Expected, Found, expected_of

SILENT_S_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What there is, what the log of feedback says there must be, and how long that log is."""

    found: Found
    expected: Expected
    feedback_count: int


async def read(config: Config) -> Reading:
    """Read all of it: where nothing moves any more, it belongs together."""
    files = await _files(config)
    feedback = await _topic(config, config.topics.feedback)
    expected = expected_of(files.feedback_log, feedback, config.feedback, config.consensus)
    return Reading(await _found(config, files.archive), expected, len(feedback))


async def is_quiet(config: Config, transaction_count: int) -> bool:
    """Whether as much is there as must be; what it is, and how often, shows in the comparison."""
    files = await _files(config)
    archived = await asyncio.to_thread(_rows, files.archive, "decisions", ["transaction_id"])
    if len(archived) < transaction_count:
        return False
    reading = await read(config)
    found, expected = reading.found, reading.expected
    note = files.archive.note(log_id(files.feedback_log), NOTE)
    placing = LinkingProgress() if note is None else decode_stored(LinkingProgress, note)
    of_labels = {name for name in found.examples if name.startswith("feedback-")}
    decided = set(found.decided)
    return (
        placing.next_offset == reading.feedback_count
        and not placing.waiting
        and found.progress == expected.progress
        and len(found.archived_labels) >= len(expected.labels)
        and len(of_labels) >= sum(one.transaction_id in decided for one in expected.labels)
    )


@dataclass(frozen=True, slots=True)
class _Files:
    archive: ParquetArchive
    feedback_log: str


async def _files(config: Config) -> _Files:
    async with KafkaBroker(config.kafka) as broker:
        seen = await broker.look(config.topics.full(config.topics.feedback))
    assert seen is not None
    return _Files(ParquetArchive(config.archive), seen.name)


async def _found(config: Config, archive: ParquetArchive) -> Found:
    topics = config.topics
    decisions = [
        record
        for number in range(topics.partition_count)
        for record in await _topic(config, topics.decisions, number)
    ]
    labels = [decode_label(record.value) for record in await _topic(config, topics.labels)]
    examples = [decode_example(record.value) for record in await _topic(config, topics.examples)]
    audit = [decode_object(r.value or b"") for r in await _topic(config, topics.audit)]
    letters = [decode_dead_letter(r) for r in await _topic(config, topics.dead_letters)]
    columns = ["feedback_offset", "transaction_id", "label", "posterior"]
    stored = await _stored(config)
    return Found(
        progress=stored["feedback"],
        cases=_under("case", stored),
        annotators=_under("annotator", stored),
        labels=labels,
        archived_labels=await asyncio.to_thread(_rows, archive, "labels", columns),
        decided={decode_object(r.value or b"")["transaction_id"] for r in decisions},
        archived=[
            name
            for (name,) in await asyncio.to_thread(_rows, archive, "decisions", ["transaction_id"])
        ],
        examples=[example.id for example in examples],
        votes=[entry["id"] for entry in audit if entry["kind"] == "vote"],
        buried=[one.offset_there for one in letters if one is not None],
    )


async def _topic(config: Config, name: str, partition: int = 0) -> list[InputRecord]:
    topic = config.topics.full(name)
    async with KafkaTail(config.kafka, [topic], partition=partition) as tail:
        batches = read_to_end(tail, topic, timeout_s=SILENT_S_MAX)
        return [record async for records in batches for record in records]


def _rows(archive: ParquetArchive, kind: Kind, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    return [
        row
        for segment in archive.segments(kind)
        for row in archive.read(segment, columns).select(columns).iter_rows()
    ]


async def _stored(config: Config) -> dict[str, bytes]:
    """All of the feedback database but its index, by its key without the prefix."""
    prefix = f"{config.redis.key_prefix}:"
    client: Any = redis.asyncio.Redis.from_url(config.redis.url, db=config.redis.feedback_db)
    found = {}
    try:
        async for key in client.scan_iter(match=f"{prefix}*", count=5_000, _type="string"):
            found[key.decode().removeprefix(prefix)] = await client.get(key)  # indexes are none
    finally:
        await client.aclose()
    return {"feedback": b"", **found}


def _under(kind: str, stored: dict[str, bytes]) -> dict[str, bytes]:
    return {
        name.removeprefix(f"{kind}:"): data
        for name, data in stored.items()
        if name.startswith(f"{kind}:")
    }
