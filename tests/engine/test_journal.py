"""The journal of updates: what is noted is there for whoever takes over, and for nobody else."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sentinel.adapters.memory import Faults
from sentinel.codec.stored import encode_stored
from sentinel.core.registry import transitions
from sentinel.engine.registry.lifecycle import RESTART, Update, UpdateState
from sentinel.engine.updates.journal import Journal
from sentinel.errors import FencedError, TransientError
from tests.engine.clock import run
from tests.engine.faults import Away
from tests.engine.learning_world import a_learning_world, artifact, change, put, step, update_of
from tests.engine.updates import a_journal
from tests.engine.world import World

LOGS = ("examples' log", "commands' log")
BEGUN = Update(
    log=LOGS[0],
    control_log=LOGS[1],
    state="training",
    number=3,
    trigger="demand",
    reason="asked for by ann",
    examples_to=40,
    champion="1.0.0",
)


def with_note(update: Update | bytes) -> World:
    world = a_learning_world()
    data = update if isinstance(update, bytes) else encode_stored(update)
    world.models.documents["update"] = data
    return world


def taken_up(world: World) -> tuple[Journal, Update, bool]:
    journal = a_journal(world)

    async def scenario() -> tuple[Update, bool]:
        found = await journal.read(*LOGS)
        journal.go_on(found[0])
        return found

    return journal, *run(scenario())


def told(world: World) -> list[tuple[str, Any]]:
    return [(one["id"], one["after"].get("outcome")) for one in world.values("audit")]


def test_before_the_first_update_there_is_nothing_to_tell() -> None:
    world = a_learning_world()

    journal, update, is_made_again = taken_up(world)

    assert update == Update(log=LOGS[0], control_log=LOGS[1])
    assert journal.update == update
    assert not is_made_again
    assert world.values("audit") == []


def test_what_is_noted_is_read_by_whoever_takes_over() -> None:
    world = with_note(BEGUN.to("made", version="1.1.0"))
    journal, update, _ = taken_up(world)

    run(journal.note(update.to("promoting")))

    assert journal.update == update_of(world) == taken_up(world)[1] == update.to("promoting")


def test_an_update_that_was_interrupted_is_made_again_but_once() -> None:
    for reason, is_again in [(BEGUN.reason, True), (f"asked for by {RESTART}", False)]:
        world = with_note(replace(BEGUN, reason=reason))

        _, update, is_made_again = taken_up(world)

        assert (update.state, update.outcome) == ("idle", "it was interrupted")
        assert is_made_again is is_again
        assert told(world) == [
            ("update-3-begun", None),
            ("update-3-finished", "it was interrupted"),
        ]
        assert update_of(world).state == "training", "the next one is noted in its place"


def test_how_the_last_one_ended_is_told_again_in_the_same_words() -> None:
    world = with_note(BEGUN.to("idle", outcome="it serves"))

    taken_up(world)
    taken_up(world)

    first, second = world.values("audit")
    assert first == second
    assert told(world)[0] == ("update-3-finished", "it serves")


@pytest.mark.parametrize("state", ["made", "waiting", "promoting", "watching"])
def test_what_was_done_to_its_candidate_is_told_again(state: UpdateState) -> None:
    world = with_note(replace(BEGUN, state=state, version="1.1.0"))
    put(world.models, artifact("1.1.0", 1))
    registered = step(transitions.registered, "1.1.0")
    change(world.models, lambda before, **_: registered(before, who="training", why="", at_ms=1))

    taken_up(world)

    assert [one["kind"] for one in world.values("model-updates")] == ["registered"]


def test_of_two_that_both_think_they_train_the_slower_one_notes_nothing() -> None:
    world = with_note(BEGUN.to("made", version="1.1.0"))
    (slow, was, _), (fast, _, _) = taken_up(world), taken_up(world)
    run(fast.note(was.to("promoting")))

    with pytest.raises(FencedError):
        run(slow.note(was.to("idle", outcome="lost")))

    assert update_of(world).state == "promoting"
    assert slow.update == was, "it knows of no other before it reads again"


def test_a_note_that_may_have_arrived_is_found_out_by_reading_again() -> None:
    world = with_note(BEGUN.to("made", version="1.1.0"))
    faults = Faults(fail_at=2, after_effect=True)
    journal = a_journal(world, faults)

    async def scenario() -> None:
        update, _ = await journal.read(*LOGS)
        journal.go_on(update)
        with pytest.raises(TransientError):
            await journal.note(update.to("promoting"))
        journal.forget()
        assert journal.update is None
        again, _ = await journal.read(*LOGS)
        await journal.note(again.to("watching"))

    run(scenario())
    assert update_of(world).state == "watching"


def test_what_cannot_be_told_is_not_taken_up() -> None:
    world = with_note(BEGUN)
    faults = Away(names=frozenset({"publish"}))
    journal = a_journal(world, faults)

    async def scenario() -> None:
        with pytest.raises(TransientError):
            await journal.read(*LOGS)
        assert journal.update is None
        faults.names = frozenset()
        update, is_made_again = await journal.read(*LOGS)
        assert (update.state, is_made_again) == ("idle", True)

    run(scenario())


@pytest.mark.parametrize("noted", [b"", b"\xff", b"{}", b'{"state":"gone"}', b"[1,2]"])
def test_a_note_that_nobody_can_read_is_as_none_and_is_replaced(noted: bytes) -> None:
    world = with_note(noted)
    journal, update, is_made_again = taken_up(world)
    assert (update.number, update.state, is_made_again) == (0, "idle", False)

    run(journal.note(replace(update, number=1)))

    assert update_of(world).number == 1


def test_offsets_of_other_logs_are_not_taken_up() -> None:
    noted = replace(BEGUN, state="idle", control_to=9)
    world = with_note(replace(noted, log="others' examples"))
    assert (taken_up(world)[1].examples_to, taken_up(world)[1].control_to) == (0, 9)

    world = with_note(replace(noted, control_log="others' commands"))
    assert (taken_up(world)[1].examples_to, taken_up(world)[1].control_to) == (40, 0)


def test_only_a_begin_and_an_end_are_told() -> None:
    world = a_learning_world()
    journal = a_journal(world)

    async def scenario() -> None:
        for update in (Update(), BEGUN, BEGUN.to("made"), BEGUN.to("idle", outcome="no")):
            await journal.tell(update)
        await asyncio.sleep(0)

    run(scenario())
    assert told(world) == [("update-3-begun", None), ("update-3-finished", "no")]
