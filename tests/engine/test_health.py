"""Health is progress: one word, and why."""

import asyncio

import pytest

from sentinel.adapters.memory import MemoryBroker, MemoryCluster
from sentinel.engine.health import Health, health, total_lag, watch_loop
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
}

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
    ({"is_assigned": False}, Health("starting", ("waiting for partitions",))),
    ({"is_recovering": True}, Health("starting", ("replaying",))),
    ({"is_recovering": True, "store_away": True}, Health("starting", ("replaying",))),
]


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
