"""Memory near its limit, disks nearly full, a clock that is wrong: told and relieved."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from sentinel.config import Config
from sentinel.core.features.state import FeatureState
from sentinel.engine.health import Health
from sentinel.engine.machine.clock import RecordClock
from sentinel.engine.machine.disks import Disks
from sentinel.engine.machine.relief import Relief
from sentinel.metrics import Metrics
from sentinel.ports import MachineLook
from tests.engine.clock import run, until
from tests.engine.faults import Away
from tests.engine.samples import FEATURES, a_config, encoded, transactions
from tests.engine.world import MemoryInstance, MemoryMachine, World

MB = 2**20
NEAR, ROOMY = MachineLook(95 * MB, 100 * MB), MachineLook(50 * MB, 100 * MB)


def pressed_config() -> Config:
    """Room for many entities, and a floor far below."""
    config = a_config(batch_count_max=4, commit_interval_s=0.2)
    entities = {
        kind: replace(params, entities_max=1024) for kind, params in config.entities.items()
    }
    return replace(config, entities=entities)


STREAM = [transactions(100, first=100 * i, account_count=90, terminal_count=60) for i in range(5)]


async def played(world: World, instance: MemoryInstance, number: int) -> None:
    world.send(STREAM[number])
    await instance.idle()


def test_near_the_limit_entities_leave_memory_and_no_decision_changes() -> None:
    expected, world = World(config=pressed_config()), World(config=pressed_config())
    for piece in STREAM:
        expected.send(piece)
    run(expected.run_through())

    async def scenario() -> MemoryInstance:
        async with world.instance() as instance:
            await played(world, instance, 0)
            full = instance.entity_counts()
            assert min(full.values()) > 40
            world.machine.now = NEAR
            await until(lambda: instance.entity_counts()["account"] == 32)
            await until(lambda: instance.entity_counts()["terminal"] == 32)
            assert instance.health() == Health(
                "degraded",
                (
                    "memory is near its limit: 95 of 100 MB; at most 32 of 1,024 accounts, "
                    "32 of 1,024 terminals are kept in it, the others are read again",
                ),
            )
            assert instance.health().is_ready
            for number in (1, 2, 3):
                await played(world, instance, number)
                assert max(instance.entity_counts().values()) <= 32
            world.machine.now = ROOMY
            await until(lambda: instance.health() == Health("ok"), timeout_s=600.0)
            await played(world, instance, 4)
            await instance.stop()
        return instance

    instance = run(scenario())
    assert instance.metrics.entities_shed > 20
    assert world.decisions() == expected.decisions()
    assert not any(one["degraded"] for one in world.values("decisions"))
    assert world.blobs() == expected.blobs()
    assert world.unsafe == []


def test_while_the_store_is_away_nothing_leaves_memory() -> None:
    world, faults = World(config=pressed_config()), Away()

    async def scenario() -> None:
        async with world.instance(store_faults=faults) as instance:
            await played(world, instance, 0)
            full = instance.entity_counts()
            faults.names = frozenset({"load_owned", "load_shared", "save"})
            world.send(transactions(4, first=900, account_count=4_000))
            await until(lambda: instance.parts.loader.away_since_s is not None)
            world.machine.now = NEAR
            await asyncio.sleep(5.0)
            assert instance.metrics.entities_shed == 0
            assert all(instance.entity_counts()[kind] >= full[kind] for kind in full)
            assert (
                "memory is near its limit: 95 of 100 MB; nothing can leave it while the state "
                "store is away" in instance.health().reasons
            )
            faults.names = frozenset()
            world.send(transactions(4, first=910, account_count=4_000))
            await until(lambda: instance.entity_counts()["account"] == 32)

    run(scenario())


def a_relief(clock: list[float]) -> Relief:
    config = pressed_config()
    state = FeatureState(config.entities, FEATURES, amount_decimals=2)
    return Relief(
        MemoryMachine(),
        state.tables.values(),
        Metrics(),
        batch_count_max=4,
        is_store_away=lambda: False,
        clock_s=lambda: clock[0],
    )


def test_without_a_limit_or_far_from_it_there_is_nothing_to_say() -> None:
    relief = a_relief([0.0])
    for look in (MachineLook(), MachineLook(5 * MB, None), MachineLook(None, 5 * MB), ROOMY):
        relief.judge(look)
        assert relief.trouble == ""


def test_it_grows_back_slowly_and_only_where_there_is_much_room() -> None:
    clock = [0.0]
    relief = a_relief(clock)
    relief.judge(NEAR)
    assert "at most 32 of 1,024 accounts" in relief.trouble

    relief.judge(MachineLook(80 * MB, 100 * MB))
    assert "at most 32 of 1,024 accounts" in relief.trouble, "neither near nor roomy"
    relief.judge(ROOMY)
    assert "at most 32 of 1,024 accounts" in relief.trouble, "it has just shrunk"
    clock[0] = 10.0
    relief.judge(ROOMY)
    assert "at most 96 of 1,024 accounts" in relief.trouble
    for second in range(20, 200, 10):
        clock[0] = float(second)
        relief.judge(ROOMY)
    assert relief.trouble == ""


def test_a_disk_that_is_nearly_full_is_told_with_its_folder() -> None:
    disks = Disks(500)
    disks.judge(MachineLook(free_bytes={"models": 600 * MB, "archive": 499 * MB}))
    assert disks.trouble == "a disk is nearly full: archive (499 MB are free)"
    disks.judge(MachineLook(free_bytes={"archive": 500 * MB}))
    assert disks.trouble == ""
    off = Disks(0)
    off.judge(MachineLook(free_bytes={"archive": 0}))
    assert off.trouble == ""


def test_a_nearly_full_disk_degrades_health_and_scoring_goes_on() -> None:
    world = World()

    async def scenario() -> None:
        async with world.instance() as instance:
            world.machine.now = MachineLook(free_bytes={".sentinel/models": 7 * MB})
            await until(lambda: instance.health().status == "degraded")
            assert instance.health().reasons == (
                "a disk is nearly full: .sentinel/models (7 MB are free)",
            )
            world.send(transactions(50))
            await instance.idle()
            world.machine.now = MachineLook()
            await until(lambda: instance.health() == Health("ok"))

    run(scenario())
    assert len(world.decisions()) == 50


@pytest.mark.parametrize(
    ("skew_s", "reason"),
    [
        (0, ""),
        (59, ""),
        (-59, ""),
        (
            -3_600,
            "records come from 3,600 s ahead: the clock of this machine is behind, or those of "
            "all who send are ahead",
        ),
        (
            3_600,
            "records are 3,600 s old when they come: the clock of this machine is ahead, or "
            "whoever sends them is late",
        ),
    ],
)
def test_a_clock_that_is_wrong_is_told_with_by_how_much_and_changes_no_decision(
    skew_s: int, reason: str
) -> None:
    expected, world = World(), World()
    world.machine.skew_ms = 1_000 * skew_s
    made = transactions(20)

    async def scenario(world: World) -> Health:
        async with world.instance() as instance:
            for one in made:
                world.send([one])
                await instance.idle()
                await asyncio.sleep(10.0)
            found = instance.health()
            await instance.stop()
        return found

    run(scenario(expected))
    assert run(scenario(world)) == (Health("degraded", (reason,)) if reason else Health("ok"))
    assert world.decisions() == expected.decisions()


def a_clock(now: list[float], lag: list[int | None], skew_s_max: float = 60.0) -> RecordClock:
    return RecordClock(
        lag=lambda: lag[0],
        clock_ms=lambda: round(1_000 * now[0]),
        clock_s=lambda: now[0],
        skew_s_max=skew_s_max,
    )


def test_a_backlog_is_old_and_no_clock_is_wrong_for_that() -> None:
    now, lag = [10_000.0], [500]
    clock = a_clock(now, lag)  # type: ignore[arg-type]
    for _ in range(200):
        clock.note(np.array([1_000.0 * (now[0] - 5_000.0)]))
        now[0] += 1.0
    assert clock.trouble == ""


def test_one_sender_whose_clock_is_ahead_makes_none_of_ours_wrong() -> None:
    now = [10_000.0]
    clock = a_clock(now, [0])
    for _ in range(200):
        clock.note(np.array([1_000.0 * now[0], 1_000.0 * (now[0] + 5_000.0)]))
        now[0] += 1.0
    assert clock.trouble == ""


def test_what_was_known_of_a_clock_is_forgotten_when_nothing_comes() -> None:
    now = [10_000.0]
    clock = a_clock(now, [0])
    clock.note(np.array([]))
    for _ in range(200):
        clock.note(np.array([1_000.0 * (now[0] + 500.0)]))
        now[0] += 1.0
    assert "500 s ahead" in clock.trouble
    now[0] += 400.0
    assert clock.trouble == ""
    off = a_clock(now, [0], 0.0)
    for _ in range(200):
        off.note(np.array([1_000.0 * (now[0] + 500.0)]))
        now[0] += 1.0
    assert off.trouble == ""


def test_a_transaction_from_far_ahead_of_its_record_is_a_dead_letter_whatever_the_clock() -> None:
    world = World()
    world.machine.skew_ms = 10**12
    [one] = transactions(1)
    ahead = {**one, "event_time": world.cluster._clock_ms() + 2 * 86_400_000}
    world.append("transactions", encoded(ahead))

    run(world.run_through())

    assert world.decisions() == {}
    assert len(world.records("dead-letters")) == 1
