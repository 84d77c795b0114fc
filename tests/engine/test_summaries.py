"""What is decided is counted once, in summaries that come before the commit of what they count."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.memory import Faults
from sentinel.codec.drift.counts import unpack_counts
from sentinel.codec.drift.summaries import arrival_of, decode_summary
from sentinel.config import Config
from sentinel.core.drift.counts.columns import column_of
from sentinel.core.drift.counts.noting import Binning
from sentinel.core.drift.counts.steps import BookPosition, ClosedStep, StepBook
from sentinel.core.drift.params import DriftParams
from sentinel.engine.params import Delivery
from sentinel.errors import TransientError
from sentinel.operations.data.history import History
from sentinel.stored.summaries import Summary
from tests.engine.clock import run, until
from tests.engine.faults import CrashError, Doom, DoomAt
from tests.engine.samples import NAMES, START_MS, a_config, encoded, transactions
from tests.engine.world import MemoryInstance, World

PARAMS = DriftParams(step="1h", grace="1h")
HOUR_MS = 3_600_000
SENT = transactions(120)
LATER = [transactions(20, first=120 + 20 * i) for i in range(3)]


def binning() -> Binning:
    made = transactions(500, seed=5)
    features = History(a_config()).fold([encoded(x) for x in made], [None] * 500).features
    return Binning([column_of(name, features[:, i]) for i, name in enumerate(NAMES)])


BINNING = binning()


def config(
    *, partition_count: int = 1, delivery: Delivery = "at_least_once", **drift: Any
) -> Config:
    made = a_config(partition_count, commit_interval_s=0.2, snapshot_after_s=0.5, delivery=delivery)
    return replace(made, drift=replace(PARAMS, **drift))


def a_world(rng: np.random.Generator | None = None, **others: Any) -> World:
    world = World(config=config(**others), rng=rng)
    world.send(SENT)
    return world


def counting(instance: MemoryInstance) -> MemoryInstance:
    instance.parts.summaries.use(BINNING)
    return instance


async def live(world: World, *plans: Faults) -> int:
    """One plan of failure after another, then on to the end; the number of restarts."""
    restarts, waiting = 0, list(LATER)
    for faults in [*plans, *[Faults()] * 3]:
        try:
            async with world.instance(faults) as instance:
                counting(instance)
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


def summaries(world: World) -> list[Summary]:
    return [decode_summary(record) for record in world.records("summaries")]


def staying(found: Sequence[Summary]) -> list[Summary]:
    """Of two that begin alike, and of what began later, the second."""
    kept: dict[int, list[Summary]] = {}
    for one in found:
        own = kept.setdefault(one.partition, [])
        own[:] = [*(x for x in own if x.begin < one.begin), one]
    return [one for own in kept.values() for one in own]


def decided(world: World) -> list[dict[str, Any]]:
    return [json.loads(found[0]) for found in world.decisions().values()]


def by_hour(world: World) -> Counter[tuple[int, str]]:
    """How many decisions of each action there are in each hour of event time."""
    sent = {x["transaction_id"]: x for x in world.values("transactions")}
    return Counter(
        (sent[one["transaction_id"]]["event_time"] // HOUR_MS * HOUR_MS, one["action"])
        for one in decided(world)
    )


def summed_by_hour(found: Sequence[Summary]) -> Counter[tuple[int, str]]:
    total: Counter[tuple[int, str]] = Counter()
    for one in found:
        for span in one.spans:
            assert span.row_count == sum(span.actions.values())
            assert span.row_count == sum(cell[1] for cell in span.scores)
            total.update({(span.at_ms, action): n for action, n in span.actions.items()})
    return total


def check(world: World) -> None:
    """All decisions are counted, each once; and what is counted goes on without a gap."""
    assert world.unsafe == []
    found = staying(summaries(world))
    assert summed_by_hour(found) == by_hour(world)
    for number in range(world.partition_count):
        own = [one for one in found if one.partition == number]
        assert [one.begin for one in own[1:]] == [one.end for one in own[:-1]]
        assert all(one.begin < one.end for one in own)
    closed = steps_of(world)
    expected = by_hour(world)
    for step in closed:
        actions: Counter[str] = Counter()
        for arm in step.arms.values():
            actions.update(arm.actions)
        assert actions == {a: n for (at_ms, a), n in expected.items() if at_ms == step.at_ms}


def steps_of(world: World) -> list[ClosedStep]:
    book = StepBook(BookPosition(), step_ms=HOUR_MS, grace_ms=HOUR_MS)
    taken = [arrival_of(decode_summary(one), one) for one in world.records("summaries")]
    return [step for one in taken for step in book.take(one)]


def test_what_is_decided_is_counted_to_the_row_and_the_amount() -> None:
    world = a_world()
    assert run(live(world)) == 0
    check(world)
    assert len(steps_of(world)) >= 2
    found = summaries(world)
    assert len(found) > 3
    assert {(one.topic, one.step_ms, one.columns, one.part) for one in found} == {
        ("transactions", HOUR_MS, BINNING.digest, 0)
    }
    sent = {x["transaction_id"]: x for x in world.values("transactions")}
    amounts = sum(round(100 * sent[one["transaction_id"]]["amount"]) for one in decided(world))
    sums = np.sum([cell for one in found for span in one.spans for cell in span.scores], axis=0)
    assert sums[3] == amounts
    alerts = [one for one in decided(world) if one["action"] != "approve"]
    assert sums[5] == len(alerts) > 0
    assert abs(sums[2] - 1e6 * sum(one["probability"] for one in decided(world))) < len(sent)
    assert {(span.version, span.arm) for one in found for span in one.spans} == {("v1", "champion")}


def test_of_a_busy_account_only_the_first_rows_of_an_hour_are_counted() -> None:
    world = World(config=config(rows_per_account_max=2))
    made = transactions(60, account_count=1)  # 30 an hour
    world.send(made)

    async def scenario() -> None:
        async with world.instance() as instance:
            counting(instance)
            await instance.idle()
            await instance.stop()

    run(scenario())
    hours = Counter(one["event_time"] // HOUR_MS for one in made)
    spans = [span for one in summaries(world) for span in one.spans]
    counted: Counter[int] = Counter()
    for span in spans:
        counts = unpack_counts(span.counts)
        counted[span.at_ms // HOUR_MS] += counts.row_count
        assert {int(n) for n in counts.cells.sum(axis=(1, 2))} == {counts.row_count}
    assert sum(span.row_count for span in spans) == 60
    assert dict(counted) == {hour: min(n, 2) for hour, n in hours.items()}


def test_a_transaction_that_comes_twice_is_counted_once() -> None:
    made = config()
    made = replace(made, schema=replace(made.schema, duplicates="ignore"))
    world = World(config=made)
    world.send(SENT)

    async def scenario() -> None:
        async with world.instance() as instance:
            counting(instance)
            await instance.idle()
            world.send(SENT[-30:])
            await instance.idle()
            world.send(LATER[0])
            await instance.idle()
            await instance.stop()

    run(scenario())
    assert len(world.records("transactions")) == 170
    assert sum(summed_by_hour(staying(summaries(world))).values()) == 140


def test_switched_off_nothing_is_counted() -> None:
    world = a_world(enabled=False)
    run(live(world))
    assert len(world.decisions()) == 180
    assert world.records("summaries") == []


def test_before_anybody_knows_the_cells_rows_are_a_sample() -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            assert instance.parts.summaries.sample() is None
            await instance.stop()

    run(scenario())
    assert world.records("summaries") == []


def test_a_summary_is_out_before_what_it_counts_is_committed() -> None:
    """The process dies at the commit: whoever goes on begins where that summary began."""
    again = 0
    for number in range(1, 7):
        world = a_world()
        run(live(world, DoomAt("commit", number)))
        begins = [one.begin for one in summaries(world)]
        again += len(begins) - len(set(begins))
        check(world)
    assert again > 2, "the one before the crash is told again"


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_after_crashes_at_random_moments_each_decision_is_counted_once(
    delivery: Delivery, sweep: bool
) -> None:
    restarts = 0
    seeds = range(150 if sweep else 8)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        world = a_world(rng, delivery=delivery, partition_count=1 + seed % 2)
        dooms = [
            Doom(crash_at=int(rng.integers(1, 120)), after_effect=bool(rng.integers(2)))
            for _ in range(2)
        ]
        restarts += run(live(world, *dooms))
        check(world)
        if delivery == "exactly_once":
            assert staying(summaries(world)) == sorted(
                summaries(world), key=lambda one: one.partition
            )
    assert restarts > len(seeds) // 2


def test_whichever_publication_fails_each_decision_is_counted_once() -> None:
    for number in range(1, 14, 3):
        for after_effect in (False, True):
            world = a_world()
            run(live(world, Faults(fail_at=8 * number, after_effect=after_effect)))
            check(world)


def test_partitions_that_are_handed_over_are_counted_by_one_of_the_two() -> None:
    world = a_world(partition_count=4)

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            first = counting(await stack.enter_async_context(world.instance()))
            world.send(LATER[0])
            async with world.instance() as second:
                counting(second)
                await until(world.is_done)
                world.send(LATER[1])
                await until(world.is_done)
                await first.stop()
                await stack.aclose()  # it leaves the group
                world.send(LATER[2])
                await second.idle()
                await second.stop()

    run(scenario())
    check(world)


def test_an_owner_who_was_suspended_and_wakes_up_counts_nothing_twice() -> None:
    world = a_world(partition_count=2)

    async def scenario() -> None:
        async with world.instance() as first:
            counting(first)
            await asyncio.sleep(0.1)
            first.suspend()
            async with world.instance() as second:
                counting(second)
                await until(world.is_done)
                world.send(LATER[0])
                await until(world.is_done)
                first.latency.resume()
                await asyncio.sleep(5)
                world.send(LATER[1])
                await until(world.is_done)
                await asyncio.sleep(5)

    run(scenario())
    expected = by_hour(world)
    for step in steps_of(world):
        for arm in step.arms.values():
            for action, n in arm.actions.items():
                assert n <= expected[step.at_ms, action]


def test_a_summary_that_the_topic_does_not_take_whole_is_told_in_parts() -> None:
    world = a_world()
    world.cluster.record_bytes_max["summaries"] = 4_000
    assert run(live(world)) == 0
    found = summaries(world)
    assert max(one.part for one in found) > 0
    assert all(len(record.value or b"") <= 4_000 for record in world.records("summaries"))
    assert summed_by_hour(found) == by_hour(world)
    check_steps = steps_of(world)
    assert check_steps
    assert check_steps[0].at_ms == START_MS // HOUR_MS * HOUR_MS
