"""The same transaction again: decided again and flagged, counted once, whatever fails."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from numpy.random import Generator

from sentinel.adapters.memory import Faults
from tests.engine.clock import run, until
from tests.engine.faults import Noted
from tests.engine.samples import a_config, transactions
from tests.engine.test_crashes import a_doom, check, chosen, labels, live
from tests.engine.world import World

Piece = list[dict[str, Any]]

MADE = transactions(140)


def with_repeats(made: Piece, seed: int) -> Piece:
    """Every third time one of the last thirty once more, or several times, as it was."""
    rng = np.random.default_rng(seed)
    found = []
    for i, one in enumerate(made):
        found.append(one)
        if rng.random() < 0.3:
            earlier = made[int(rng.integers(max(i - 30, 0), i + 1))]
            found += [earlier] * int(rng.integers(1, 4))
    return found


PIECES = [with_repeats(MADE[begin : begin + 28], begin) for begin in range(0, len(MADE), 28)]


def empty_world(
    rng: Generator | None = None,
    *,
    partition_count: int = 1,
    duplicates: Literal["count", "ignore"] = "ignore",
) -> World:
    config = a_config(partition_count, commit_interval_s=0.2, snapshot_after_s=0.5)
    schema = replace(config.schema, duplicates=duplicates)
    return World(config=replace(config, schema=schema), rng=rng)


def a_world(
    rng: Generator | None = None,
    *,
    label_count: int = 0,
    duplicates: Literal["count", "ignore"] = "ignore",
) -> World:
    world = empty_world(rng, duplicates=duplicates)
    world.send(PIECES[0])
    for label in labels(label_count):
        world.append("labels", label)
    return world


def lived(*plans: Faults, rng: Generator | None = None, label_count: int = 0) -> World:
    world = a_world(rng, label_count=label_count)
    run(live(world, *plans, waiting=PIECES[1:]))
    return world


def test_what_comes_again_is_flagged_and_changes_nothing() -> None:
    world = lived()
    seen: set[str] = set()
    expected = []
    for record in (one for piece in PIECES for one in piece):
        expected.append(["duplicate"] if record["transaction_id"] in seen else [])
        seen.add(record["transaction_id"])

    once = World(config=a_config(commit_interval_s=0.2, snapshot_after_s=0.5))
    once.send(MADE[:28])
    run(live(once, waiting=[MADE[begin : begin + 28] for begin in range(28, len(MADE), 28)]))

    decided = world.values("decisions")
    assert [one["degraded"] for one in decided] == expected
    first = [one for one in decided if not one["degraded"]]
    assert [one["features"] for one in first] == [
        one["features"] for one in once.values("decisions")
    ]
    assert sum(map(bool, expected)) > 30


def test_with_count_everything_is_as_it_was() -> None:
    world = a_world(duplicates="count")
    run(live(world, waiting=PIECES[1:]))

    assert not any(one["degraded"] for one in world.values("decisions"))


def test_after_crashes_at_random_moments_nothing_is_counted_twice(sweep: bool) -> None:
    expected = lived(label_count=40)
    restarts = 0
    seeds = range(300 if sweep else 25)

    for seed in seeds:
        rng = np.random.default_rng(seed)
        world = a_world(rng, label_count=40)
        restarts += run(live(world, *[a_doom(rng) for _ in range(3)], waiting=PIECES[1:]))
        check(world, expected)

    assert restarts > len(seeds)


def test_whichever_call_fails_nothing_is_counted_twice(sweep: bool) -> None:
    calls = Noted()
    expected = lived(calls)

    for number in chosen(calls.names, sweep=sweep):
        check(lived(Faults(fail_at=number, after_effect=bool(number % 2))), expected)


@pytest.mark.parametrize("in_order", [True, False], ids=["leaves", "dies"])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_known_moves_with_the_partition(seed: int, in_order: bool) -> None:
    """One of two instances leaves, or dies, and what it had counted comes again to the other."""
    sent = with_repeats(transactions(300), seed)
    world = empty_world(np.random.default_rng(seed), partition_count=4)
    expected = empty_world(partition_count=4)
    expected.send(sent)
    run(expected.run_through())

    async def scenario() -> None:
        async with world.instance() as second:
            async with world.instance() as first:
                await until(lambda: len(first.parts.partitions) == 2)
                world.send(sent[:200])
                await until(lambda: first.metrics.decisions > 30 + 10 * seed)
                if in_order:
                    await first.stop()
            world.send(sent[200:])
            await until(lambda: len(second.parts.partitions) == 4)
            await second.idle()
            await second.stop()

    run(scenario())

    assert world.unsafe == []
    assert world.blobs() == expected.blobs()
    flags = {
        name: {b'"duplicate"' in one for one in found} for name, found in world.decisions().items()
    }
    known = {name: b'"duplicate"' in found[0] for name, found in expected.decisions().items()}
    assert flags == {name: {is_known} for name, is_known in known.items()}
    assert any(known.values())
