"""The first model becomes the champion of an empty registry, and everybody is told of it."""

import asyncio
from dataclasses import replace

import pytest

from sentinel.adapters.memory import Faults
from sentinel.core.registry.audit import audit_entry
from sentinel.core.registry.transitions import replayed_registry
from sentinel.errors import TransientError
from tests.engine.clock import run
from tests.engine.faults import CrashError, DoomAmong
from tests.engine.learning_world import (
    UPDATES,
    a_learning_world,
    artifact,
    history_of,
    registry_state_of,
    serve,
)
from tests.engine.samples import transactions
from tests.engine.world import World
from tests.kept import KeptModels

STEPS = ["registered", "staged", "promoted"]


def an_empty_world() -> World:
    """Its registry is empty, and an instance brings 1.0.0."""
    world = a_learning_world(updates=replace(UPDATES, is_on=False))
    world.models = KeptModels()
    world.send(transactions(10))
    return world


def check_told(world: World) -> None:
    """Each of the three steps on the bell and in the audit, always in the same words."""
    history = history_of(world)
    assert [event.kind for event in history] == STEPS
    assert {event.who for event in history} == {"sentinel run"}
    assert registry_state_of(world).champion == "1.0.0"
    entries = {
        entry.id: entry for entry in (audit_entry(*one) for one in replayed_registry(history))
    }
    for topic, name in (("model-updates", "number"), ("audit", "id")):
        told = world.values(topic)
        by_name = {one[name]: one for one in told}
        assert all(one == by_name[one[name]] for one in told)
        expected = entries if topic == "audit" else {event.number for event in history}
        assert by_name.keys() == set(expected)


def test_the_first_model_is_told_on_the_bell_and_in_the_audit() -> None:
    world = an_empty_world()

    run(world.run_through())

    check_told(world)
    assert [one["kind"] for one in world.values("model-updates")] == STEPS
    entries = world.values("audit")
    assert [(one["subject"], one["who"]) for one in entries] == [("1.0.0", "sentinel run")] * 3
    assert [one["after"]["why"] for one in entries] == ["the first model"] * 3
    assert [one["after"]["stage"] for one in entries] == ["development", "staging", "production"]


async def lived(world: World, plans: list[Faults]) -> int:
    """How many lives ended by themselves; the last one works through all there is."""
    ended = 0
    for plan in plans:
        try:
            async with world.instance(plan) as instance:
                await instance.idle()
                await asyncio.sleep(3.0)
                await instance.stop()
        except (CrashError, TransientError):
            ended += 1
    return ended


def is_of_adoption(name: str) -> bool:
    return name.startswith("models.") or name in ("publish", "flush")


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["crashes", "fails"])
def test_whichever_call_goes_wrong_the_first_model_is_told_in_the_end(
    kind: str, after_effect: bool
) -> None:
    calls = DoomAmong(is_of_adoption)
    run(lived(an_empty_world(), [calls]))
    last = len(calls.names) - calls.names[::-1].index("models.read the history of models")
    numbers = range(1, last + 8)  # three times two publishes are behind it

    ended = 0
    for number in numbers:
        world = an_empty_world()
        plan = DoomAmong(is_of_adoption, after_effect=after_effect)
        setattr(plan, "crash_at" if kind == "crashes" else "fail_at", number)
        ended += run(lived(world, [plan, Faults()]))
        check_told(world)

    if kind == "crashes":
        assert ended == len(numbers)


def test_when_another_has_taken_its_place_a_start_tells_nothing() -> None:
    world = an_empty_world()
    run(world.run_through())
    serve(world.models, artifact("1.1.0", 1))
    before = [len(world.records(topic)) for topic in ("model-updates", "audit")]

    run(world.run_through())

    assert [len(world.records(topic)) for topic in ("model-updates", "audit")] == before


def test_of_two_that_start_at_once_both_may_tell_and_say_the_same() -> None:
    world = an_empty_world()

    async def scenario() -> None:
        async with world.instance() as one, world.instance() as another:
            await one.idle()
            await another.stop()
            await one.stop()

    run(scenario())
    check_told(world)
