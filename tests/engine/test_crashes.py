"""A crash at any moment, a failure of any call: nothing is lost, counted twice, or decided anew."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from sentinel.adapters.memory import Faults
from sentinel.codec.records import encode
from sentinel.engine.params import Delivery
from sentinel.errors import TransientError
from sentinel.records import Label, LabelWord
from tests.engine.clock import JumpingLoop, run
from tests.engine.faults import (
    BROKER,
    CASES,
    EXPLAINER,
    STORE,
    TAIL,
    CrashError,
    Doom,
    DoomAt,
    Gone,
    Noted,
)
from tests.engine.samples import MINUTE_MS, a_config, transactions, voice
from tests.engine.world import MemoryInstance, World

Piece = list[dict[str, Any]]

TRANSACTIONS = transactions(100)
LATER = [transactions(10, first=100 + 10 * i) for i in range(4)]  # each lets labels in
LAST = [transactions(10, first=140 + 10 * i) for i in range(2)]


def labels(count: int) -> list[bytes]:
    """Labels of the first transactions, each half an hour after it; every third is withdrawn.

    Some are given again afterwards. Withdrawals come an hour later, in the order of the log.
    """
    said: list[tuple[int, dict[str, Any], LabelWord, LabelWord | None]] = []
    for i, made in enumerate(TRANSACTIONS[:count]):
        at_ms = made["event_time"] + 30 * MINUTE_MS
        said.append((at_ms, made, "fraud", None))
        if i % 3 == 0:
            said.append((at_ms + 60 * MINUTE_MS, made, "withdrawn", "fraud"))
        if i % 6 == 0:
            said.append((at_ms + 90 * MINUTE_MS, made, "fraud", "withdrawn"))
    return [
        encode(
            Label(
                transaction_id=made["transaction_id"],
                label=word,
                posterior=1.0,
                vote_count=1,
                source="chargeback",
                observed_ms=at_ms,
                event_time_ms=made["event_time"],
                entities={"account": made["account"], "terminal": made["terminal"]},
                supersedes=before,
                feedback_offset=i,
            )
        )
        for i, (at_ms, made, word, before) in enumerate(sorted(said, key=lambda one: one[0]))
    ]


def a_world(
    rng: Generator | None = None,
    *,
    label_count: int = 0,
    delivery: Delivery = "at_least_once",
    **others: Any,
) -> World:
    config = a_config(commit_interval_s=0.2, snapshot_after_s=0.5, delivery=delivery)
    world = World(config=config, rng=rng, **others)
    world.send(TRANSACTIONS)
    for label in labels(label_count):
        world.append("labels", label)
    return world


async def live(
    world: World,
    *plans: Faults,
    waiting: Sequence[Piece] = LATER,
    cancelled_after: int | None = None,
) -> int:
    """Live through one plan of failure after another, then on to the end; returns the restarts.

    The first life is cancelled after so many turns of the loop, if it lasts so long.
    """
    restarts = 0
    waiting = list(waiting)
    for faults in [*plans, *[Faults()] * 3]:
        try:
            async with world.instance(faults) as instance:
                if cancelled_after is not None and restarts == 0:
                    cancel_after(instance, cancelled_after)
                while True:
                    await instance.idle()
                    if not waiting:
                        break
                    world.send(waiting.pop(0))
                await instance.stop()
                return restarts
        except (CrashError, TransientError, asyncio.CancelledError):
            restarts += 1
    raise AssertionError("it never came to an end")


def cancel_after(instance: MemoryInstance, turn_count: int) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    assert instance.task is not None
    loop.call_after_turns(turn_count, instance.task.cancel)


def oracle(**settings: Any) -> World:
    world = a_world(**settings)
    assert run(live(world)) == 0
    return world


def check(world: World, expected: World, *, same_order: bool = True) -> None:
    """Every transaction is decided, always in the same words, and the state is the oracle's.

    Without `same_order`, labels may have come in another order, which their offsets tell.
    """
    assert world.unsafe == []
    decided = world.decisions()
    assert decided.keys() == expected.decisions().keys()
    assert len(decided) == len(world.records("transactions"))
    differing = {name for name, found in decided.items() if len(set(found)) > 1}
    assert differing == set()
    if same_order:
        assert world.blobs() == expected.blobs()
    else:
        assert world.counts() == expected.counts()


@pytest.mark.parametrize("label_count", [0, 40])
def test_after_crashes_at_random_moments_all_is_as_if_there_had_been_none(
    sweep: bool, label_count: int
) -> None:
    expected = oracle(label_count=label_count)
    restarts = 0
    seeds = range(500 if sweep else 25)

    for seed in seeds:
        rng = np.random.default_rng(seed)
        world = a_world(rng, label_count=label_count)
        restarts += run(live(world, *[a_doom(rng) for _ in range(3)]))
        check(world, expected)

    assert restarts > len(seeds)


def test_delivered_exactly_once_every_output_comes_out_once(sweep: bool) -> None:
    """Whatever came of records behind the last commit is decided again, and was never seen."""
    expected = oracle(label_count=40, delivery="exactly_once")
    restarts = 0
    seeds = range(200 if sweep else 12)

    for seed in seeds:
        rng = np.random.default_rng(seed)
        world = a_world(rng, label_count=40, delivery="exactly_once")
        restarts += run(live(world, *[a_doom(rng) for _ in range(3)]))
        check(world, expected)
        for topic in ("decisions", "alerts"):
            names = [value["decision_id"] for value in world.values(topic)]
            assert len(names) == len(set(names)) == len(expected.records(topic))

    assert restarts > len(seeds)


@pytest.mark.parametrize("commit_at", range(1, 7))
def test_what_a_commit_opens_is_not_used_before_it_is_done(commit_at: int) -> None:
    """Commits take long, and the process dies in one, when more has been decided meanwhile."""
    expected = oracle(label_count=40)
    world = a_world(label_count=40)

    async def scenario() -> None:
        delays = {"publish_delay_s": 0.1, "commit_delay_s": 0.3}
        async with world.instance(DoomAt("commit", commit_at), **delays) as instance:
            await instance.idle()
            for later in LATER:
                world.send(later)
                await instance.idle()

    with pytest.raises(CrashError):
        run(scenario())
    sent = len(world.records("transactions"))
    run(live(world, waiting=[x for x in LATER if int(x[0]["transaction_id"][1:]) >= sent]))
    check(world, expected)


def a_doom(rng: Generator) -> Doom:
    return Doom(crash_at=int(rng.integers(1, 120)), after_effect=bool(rng.integers(2)))


@pytest.mark.parametrize("with_voices", [False, True], ids=["labels", "feedback"])
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_whichever_call_fails_nothing_is_lost(
    sweep: bool, after_effect: bool, with_voices: bool
) -> None:
    """Fail call 1, then call 2, and so on; rebuild the instance each time, as `run` does."""
    calls = Noted()
    expected = story(with_voices, calls)
    failed = set()

    for number in chosen(calls.names, sweep=sweep):
        faults = Faults(fail_at=number, after_effect=after_effect)
        check(story(with_voices, faults), expected, same_order=not with_voices)
        failed.add(faults.failed)

    # A poll that is still waiting at the end fails nobody.
    assert failed - {None} == {*calls.names}
    world_of_parts = BROKER | STORE | TAIL | EXPLAINER | CASES
    assert world_of_parts - failed <= ({"tail.seek"} if with_voices else CASES)


def test_whenever_the_world_goes_away_for_good_nothing_is_lost(sweep: bool) -> None:
    """All calls fail from one on, until the instance has given up."""
    calls = Noted()
    expected = story(False, calls)

    for number in chosen(calls.names, sweep=sweep):
        check(story(False, Faults(fail_at=number, lasting=True)), expected)


@pytest.mark.parametrize(
    "part",
    [BROKER, STORE, TAIL, CASES, EXPLAINER],
    ids=["broker", "store", "tail", "labels", "explainer"],
)
def test_whenever_one_part_of_the_world_goes_away_for_good_nothing_is_lost(
    sweep: bool, part: frozenset[str]
) -> None:
    """Until the instance is started again. Without the store it may score on for a while."""
    calls = Noted()
    expected = story(True, calls)
    names = [name for name in calls.names if name in part]

    for begin in chosen(names, sweep=sweep):
        world = story(True, Gone(part, begin))
        check(world, expected, same_order=False)


def test_at_whichever_await_it_is_cancelled_nothing_is_lost(sweep: bool) -> None:
    """Its calls still reach the world while it ends, unlike those of a process that was killed."""
    rng = np.random.default_rng(1)
    expected = oracle(label_count=20)
    turn_count = run(turns_of(live(a_world(label_count=20))))
    numbers = range(1, turn_count)

    for number in numbers if sweep else rng.choice(numbers, 25, replace=False).tolist():
        world = a_world(rng if number % 2 else None, label_count=20)
        run(live(world, cancelled_after=number))
        check(world, expected)


async def turns_of(scenario: Coroutine[Any, Any, int]) -> int:
    assert await scenario == 0
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    return loop.turn_count


def chosen(names: Sequence[str], *, sweep: bool) -> list[int]:
    """Numbers of calls, from 1: all of them, or of each name the first and some by chance."""
    everything = range(1, len(names) + 1)
    if sweep:
        return list(everything)
    first = [names.index(name) + 1 for name in set(names)]
    rng = np.random.default_rng(len(names))
    return sorted({*first, *rng.choice(everything, min(12, len(names)), replace=False).tolist()})


def story(with_voices: bool, faults: Faults) -> World:
    """What comes of one plan of failure, with labels that are there or that come of feedback.

    At the end one starts that has no failures: what could not be stored is still in the log, and
    labels that waited for the store fall due at the next records, not all at one.
    """
    world = a_world(label_count=0 if with_voices else 20)
    if with_voices:
        said = [voice(made) for made in TRANSACTIONS[:20]]
        world.send_feedback(said)
        world.send_feedback([{**one, "label": "retracted", "revision": 1} for one in said[::3]])
    run(live(world, faults))
    assert run(live(world, waiting=LAST)) == 0
    return world
