"""The log as only Apache Kafka keeps it: retention, limits on records, idempotent batches."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from sentinel.adapters.kafka import KafkaAdmin, KafkaBroker, KafkaParams, KafkaTail
from sentinel.core.topics import TopicSpec
from sentinel.engine.dead_letters import DeadLetters
from sentinel.errors import ConfigError, RecordError, TransientError
from sentinel.metrics import Metrics
from sentinel.records import Commit, OutputRecord, Record, TopicPartition
from tests.adapters.contracts import join, read, read_tail, send, values
from tests.children import WAIT_S_MAX


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")


@asynccontextmanager
async def admin(params: KafkaParams) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=params.bootstrap_servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def _until(ask: Callable[[], Awaitable[object]], answer: object) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while await ask() != answer:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_a_topic_gets_what_was_asked_for(kafka_params: KafkaParams) -> None:
    params = replace(kafka_params, record_bytes_max=6_000_000)
    async with KafkaBroker(params) as broker, admin(params) as client:
        await broker.ensure_topics([TopicSpec("asked-for", 3), TopicSpec("asked-for-too", 1)])

        assert await broker.partition_count("asked-for") == 3
        resource = ConfigResource(ConfigResourceType.TOPIC, "asked-for")
        [answer] = await client.describe_configs([resource])
        settings = {name: value for name, value, *_ in answer.resources[0][4]}
        assert settings["max.message.bytes"] == "6000000"
        with pytest.raises(ConfigError, match="topic asked-for has 3 partitions, wanted 2"):
            await broker.ensure_topics([TopicSpec("asked-for", 2), TopicSpec("asked-for-too", 1)])


async def test_a_topic_that_is_made_anew_has_another_log(kafka_params: KafkaParams) -> None:
    async with KafkaBroker(kafka_params) as broker, admin(kafka_params) as client:
        await broker.ensure_topics([TopicSpec("anew", 2)])
        before = await broker.look("anew")
        assert before is not None
        await client.delete_topics(["anew"])
        await _until(lambda: broker.look("anew"), None)
        await broker.ensure_topics([TopicSpec("anew", 2)])
        after = await broker.look("anew")

        assert after is not None
        assert after.name != before.name
        assert len(after.name) == len(before.name)
        assert broker.log_of("anew") == before.name  # as it was when it was first looked at


async def test_topics_that_follow_another_grow_with_it(kafka_params: KafkaParams) -> None:
    specs = [TopicSpec("leads", 2, is_free=True), TopicSpec("follows", 2, follows="leads")]
    async with KafkaBroker(kafka_params) as broker, KafkaBroker(kafka_params) as other:
        await broker.ensure_topics(specs)
        async with admin(kafka_params) as client:
            await client.create_partitions({"leads": NewPartitions(5)})
        await _until(lambda: broker.partition_count("leads"), 5)

        await asyncio.gather(broker.ensure_topics(specs), other.ensure_topics(specs))

        assert await broker.partition_count("follows") == 5
        seen = await broker.look("leads")
        assert seen is not None
        assert seen.partition_count == 5


async def test_asking_for_a_topic_does_not_create_it(kafka_params: KafkaParams) -> None:
    """The cluster creates what is merely named; so the adapter must not name it."""
    async with KafkaBroker(kafka_params) as broker:
        assert await broker.partition_count("never-created") == 0
        await asyncio.sleep(0.5)
        assert await broker.partition_count("never-created") == 0


async def test_two_that_start_at_once_may_both_create_the_topics(kafka_params: KafkaParams) -> None:
    topics = [TopicSpec(f"at-once-{i}", 2) for i in range(5)]
    async with KafkaBroker(kafka_params) as one, KafkaBroker(kafka_params) as two:
        await asyncio.gather(one.ensure_topics(topics), two.ensure_topics(topics))

        assert await two.partition_count("at-once-4") == 2


async def test_more_copies_than_brokers_is_an_error(kafka_params: KafkaParams) -> None:
    async with KafkaBroker(replace(kafka_params, replication_factor=3)) as broker:
        with pytest.raises(TransientError, match=r"create topics.*InvalidReplicationFactor"):
            await broker.ensure_topics([TopicSpec("too-many-copies", 1)])


async def test_a_record_of_five_megabytes_needs_a_topic_that_takes_it(
    kafka_params: KafkaParams,
) -> None:
    """Sentinel's own topics do; one of somebody else may have Kafka's default of 1 MiB."""
    large = OutputRecord(b"k", bytes(range(256)) * 20_000)
    async with KafkaBroker(kafka_params) as broker, admin(kafka_params) as client:
        await client.create_topics([NewTopic("takes-little", 1, 1)])
        await broker.ensure_topics([TopicSpec("takes-much", 1), TopicSpec("takes-little", 1)])
        await send(broker, TopicPartition("takes-much", 0), [large])

        await broker.publish("takes-little", 0, [large])
        with pytest.raises(TransientError, match="MessageSizeTooLarge"):
            await broker.flush()

    async with KafkaTail(kafka_params, ["takes-much"]) as tail:
        assert await read_tail(tail, 1) == [("takes-much", large.value)]


async def test_a_dead_letter_fits_into_a_topic_with_the_default_limit(
    kafka_params: KafkaParams,
) -> None:
    """Of a record of five megabytes: it must not stop everything."""
    large = Record(4, 0, b"k", bytes(range(256)) * 20_000, [("trace", b"1" * 100_000)])
    async with KafkaBroker(kafka_params) as broker, admin(kafka_params) as client:
        await client.create_topics([NewTopic("small-letters", 1, 1)])
        await broker.ensure_topics([TopicSpec("small-letters", 1)])
        assert await broker.record_bytes_max("small-letters") == 1_048_588
        letters = DeadLetters(broker, "small-letters", Metrics())
        error = RecordError("too_large", "a record of 5,120,000 bytes")
        await letters.publish([(TopicPartition("transactions", 2), large, error)] * 3)
        await broker.flush()

    async with KafkaTail(kafka_params, ["small-letters"]) as tail:
        found = await read_tail(tail, 3)
    assert {len(value or b"") > 1_000_000 for _, value in found} == {True}


async def test_a_tail_reads_records_of_five_megabytes_one_after_the_other(
    kafka_params: KafkaParams,
) -> None:
    large = [OutputRecord(None, bytes([i]) * 5_000_000) for i in range(4)]
    async with KafkaBroker(kafka_params) as broker:
        await broker.ensure_topics([TopicSpec("large-a", 1), TopicSpec("large-b", 1)])
        await send(broker, TopicPartition("large-a", 0), large[:2])
        await send(broker, TopicPartition("large-b", 0), large[2:])

    async with KafkaTail(kafka_params, ["large-a", "large-b"]) as tail:
        found = await read_tail(tail, 4)

    assert sorted(value[:1] for _, value in found if value) == [b"\0", b"\1", b"\2", b"\3"]


async def test_what_retention_deleted_is_seen_by_start_offset(kafka_params: KafkaParams) -> None:
    partition = TopicPartition("retained", 0)
    settings = {"retention.bytes": "1", "segment.bytes": str(1 << 20)}
    async with KafkaBroker(kafka_params) as broker, admin(kafka_params) as client:
        await client.create_topics([NewTopic("retained", 1, 1, topic_configs=settings)])
        await broker.ensure_topics([TopicSpec("retained", 1)])
        assert await broker.start_offset(partition) == 0

        for _ in range(3):
            await send(broker, partition, [OutputRecord(None, b"x" * 900_000)])

        deadline = time.monotonic() + WAIT_S_MAX
        while await broker.start_offset(partition) < 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("isolation", ["read_uncommitted", "read_committed"])
async def test_lag_counts_what_others_wrote(kafka_params: KafkaParams, isolation: Any) -> None:
    topic = f"lagging-{isolation}"
    partition = TopicPartition(topic, 0)
    params = replace(kafka_params, group_id=topic, isolation=isolation)
    async with KafkaBroker(params) as reader, KafkaBroker(params) as writer:
        await reader.ensure_topics([TopicSpec(topic, 1)])
        await join(reader, topic)
        await send(writer, partition, values(*"abcdef"))
        await read(reader, partition, 6)
        await send(writer, partition, values("g"))
        await read(reader, partition, 1)
        reader.seek(partition, 2)

        assert reader.lag(partition) == 5
        assert writer.lag(partition) is None


@pytest.mark.parametrize("idempotence", [True, False])
async def test_batches_arrive_once_and_in_order(
    kafka_params: KafkaParams, idempotence: bool
) -> None:
    topic = f"once-{idempotence}".lower()
    params = replace(kafka_params, idempotence=idempotence, batch_bytes_max=1024)
    texts = [str(i) for i in range(20_000)]
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec(topic, 1)])
        for first in range(0, len(texts), 1000):
            await broker.publish(topic, 0, values(*texts[first : first + 1000]))
        await broker.flush()
        producer = broker._producer._producer._txn_manager
        assert (producer is not None and producer.has_pid()) == idempotence

    found: list[bytes | None] = []
    async with KafkaTail(params, [topic]) as tail:
        while len(found) < len(texts):
            polled = await tail.poll(timeout_s=1.0, count_max=1000)
            assert polled
            found += [record.value for record in polled[topic]]
    assert found == [text.encode() for text in texts]


@pytest.mark.parametrize("isolation", ["read_uncommitted", "read_committed"])
async def test_only_a_reader_of_uncommitted_records_sees_what_was_aborted(
    kafka_params: KafkaParams, isolation: Any
) -> None:
    topic = f"aborted-{isolation}"
    partition = TopicPartition(topic, 0)
    params = replace(kafka_params, group_id=topic, isolation=isolation)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec(topic, 1)])
        await join(broker, topic)
        producer = AIOKafkaProducer(
            bootstrap_servers=params.bootstrap_servers, transactional_id=topic
        )
        await producer.start()
        for text in (b"a", b"b", b"c"):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, text, partition=0)
            await (producer.abort_transaction() if text == b"b" else producer.commit_transaction())
        await producer.stop()

        expected = [b"a", b"c"] if isolation == "read_committed" else [b"a", b"b", b"c"]
        found = await read(broker, partition, len(expected))

        assert [record.value for record in found] == expected
        deadline = time.monotonic() + WAIT_S_MAX
        while broker.lag(partition) != 0:  # the last control record may come later
            assert time.monotonic() < deadline
            assert await broker.poll([partition], timeout_s=0.1, count_max=9) == {}


async def test_what_a_group_has_committed_is_told_to_who_is_no_member(
    kafka_params: KafkaParams,
) -> None:
    params = replace(kafka_params, group_id="told")
    async with KafkaBroker(params) as broker, KafkaAdmin(params) as asked:
        await broker.ensure_topics([TopicSpec("told", 2)])
        assert await asked.group_offsets("told", "told") == {}
        await join(broker, "told")
        await send(broker, TopicPartition("told", 1), values("a", "b"))
        await broker.commit({TopicPartition("told", 1): Commit(2, "beside")})

        assert await asked.group_offsets("told", "told") == {1: 2}
        assert await asked.group_offsets("told", "another") == {}
