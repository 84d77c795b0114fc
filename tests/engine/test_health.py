"""Health is progress: one word, and why."""

import asyncio
from typing import get_args

import pytest

from sentinel.adapters.memory import MemoryBroker, MemoryCluster
from sentinel.engine.health import (
    Health,
    HealthName,
    health,
    longest_silence,
    total_lag,
    watch_loop,
)
from sentinel.metrics import Metrics
from sentinel.records import TopicPartition
from tests.engine.clock import run, until
from tests.engine.samples import a_config, transactions
from tests.engine.world import World

FINE = {
    "is_assigned": True,
    "is_recovering": False,
    "store_away": False,
    "lag": 0,
    "idle_s": 0.0,
    "silent": ("transactions-0", 0.0),
    "unconfirmed_s": 1.0,
    "commit_interval_s": 1.0,
}

WAITING = "waiting for partitions"
SLOW = "commits are slow: none has been confirmed for {} s"
BROKERS = "maintenance by ops: brokers are upgraded"

TABLE = [
    ({}, Health("ok")),
    ({"lag": None}, Health("ok")),
    ({"lag": 5000}, Health("ok")),
    ({"idle_s": 3600.0}, Health("ok")),
    ({"lag": 7, "idle_s": 10.0}, Health("ok")),
    ({"lag": 7, "idle_s": 10.6}, Health("stuck", ("no progress for 11 s with 7 records waiting",))),
    ({"store_away": True}, Health("degraded", ("the state store is away",))),
    (
        {"store_away": True, "lag": 7, "idle_s": 60.0},
        Health("stuck", ("no progress for 60 s with 7 records waiting",)),
    ),
    ({"silent": ("transactions-0", 10.0)}, Health("ok")),
    (
        {"silent": ("feedback-0", 10.6)},
        Health("stuck", ("Kafka has not answered for 11 s about feedback-0",)),
    ),
    ({"unconfirmed_s": 5.0}, Health("ok")),
    ({"unconfirmed_s": 22.0, "commit_interval_s": 10.0}, Health("ok")),
    ({"unconfirmed_s": 12.0}, Health("degraded", (SLOW.format(12),))),
    (
        {"unconfirmed_s": 30.0, "commit_interval_s": 10.0, "store_away": True},
        Health("degraded", ("the state store is away", SLOW.format(30))),
    ),
    (
        {"unconfirmed_s": 12.6},
        Health("stuck", ("no commit has been confirmed for 13 s",)),
    ),
    (
        {"silent": ("t-0", 20.0), "lag": 3, "idle_s": 20.0, "unconfirmed_s": 20.0},
        Health(
            "stuck",
            (
                "Kafka has not answered for 20 s about t-0",
                "no progress for 20 s with 3 records waiting",
                "no commit has been confirmed for 20 s",
            ),
        ),
    ),
    (
        {"silent": ("t-0", 20.0), "is_recovering": True},
        Health("stuck", ("Kafka has not answered for 20 s about t-0",)),
    ),
    ({"silent": ("t-0", 20.0), "is_assigned": False}, Health("starting", (WAITING,))),
    ({"silent": None}, Health("ok")),
    ({"is_assigned": False}, Health("starting", ("waiting for partitions",))),
    ({"is_recovering": True}, Health("starting", ("replaying",))),
    ({"is_recovering": True, "store_away": True}, Health("starting", ("replaying",))),
    ({"maintenance": BROKERS}, Health("maintenance", (BROKERS,))),
    (
        {"maintenance": BROKERS, "store_away": True, "troubles": ("a", "b")},
        Health("maintenance", (BROKERS, "the state store is away", "a", "b")),
    ),
    (
        {"maintenance": BROKERS, "lag": 7, "idle_s": 60.0},
        Health("stuck", ("no progress for 60 s with 7 records waiting",)),
    ),
    ({"maintenance": BROKERS, "is_assigned": False}, Health("starting", (WAITING,))),
]


def test_it_is_ready_when_what_comes_is_decided() -> None:
    ready = [status for status in get_args(HealthName) if Health(status).is_ready]
    assert ready == ["ok", "degraded", "maintenance"]


@pytest.mark.parametrize(("change", "expected"), TABLE)
def test_the_table_of_health(change: dict[str, object], expected: Health) -> None:
    assert health(**{**FINE, **change}) == expected  # type: ignore[arg-type]


def test_an_instance_tells_its_health_from_start_to_end() -> None:
    world = World()
    world.send(transactions(100))

    async def scenario() -> None:
        instance = world.instance()
        assert instance.health() == Health("starting", ("connecting",))
        assert (instance.lag(), instance.idle_s(), instance.entity_counts()) == (None, 0.0, {})
        assert instance.last_alerts() == []
        await instance.open()
        assert instance.health() == Health("starting", ("waiting for partitions",))
        async with instance.started():
            await instance.idle()
            assert instance.health() == Health("ok")
            assert instance.lag() == 0
            assert instance.entity_counts() == {"account": 12, "terminal": 5}
            await asyncio.sleep(60.0)
            assert instance.idle_s() > 59
            assert instance.health() == Health("ok")

    run(scenario())


def test_an_instance_that_cannot_go_on_is_stuck() -> None:
    """Its alerts wait for a producer that takes nothing: the inbox stays full."""
    world = World(config=a_config(inbox_batch_count_max=1))

    async def scenario() -> None:
        async with world.instance(publish_delay_s=1000.0) as instance:
            world.send(transactions(100))
            await until(lambda: instance.health().status == "stuck")
            assert "records waiting" in instance.health().reasons[0]

    run(scenario())


def test_an_instance_that_lost_its_partitions_is_starting() -> None:
    world = World()

    async def scenario() -> None:
        async with world.instance() as first:
            await until(lambda: first.health().status == "ok")
            async with world.instance() as second:
                await until(lambda: second.health().status != "ok" or not first.parts.partitions)
                idle = next(x for x in (first, second) if not x.parts.partitions)
                assert idle.health() == Health("starting", ("waiting for partitions",))

    run(scenario())


@pytest.mark.parametrize("name", ["transactions-1", "feedback-0"])
def test_a_partition_whose_fetches_are_not_answered_makes_it_stuck(name: str) -> None:
    """Nothing fails, nothing waits as far as it knows, and the other partitions go on."""
    world = World(config=a_config(partition_count=2))
    topic, number = name.rsplit("-", 1)

    async def scenario() -> None:
        async with world.instance() as instance:
            await until(lambda: instance.health() == Health("ok"))
            world.cluster.silence(TopicPartition(topic, int(number)))
            world.send(transactions(100))
            await asyncio.sleep(9.0)
            assert instance.health() == Health("ok")
            await asyncio.sleep(2.0)
            [reason, *_] = instance.health().reasons
            assert reason == f"Kafka has not answered for 11 s about {name}"
            assert not instance.health().is_ready

            world.cluster.silence()
            await instance.idle()
            assert instance.health() == Health("ok")

    run(scenario())


def test_an_instance_whose_commits_hang_is_stuck() -> None:
    """Nothing waits to be read, and nothing that is decided is safe."""
    world = World(config=a_config(commit_interval_s=0.5))

    async def scenario() -> None:
        async with world.instance(commit_delay_s=1000.0) as instance:
            world.send(transactions(10))
            await until(lambda: instance.health().status == "stuck")
            assert instance.lag() == 0
            assert instance.health().reasons == ("no commit has been confirmed for 11 s",)

    run(scenario())


def test_a_broker_that_is_slow_to_commit_is_told_and_scoring_goes_on() -> None:
    """Each commit takes 4.5 s, within what makes nobody stuck."""
    world = World(config=a_config(commit_interval_s=0.5))

    async def scenario() -> None:
        async with world.instance(commit_delay_s=4.5) as instance:
            for number in range(5):
                world.send(transactions(10, first=10 * number))
                await asyncio.sleep(3.0)
            found = set()
            for number in range(5, 40):
                world.send(transactions(1, first=10 * number))
                await asyncio.sleep(1.0)
                found.add(instance.health().status)
            assert found <= {"ok", "degraded"}
            assert "degraded" in found
            await instance.idle()

    run(scenario())
    assert len(world.decisions()) == 85


def test_nothing_is_silent_that_is_not_owned() -> None:
    cluster = MemoryCluster()
    cluster.create_topic("t", 1)

    assert longest_silence(MemoryBroker(cluster), [TopicPartition("t", 0)]) is None


def test_lag_adds_up_what_is_known() -> None:
    cluster = MemoryCluster()
    cluster.create_topic("t", 2)

    assert total_lag(MemoryBroker(cluster), [TopicPartition("t", 0)]) is None
    assert total_lag(MemoryBroker(cluster), []) is None


def test_a_loop_that_stalls_is_noticed() -> None:
    """The clock jumps by two tenths of a second while the task sleeps for 50 ms."""
    metrics = Metrics()

    async def scenario() -> None:
        clock_s, stall_s = asyncio.get_running_loop().time, 0.0
        watch = asyncio.create_task(watch_loop(metrics, lambda: clock_s() + stall_s))
        await until(lambda: metrics.loop_lag_s.count == 10)
        assert metrics.loop_lag_s.quantile(1.0) == pytest.approx(0.0, abs=1e-5)
        await asyncio.sleep(0.02)
        stall_s = 0.2
        await until(lambda: metrics.loop_lag_s.count == 11)
        watch.cancel()

    run(scenario())

    assert metrics.loop_lag_s.quantile(1.0) == pytest.approx(0.2, rel=0.06)
