"""Rungs of the degradation ladder with everything switched on; docs/degradation.md has them all."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from sentinel.adapters.memory import Faults
from sentinel.app.ending import CLOSE_S_MAX
from sentinel.engine.health import Health
from sentinel.errors import TransientError
from tests.engine.clock import run, until
from tests.engine.everything import everything, switched_on
from tests.engine.faults import Noted
from tests.engine.learning_world import send_examples
from tests.engine.samples import transactions, voice
from tests.engine.world import InProcessTrainer, World


class PartAway(Faults):
    """Every call to one part of the world fails, while it is away."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix
        self.is_away = False

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        if self.is_away and name.startswith(self._prefix):
            raise TransientError("the store is away")
        with super().call(name):
            yield


PARTS = [
    ("models.", "training waits: the store is away"),
    ("training_tail.", "training waits: the store is away"),
    ("drift.", "drift is not watched: the store is away"),
    ("drift_tail.", "drift is not watched: the store is away"),
    ("experiments.", "experiments are not looked after: the store is away"),
    ("experiments_tail.", "experiments are not looked after: the store is away"),
    ("cases.", "feedback waits: the store is away"),
]


@pytest.mark.parametrize(("prefix", "reason"), PARTS)
def test_while_the_control_planes_store_is_away_scoring_goes_on_and_health_says_what_waits(
    prefix: str, reason: str
) -> None:
    faults = PartAway(prefix)

    async def scenario() -> World:
        world = await everything()
        async with switched_on(world, faults) as instance:
            world.send(transactions(100))
            await instance.idle()
            assert instance.health() == Health("ok")
            faults.is_away = True
            made = transactions(100, first=100)
            world.send_feedback([voice(one) for one in made[:3]])
            for number in range(30):  # longer than anything may last without being told
                world.send(made[number : number + 1])
                await asyncio.sleep(1.0)
            await until(lambda: instance.metrics.decisions == 130)
            health = instance.health()
            assert (health.status, health.is_ready) == ("degraded", True)
            assert reason in health.reasons
            faults.is_away = False
            await until(lambda: instance.health() == Health("ok"))
            await instance.idle()
            await instance.stop()
        return world

    world = run(scenario())
    assert not any(one["degraded"] for one in world.values("decisions"))
    assert world.unsafe == []


class Always(set[str]):
    """Whatever is asked dies, each time."""

    def __contains__(self, _: object) -> bool:
        return True

    def remove(self, _: str) -> None:
        """It dies of the next one, too."""


def test_a_trainer_that_is_lost_each_time_is_told_and_scoring_goes_on() -> None:
    async def scenario() -> World:
        world = await everything()
        async with switched_on(world) as instance:
            world.send(transactions(100))
            await instance.idle()
            assert isinstance(instance.trainer, InProcessTrainer)
            instance.trainer.lost_at = Always()
            send_examples(world, 60, hours=1)
            reason = "the trainer's process was lost: "
            await until(lambda: any(one.startswith(reason) for one in instance.health().reasons))
            assert (instance.health().status, instance.health().is_ready) == ("degraded", True)
            world.send(transactions(50, first=100))
            await instance.idle()
            instance.trainer.lost_at = set()
            await until(lambda: instance.health() == Health("ok"))
            await instance.stop()
        return world

    world = run(scenario())
    assert len(world.decisions()) == 150
    assert not any(one["degraded"] for one in world.values("decisions"))


STREAM = transactions(60)
LATER = [transactions(15, first=60 + 15 * i) for i in range(3)]
LAST = [transactions(10, first=105 + 10 * i) for i in range(2)]


def story(faults: Faults) -> World:
    """All of it lived through, with what fails; started again after a failure, as `run` does."""

    async def scenario() -> World:
        world = await everything(snapshot_after_s=0.5)
        world.send(STREAM)
        world.send_feedback([voice(one) for one in STREAM[:10]])
        await lived(world, LATER, faults, Faults(), Faults())
        await lived(world, LAST, Faults())  # labels that waited for the store fall due
        return world

    async def lived(world: World, pieces: Sequence[list[dict[str, Any]]], *plans: Faults) -> None:
        waiting = list(pieces)
        for plan in plans:
            try:
                async with switched_on(world, plan) as instance:
                    while True:
                        await instance.idle()
                        if not waiting:
                            break
                        world.send(waiting.pop(0))
                        await asyncio.sleep(3.0)
                    await instance.stop()
                    return
            except TransientError:
                continue
        raise AssertionError("it never came to an end")

    return run(scenario())


def said(world: World) -> dict[str, set[str]]:
    """By decision what it says of the transaction; who decided may differ where a plan was away."""
    found: dict[str, set[str]] = {}
    for one in world.values("decisions"):
        told = (one["transaction_id"], one["features"], one["model_version"], one["score"])
        found.setdefault(one["decision_id"], set()).add(repr(told))
    return found


@pytest.mark.slow
def test_whichever_call_fails_with_everything_switched_on_nothing_is_lost(sweep: bool) -> None:
    """Drift, an experiment, a shadow, updates and feedback: each has calls of its own."""
    calls = Noted()
    expected = story(calls)
    rooms = {name.partition(".")[0] for name in calls.names if "." in name}
    assert rooms >= {
        *("cases", "models", "training_tail", "savepoints", "drift", "drift_tail"),
        *("experiments", "routing_tail", "experiments_tail", "model_updates_tail", "tail"),
    }

    numbers = {name: calls.names.index(name) + 1 for name in calls.names if "." in name}
    for number in range(1, len(calls.names) + 1) if sweep else numbers.values():
        for after_effect in (False, True) if sweep else (number % 2 == 0,):
            name = f"{calls.names[number - 1]} ({number}, {after_effect})"
            world = story(Faults(fail_at=number, after_effect=after_effect))
            found = said(world)
            assert found.keys() == said(expected).keys(), name
            assert {at for at, told in found.items() if len(told) > 1} == set(), name
            assert world.unsafe == [], name
            assert world.counts() == expected.counts(), name


def test_it_stops_in_order_within_its_deadline_with_everything_switched_on() -> None:
    """Nothing is left to replay, no task is left, and all that was decided is out."""

    async def scenario() -> World:
        world = await everything()
        async with switched_on(world) as instance:
            world.send(transactions(200))
            world.send_feedback([voice(one) for one in transactions(20)])
            await until(lambda: instance.metrics.decisions > 50)
            others = asyncio.all_tasks() - {asyncio.current_task(), instance.task}
            assert len(others) > 10
            begun_s = asyncio.get_running_loop().time()
            await instance.stop()
            assert asyncio.get_running_loop().time() - begun_s < world.config.engine.shutdown_s_max
            assert not [one for one in others if not one.done()]
        async with switched_on(world) as instance:
            await instance.idle()
            assert instance.metrics.replayed == 0
            await instance.stop()
        return world

    world = run(scenario())
    assert len(world.decisions()) == len(world.records("decisions")) == 200
    assert world.unsafe == []


def test_whatever_hangs_it_stops_within_its_deadline_with_everything_switched_on() -> None:
    """A broker that takes no more, and a trainer that never answers."""

    async def scenario() -> World:
        world = await everything(shutdown_s_max=3.0)
        async with switched_on(world, publish_delay_s=500.0) as instance:
            assert isinstance(instance.trainer, InProcessTrainer)
            instance.trainer.delay_s = {"take": 10_000.0, "update": 10_000.0}
            world.send(transactions(200))
            await asyncio.sleep(20.0)
            begun_s = asyncio.get_running_loop().time()
            await instance.stop()
            # Handing over, then the goodbye and what is cut short.
            assert 2.9 < asyncio.get_running_loop().time() - begun_s < 3.0 + CLOSE_S_MAX
        async with switched_on(world) as instance:
            await instance.idle()
            await instance.stop()
        return world

    world = run(scenario())
    assert len(world.decisions()) == 200
    assert world.unsafe == []
