"""A Kafka in an operator's hands: topics that grow, are deleted and made again, or lose their head.

And a producer that chooses the partition itself, so that the oracle knows where each record lies.
"""

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2
from aiokafka.structs import ConsumerRecord
from aiokafka.structs import TopicPartition as ClientPartition

TOPIC_S_MAX = 20.0
RECORD_BYTES_MAX = 16_777_216

Partitioner = Callable[[bytes, int], int]


def by_murmur2(key: bytes, count: int) -> int:
    """Where Kafka's own clients put a key."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


def by_crc32(key: bytes, count: int) -> int:
    """Where librdkafka's `consistent_random`, its default, puts a key."""
    return zlib.crc32(key) % count


@asynccontextmanager
async def admin_of(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create(
    servers: str, topic: str, count: int, settings: Mapping[str, str] | None = None
) -> None:
    """Made when one of that name has quite gone; returns when the broker shows it whole."""
    new = NewTopic(topic, count, 1, topic_configs=dict(settings or {}))
    async with admin_of(servers) as client:
        async with asyncio.timeout(TOPIC_S_MAX):
            while True:
                answer = await client.create_topics([new])
                error = for_code(answer.topic_errors[0][1])
                if error is not TopicAlreadyExistsError:
                    assert answer.topic_errors[0][1] == 0, answer
                    break
                await asyncio.sleep(0.1)
        await _await_count(client, topic, count)


async def configure(servers: str, topic: str, settings: Mapping[str, str]) -> None:
    """Change a topic's settings, as kafka-configs does."""
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic, dict(settings))
    async with admin_of(servers) as client:
        await client.alter_configs([wanted])


async def delete(servers: str, topic: str) -> None:
    async with admin_of(servers) as client:
        await client.delete_topics([topic])
        await _await_count(client, topic, 0)


async def grow(servers: str, topic: str, count: int) -> None:
    async with admin_of(servers) as client:
        await client.create_partitions({topic: NewPartitions(count)})
        await _await_count(client, topic, count)


async def _await_count(client: AIOKafkaAdminClient, topic: str, count: int) -> None:
    async with asyncio.timeout(TOPIC_S_MAX):
        while True:
            [found] = await client.describe_topics([topic])
            partitions = found["partitions"] if found["error_code"] == 0 else []
            has_leaders = all(one["leader"] >= 0 for one in partitions)
            if len(partitions) == count and has_leaders:
                return
            await asyncio.sleep(0.1)


async def partition_count(servers: str, topic: str) -> int:
    """0 of a topic that is not there."""
    async with admin_of(servers) as client:
        [found] = await client.describe_topics([topic])
        return len(found["partitions"]) if found["error_code"] == 0 else 0


async def trim(servers: str, topic: str, begins: Mapping[int, int]) -> None:
    """Delete the records before an offset of each partition, as kafka-delete-records does."""
    wanted = {ClientPartition(topic, p): RecordsToDelete(offset) for p, offset in begins.items()}
    async with admin_of(servers) as client:
        await client.delete_records(wanted)


async def committed(servers: str, group: str, topic: str, count: int) -> dict[int, int]:
    """The group's offsets; partitions without one are missing."""
    asked = [ClientPartition(topic, number) for number in range(count)]
    async with admin_of(servers) as client:
        found = await client.list_consumer_group_offsets(group, partitions=asked)
    return {at.partition: value.offset for at, value in found.items() if value.offset >= 0}


@asynccontextmanager
async def producer_of(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=servers,
        enable_idempotence=True,
        max_request_size=RECORD_BYTES_MAX,
        metadata_max_age_ms=1_000,
        linger_ms=2,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


Placed = tuple[int, int]  # partition, offset


async def publish(
    producer: AIOKafkaProducer, topic: str, records: Sequence[tuple[int, bytes | None, bytes]]
) -> list[Placed]:
    """Each to its partition, in order; returns when all are acknowledged."""
    waiting = [
        await producer.send(topic, value, key=key, partition=partition)
        for partition, key, value in records
    ]
    done = await asyncio.gather(*waiting)
    return [(one.partition, one.offset) for one in done]


class Tail:
    """All records of a topic so far, whatever becomes of its partitions or of the broker."""

    def __init__(self, servers: str, topic: str) -> None:
        self._servers = servers
        self._topic = topic
        self._next: dict[int, int] = {}
        self.records: list[ConsumerRecord[bytes, bytes]] = []

    async def read(self) -> None:
        """Add what came since the last time; nothing while the broker is away."""
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(10.0):
                await self._read()

    async def _read(self) -> None:
        count = await partition_count(self._servers, self._topic)
        if not count:
            return
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        await consumer.start()
        try:
            partitions = [ClientPartition(self._topic, number) for number in range(count)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            for at in partitions:
                consumer.seek(at, self._next.get(at.partition, 0))
            deadline_s = time.monotonic() + 8.0
            while any(self._next.get(at.partition, 0) < ends[at] for at in partitions):
                if time.monotonic() > deadline_s:
                    return
                for at, records in (await consumer.getmany(timeout_ms=100)).items():
                    self.records += records
                    self._next[at.partition] = records[-1].offset + 1
        finally:
            await consumer.stop()
