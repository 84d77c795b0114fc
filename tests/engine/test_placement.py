"""Labels reach their account wherever its producer has put it."""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sentinel.core.partitioning import Partitioner, PartitionOf
from tests.engine.clock import run, until
from tests.engine.samples import FEATURES, a_config, encoded, transactions, voice
from tests.engine.world import MemoryInstance, World

COUNT = 4
FRAUDS = next(i for i, f in enumerate(FEATURES) if f.name == "account_frauds")
ACCOUNT = [i for i, f in enumerate(FEATURES) if f.entity == "account"]
SENT = transactions(300, account_count=27)
LATER = transactions(100, first=300, account_count=27)

Rule = Callable[[str], int]


def by_crc32(account: str) -> int:
    return PartitionOf(COUNT, "crc32")(account)


def by_some_other(account: str) -> int:
    return sum(account.encode()) % COUNT


def a_world(partitioner: Partitioner, *, count: int = COUNT, seed: int | None = None) -> World:
    config = a_config(count, commit_interval_s=0.2, batch_count_max=64)
    rng = None if seed is None else np.random.default_rng(seed)
    return World(
        config=replace(config, kafka=replace(config.kafka, partitioner=partitioner)), rng=rng
    )


def send(world: World, rule: Rule, sent: list[dict[str, Any]]) -> None:
    for one in sent:
        world.append("transactions", encoded(one), partition=rule(one["account"]))


def account_features(world: World) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for decision in world.values("decisions"):
        values = [decision["features"][i] for i in ACCOUNT]
        assert found.setdefault(decision["transaction_id"], values) == values
    return found


def alone() -> dict[str, list[float | None]]:
    world = a_world("murmur2", count=1)
    run(story(world, lambda _: 0))
    return account_features(world)


async def story(world: World, rule: Rule) -> MemoryInstance:
    async with world.instance() as instance:
        send(world, rule, SENT)
        await instance.idle()
        world.send_feedback([voice(x) for x in SENT[100:220:3]])
        await instance.idle()
        await until(lambda: all(not p.gate.is_opening for p in instance.parts.partitions.values()))
        send(world, rule, LATER)
        await instance.idle()
        await instance.stop()
    return instance


@pytest.mark.parametrize(
    ("partitioner", "rule"),
    [("crc32", by_crc32), ("any", by_crc32), ("any", by_some_other), ("murmur2", by_some_other)],
)
def test_labels_reach_the_accounts_of_every_partitioner(
    partitioner: Partitioner, rule: Rule
) -> None:
    """Also where another one was named: what is seen to be wrong is not relied on."""
    world = a_world(partitioner)

    instance = run(story(world, rule))

    found, expected = account_features(world), alone()
    assert found == expected
    assert any(values[ACCOUNT.index(FRAUDS)] for values in found.values())
    assert instance.metrics.labels_applied == 40
    assert (instance.metrics.misplaced > 0) == (partitioner == "murmur2")


@pytest.mark.parametrize(
    ("rule", "advice"), [(by_crc32, 'set it to "crc32"'), (by_some_other, 'set it to "any"')]
)
def test_accounts_that_are_elsewhere_are_said(rule: Rule, advice: str) -> None:
    world = a_world("murmur2")

    async def scenario() -> tuple[str, ...]:
        async with world.instance() as instance:
            send(world, rule, SENT)
            await instance.idle()
            return instance.health().reasons

    (reason,) = run(scenario())
    assert advice in reason
    assert 'kafka.partitioner = "murmur2"' in reason


def test_accounts_that_are_where_they_should_be_are_no_trouble() -> None:
    world = a_world("murmur2")

    async def scenario() -> tuple[str, ...]:
        async with world.instance() as instance:
            world.send(SENT)
            await instance.idle()
            return instance.health().reasons

    assert run(scenario()) == ()


@pytest.mark.parametrize("seed", range(6))
def test_labels_of_accounts_anywhere_outlive_crashes_and_other_instances(seed: int) -> None:
    """They are asked for until somebody knows the account, also after a restart."""
    rng = np.random.default_rng(seed)
    world = a_world("any", seed=seed)

    async def scenario() -> None:
        async with world.instance() as one:
            send(world, by_some_other, SENT)
            await until(lambda: one.metrics.decisions > int(rng.integers(50, 280)))
            world.send_feedback([voice(x) for x in SENT[100:220:3]])
            await asyncio.sleep(float(rng.uniform(0, 1)))
        async with world.instance() as one, world.instance() as other:
            await until(lambda: len(one.parts.partitions) == len(other.parts.partitions) == 2)
            await until(world.is_done, timeout_s=300.0)
            await one.idle()
            await other.idle()
            send(world, by_some_other, LATER)
            await until(world.is_done, timeout_s=300.0)
            await one.stop()
            await other.stop()

    run(scenario())
    world_again = world
    instance = run(world_again.run_through())

    assert world.unsafe == []
    assert instance.labels_waiting().count == 0
    accounts = [address for address in world.store.blobs if address[1] == "account"]
    expected = a_world("murmur2", count=1)
    run(story(expected, lambda _: 0))
    for layout, entity, key in accounts:
        (blob,) = world.store.blobs[layout, entity, key].values()
        (right,) = expected.store.blobs[layout, entity, key].values()
        assert blob[32:] == right[32:], key


def test_crc32_is_that_of_librdkafka() -> None:
    """Its check value, and the bytes of the key modulo the count."""
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert PartitionOf(7, "crc32")("123456789") == 0xCBF43926 % 7
