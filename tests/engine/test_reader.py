"""Training's reader: examples in their order and once, from a savepoint or from the beginning."""

from dataclasses import replace

import pytest

from sentinel.engine.registry.lifecycle import Update
from sentinel.engine.updates.reader import Reader, ReaderPosition
from sentinel.engine.updates.savepoints import SavepointParams
from sentinel.errors import TrainingError, TransientError, WorkerLostError
from sentinel.metrics import Metrics
from tests.engine.clock import run
from tests.engine.faults import Away
from tests.engine.learning_world import (
    UPDATES,
    Script,
    a_learning_world,
    a_worker,
    ask,
    send_examples,
)
from tests.engine.samples import START_MS
from tests.engine.updates import a_reader

FRESH = Update()
SAVING = replace(UPDATES, savepoint=SavepointParams(after_example_count=20))


async def read_on(reader: Reader, update: Update = FRESH, *, times: int = 3) -> ReaderPosition:
    """Some polls: more than what a test has sent needs."""
    for _ in range(times):
        await reader.read(update)
    return reader.position


def test_examples_are_counted_from_where_the_update_was_begun() -> None:
    world, script = a_learning_world(), Script()
    reader = a_reader(world, a_worker(script))
    send_examples(world, 30)

    async def scenario() -> ReaderPosition:
        update = replace(FRESH, examples_to=12)
        await reader.go_on(update)
        return await read_on(reader, update)

    assert run(scenario()) == ReaderPosition(START_MS + 29, 30, 0, 18, None)


def test_an_update_that_is_begun_makes_all_before_it_old() -> None:
    world = a_learning_world()
    reader = a_reader(world, a_worker(Script()))

    async def scenario() -> None:
        await reader.go_on(FRESH)
        send_examples(world, 30)
        ask(world)
        position = await read_on(reader)
        assert (position.new_count, position.asked_by, position.control_next) == (30, "ann", 1)

        reader.begun()
        position = reader.position
        assert (position.new_count, position.asked_by) == (0, None)
        assert (position.next_offset, position.control_next) == (30, 1), "what was read, was read"

        send_examples(world, 5, hours=1)
        position = await read_on(reader, replace(FRESH, examples_to=30))
        assert position.new_count == 5

    run(scenario())


def test_what_was_asked_for_waits_while_examples_come_and_some_polls_at_most() -> None:
    world = a_learning_world()
    reader = a_reader(world, a_worker(Script()))

    async def scenario() -> list[bool]:
        await reader.go_on(FRESH)
        ask(world)
        send_examples(world, 1)
        waits = []
        for _ in range(7):
            await reader.read(FRESH)
            waits.append(not reader.is_near_the_end)
            send_examples(world, 1)
        return waits

    assert run(scenario()) == [True] * 5 + [False] * 2


def test_it_is_not_near_the_end_before_it_has_looked_and_while_much_is_unread() -> None:
    world = a_learning_world()
    reader = a_reader(world, a_worker(Script()))
    send_examples(world, 1_200)

    async def scenario() -> list[bool]:
        await reader.go_on(FRESH)
        found = [reader.is_near_the_end]
        for _ in range(3):
            await reader.read(FRESH)
            found.append(reader.is_near_the_end)
        return found

    assert run(scenario()) == [False, False, True, True]


def test_commands_that_are_none_are_passed_over() -> None:
    world = a_learning_world()
    reader = a_reader(world, a_worker(Script()))
    for value in (None, b"", b"\xff", b"{}", b'{"kind":"stop","who":"ann"}', b"[]"):
        world.append("control", value)

    async def scenario() -> ReaderPosition:
        await reader.go_on(FRESH)
        return await read_on(reader)

    assert run(scenario()) == ReaderPosition(control_next=6)


def test_commands_that_were_obeyed_before_are_not_obeyed_again() -> None:
    world = a_learning_world()
    reader = a_reader(world, a_worker(Script()))
    ask(world, "ann")
    ask(world, "bob")

    async def scenario() -> ReaderPosition:
        await reader.go_on(replace(FRESH, control_to=1))
        return await read_on(reader)

    assert run(scenario()).asked_by == "bob"


def test_who_asks_goes_before_a_restart_that_does() -> None:
    world = a_learning_world()
    reader = a_reader(world, a_worker(Script()))
    reader.ask_again("a restart")
    assert reader.position.asked_by == "a restart"
    ask(world)

    async def scenario() -> None:
        await reader.go_on(FRESH)
        await read_on(reader)
        reader.ask_again("a restart")
        assert reader.position.asked_by == "ann"

    run(scenario())


def test_a_reader_that_goes_on_elsewhere_reads_no_example_twice() -> None:
    world, script = a_learning_world(), Script()
    metrics = Metrics()
    reader = a_reader(world, a_worker(script), metrics)

    async def scenario() -> ReaderPosition:
        await reader.go_on(FRESH)
        send_examples(world, 10)
        await read_on(reader)
        await reader.go_on(replace(FRESH, examples_to=8))
        return await read_on(reader)

    position = run(scenario())
    assert metrics.examples == 10
    assert position.new_count == 2, "another has begun an update meanwhile, with eight of them"


def test_what_a_savepoint_holds_is_not_read_again() -> None:
    world, script, metrics = a_learning_world(), Script(), Metrics()
    send_examples(world, 25)

    async def saved(reader: Reader) -> None:
        await reader.go_on(FRESH)
        await read_on(reader)
        await reader.save()

    async def taken_over(reader: Reader) -> ReaderPosition:
        await reader.go_on(replace(FRESH, examples_to=20))
        send_examples(world, 3, hours=1)
        return await read_on(reader, replace(FRESH, examples_to=20))

    run(saved(a_reader(world, a_worker(script), params=SAVING)))
    position = run(taken_over(a_reader(world, a_worker(script), metrics, params=SAVING)))

    assert (script.saved, script.restored) == ([25], [25])
    assert metrics.examples == 3
    assert (position.next_offset, position.new_count) == (28, 8)


def test_after_an_update_has_ended_what_is_held_is_saved_if_anything_is_new() -> None:
    world, script = a_learning_world(), Script()
    reader = a_reader(world, a_worker(script), params=SAVING)
    send_examples(world, 3)

    async def scenario() -> None:
        await reader.go_on(FRESH)
        reader.ended()
        await reader.save()
        await read_on(reader)
        await reader.save()
        assert script.saved == []
        reader.ended()
        await reader.save()

    run(scenario())
    assert script.saved == [3]


def test_a_trainer_that_is_lost_is_given_everything_again() -> None:
    world, script = a_learning_world(), Script()
    trainer = a_worker(script)
    reader = a_reader(world, trainer)
    send_examples(world, 10)

    async def scenario() -> ReaderPosition:
        await reader.go_on(FRESH)
        trainer.lost_at.add("take")
        with pytest.raises(WorkerLostError):
            await read_on(reader)
        reader.forget()
        assert reader.position == ReaderPosition()
        await reader.go_on(FRESH)
        return await read_on(reader)

    assert run(scenario()).next_offset == 10


def test_examples_at_which_the_learner_fails_are_read_and_count_for_no_event_time() -> None:
    world, script, metrics = a_learning_world(), Script(), Metrics()
    script.poison = {9: TrainingError("take", "a mistake")}
    reader = a_reader(world, a_worker(script), metrics)
    send_examples(world, 10)

    async def scenario() -> ReaderPosition:
        await reader.go_on(FRESH)
        return await read_on(reader)

    assert run(scenario()) == ReaderPosition(START_MS + 8, 10, 0, 10, None)
    assert (metrics.examples, metrics.examples_stumbled) == (9, 1)


def test_examples_that_begin_anew_are_of_another_log_and_what_was_held_is_forgotten() -> None:
    world, script = a_learning_world(), Script()
    trainer = a_worker(script)
    reader = a_reader(world, trainer)
    send_examples(world, 10)

    async def scenario() -> None:
        await reader.go_on(FRESH)
        await read_on(reader)
        reader._tail.seek("examples", 4)
        with pytest.raises(TransientError, match="begin anew at 4"):
            await read_on(reader)
        assert reader.position == ReaderPosition()
        assert trainer.calls[-1] == "forget"
        await reader.go_on(FRESH)
        assert (await read_on(reader)).next_offset == 10

    run(scenario())


def test_where_to_read_from_is_found_out_again_when_the_world_was_away() -> None:
    world = a_learning_world()
    faults = Away(names=frozenset({"tail.seek"}))
    reader = a_reader(world, a_worker(Script()), faults=faults)
    send_examples(world, 2)

    async def scenario() -> ReaderPosition:
        with pytest.raises(TransientError):
            await reader.go_on(FRESH)
        faults.names = frozenset()
        await reader.go_on(FRESH)
        return await read_on(reader)

    assert run(scenario()).next_offset == 2
