"""Membership of a group as only Kafka manages it: fencing, static members, slow callbacks."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.core.topics import TopicSpec
from sentinel.errors import FencedError
from sentinel.records import Commit, TopicPartition
from tests.adapters.contracts import (
    Callbacks,
    join,
    join_while,
    poll_until,
    read,
    send,
    values,
)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")


def in_group(params: KafkaParams, group_id: str, instance: str = "") -> KafkaParams:
    return replace(params, group_id=group_id, group_instance_id=instance)


def partitions_of(topic: str, count: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(count)]


async def test_what_is_committed_with_an_offset_is_read_back(kafka_params: KafkaParams) -> None:
    partitions = partitions_of("metadata", 2)
    commits = {
        partitions[0]: Commit(1, '{"labels":12,"watermark_ms":1767225600000}'),
        partitions[1]: Commit(0, "é" * 2000),  # Kafka keeps 4096 bytes
    }
    async with KafkaBroker(in_group(kafka_params, "metadata")) as broker:
        await broker.ensure_topics([TopicSpec("metadata", 2)])
        await join(broker, "metadata")
        await broker.commit(commits)

    async with KafkaBroker(in_group(kafka_params, "metadata")) as another:
        assert {at: await another.committed(at) for at in partitions} == commits


async def test_a_member_that_was_away_for_a_session_is_fenced_and_comes_back(
    kafka_params: KafkaParams,
) -> None:
    partition = TopicPartition("fenced", 0)
    async with KafkaBroker(in_group(kafka_params, "fenced")) as broker:
        await broker.ensure_topics([TopicSpec("fenced", 1)])
        told = await join(broker, "fenced")
        await send(broker, partition, values("a"))
        await read(broker, partition, 1)

        time.sleep(kafka_params.session_timeout_s + 1.0)  # noqa: ASYNC251 - this is tested

        with pytest.raises(FencedError):
            await broker.commit({partition: Commit(1)})
        assert await broker.committed(partition) is None
        await poll_until(broker, lambda: len(told.assigned) == 2)
        assert told.revoked == [[partition]]
        assert [record.value for record in await read(broker, partition, 1)] == [b"a"]
        await broker.commit({partition: Commit(1)})


async def test_an_expelled_member_does_not_commit_as_a_stranger(kafka_params: KafkaParams) -> None:
    """Kafka takes a commit without a member id when the group is empty.

    A successor may have come, committed and left while the first one stalled: its offset must stay.
    """
    partition, params = TopicPartition("stranger", 0), in_group(kafka_params, "stranger")
    async with KafkaBroker(params) as broker:
        await broker.ensure_topics([TopicSpec("stranger", 1)])
        await join(broker, "stranger")
        coordinator = broker._consumer._coordinator

        time.sleep(kafka_params.session_timeout_s + 1.0)  # noqa: ASYNC251 - this is tested
        while coordinator.generation >= 0:  # noqa: ASYNC110 - the very moment is meant
            await asyncio.sleep(0)

        with pytest.raises(FencedError):
            await broker.commit({partition: Commit(1)})
        assert await broker.committed(partition) is None


async def test_what_a_fenced_member_owned_belongs_to_the_other(kafka_params: KafkaParams) -> None:
    """The one that stalls comes back to a group that has gone on without it."""
    partitions = partitions_of("taken", 2)
    params = in_group(kafka_params, "taken")
    async with KafkaBroker(params) as stalling:
        await stalling.ensure_topics([TopicSpec("taken", 2)])
        await join(stalling, "taken")
        other = asyncio.create_task(asyncio.to_thread(asyncio.run, take_over(params, partitions)))
        while not other.done() and len(stalling.assignment()) == 2:
            await stalling.poll([], timeout_s=0.02, count_max=1)
        await poll_until(stalling, lambda: len(stalling.assignment()) == 1)
        mine = next(iter(stalling.assignment()))

        time.sleep(kafka_params.session_timeout_s + 2.0)  # noqa: ASYNC251 - this is tested

        with pytest.raises(FencedError):
            await stalling.commit({mine: Commit(0)})
        while not other.done():
            await stalling.poll([], timeout_s=0.02, count_max=1)
        assert other.result() == set(partitions)


async def take_over(params: KafkaParams, partitions: list[TopicPartition]) -> set[TopicPartition]:
    """Join, share, and wait until everything is mine."""
    async with KafkaBroker(params) as broker:
        await join(broker, partitions[0].topic)
        await poll_until(broker, lambda: broker.assignment() == set(partitions))
        return set(broker.assignment())


async def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(
    kafka_params: KafkaParams,
) -> None:
    group = replace(in_group(kafka_params, "static"), session_timeout_s=10.0)
    async with KafkaBroker(replace(group, group_instance_id="one")) as one:
        await one.ensure_topics([TopicSpec("static", 4)])
        told_one = await join(one, "static")
        async with KafkaBroker(replace(group, group_instance_id="two")) as two:
            await join_while(one, two, "static")
            share = two.assignment()
        before = len(told_one.revoked)

        async with KafkaBroker(replace(group, group_instance_id="two")) as two:
            joining = asyncio.create_task(join(two, "static"))
            await poll_until(one, joining.done)

            assert two.assignment() == share
            assert joining.result().assigned == [sorted(share)]
            lost = next(iter(share))
            await two.commit({lost: Commit(0)})
        assert len(told_one.revoked) == before
        assert one.assignment() == set(partitions_of("static", 4)) - share


async def test_a_dynamic_member_that_leaves_is_inherited_at_once(kafka_params: KafkaParams) -> None:
    """And not after its session: it says goodbye."""
    group = replace(in_group(kafka_params, "dynamic"), session_timeout_s=60.0)
    async with KafkaBroker(group) as one:
        await one.ensure_topics([TopicSpec("dynamic", 4)])
        await join(one, "dynamic")
        async with KafkaBroker(group) as two:
            await join_while(one, two, "dynamic")
            assert len(one.assignment()) == len(two.assignment()) == 2
            # Range gives neighbours.
            assert sorted(one.assignment()) in (
                partitions_of("dynamic", 4)[:2],
                partitions_of("dynamic", 4)[2:],
            )

        left_s = time.monotonic()
        await poll_until(one, lambda: len(one.assignment()) == 4)
        assert time.monotonic() - left_s < group.session_timeout_s / 2


class Slow(Callbacks):
    """Takes its time to hand over, and commits at the end of it, as the engine does."""

    def __init__(self, broker: KafkaBroker, wait_s: float) -> None:
        super().__init__()
        self._broker = broker
        self._wait_s = wait_s
        self.failure: FencedError | None = None

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        await super().on_revoked(partitions)
        await asyncio.sleep(self._wait_s)
        try:
            await self._broker.commit({at: Commit(7, "handed over") for at in partitions})
        except FencedError as error:
            self.failure = error


async def hand_over_slowly(params: KafkaParams, topic: str, wait_s: float) -> Slow:
    """A member that owns two partitions and takes `wait_s` to give them up to another."""
    async with KafkaBroker(params) as slow, KafkaBroker(params) as other:
        await slow.ensure_topics([TopicSpec(topic, 2)])
        told = Slow(slow, wait_s)
        await slow.subscribe([topic], on_assigned=told.on_assigned, on_revoked=told.on_revoked)

        await join_while(slow, other, topic)

        assert told.revoked[0] == partitions_of(topic, 2)
        assert slow.assignment() | other.assignment() == set(partitions_of(topic, 2))
        committed = [await slow.committed(at) for at in partitions_of(topic, 2)]
        assert committed == [None if told.failure else Commit(7, "handed over")] * 2
        return told


async def test_a_hand_over_may_take_longer_than_a_session(kafka_params: KafkaParams) -> None:
    wait_s = kafka_params.session_timeout_s + 1.5
    assert wait_s < kafka_params.rebalance_timeout_s

    told = await hand_over_slowly(in_group(kafka_params, "slow"), "slow", wait_s)

    assert told.failure is None


async def test_a_hand_over_longer_than_the_rebalance_is_fenced(kafka_params: KafkaParams) -> None:
    params = replace(in_group(kafka_params, "too-slow"), rebalance_timeout_s=2.0)

    told = await hand_over_slowly(params, "too-slow", 5.0)

    assert told.failure is not None
