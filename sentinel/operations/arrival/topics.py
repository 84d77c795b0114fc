"""A topic that nobody has described yet: some of its records, and what they say of themselves."""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from typing import Any

from sentinel.adapters.files import Chunk
from sentinel.adapters.kafka import UNTOLD_END, KafkaAdmin, KafkaBroker, KafkaParams, KafkaTail
from sentinel.codec.payloads.frames import FRAME_BYTES, framed_by
from sentinel.codec.transactions import TransactionDecoder
from sentinel.codec.values.seen import columns_seen, fields_seen, texts_of_line
from sentinel.config import SECRETS, Config
from sentinel.core.topics import Finding
from sentinel.engine.tail import read_to_end
from sentinel.errors import ConfigError
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.operations.entities.placement import findings_of
from sentinel.records import InputRecord, TopicPartition

RECORD_COUNT = 10_000
_BYTES_MAX = 64 * 2**20
_PARTITIONS_MAX = 64
_NAMES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class TopicSample:
    """Some records of a topic, oldest first; a source of rows for a dry run.

    Attributes
    ----------
    is_newest
        Whether they are the newest of their partitions; else the first ones.
    framed_count
        How many had the frame of a schema registry, which is off their values here.
    """

    topic: str
    partition_count: int
    is_newest: bool
    places: Sequence[tuple[TopicPartition, InputRecord]]
    values: Sequence[bytes]
    framed_count: int

    def chunks(self) -> Iterator[Chunk]:
        """The records at once; no label comes with them."""
        yield Chunk(list(self.values), [None] * len(self.values))

    def row_name(self, row: int) -> str:
        """Where a record is, by its number from 1 on."""
        at, record = self.places[row - 1]
        return f"{at.topic}-{at.partition} at offset {record.offset}"


async def topic_sample(config: Config, topic: str) -> TopicSample:
    """The newest records of a topic, or the first ones where the broker does not tell its end.

    Raises ConfigError where there is no such topic, or nothing in it.
    """
    kafka = replace(config.kafka, idempotence=False)  # only to look
    async with KafkaAdmin(kafka) as admin:
        counts = await admin.partition_counts()
    if topic not in counts:
        raise ConfigError(f"there is no topic {topic}{_others(list(counts))}")
    stride = -(-counts[topic] // _PARTITIONS_MAX)
    numbers = range(0, counts[topic], stride)
    found: list[tuple[TopicPartition, InputRecord]] = []
    is_newest = True
    async with KafkaBroker(kafka) as broker:
        for number in numbers:
            at = TopicPartition(topic, number)
            begin, end = await broker.start_offset(at), await broker.end_offset(at)
            if end == UNTOLD_END:
                is_newest = False
            else:
                begin = max(begin, end - RECORD_COUNT // len(numbers))
            if begin < end:
                found += [(at, one) for one in await _read(kafka, at, begin, len(numbers))]
    if not found:
        raise ConfigError(f"topic {topic} is empty: init needs records to look at")
    found.sort(key=lambda one: (one[1].timestamp, one[0].partition, one[1].offset))
    values = [record.value or b"" for _, record in found]
    framed = [framed_by(value) is not None for value in values]
    unframed = [v[FRAME_BYTES:] if f else v for v, f in zip(values, framed, strict=True)]
    return TopicSample(topic, counts[topic], is_newest, found, unframed, sum(framed))


def _others(names: list[str]) -> str:
    """The topics that there are, for a sentence."""
    some = sorted(name for name in names if not name.startswith("__"))
    more = f" and {len(some) - _NAMES_SHOWN_MAX:,} more" if len(some) > _NAMES_SHOWN_MAX else ""
    return f": there are {some[:_NAMES_SHOWN_MAX]}{more}" if some else ", nor any other"


async def _read(
    kafka: KafkaParams, at: TopicPartition, begin: int, share: int
) -> list[InputRecord]:
    """Records of a partition from an offset on: its share of all that are looked at."""
    count_max, bytes_max = max(RECORD_COUNT // share, 1), _BYTES_MAX // share
    found: list[InputRecord] = []
    byte_count = 0
    async with KafkaTail(kafka, [at.topic], partition=at.partition) as tail:
        tail.seek(at.topic, begin)
        timeout_s = kafka.request_timeout_s
        async with aclosing(read_to_end(tail, at.topic, timeout_s=timeout_s)) as pieces:
            async for records in pieces:
                found += records
                byte_count += sum(len(record.value or b"") for record in records)
                if len(found) >= count_max or byte_count >= bytes_max:
                    break
    return found[:count_max]


def look_at_topic(sample: TopicSample, config: Config) -> Look:
    """What is seen of a topic. Raises ConfigError where its records are no JSON objects."""
    names = fields_seen(sample.values)
    objects = [value for value in sample.values if texts_of_line(value)]
    if not objects:
        raise ConfigError(_foreign(sample))
    columns = columns_seen(names, objects)
    made = tuple(FileColumn(one.name, one.values, one.form) for one in columns)
    settings = _settings(sample, config)
    if sample.framed_count:
        settings["schema"] = {"framing": "registry"}
    return Look(f"topic {sample.topic}", made, len(objects), is_topic=True, settings=settings)


def _foreign(sample: TopicSample) -> str:
    """Why nothing can be made of its records."""
    counted = f"none of {len(sample.values):,} records looked at is a JSON object"
    framed = (framed_by(record.value or b"") for _, record in sample.places)
    if (schema_id := next((one for one in framed if one is not None), None)) is not None:
        return (
            f"topic {sample.topic}: {counted}: they have the frame of a schema registry (schema "
            f"{schema_id}) and no JSON behind it; of Avro write the configuration yourself, with "
            '[schema] payload = "avro"'
        )
    found = repr(sample.values[0][:40]) if sample.values[0] else "no value"
    return f"topic {sample.topic}: {counted}: {sample.row_name(1)} has {found}"


def _settings(sample: TopicSample, config: Config) -> dict[str, dict[str, Any]]:
    """What a configuration must say to read this topic: how to reach it, and what it is called."""
    prefix = config.topics.prefix
    if not sample.topic.startswith(prefix):
        raise ConfigError(
            f'--topic: the name "{sample.topic}" must begin with topics.prefix, "{prefix}": all '
            "topics of a deployment do"
        )
    usual, kafka = KafkaParams(), config.kafka
    own = {
        one.name: getattr(kafka, one.name)
        for one in fields(kafka)
        if ("kafka", one.name) not in SECRETS
        and getattr(kafka, one.name) != getattr(usual, one.name)
    }
    topics: dict[str, Any] = {"prefix": prefix} if prefix else {}
    topics["transactions"] = sample.topic.removeprefix(prefix)
    topics["partition_count"] = sample.partition_count
    return {"kafka": own, "topics": topics}


def notes_of(sample: TopicSample, look: Look, config: Config) -> list[str]:
    """What a person should know of a topic that was looked at, by its new configuration."""
    found = []
    if not sample.is_newest:
        found.append(
            "the first records were looked at: this broker does not say which are the newest"
        )
    if count := len(sample.values) - look.row_count:
        found.append(f"{count:,} records looked at are no JSON objects: dead letters")
    return found + [finding.text for finding in _placement(sample, config)]


def _placement(sample: TopicSample, config: Config) -> list[Finding]:
    """Whether records are in the partitions of their accounts, by the new configuration."""
    decoder = TransactionDecoder(config.schema)
    by_partition: dict[int, list[InputRecord]] = {}
    for at, record in sample.places:
        by_partition.setdefault(at.partition, []).append(record)
    accounts: dict[int, list[str]] = {}
    for number, records in by_partition.items():
        rows, _ = decoder.decode([(number, records)])
        accounts[number] = [one for one in rows.entities["account"] if one is not None]
    return findings_of(accounts, sample.partition_count, config)
