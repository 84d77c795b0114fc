"""What the in-memory twins do beyond the contracts: they fail on demand, and crash honestly."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from sentinel.adapters.memory import (
    Faults,
    MemoryBroker,
    MemoryCluster,
    MemoryStateStore,
    MemoryStore,
    MemoryTail,
)
from sentinel.core.topics import TopicSpec
from sentinel.errors import FencedError, TransientError
from sentinel.ports import Blob, PartitionState
from sentinel.records import Commit, TopicPartition
from tests.adapters.contracts import join, poll_until, send, values

PARTITION = TopicPartition("t", 0)
STATE = PartitionState("memory", 0, "memory", 0)


def a_cluster(partition_count: int = 1) -> MemoryCluster:
    cluster = MemoryCluster()
    cluster.create_topic("t", partition_count)
    return cluster


def contents(cluster: MemoryCluster) -> list[bytes | None]:
    return [record.value for record in cluster.records("t")]


async def a_run(cluster: MemoryCluster, store: MemoryStore, faults: Faults) -> None:
    """One call of nearly every kind."""
    async with (
        MemoryBroker(cluster, faults=faults) as broker,
        MemoryStateStore(store, faults=faults) as states,
        MemoryTail(cluster, ["t"], faults=faults) as tail,
    ):
        await broker.ensure_topics([TopicSpec("t", 1)])
        await join(broker, "t")
        await broker.publish("t", 0, values("a"))
        await broker.flush()
        await broker.poll([PARTITION], timeout_s=0.0, count_max=10)
        await tail.poll(timeout_s=0.0, count_max=10)
        epoch = await states.claim(PARTITION)
        await states.save(PARTITION, epoch, [], STATE)
        await broker.commit({PARTITION: Commit(1)})


async def test_every_call_can_fail_once() -> None:
    clean = Faults()
    await a_run(a_cluster(), MemoryStore(), clean)
    failed = []

    for number in range(1, clean.call_count + 1):
        faults = Faults(fail_at=number)
        with pytest.raises(TransientError, match=f"call {number} "):
            await a_run(a_cluster(), MemoryStore(), faults)
        failed.append(faults.failed)
        assert faults.call_count == number

    assert failed == [
        *("ensure_topics", "subscribe", "publish", "flush", "poll", "tail.poll"),
        *("claim", "save", "commit"),
    ]


async def test_a_lasting_fault_lasts_until_it_is_lifted() -> None:
    cluster, faults = a_cluster(), Faults(fail_at=2, lasting=True)
    broker = MemoryBroker(cluster, faults=faults)

    await broker.publish("t", 0, values("a"))
    for _ in range(3):
        with pytest.raises(TransientError):
            await broker.flush()
    faults.fail_at = None
    await broker.flush()

    assert contents(cluster) == [b"a"]


async def test_a_call_can_take_effect_and_then_fail() -> None:
    store, faults = MemoryStore(), Faults(fail_at=2, after_effect=True)
    states = MemoryStateStore(store, faults=faults)
    epoch = await states.claim(PARTITION)

    with pytest.raises(TransientError):
        await states.save(PARTITION, epoch, [Blob("account", "a", -1, b"x")], STATE)

    assert await states.load_owned("account", ["a"], {}) == [b"x"]


async def test_what_was_not_flushed_may_or_may_not_outlive_a_crash() -> None:
    sizes = set()
    for seed in range(30):
        cluster = a_cluster()
        broker = MemoryBroker(cluster, rng=np.random.default_rng(seed))
        await broker.publish("t", 0, values("a", "b"))
        await broker.flush()
        await broker.publish("t", 0, values("c", "d"))
        broker.crash()

        found = contents(cluster)
        assert found == [b"a", b"b", b"c", b"d"][: len(found)]
        sizes.add(len(found))

    assert sizes == {2, 3, 4}


async def test_the_same_seed_gives_the_same_history() -> None:
    async def history(seed: int) -> list[int]:
        cluster = a_cluster(2)
        broker = MemoryBroker(cluster, rng=np.random.default_rng(seed))
        lengths = []
        for _ in range(20):
            await broker.publish("t", 0, values("a"))
            await broker.publish("t", 1, values("b"))
            lengths.append(len(contents(cluster)))
        return lengths

    assert await history(1) == await history(1)
    assert await history(1) != await history(2)


async def test_a_failed_flush_forgets_what_was_under_way() -> None:
    cluster = a_cluster()
    broker = MemoryBroker(cluster, faults=Faults(fail_at=2), rng=np.random.default_rng(3))
    await broker.publish("t", 0, values(*"abcdefgh"))

    with pytest.raises(TransientError):
        await broker.flush()
    arrived = len(contents(cluster))
    assert arrived < 8
    await broker.flush()

    assert len(contents(cluster)) == arrived


async def test_a_crashed_member_is_replaced_and_fenced_off() -> None:
    cluster = a_cluster(2)
    first, second = MemoryBroker(cluster), MemoryBroker(cluster)
    await join(first, "t")
    told = await join(second, "t")
    assert len(second.assignment()) == 1

    first.crash()
    await poll_until(second, lambda: len(second.assignment()) == 2)

    assert len(told.assigned) == 2
    with pytest.raises(FencedError):
        await first.commit({PARTITION: Commit(1)})


async def test_a_member_may_commit_while_it_hands_over() -> None:
    cluster = a_cluster(2)
    first, second = MemoryBroker(cluster), MemoryBroker(cluster)

    async def hand_over(partitions: Sequence[TopicPartition]) -> None:
        await first.commit({partition: Commit(5, "handed over") for partition in partitions})

    async def ignore(partitions: Sequence[TopicPartition]) -> None:
        pass

    await first.subscribe(["t"], on_assigned=ignore, on_revoked=hand_over)
    await join(second, "t")

    assert await second.committed(TopicPartition("t", 1)) == Commit(5, "handed over")


async def test_a_tail_skips_what_retention_deleted() -> None:
    """A member does not: that is a contract."""
    cluster = a_cluster()
    async with MemoryBroker(cluster) as broker, MemoryTail(cluster, ["t"]) as tail:
        await send(broker, PARTITION, values("a", "b", "c"))
        cluster.trim(PARTITION, 2)

        polled = await tail.poll(timeout_s=0.0, count_max=10)

        assert [record.offset for record in polled["t"]] == [2]


async def test_a_waiting_poll_hears_of_a_new_record() -> None:
    cluster = a_cluster()
    broker = MemoryBroker(cluster)
    await join(broker, "t")

    async with asyncio.TaskGroup() as tasks:
        polling = tasks.create_task(broker.poll([PARTITION], timeout_s=30.0, count_max=10))
        await asyncio.sleep(0)
        await broker.publish("t", 0, values("a"))

    assert len(polling.result()[PARTITION]) == 1


def test_a_cluster_outlives_the_event_loop() -> None:
    cluster = a_cluster()

    async def life(text: str) -> int:
        async with MemoryBroker(cluster) as broker:
            await join(broker, "t")
            await send(broker, PARTITION, values(text))
            return len(await broker.poll([PARTITION], timeout_s=0.0, count_max=10))

    assert asyncio.run(life("a")) == 1
    assert asyncio.run(life("b")) == 1
    assert contents(cluster) == [b"a", b"b"]


async def test_records_carry_the_time_of_the_clock() -> None:
    cluster = MemoryCluster(clock_ms=lambda: 1234)
    cluster.create_topic("t", 1)

    cluster.append(PARTITION, values("a"))

    assert [record.timestamp for record in cluster.records("t")] == [1234]


async def test_layouts_do_not_see_each_other() -> None:
    store = MemoryStore()
    old, new = MemoryStateStore(store, layout="old"), MemoryStateStore(store, layout="new")
    epoch = await old.claim(PARTITION)
    await old.save(PARTITION, epoch, [Blob("account", "a", -1, b"x")], STATE)

    assert await new.load_owned("account", ["a"], {}) == [None]
    assert await new.partition_state(PARTITION) is None
    assert (await new.claim(PARTITION)).epoch == epoch.epoch + 1
