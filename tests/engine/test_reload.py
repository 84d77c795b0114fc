"""Settings that change while an instance runs: decided by from the next batch on, to the byte."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.config import Config, versioned
from sentinel.core.decision import PolicyParams
from sentinel.operations.operating.layers import with_values
from tests.engine.clock import run
from tests.engine.samples import a_config, transactions
from tests.engine.world import World

BEFORE, AFTER = transactions(60), transactions(60, first=60)
CONFIG = versioned(a_config(commit_interval_s=0.2))


def changed(**policy: Any) -> Config:
    return with_values(CONFIG, {f"policy.{name}": value for name, value in policy.items()})


def reloaded(config: Config) -> World:
    """One instance from the first record to the last; the file is read again in between."""
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send(BEFORE)
            await instance.idle()
            instance.settings.take_file(config)
            world.send(AFTER)
            await instance.idle()
            await instance.stop()

    run(scenario())
    return world


def restarted(config: Config) -> World:
    """The same records; the second part is decided by an instance that is started with the file."""
    world = World(config=CONFIG)

    async def scenario() -> None:
        world.send(BEFORE)
        await world.run_through()
        world.send(AFTER)
        async with world.instance(config=config) as instance:
            await instance.idle()
            await instance.stop()

    run(scenario())
    return world


def values_of(world: World, topic: str) -> list[bytes | None]:
    return sorted(record.value or b"" for record in world.records(topic))  # type: ignore[return-value]


def test_decisions_are_those_of_an_instance_that_was_started_with_the_file() -> None:
    config = changed(review_min=0.2, block_min=0.5, critical_min=0.7, reason_count_max=1)

    lived, expected = reloaded(config), restarted(config)

    assert values_of(lived, "decisions") == values_of(expected, "decisions")
    assert values_of(lived, "alerts") == values_of(expected, "alerts")
    versions = [d["config_version"] for d in lived.values("decisions")]
    assert versions == [CONFIG.version] * 60 + [config.version] * 60
    assert CONFIG.version != config.version
    assert lived.unsafe == []


POLICIES = st.builds(
    lambda cuts, marks, reasons, share: {
        "review_min": cuts[0],
        "block_min": cuts[1],
        "medium_min": marks[0],
        "high_min": marks[1],
        "critical_min": marks[2],
        "reason_count_max": reasons,
        "explore_share": share,
        "explore_amount_minor_max": 5_000,
    },
    st.lists(st.floats(0.01, 1.0), min_size=2, max_size=2).map(sorted),
    st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3).map(sorted),
    st.integers(0, 10),
    st.floats(0.0, 0.1),
)


@given(POLICIES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_said_of_decisions_holds_as_if_started_with_it(
    policy: Mapping[str, Any],
) -> None:
    config = changed(**policy)

    assert values_of(reloaded(config), "decisions") == values_of(restarted(config), "decisions")


def test_a_batch_has_one_version_however_often_settings_change_meanwhile() -> None:
    """They change between any two turns of the loop: action and version always fit together."""
    world = World(config=CONFIG, rng=np.random.default_rng(5))
    strict, lax = changed(review_min=0.01, block_min=0.02), changed(review_min=1.0, block_min=1.0)
    policies = {one.version: one.policy for one in (CONFIG, strict, lax)}

    async def scenario() -> None:
        async with world.instance() as instance:

            async def flicker() -> None:
                while True:
                    for one in (strict, lax):
                        instance.settings.take_file(one)
                        await asyncio.sleep(0.003)

            flickering = asyncio.create_task(flicker())
            for begin in range(0, 120, 10):
                world.send((BEFORE + AFTER)[begin : begin + 10])
                await asyncio.sleep(0.017)
            await instance.idle()
            flickering.cancel()
            await instance.stop()

    run(scenario())
    decided = world.values("decisions")
    assert len(decided) == 120
    assert {d["config_version"] for d in decided} >= {strict.version, lax.version}
    for one in decided:
        assert one["action"] == action_of(one["probability"], policies[one["config_version"]])


def action_of(probability: float, policy: PolicyParams) -> str:
    if probability >= policy.block_min:
        return "block"
    return "review" if probability >= policy.review_min else "approve"


def test_what_needs_a_restart_stays_and_is_named() -> None:
    found = replace(CONFIG, kafka=replace(CONFIG.kafka, group_id="other"), policy=PolicyParams())
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with world.instance() as instance:
            done = instance.settings.take_file(found)
            assert done.restart == ("kafka.group_id",)
            assert done.changed["policy.review_min"] == (0.4, 0.2)
            assert instance.settings.in_force.kafka.group_id == CONFIG.kafka.group_id
            assert instance.settings.in_force.policy == PolicyParams()
            expected = versioned(replace(CONFIG, policy=PolicyParams())).version
            assert instance.settings.in_force.version == expected

            again = instance.settings.take_file(CONFIG)
            assert again.restart == ()
            assert instance.settings.in_force == CONFIG
            await instance.stop()

    run(scenario())


@pytest.mark.parametrize("name", ["deployment.shadow_share", "updates.triggers.every_s"])
def test_settings_of_other_sections_are_taken_up_as_well(name: str) -> None:
    config = with_values(CONFIG, {name: 7_200.0 if "every" in name else 0.5})
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with world.instance() as instance:
            instance.settings.take_file(config)
            assert instance.settings.in_force == config
            await instance.stop()

    run(scenario())
