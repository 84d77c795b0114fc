"""Changes of the registry go against how it stands by then, and are told in the same words."""

import logging
from collections.abc import Awaitable, Callable

import pytest

from sentinel.adapters.memory import Faults, MemoryBroker, MemoryDocuments
from sentinel.core.registry import transitions
from sentinel.engine.audit import AuditLog
from sentinel.engine.registry.registrar import Registrar
from sentinel.errors import TransientError
from sentinel.records import AuditEntry
from sentinel.stored.versions import RegistryState
from sentinel.stores import StoredModels
from tests.engine.clock import run
from tests.engine.learning_world import (
    a_learning_world,
    artifact,
    change,
    history_of,
    put,
    registry_state_of,
    step,
)
from tests.engine.world import World


class Interrupted(StoredModels):
    """Somebody is faster, so many times, between a look at the registry and its change."""

    def __init__(self, world: World, meddle: Callable[[int], None], *, times: int) -> None:
        super().__init__(MemoryDocuments(world.models))
        self._meddle = meddle
        self._left = times

    async def registry_state(self) -> RegistryState:
        found = await super().registry_state()
        if self._left:
            self._left -= 1
            self._meddle(self._left)
        return found


def a_registrar(world: World, store: StoredModels, faults: Faults | None = None) -> Registrar:
    broker = MemoryBroker(world.cluster, faults=faults)
    return Registrar(
        store,
        broker,
        update_topic="model-updates",
        audit=AuditLog(broker, "audit"),
        who="training",
        clock_ms=lambda: 5,
    )


def with_candidate() -> World:
    world = a_learning_world()
    put(world.models, artifact("1.1.0", 1))
    return world


def play(scenario: Callable[[], Awaitable[object]]) -> None:
    async def played() -> None:
        await scenario()

    run(played())


def meddle_with(world: World) -> Callable[[int], None]:
    """Each time another version is registered."""
    return lambda left: change(world.models, step(transitions.registered, f"9.{left}.0"))


def test_a_change_is_made_against_what_there_is_when_others_were_faster() -> None:
    world = with_candidate()
    store = Interrupted(world, meddle_with(world), times=4)

    play(lambda: a_registrar(world, store).change(transitions.registered, "1.1.0", why="new"))

    stages = registry_state_of(world).stages
    assert stages["1.1.0"] == "development"
    assert len(stages) == 1 + 4 + 1
    [told] = world.values("model-updates")
    assert (told["number"], told["kind"], told["version"]) == (8, "registered", "1.1.0")


def test_where_others_are_always_faster_it_gives_up_and_has_done_nothing() -> None:
    world = with_candidate()
    store = Interrupted(world, meddle_with(world), times=100)

    with pytest.raises(TransientError, match="changes all the time"):
        play(lambda: a_registrar(world, store).change(transitions.registered, "1.1.0", why="new"))

    assert "1.1.0" not in registry_state_of(world).stages
    assert world.records("model-updates") == []


def test_what_cannot_be_done_any_more_is_a_matter_of_looking_again() -> None:
    """Whoever trained before has done it meanwhile."""
    world = with_candidate()
    store = Interrupted(
        world, lambda _: change(world.models, step(transitions.registered, "1.1.0")), times=1
    )

    with pytest.raises(TransientError, match=r"1\.1\.0 cannot be registered: it is in development"):
        play(lambda: a_registrar(world, store).change(transitions.registered, "1.1.0", why="new"))

    assert [event.who for event in history_of(world) if event.version == "1.1.0"] == ["ann"]


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_what_was_not_told_is_told_in_the_same_words_by_a_repetition(fail_at: int) -> None:
    """Whichever of the publishes and flushes failed."""
    world, expected = with_candidate(), with_candidate()
    for one in (world, expected):
        change(one.models, step(transitions.registered, "1.1.0"))

    async def scenario(world: World, faults: Faults) -> None:
        registrar = a_registrar(world, StoredModels(MemoryDocuments(world.models)), faults)
        try:
            await registrar.change(transitions.staged, "1.1.0", why="better")
        except TransientError:
            faults.fail_at = None
            change(world.models, step(transitions.registered, "1.2.0"))
            await registrar.repeat("1.1.0")

    run(scenario(expected, Faults()))
    run(scenario(world, Faults(fail_at=fail_at)))

    assert registry_state_of(world).stages["1.1.0"] == "staging"
    for topic in ("model-updates", "audit"):
        told = world.values(topic)
        assert told[:1] == expected.values(topic) != []
        assert all(value == told[0] for value in told)


def test_a_history_with_a_gap_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    world = with_candidate()
    registrar = a_registrar(world, StoredModels(MemoryDocuments(world.models)))
    play(lambda: registrar.change(transitions.registered, "1.1.0", why="new"))
    del world.models.history[1]
    told = len(world.records("audit"))

    with caplog.at_level(logging.WARNING):
        play(lambda: registrar.repeat("1.1.0"))

    assert len(world.records("audit")) == told
    assert "cannot be said again" in caplog.text


def test_something_else_can_be_told() -> None:
    world = with_candidate()
    entry = AuditEntry("update-1-judged", "update", "update-1", "training", 7, None, {"a": 1})

    play(lambda: a_registrar(world, StoredModels(MemoryDocuments(world.models))).tell(entry))

    [told] = world.values("audit")
    assert (told["id"], told["after"]) == ("update-1-judged", {"a": 1})
