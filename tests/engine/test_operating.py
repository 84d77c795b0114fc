"""What operators say comes to hold on every instance, and the audit gets it whoever dies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from sentinel.adapters.memory import Faults, MemoryDocuments
from sentinel.app.reload.hangups import reread
from sentinel.config import Config, versioned
from sentinel.core.applied import applied_config
from sentinel.core.switches import switched_off, switched_on
from sentinel.documents import Change
from sentinel.engine.audit import AuditLog
from sentinel.engine.operating.desk import OperatingDesk, change_applied, change_switches
from sentinel.errors import ConfigError
from sentinel.operations.operating.layers import with_values
from sentinel.stored.switches import SWITCHES, SwitchName
from sentinel.stores import StoredOperating
from tests.engine.clock import run, until
from tests.engine.samples import a_config, transactions
from tests.engine.world import MemoryInstance, World

CONFIG = versioned(a_config(partition_count=2, commit_interval_s=0.2))
STRICT = {"policy.review_min": 0.01, "policy.block_min": 0.02}
BY: dict[str, Any] = {"who": "mia", "why": "a reason", "at_ms": 5}


def kept(world: World) -> StoredOperating:
    return StoredOperating(MemoryDocuments(world.operating))


async def pause(world: World, *names: SwitchName) -> None:
    """As a command that dies before it has told anybody."""
    await change_switches(kept(world), partial(switched_on, names=names, **BY))


async def resume(world: World, *names: SwitchName) -> None:
    await change_switches(kept(world), partial(switched_off, names=names, **BY))


async def apply(world: World, values: dict[str, float]) -> None:
    await change_applied(kept(world), lambda found: applied_config(found, values, {}, **BY))


@asynccontextmanager
async def two_of(world: World) -> AsyncIterator[tuple[MemoryInstance, MemoryInstance]]:
    async with world.instance() as one, world.instance() as other:
        await until(lambda: one.is_assigned and other.is_assigned, timeout_s=600.0)
        yield one, other


def audited(world: World) -> list[tuple[str, str]]:
    kinds = ("switch", "config")
    return [(one["kind"], one["subject"]) for one in world.values("audit") if one["kind"] in kinds]


def test_switches_hold_on_every_instance_and_can_be_left() -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with two_of(world) as instances:
            asked = [one.parts.operating.asks("learning") for one in instances]
            assert not any(ask() for ask in asked)
            await pause(world, "learning")
            await until(lambda: all(ask() for ask in asked))
            await resume(world, "learning")
            await until(lambda: not any(ask() for ask in asked))

            await pause(world, "maintenance")
            await until(lambda: all(ask() for ask in asked))
            await until(lambda: all(i.health().status == "maintenance" for i in instances))
            for one in instances:
                assert one.health().is_ready
                assert one.health().reasons[0] == "by mia: a reason"
            await resume(world, "maintenance")
            await until(lambda: not any(ask() for ask in asked))

    run(scenario())


def test_in_maintenance_transactions_are_decided_and_no_decision_is_flagged() -> None:
    sent = transactions(80)
    quiet, plain = World(config=CONFIG), World(config=CONFIG)

    async def scenario() -> None:
        await pause(quiet, *SWITCHES)
        for world in (quiet, plain):
            world.send(sent)
            await world.run_through()

    run(scenario())
    assert sorted(quiet.decisions().items()) == sorted(plain.decisions().items())


def test_applied_settings_hold_on_every_instance_and_on_those_that_start_later() -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with two_of(world) as instances:
            await apply(world, STRICT)
            await until(
                lambda: all(i.settings.in_force.policy.review_min == 0.01 for i in instances)
            )
            world.send(transactions(60))
            await until(world.is_done, timeout_s=600.0)
            versions = {one.settings.in_force.version for one in instances}
        assert {d["config_version"] for d in world.values("decisions")} == versions
        assert versions != {CONFIG.version}
        async with world.instance() as later:
            await later.idle()
            assert {later.settings.in_force.version} == versions
            later.settings.take_file(CONFIG)
            assert {later.settings.in_force.version} == versions, "what was applied is over it"
            await apply(world, {})
            await until(lambda: later.settings.in_force.version == CONFIG.version)
            assert later.settings.in_force.policy == CONFIG.policy

    run(scenario())


def test_what_a_version_says_is_known_afterwards() -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            await apply(world, STRICT)
            await until(lambda: instance.settings.in_force.version != CONFIG.version)
            version = instance.settings.in_force.version
            await until(lambda: f"config:{version}" in world.operating.documents)
        for name, review_min in ((CONFIG.version, 0.4), (version, 0.01)):
            found = await kept(world).config(name)
            assert found is not None
            assert found.values["policy.review_min"] == review_min

    run(scenario())


def test_whoever_dies_between_store_and_topic_is_told_for_once() -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with two_of(world):
            await pause(world, "drift")
            await apply(world, STRICT)
            await until(lambda: len(audited(world)) == 2, timeout_s=60.0)
            await until(lambda: b'"untold":[]' in world.operating.documents["switches"])
            await until(lambda: b'"untold":[]' in world.operating.documents["applied-config"])
            audited_before = audited(world)
        assert sorted(audited_before) == [("config", "settings"), ("switch", "drift")]
        async with world.instance() as another:
            await another.idle()
            await until(lambda: another.parts.operating.switches.drift is not None)
        assert audited(world) == audited_before

    run(scenario())


def test_what_a_signal_has_changed_is_told_to_the_audit_key_by_key() -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            found = with_values(CONFIG, {"policy.review_min": 0.1})
            instance.settings.read = lambda: found  # type: ignore[method-assign]
            assert await reread(instance.settings) is not None
            await until(lambda: audited(world) == [("config", "settings")])
            assert await reread(instance.settings) is not None
            instance.settings.read = refused  # type: ignore[method-assign]
            assert await reread(instance.settings) is None
            assert "half" in instance.health().reasons[0]
            assert instance.settings.in_force == found
            instance.settings.read = lambda: found  # type: ignore[method-assign]
            assert await reread(instance.settings) is not None
            assert instance.health().status == "ok"

    run(scenario())
    (entry,) = world.values("audit")
    assert entry["before"] == {"policy.review_min": 0.4}
    assert entry["after"]["policy.review_min"] == 0.1
    assert entry["who"].startswith("SIGHUP to ")


def refused() -> Config:
    raise ConfigError("x.toml: half of it is missing")


def test_a_word_on_the_topic_has_every_instance_look_at_once() -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with two_of(world) as instances:
            await pause(world, "rollouts")
            broker = instances[0].ports.broker
            desk = OperatingDesk(kept(world), broker, "control", AuditLog(broker, "audit"))
            await desk.ring("switches", who="mia", why="")
            asked = [one.parts.operating.asks("rollouts") for one in instances]
            await until(lambda: all(ask() for ask in asked), timeout_s=1.0)

    run(scenario())


@pytest.mark.parametrize("name", ["switches", "applied-config"])
def test_what_is_damaged_changes_nothing_and_is_said(name: str) -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        await pause(world, "learning")
        await apply(world, STRICT)
        async with world.instance() as instance:
            await instance.idle()
            version = instance.settings.in_force.version
            whole = world.operating.documents[name]
            await MemoryDocuments(world.operating).change(Change(puts={name: b"{"}), doing="damage")
            await until(lambda: "damaged" in instance.parts.operating.trouble)
            assert any("damaged" in one for one in instance.health().reasons)
            assert instance.parts.operating.switches.learning is not None
            assert instance.settings.in_force.version == version
            world.operating.documents[name] = whole
            await until(lambda: not instance.parts.operating.trouble)

    run(scenario())


def test_settings_that_do_not_fit_an_instance_leave_it_as_it_is_and_are_said() -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            await apply(world, {"policy.review_min": 0.9, "policy.block_min": 0.1})
            await until(lambda: "mia has applied" in instance.parts.operating.trouble)
            assert instance.settings.in_force == CONFIG
            await apply(world, {"policy.review_min": 0.3, "policy.of_tomorrow": 1})
            await until(lambda: not instance.parts.operating.trouble)
            assert instance.settings.in_force.policy.review_min == 0.3
            assert instance.settings.unknown == ["policy.of_tomorrow"]

    run(scenario())


def test_a_store_that_is_away_changes_nothing() -> None:
    world = World(config=CONFIG)

    async def scenario() -> None:
        await pause(world, "learning")
        faults = Faults()
        async with world.instance(faults) as instance:
            await instance.idle()
            world.send(transactions(40))
            operating = instance.parts.operating
            assert operating.asks("learning")()
            operating._store = StoredOperating(  # every call of it fails from now on
                MemoryDocuments(world.operating, faults=Faults(fail_at=1, lasting=True))
            )
            await instance.idle()
            assert operating.asks("learning")()

    run(scenario())
