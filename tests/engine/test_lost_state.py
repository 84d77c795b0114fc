"""A store that does not hold what it acknowledged: older copies, flushes, evictions."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.memory import MemoryStore
from sentinel.errors import ConfigError, FencedError
from sentinel.ports import StoreFacts
from sentinel.records import TopicPartition
from tests.engine.clock import run, until
from tests.engine.samples import FEATURES, a_config, transactions
from tests.engine.world import MemoryInstance, World

ACCOUNT = [i for i, f in enumerate(FEATURES) if f.entity == "account"]
EVICTING = StoreFacts(run="r1", may_evict="redis may drop entity state")


def a_world(*, seed: int | None = None, **engine: Any) -> World:
    rng = None if seed is None else np.random.default_rng(seed)
    return World(config=a_config(2, commit_interval_s=0.2, **engine), rng=rng)


def alone(count: int) -> dict[str, list[float | None]]:
    world = a_world()
    world.send(transactions(count))
    run(world.run_through())
    return account_features(world)


def account_features(world: World, *, degraded: bool = False) -> dict[str, list[float | None]]:
    """By transaction, of decisions that are not flagged, or of all."""
    found: dict[str, list[float | None]] = {}
    for decision in world.values("decisions"):
        if degraded or not decision["degraded"]:
            values = [decision["features"][i] for i in ACCOUNT]
            assert found.setdefault(decision["transaction_id"], values) == values
    return found


async def outlive(world: World, instance: MemoryInstance) -> None:
    """The instance is told of its loss, and another one takes its place."""
    assert instance.task is not None
    await until(instance.task.done, timeout_s=30.0)
    with pytest.raises(FencedError):
        instance.task.result()


@pytest.mark.parametrize("seed", range(8))
def test_a_store_that_comes_back_older_under_an_instance_loses_nothing(seed: int) -> None:
    world = a_world(seed=seed)
    world.send(transactions(200))

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            dump = world.store.copy()
            world.send(transactions(150, first=200))
            await instance.idle()
            await until(lambda: not instance.parts.checkpoints.is_behind)
            await asyncio.sleep(1.0)
            world.store.restore(dump)
            world.send(transactions(150, first=350))
            await outlive(world, instance)

    run(scenario())
    run(world.run_through())

    assert account_features(world) == alone(500)


@pytest.mark.parametrize("seed", range(4))
def test_a_store_that_comes_back_older_between_two_runs_loses_nothing(seed: int) -> None:
    world = a_world(seed=seed)
    world.send(transactions(200))
    run(world.run_through())
    dump = world.store.copy()
    world.send(transactions(150, first=200))
    run(world.run_through())
    world.store.restore(dump)
    world.send(transactions(150, first=350))

    run(world.run_through())

    assert account_features(world) == alone(500)


@pytest.mark.parametrize("is_running", [False, True])
def test_a_store_that_was_flushed_is_filled_again_from_the_log(is_running: bool) -> None:
    world = a_world()
    world.send(transactions(200))

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            if not is_running:
                await instance.stop()
            world.store.restore(MemoryStore())
            world.send(transactions(100, first=200))
            if is_running:
                await outlive(world, instance)

    run(scenario())
    run(world.run_through())

    assert account_features(world) == alone(300)


def test_a_store_that_was_flushed_and_a_log_that_was_trimmed_are_a_gap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = a_world()
    world.send(transactions(200))
    run(world.run_through())
    world.store.restore(MemoryStore())
    world.cluster.trim(TopicPartition("transactions", 0), 30)

    with pytest.raises(ConfigError, match="the store knows nothing of what was decided before"):
        run(world.run_through())

    world.config = a_config(2, commit_interval_s=0.2, on_gap="earliest")
    world.send(transactions(20, first=200))
    with caplog.at_level(logging.WARNING):
        run(world.run_through())
    assert "entity state is lost; going on with what is left" in caplog.text


def test_other_features_are_built_anew_from_what_a_trimmed_log_holds() -> None:
    """That is no loss of the store's: it knows of the saves of before."""
    world = a_world()
    world.send(transactions(200))
    run(world.run_through())
    world.store.states.clear()
    world.store.blobs.clear()
    world.cluster.trim(TopicPartition("transactions", 0), 30)

    run(world.run_through())


def test_keys_that_were_evicted_under_an_instance_are_read_from_the_log_again() -> None:
    world = a_world(snapshot_after_s=0.0)
    world.store.facts = EVICTING
    world.send(transactions(200, account_count=40))

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            await asyncio.sleep(1.0)
            assert "redis may drop entity state" in instance.health().reasons
            world.store.facts = replace(EVICTING, evicted_count=20)
            evict_accounts(world, 20)
            world.send(transactions(200, first=200, account_count=40))
            await outlive(world, instance)

    run(scenario())
    run(world.run_through())

    assert account_features(world) == expected_of(400, account_count=40)


def test_an_account_that_is_not_known_is_not_decided_before_evictions_are_looked_for() -> None:
    """It may be new, or be what the store has just dropped."""
    world = a_world(snapshot_after_s=0.0)
    world.store.facts = EVICTING
    world.send(transactions(200, account_count=40))
    run(world.run_through())

    async def scenario() -> None:
        async with world.instance() as instance:
            await until(lambda: len(instance.parts.partitions) == 2)
            world.store.facts = replace(EVICTING, evicted_count=20)
            evict_accounts(world, 20)
            world.send(transactions(5, first=200, account_count=40))
            await outlive(world, instance)
            assert instance.metrics.decisions == 0

    run(scenario())


def test_keys_that_are_evicted_again_and_again_have_their_decisions_flagged() -> None:
    """To read the log again and again would never come to a decision."""
    world = a_world(snapshot_after_s=0.0)
    world.store.facts = EVICTING
    world.send(transactions(200, account_count=40))
    run(world.run_through())
    for round_ in (1, 2):
        world.store.facts = replace(EVICTING, evicted_count=15 * round_)
        evict_accounts(world, 15)
        world.send(transactions(100, first=100 + 100 * round_, account_count=40))
        instance = run(world.run_through())

    assert instance.metrics.degraded > 0
    found = account_features(world)
    expected = expected_of(400, account_count=40)
    assert all(values == expected[name] for name, values in found.items())
    assert len(world.decisions()) == 400


def test_what_was_evicted_and_is_no_more_in_the_log_is_flagged() -> None:
    world = a_world(snapshot_after_s=0.0)
    world.store.facts = EVICTING
    world.send(transactions(200, account_count=40))
    run(world.run_through())
    world.store.facts = replace(EVICTING, evicted_count=15)
    evict_accounts(world, 15)
    for number in (0, 1):
        world.cluster.trim(TopicPartition("transactions", number), 40)
    world.send(transactions(100, first=200, account_count=40))

    async def scenario() -> tuple[str, ...]:
        async with world.instance() as instance:
            await instance.idle()
            return instance.health().reasons

    reasons = run(scenario())

    assert any("redis has dropped 15 keys" in reason for reason in reasons)
    expected = expected_of(300, account_count=40)
    found = account_features(world)
    assert all(values == expected[name] for name, values in found.items())


def test_evictions_of_a_run_that_is_over_are_counted_anew() -> None:
    """A server that was restarted begins at 0: what it has dropped since is what is lost."""
    world = a_world(snapshot_after_s=0.0)
    world.store.facts = replace(EVICTING, evicted_count=50)
    world.send(transactions(200))
    run(world.run_through())
    world.store.facts = replace(EVICTING, run="r2")
    world.send(transactions(50, first=200))
    assert run(world.run_through()).metrics.replayed == 0
    world.store.facts = replace(EVICTING, run="r2", evicted_count=3)
    assert run(world.run_through()).metrics.replayed > 0


def test_a_store_that_does_not_tell_how_it_is_serves_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = a_world()
    world.store.facts = None
    world.send(transactions(100))

    with caplog.at_level(logging.WARNING):
        run(world.run_through())

    assert account_features(world) == alone(100)
    assert "the ACL rule +info lets it" in caplog.text


def evict_accounts(world: World, count: int) -> None:
    """Drop the blobs of some accounts, as a server does that is full."""
    found = sorted(address for address in world.store.blobs if address[1] == "account")
    for address in found[:count]:
        del world.store.blobs[address]


def expected_of(count: int, *, account_count: int) -> dict[str, list[float | None]]:
    world = a_world()
    world.send(transactions(count, account_count=account_count))
    run(world.run_through())
    return account_features(world)


def test_a_store_that_cannot_be_used_is_refused() -> None:
    world = a_world()
    world.store.facts = StoreFacts(unfit="it has one database")

    with pytest.raises(ConfigError, match=r"^redis\.url: it has one database$"):
        run(world.run_through())
