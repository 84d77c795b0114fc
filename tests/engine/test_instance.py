"""An instance ends in order when told to, and never hides what went wrong."""

import asyncio
import logging
from collections.abc import Callable

import pytest
import uvloop

from sentinel.adapters.memory import Faults
from sentinel.errors import TransientError
from tests.engine.clock import run, until
from tests.engine.faults import Away
from tests.engine.samples import a_config, transactions, voice
from tests.engine.world import World


def test_after_a_stop_no_task_is_left() -> None:
    world = World()
    world.send(transactions(100))
    world.send_feedback([voice(x) for x in transactions(10)])

    async def scenario() -> set[str]:
        async with world.instance() as instance:
            await instance.idle()
            await instance.stop()
            return {task.get_name() for task in asyncio.all_tasks()} - {"Task-1"}

    left = run(scenario())
    assert not left & {"dispatcher", "pipeline", "feedback", "labels", "loop watch", "stop"}
    assert not left & {"checkpoint", "alerts"}


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_runs_on_the_loops_of_production_too(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """All other tests play on a loop with a clock of its own."""
    world, expected = (World(config=a_config(commit_interval_s=0.05)) for _ in range(2))
    for one in (world, expected):
        one.send(transactions(300))

    with asyncio.Runner(loop_factory=new_loop, debug=True) as runner:
        runner.run(world.run_through())

    run(expected.run_through())
    assert world.decisions() == expected.decisions()
    assert world.blobs() == expected.blobs()


def test_a_stop_in_the_very_beginning_is_fine() -> None:
    world = World()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.stop()

    run(scenario())
    assert world.records("decisions") == []


def test_a_stop_waits_for_alerts_under_way() -> None:
    world = World()
    world.send(transactions(100))

    async def scenario() -> None:
        async with world.instance() as instance:
            instance.explainer.delay_s = 2.0
            await until(lambda: instance.metrics.decisions == 100)
            await instance.stop()

    run(scenario())
    flagged = [d for d in world.values("decisions") if d["action"] != "approve"]
    assert len(world.values("alerts")) == len(flagged) > 0
    assert world.is_done()


def test_a_stop_that_takes_too_long_is_cut_short_and_the_rest_replayed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(config=a_config(shutdown_s_max=1.0, explain_timeout_s=100.0))
    world.send(transactions(100))

    async def scenario() -> None:
        async with world.instance() as instance:
            instance.explainer.delay_s = 50.0
            await until(lambda: instance.metrics.decisions == 100)
            await instance.stop()

    with caplog.at_level(logging.WARNING):
        run(scenario())

    assert "not everything could be written in time" in caplog.text
    assert world.committed() is None or not world.is_done()
    run(world.run_through())
    decided = world.decisions()
    assert len(decided) == 100
    assert all(len(set(found)) == 1 for found in decided.values())


def test_the_store_being_away_does_not_keep_an_instance_from_stopping() -> None:
    world, away = World(), Away()
    world.send(transactions(50))

    async def scenario() -> None:
        async with world.instance(store_faults=away) as instance:
            await instance.idle()
            away.names = frozenset({"save"})
            await instance.stop()

    run(scenario())
    instance = run(world.run_through())
    assert instance.metrics.decisions == 0
    assert len(world.decisions()) == 50


def test_a_bug_in_a_task_ends_the_instance_with_it() -> None:
    world = World()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            instance.parts.partitions[0].gate = None  # type: ignore[assignment]
            world.send(transactions(1))
            assert instance.task is not None
            await instance.task

    with pytest.raises((AttributeError, TypeError)):
        run(scenario())


def test_a_bug_during_the_stop_is_not_hidden() -> None:
    """The pipeline dies while the stop waits for it: that is what must come out."""
    world = World(config=a_config(shutdown_s_max=60.0))

    async def scenario() -> None:
        async with world.instance(publish_delay_s=1.0) as instance:
            await until(lambda: bool(instance.parts.partitions))
            world.send(transactions(100))
            await until(lambda: instance.metrics.decisions > 0)
            instance.parts.partitions[0].gate = None  # type: ignore[assignment]
            await instance.stop()

    with pytest.raises((AttributeError, TypeError)):
        run(scenario())


def test_a_timeout_in_a_task_is_not_taken_for_a_slow_stop() -> None:
    world = World()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()

            def late() -> float:
                raise TimeoutError("somewhere in a task")

            instance.parts.dispatcher._clock_s = late
            world.send(transactions(1))
            assert instance.task is not None
            await instance.task

    with pytest.raises(TimeoutError, match="somewhere in a task"):
        run(scenario())


def test_what_fails_while_joining_comes_out() -> None:
    world = World()

    async def scenario(faults: Faults) -> None:
        async with world.instance(faults) as instance:
            await instance.idle()

    with pytest.raises(TransientError, match="claim"):
        run(scenario(Away(names=frozenset({"claim"}))))
