"""Kafka: the parameters, and what happens when the cluster is away or the event loop is held up."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams, KafkaTail
from sentinel.adapters.kafka.admin import Admin
from sentinel.core.topics import TopicSpec
from sentinel.errors import FencedError, TransientError
from sentinel.records import Commit, OutputRecord, TopicPartition
from tests.adapters.contracts import Callbacks, join, poll_until, read, read_tail, send, values

PARTITION = TopicPartition("t", 0)
# Requests end after 1.5 s here; left to itself, the client waits for 40 s or for ever.
ENDED_S_MAX = 20.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bootstrap_servers": ""}, "bootstrap_servers must not be empty"),
        ({"heartbeat_interval_s": 20.0}, "heartbeat_interval_s"),
        ({"max_poll_interval_s": 10.0}, "max_poll_interval_s"),
        ({"rebalance_timeout_s": 40.0}, "rebalance_timeout_s < request_timeout_s"),
        ({"fetch_wait_ms_max": 0}, "fetch_wait_ms_max"),
        ({"batch_bytes_max": 32 << 20}, "batch_bytes_max <= record_bytes_max"),
        ({"compression": "rar"}, "compression must be one of"),
        ({"security_protocol": "SASL_SSL"}, "needs sasl_username"),
        ({"ssl_key_file": "key.pem"}, "go together"),
        ({"pending_batch_count_max": 0}, "pending_batch_count_max must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KafkaParams(**wrong)


def test_a_password_is_not_printed() -> None:
    assert "secret" not in repr(KafkaParams(sasl_password="secret"))


async def test_an_unreachable_cluster_is_a_transient_error() -> None:
    params = KafkaParams(bootstrap_servers="127.0.0.1:1")

    with pytest.raises(TransientError, match="connect to"):
        async with KafkaBroker(params):
            pass
    with pytest.raises(TransientError, match="start the tail"):
        async with KafkaTail(params, ["t"]):
            pass


class LaggingAdmin(Admin):
    """Of two brokers, the second hears of the topic later."""

    asked_count = 0

    async def _views(self) -> list[dict[str, int]]:
        self.asked_count += 1
        return [{"t": 1}, {"t": 1} if self.asked_count > 3 else {}]


async def test_a_topic_is_there_when_every_broker_knows_it() -> None:
    """A client may ask any, and takes an unknown topic for one without partitions."""
    admin = LaggingAdmin(KafkaParams(bootstrap_servers="127.0.0.1:1"))

    await admin.ensure_topics([TopicSpec("t", 1)])

    assert admin.asked_count == 4


@pytest_asyncio.fixture
async def doomed(tmp_path: Path) -> AsyncIterator[tuple[KafkaBroker, EmbeddedServers]]:
    """A member of a group on a broker that the test may kill."""
    async with EmbeddedServers(tmp_path, redis=False) as servers:
        params = KafkaParams(rebalance_timeout_s=1.0, request_timeout_s=1.5)
        async with KafkaBroker(params.embedded_at(servers.kafka_servers)) as broker:
            await broker.ensure_topics([TopicSpec("t", 1)])
            await join(broker, "t")
            yield broker, servers
            closing = time.monotonic()
        assert time.monotonic() - closing < ENDED_S_MAX


@pytest.mark.integration
async def test_when_the_cluster_goes_away_every_call_ends_in_time(
    doomed: tuple[KafkaBroker, EmbeddedServers], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    broker, servers = doomed
    await send(broker, PARTITION, values("a"))
    await read(broker, PARTITION, 1)

    await servers.aclose()

    assert await broker.poll([PARTITION], timeout_s=0.1, count_max=10) == {}
    await broker.publish("t", 0, values("b"))
    with pytest.raises(TransientError):
        await broker.flush()
    for call in (
        broker.flush,  # the failure above was of restarting the producer
        lambda: broker.publish("t", 0, values("c")),
        lambda: broker.commit({PARTITION: Commit(1)}),
        lambda: broker.committed(PARTITION),
        lambda: broker.start_offset(PARTITION),
        lambda: broker.partition_count("t"),
    ):
        started = time.monotonic()
        with pytest.raises(TransientError):
            await call()
        assert time.monotonic() - started < ENDED_S_MAX


@pytest.mark.integration
async def test_after_a_lost_batch_nothing_more_is_published(
    kafka_params: KafkaParams, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing refuses a batch on demand, so the connection is cut under the producer's feet."""
    caplog.set_level(logging.CRITICAL, "aiokafka")
    params = replace(kafka_params, request_timeout_s=1.0, rebalance_timeout_s=0.5)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec("lost", 1)])
        await send(broker, TopicPartition("lost", 0), values("a"))
        await broker._producer._producer.client.close()
        await broker._producer._producer._sender.close()

        await broker.publish("lost", 0, values("b"))
        with pytest.raises(TransientError, match="1 of 1 batches were not delivered"):
            await broker.flush()
        with pytest.raises(TransientError, match="were not delivered"):
            await broker.publish("lost", 0, values("c"))
        with pytest.raises(TransientError, match="were not delivered"):
            await broker.flush()

    async with KafkaBroker(params) as broker, KafkaTail(params, ["lost"]) as tail:
        await send(broker, TopicPartition("lost", 0), values("d"))
        assert [value for _, value in await read_tail(tail, 2)] == [b"a", b"d"]


@pytest.mark.integration
async def test_publishing_waits_when_too_much_is_under_way(kafka_params: KafkaParams) -> None:
    params = replace(kafka_params, pending_batch_count_max=2, batch_bytes_max=2000)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec("busy", 1)])
        await broker.publish("busy", 0, [OutputRecord(None, b"x" * 900)] * 50)
        assert len(broker._producer._pending) <= 2
        await broker.flush()

        async with KafkaTail(params, ["busy"]) as tail:
            assert len(await read_tail(tail, 50)) == 50


@pytest.mark.integration
@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_batches_pass(kafka_params: KafkaParams, compression: Any) -> None:
    params, topic = replace(kafka_params, compression=compression), f"in-{compression}"
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec(topic, 1)])
        await send(broker, TopicPartition(topic, 0), [OutputRecord(b"k", b"x" * 1000)] * 500)
        async with KafkaTail(params, [topic]) as tail:
            polled = await tail.poll(timeout_s=5.0, count_max=1000)

    assert {record.value for record in polled[topic]} == {b"x" * 1000}


async def live(params: KafkaParams, *, stall_s: float) -> Callbacks:
    """Join, hold up the event loop, and go on.

    Whoever was thought dead meanwhile may not commit, and owns the partition anew from its last
    commit; the group may also be patient.
    """
    group = replace(params, group_id=f"stalls-{stall_s}")
    partition = TopicPartition(f"stalls-{stall_s}", 0)
    async with KafkaBroker(group) as broker:
        await broker.ensure_topics([TopicSpec(partition.topic, 1)])
        told = await join(broker, partition.topic)
        await send(broker, partition, values("a"))
        await read(broker, partition, 1)
        await broker.commit({partition: Commit(1)})

        time.sleep(stall_s)  # noqa: ASYNC251 - this is what is tested

        await send(broker, partition, values("b"))
        assert [record.value for record in await read(broker, partition, 1)] == [b"b"]
        try:
            await broker.commit({partition: Commit(2)})
        except FencedError:
            await poll_until(broker, lambda: len(told.assigned) == 2)
            assert [record.value for record in await read(broker, partition, 1)] == [b"b"]
            await broker.commit({partition: Commit(2)})
        assert await broker.committed(partition) == Commit(2)
        assert len(told.assigned) == len(told.revoked) + 1
        return told


@pytest.mark.integration
async def test_a_member_survives_a_stall_longer_than_its_session(kafka_params: KafkaParams) -> None:
    await live(kafka_params, stall_s=kafka_params.session_timeout_s + 1.0)


@pytest.mark.integration
def test_all_of_it_runs_on_uvloop(kafka_params: KafkaParams) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(live(kafka_params, stall_s=0.01)).revoked == []
