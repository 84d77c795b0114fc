"""A crash at any moment, a failure of any call: nothing is lost, counted twice, or decided anew."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from sentinel.adapters.memory import Faults
from sentinel.codec.records import encode
from sentinel.errors import TransientError
from sentinel.records import Label
from tests.engine.clock import run
from tests.engine.faults import CrashError, Doom, DoomAt
from tests.engine.samples import MINUTE_MS, a_config, transactions
from tests.engine.world import World

Stretch = list[dict[str, Any]]

TRANSACTIONS = transactions(100)
LATER = [transactions(10, first=100 + 10 * i) for i in range(4)]  # each lets labels in


def labels(count: int) -> list[bytes]:
    """Labels of the first transactions, each half an hour after it; some take back others."""
    found = []
    for i, made in enumerate(TRANSACTIONS[:count]):
        label = Label(
            transaction_id=made["transaction_id"],
            label="fraud",
            posterior=1.0,
            vote_count=1,
            source="chargeback",
            observed_ms=made["event_time"] + 30 * MINUTE_MS,
            event_time_ms=made["event_time"],
            entities={"account": made["account"], "terminal": made["terminal"]},
            feedback_offset=i,
        )
        found.append(encode(label))
    return found


def a_world(rng: Generator | None = None, *, label_count: int = 0, **others: Any) -> World:
    world = World(config=a_config(commit_interval_s=0.2), rng=rng, **others)
    world.send(TRANSACTIONS)
    for label in labels(label_count):
        world.append("labels", label)
    return world


async def live(world: World, *plans: Faults, waiting: Sequence[Stretch] = LATER) -> int:
    """Live through one plan of failure after another, then on to the end; returns the restarts."""
    restarts = 0
    waiting = list(waiting)
    for faults in [*plans, *[Faults()] * 3]:
        try:
            async with world.instance(faults) as instance:
                while True:
                    await instance.idle()
                    if not waiting:
                        break
                    world.send(waiting.pop(0))
                await instance.stop()
                return restarts
        except (CrashError, TransientError):
            restarts += 1
    raise AssertionError("it never came to an end")


def oracle(**settings: Any) -> World:
    world = a_world(**settings)
    assert run(live(world)) == 0
    return world


def check(world: World, expected: World) -> None:
    """Every transaction is decided, always in the same words, and the state is the oracle's."""
    assert world.unsafe == []
    decided = world.decisions()
    assert decided.keys() == expected.decisions().keys()
    assert len(decided) == 140
    differing = {name for name, found in decided.items() if len(set(found)) > 1}
    assert differing == set()
    assert world.blobs() == expected.blobs()


SEEDS = range(50)


@pytest.mark.parametrize("label_count", [0, 40])
def test_after_crashes_at_random_moments_all_is_as_if_there_had_been_none(label_count: int) -> None:
    expected = oracle(label_count=label_count)
    restarts = 0

    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        world = a_world(rng, label_count=label_count)
        restarts += run(live(world, *[a_doom(rng) for _ in range(3)]))
        check(world, expected)

    assert restarts > len(SEEDS)


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


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_whichever_call_fails_nothing_is_lost(after_effect: bool) -> None:
    """Fail call 1, then call 2, and so on; rebuild the instance each time, as `run` does."""
    expected = oracle(label_count=20)
    failed = set()

    for number in range(1, calls_of_a_clean_run() + 1):
        faults = Faults(fail_at=number, after_effect=after_effect)
        world = a_world(label_count=20)
        run(live(world, faults))
        check(world, expected)
        failed.add(faults.failed)

    assert failed >= {
        *("subscribe", "poll", "publish", "flush", "commit", "committed", "start_offset"),
        *("claim", "check", "partition_state", "load_owned", "load_shared", "save", "tail.poll"),
    }


def test_whenever_the_world_goes_away_for_good_nothing_is_lost() -> None:
    """All calls fail from one on, until the instance has given up."""
    expected = oracle(label_count=20)

    for number in range(1, calls_of_a_clean_run() + 1, 3):
        world = a_world(label_count=20)
        run(live(world, Faults(fail_at=number, lasting=True)))
        check(world, expected)


def calls_of_a_clean_run() -> int:
    faults = Faults()
    assert run(live(a_world(label_count=20), faults)) == 0
    return faults.call_count
