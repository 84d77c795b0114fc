"""Brokers that stop, die and hang: what was acknowledged stays, and whoever waits goes on."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka import KafkaBroker, KafkaParams, KafkaTail
from sentinel.core.topics import TopicSpec
from sentinel.errors import FencedError, TransientError
from sentinel.records import Commit, InputRecord, TopicPartition
from tests.adapters.contracts import join, poll_until, read, send, values
from tests.adapters.test_kafka import ENDED_S_MAX
from tests.children import WAIT_S_MAX
from tests.kafka.cluster import KafkaCluster

PARTITION = TopicPartition("t", 0)

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The client tells of every failed attempt; asyncio has nothing to tell of it."""
    caplog.set_level(logging.CRITICAL, "aiokafka")
    yield
    gc.collect()
    assert not [record for record in caplog.get_records("call") if record.name == "asyncio"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    async with KafkaCluster(tmp_path_factory.mktemp("one")) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    async with KafkaCluster(tmp_path_factory.mktemp("three"), 3) as cluster:
        yield cluster


def on(cluster: KafkaCluster, params: KafkaParams, group_id: str) -> KafkaParams:
    return replace(
        params,
        bootstrap_servers=cluster.bootstrap_servers,
        group_id=group_id,
        replication_factor=len(cluster.nodes),
    )


async def read_all(params: KafkaParams, topic: str) -> list[bytes | None]:
    """What the log holds, in its order."""
    found: list[InputRecord] = []
    async with KafkaTail(params, [topic]) as tail:
        while polled := await tail.poll(timeout_s=2.0, count_max=10_000):
            found += polled[topic]
    return [record.value for record in found]


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_member_goes_on_when_its_only_broker_comes_back(
    one: KafkaCluster, kafka_params: KafkaParams, how: str
) -> None:
    params, topic = on(one, kafka_params, f"back-{how}"), f"back-{how}"
    partition = TopicPartition(topic, 0)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec(topic, 1)])
        told = await join(broker, topic)
        await send(broker, partition, values("a"))
        await read(broker, partition, 1)
        await broker.commit({partition: Commit(1, "kept")})

        await (one.stop_broker(0) if how == "stop" else one.kill_broker(0))
        assert await broker.poll([partition], timeout_s=0.2, count_max=10) == {}
        await one.start_brokers(0)
        await send(broker, partition, values("b"))  # the client itself tries again in time

        found: list[InputRecord] = []
        deadline = time.monotonic() + WAIT_S_MAX
        while not found:
            assert time.monotonic() < deadline
            found += (await broker.poll([partition], timeout_s=0.1, count_max=10)).get(
                partition, []
            )
        assert [record.value for record in found] == [b"b"]
        assert await broker.committed(partition) == Commit(1, "kept")
        try:
            await broker.commit({partition: Commit(2)})
        except FencedError:  # the group thought it dead meanwhile
            await poll_until(broker, lambda: len(told.assigned) == 2)
            await read(broker, partition, 1)
            await broker.commit({partition: Commit(2)})
        assert await broker.committed(partition) == Commit(2)


async def each_ends_in_time(calls: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """With an error, and not after the client's own timeouts."""
    for call in calls:
        started = time.monotonic()
        with pytest.raises(TransientError):
            await call()
        assert time.monotonic() - started < ENDED_S_MAX


async def test_while_the_only_broker_is_away_every_call_ends_in_time(
    one: KafkaCluster, kafka_params: KafkaParams
) -> None:
    params = replace(on(one, kafka_params, "away"), request_timeout_s=1.5, rebalance_timeout_s=1.0)
    partition = TopicPartition("away", 0)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec("away", 1)])
        await join(broker, "away")
        await send(broker, partition, values("a"))
        await one.kill_broker(0)
        assert await broker.poll([partition], timeout_s=0.1, count_max=10) == {}
        await broker.publish("away", 0, values("b"))
        calls: list[Callable[[], Awaitable[object]]] = [
            broker.flush,
            lambda: broker.commit({partition: Commit(1)}),
            lambda: broker.committed(partition),
            lambda: broker.start_offset(partition),
            lambda: broker.partition_count("away"),
        ]
        await each_ends_in_time(calls)
        closing = time.monotonic()
    assert time.monotonic() - closing < ENDED_S_MAX
    await one.start_brokers(0)

    # A new one, as the instance would build, finds everything that was acknowledged.
    async with KafkaBroker(params) as broker:
        await join(broker, "away")
        assert (await read(broker, partition, 1))[0].value == b"a"


async def test_a_broker_that_hangs_is_an_outage_and_not_a_hang(
    one: KafkaCluster, kafka_params: KafkaParams
) -> None:
    """Its connections stay open: only time tells."""
    params = replace(on(one, kafka_params, "hangs"), request_timeout_s=1.5, rebalance_timeout_s=1.0)
    partition = TopicPartition("hangs", 0)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec("hangs", 1)])
        await join(broker, "hangs")
        await send(broker, partition, values("a"))
        one.suspend_broker(0)
        try:
            await broker.publish("hangs", 0, values("b"))
            await each_ends_in_time(
                [
                    broker.flush,
                    lambda: broker.commit({partition: Commit(1)}),
                    lambda: broker.committed(partition),
                ]
            )
        finally:
            one.resume_broker(0)
    # What had no answer may have been done.
    assert await read_all(params, "hangs") in ([b"a"], [b"a", b"b"])


async def leader_of(broker: KafkaBroker, partition: TopicPartition) -> int:
    client: Any = broker._consumer._client
    await client.force_metadata_update()
    leader = client.cluster.leader_for_partition(ClientPartition(*partition))
    assert isinstance(leader, int)
    return leader


@pytest.mark.parametrize("whose", ["partition", "group"])
async def test_when_one_of_three_dies_nothing_acknowledged_is_lost(
    three: KafkaCluster, kafka_params: KafkaParams, whose: str
) -> None:
    """The leader of the partition dies, or the coordinator of the group, while both are at work."""
    topic = f"failover-{whose}"
    params, partition = on(three, kafka_params, topic), TopicPartition(topic, 0)
    sent = [str(i) for i in range(3000)]
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec(topic, 1)])
        told = await join(broker, topic)
        await send(broker, partition, values(*sent[:1000]))
        await read(broker, partition, 1000)
        await broker.commit({partition: Commit(1000, "before")})
        dead = await leader_of(broker, partition)
        if whose == "group":
            dead = broker._consumer._coordinator.coordinator_id

        publishing = asyncio.create_task(publish_slowly(broker, topic, sent[1000:]))
        await asyncio.sleep(0.2)
        await three.kill_broker(dead)
        found: list[InputRecord] = []
        deadline = time.monotonic() + WAIT_S_MAX
        while len(found) < 2000:
            assert time.monotonic() < deadline, f"{len(found)} of 2000"
            polled = await broker.poll([partition], timeout_s=0.1, count_max=1000)
            found += polled.get(partition, [])
        await publishing

        # Idempotence: each once, in order, though batches were sent again to the new leader.
        assert [record.value for record in found] == [text.encode() for text in sent[1000:]]
        await commit_if_ours(broker, partition, Commit(3000, "after"), len(told.assigned))
        assert await broker.committed(partition) == Commit(3000, "after")
    await three.start_brokers(dead)

    assert await read_all(params, topic) == [text.encode() for text in sent]


async def publish_slowly(broker: KafkaBroker, topic: str, texts: list[str]) -> None:
    """Over about two seconds, flushed at the end."""
    for first in range(0, len(texts), 20):
        await broker.publish(topic, 0, values(*texts[first : first + 20]))
        await asyncio.sleep(0.02)
    await broker.flush()


async def commit_if_ours(
    broker: KafkaBroker, partition: TopicPartition, commit: Commit, assigned_count: int
) -> None:
    """A member may have been expelled while the coordinator moved; then it comes back."""
    try:
        await broker.commit({partition: commit})
    except FencedError:
        await poll_until(broker, lambda: partition in broker.assignment())
        await broker.commit({partition: commit})


async def test_a_broker_that_is_not_the_coordinator_does_not_say_that_nothing_is_committed(
    three: KafkaCluster, kafka_params: KafkaParams
) -> None:
    """It names no partition in its answer; the engine would start again from the oldest record."""
    params, partition = on(three, kafka_params, "elsewhere"), TopicPartition("elsewhere", 0)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec("elsewhere", 1)])
        await join(broker, "elsewhere")
        await broker.commit({partition: Commit(3, "kept")})
        coordinator = broker._consumer._coordinator
        coordinator.coordinator_id = (coordinator.coordinator_id + 1) % 3

        assert await broker.committed(partition) == Commit(3, "kept")


async def test_whoever_joins_after_the_coordinator_died_knows_what_was_committed(
    three: KafkaCluster, kafka_params: KafkaParams
) -> None:
    params, partition = on(three, kafka_params, "heir"), TopicPartition("heir", 0)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec("heir", 1)])
        await join(broker, "heir")
        await broker.commit({partition: Commit(3, "kept")})
        dead = broker._consumer._coordinator.coordinator_id

    await three.kill_broker(dead)
    async with KafkaBroker(params) as heir:
        found: list[Commit | None] = []

        async def on_assigned(partitions: Sequence[TopicPartition]) -> None:
            found.append(await heir.committed(partition))

        await heir.subscribe(["heir"], on_assigned=on_assigned, on_revoked=on_assigned)
    await three.start_brokers(dead)

    assert found[0] == Commit(3, "kept")


async def test_whoever_creates_topics_gets_their_partitions(
    three: KafkaCluster, kafka_params: KafkaParams
) -> None:
    """Not every broker knows of a topic at once when it was created."""
    for number in range(12):
        topic = f"created-{number}"
        async with KafkaBroker(on(three, kafka_params, topic)) as broker:
            await broker.ensure_topics([TopicSpec(topic, 1)])
            told = await join(broker, topic)
            assert told.assigned == [[TopicPartition(topic, 0)]]


async def test_with_two_of_three_away_nothing_is_acknowledged(
    three: KafkaCluster, kafka_params: KafkaParams
) -> None:
    """One copy is not enough: a record on it alone could be lost with it."""
    params = on(three, kafka_params, "minority")
    params = replace(params, request_timeout_s=4.0, rebalance_timeout_s=3.0)
    partition = TopicPartition("minority", 0)
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec("minority", 1)])
        await send(broker, partition, values("a"))
        leader = await leader_of(broker, partition)
        others = [number for number in range(3) if number != leader]
        for number in others:
            await three.kill_broker(number)

        await broker.publish("minority", 0, values("b"))
        with pytest.raises(TransientError):
            await broker.flush()
    await three.start_brokers(*others)

    async with KafkaBroker(params) as broker:
        await send(broker, partition, values("c"))
    found = await read_all(params, "minority")
    assert found in ([b"a", b"c"], [b"a", b"b", b"c"])
