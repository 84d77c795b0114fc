"""From transactions to alarms: the watch for drift in a small world."""

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.memory import Faults, MemoryDocuments
from sentinel.codec.drift.references import stored_columns, stored_reference
from sentinel.codec.stored import decode_stored
from sentinel.config import Config
from sentinel.core.drift.counts.reference import Reference, reference_of
from sentinel.core.drift.params import DriftParams, segmentation_of
from sentinel.core.features.hashing import hash64
from sentinel.metrics import Metrics
from sentinel.operations.data.history import History
from sentinel.stored.drift import Alarm, Suppression, WindowReport
from sentinel.stores import StoredDrift
from tests.engine.clock import run, until
from tests.engine.faults import CrashError, DoomAmong
from tests.engine.learning_world import artifact, model_of, serve
from tests.engine.samples import FEATURES, NAMES, START_MS, a_config, encoded, serving, transactions
from tests.engine.world import MemoryInstance, World
from tests.kept import KeptModels

PARAMS = DriftParams(step="1h", grace="1h", run_length="365d", window_rows=1_000)
HISTORY_COUNT, LIVE_COUNT, BROKEN_FROM = 6_000, 2_400, 1_200  # 30 an hour


def drift_config(params: DriftParams = PARAMS, **engine: Any) -> Config:
    return replace(a_config(**{"batch_count_max": 64, **engine}), drift=params)


@functools.cache
def a_reference() -> Reference:
    history = History(drift_config())
    known = transactions(HISTORY_COUNT, seed=1)
    folded = history.fold([encoded(one) for one in known], [None] * len(known))
    model = serving()
    probability = model.probability(model.model.raw_scores(folded.features))
    return reference_of(
        NAMES,
        folded.features,
        np.array([one["event_time"] for one in known]),
        hash64([one["account"] for one in known]),
        probability,
        np.array([round(100 * one["amount"]) for one in known]),
        probability >= 0.4,
        rows_per_account_max=PARAMS.rows_per_account_max,
        segmentation=segmentation_of(FEATURES, PARAMS),
    )


def before() -> list[dict[str, Any]]:
    """The last of the history: accounts are known, when what is watched begins."""
    return transactions(300, seed=1, first=HISTORY_COUNT - 300)


def live(*, broken_from: int = BROKEN_FROM, mended_from: int = LIVE_COUNT) -> list[dict[str, Any]]:
    """What comes behind the history; for a while no distance is told."""
    sent = transactions(LIVE_COUNT, seed=2, first=HISTORY_COUNT)
    return [
        one | {"distance": None} if broken_from <= i < mended_from else one
        for i, one in enumerate(sent)
    ]


def kept(world: World) -> StoredDrift:
    return StoredDrift(MemoryDocuments(world.drift))


async def told(world: World, *, version: str = "v1") -> None:
    """The world's accounts are known, and its model has a reference."""
    async with world.instance() as instance:
        world.send(before())
        await instance.idle()
        await instance.stop()
    reference = a_reference()
    assert await kept(world).set_columns(None, stored_columns(reference.features))
    await kept(world).keep_reference(version, stored_reference(reference))


def a_world(params: DriftParams = PARAMS, **engine: Any) -> World:
    return World(config=drift_config(params, **engine))


async def watched(
    world: World, sent: Sequence[dict[str, Any]], *, first: int = 60, faults: Faults | None = None
) -> Metrics:
    """Send some, `first` of them at once, and wait until the watch has seen all summaries of them,
    and saved that.
    """
    async with world.instance(faults) as instance:
        await counting(instance)
        for begin, end in pairwise([0, *range(first, len(sent), 60), len(sent)]):
            world.send(sent[begin:end])
            await instance.idle()
        await until(lambda: instance.parts.drift.watch is not None)
        await until(lambda: instance.ports.drift_tail.lag("summaries") == 0)
        await asyncio.sleep(1)
        await instance.parts.drift.save()
        await instance.stop()
        return instance.metrics


async def counting(instance: MemoryInstance) -> None:
    """Until it knows its cells: what is decided before is in no summary."""
    await until(lambda: instance.parts.summaries.binning is not None)


def alarms(world: World) -> list[Alarm]:
    return [decode_stored(Alarm, one.value or b"") for one in world.records("drift-alerts")]


async def windows(world: World) -> list[WindowReport]:
    return await kept(world).windows(1_000)


def test_a_field_that_is_missing_from_now_on_opens_an_alarm_and_mended_it_closes() -> None:
    world = a_world()

    async def scenario() -> None:
        await told(world)
        await watched(world, live(mended_from=BROKEN_FROM + 600))

    run(scenario())
    opened, *later, closed = [one for one in alarms(world) if one.column == "distance"]
    assert (opened.part, opened.side, opened.status) == ("missing", "up", "open")
    assert {one.kind for one in (opened, *later, closed)} == {"missing"}
    # As soon as the day so far shows it: at once, or when the day ends.
    explained = next(one for one in [opened, *later][:2] if one.words)
    assert explained.words.startswith("20 % -> ")
    broken_ms = START_MS + 2 * 60_000 * (HISTORY_COUNT + BROKEN_FROM)
    assert abs(opened.since_ms - broken_ms) <= 3_600_000
    assert opened.opened_ms - broken_ms <= 6 * 3_600_000
    assert closed.status == "closed"
    audited = [e for e in world.values("audit") if e["kind"] == "drift alarm"]
    assert {entry["who"] for entry in audited} == {"drift"}
    assert len(audited) == len(alarms(world))


def test_a_field_that_one_channel_alone_no_longer_sends_is_told_with_the_channel() -> None:
    world = a_world()
    sent = live(broken_from=LIVE_COUNT)
    broken = [
        one | {"distance": None} if i >= BROKEN_FROM and one["channel"] == "shop" else one
        for i, one in enumerate(sent[: BROKEN_FROM + 900])
    ]

    async def scenario() -> list[WindowReport]:
        await told(world)
        await watched(world, broken)
        return await windows(world)

    reports = run(scenario())
    last = [one for one in alarms(world) if one.column == "distance"][-1]
    assert (last.part, last.kind, last.segment) == ("missing", "missing", 'channel "shop"')
    of_day = next(one for one in reports if one.scale == "day")
    found = {one.name: one for one in of_day.findings}["distance"]
    assert (found.alarm, found.segment) == (True, 'channel "shop"')


def test_nothing_alarms_while_nothing_changes() -> None:
    world = a_world()

    async def scenario() -> list[WindowReport]:
        await told(world)
        await watched(world, live(broken_from=LIVE_COUNT))
        return await windows(world)

    reports = run(scenario())
    assert alarms(world) == []
    by_scale = {scale: [w for w in reports if w.scale == scale] for scale in ("hour", "day")}
    assert len(by_scale["day"]) >= 2
    assert sum(w.row_count for w in by_scale["hour"]) >= LIVE_COUNT - 240  # the last are open


def test_windows_and_alarms_are_those_of_an_undisturbed_run_whatever_ends_in_between() -> None:
    """With one partition, to the bit: summaries are read again from where the saved state needs
    them, and what was decided without being committed is not counted twice.
    """
    sent = live()

    async def undisturbed(world: World) -> list[WindowReport]:
        await told(world)
        await watched(world, sent)
        return await windows(world)

    async def disturbed(world: World, seed: int) -> list[WindowReport]:
        rng = np.random.default_rng(seed)
        await told(world)
        at = 0
        while at < len(sent):
            async with world.instance() as instance:
                await counting(instance)
                for _ in range(rng.integers(1, 12)):
                    world.send(sent[at : at + 60])
                    at += 60
                    await instance.idle()
                    if rng.random() < 0.2:
                        await asyncio.sleep(12)  # long enough to save
                await asyncio.sleep(rng.random() * 2)
                # and it is gone, in the middle of whatever it did
        await watched(world, [])
        return await windows(world)

    calm = a_world()
    expected = run(undisturbed(calm))
    for seed in (1, 2, 3):
        world = a_world()
        found = run(disturbed(world, seed))
        assert found == expected
        assert {one.id: one for one in alarms(world)} == {one.id: one for one in alarms(calm)}


def twice_broken() -> list[dict[str, Any]]:
    """What is missing is missing twice, so that an alarm ends and another one of it begins."""
    first = live(broken_from=300, mended_from=900)
    return [*first[:1_500], *live(broken_from=1_500, mended_from=1_950)[1_500:]]


def test_whoever_catches_up_explains_an_alarm_by_what_was_known_when_it_began() -> None:
    """Many steps are closed at once, and what comes behind is no part of the explanation."""

    async def scenario(world: World, first: int) -> list[WindowReport]:
        await told(world)
        await watched(world, twice_broken(), first=first)
        return await windows(world)

    slow, fast = a_world(), a_world()
    expected = run(scenario(slow, 60))
    assert run(scenario(fast, LIVE_COUNT - 300)) == expected
    known = {one.id: one for one in alarms(slow)}
    assert len({name for name, one in known.items() if one.column == "distance"}) >= 2
    assert {one.id: one for one in alarms(fast)} == known


def test_whoever_dies_when_an_alarm_is_kept_and_not_told_leaves_it_to_be_told() -> None:
    sent = twice_broken()

    async def scenario(world: World, doom: Faults) -> bool:
        await told(world)
        try:
            await watched(world, sent, faults=doom)
        except CrashError:
            await watched(world, sent[len(world.records("transactions")) - len(before()) :])
            return True
        return False

    calm = a_world()
    assert not run(scenario(calm, Faults()))
    expected = {one.id: one for one in alarms(calm)}
    died = 0
    for number in range(1, 9):
        world = a_world()
        doom = DoomAmong(lambda name: name == "drift.keep an alarm", crash_at=number,
                         after_effect=True)  # fmt: skip
        died += run(scenario(world, doom))
        assert {one.id: one for one in alarms(world)} == expected
    assert died >= 4


def test_a_suppressed_column_is_kept_quiet() -> None:
    world = a_world()

    async def scenario() -> None:
        await told(world)
        quiet = Suppression("distance", until_ms=10**15, who="ann")
        await kept(world).suppress(None, quiet, now_ms=10**15 - 10**9)
        await watched(world, live()[: BROKEN_FROM + 300])

    run(scenario())
    assert {(one.column, one.is_suppressed) for one in alarms(world)} == {("distance", True)}


def test_a_version_without_a_reference_gets_it_from_the_stream() -> None:
    params = replace(PARAMS, reference_rows_min=1_000)
    world = a_world(params)

    async def scenario() -> Reference | None:
        reference = a_reference()
        assert await kept(world).set_columns(None, stored_columns(reference.features))
        await watched(world, live(broken_from=LIVE_COUNT))
        return await kept(world).reference("v1")  # type: ignore[return-value]

    found = run(scenario())
    assert found is not None
    assert found.origin == "stream"
    assert alarms(world) == []


@pytest.mark.parametrize("hostile", [b"", b"{}", b"[1]", b'{"v": 1, "spans": 3}', b"\xff\x00"])
def test_what_is_no_summary_is_counted_and_passed_over(hostile: bytes) -> None:
    world = a_world()

    async def scenario() -> int:
        await told(world)
        world.append("summaries", hostile)
        return (await watched(world, live()[:120])).summaries_refused

    assert run(scenario()) == 1
    assert alarms(world) == []


@pytest.mark.parametrize(
    ("strategy", "made"),
    [
        ("recalibrate", {"seed": 0, "slope": 0.6, "intercept": -1.0}),
        ("continue", {"seed": 3}),
        ("retrain", {"seed": 4, "slope": 1.6}),
    ],
)
def test_another_champion_is_no_drift(strategy: str, made: dict[str, Any]) -> None:
    """Its scores are others, and the stream is the one that there was: it alarms at neither."""
    first, second = artifact("1.0.0"), artifact("1.1.0", **made)
    second = replace(second, manifest={**second.manifest, "parent": "1.0.0", "strategy": strategy})
    models = KeptModels()
    serve(models, first)
    config = replace(drift_config(replace(PARAMS, reference_rows_min=1_000)), version="test")
    world = World(config=config, models=models, serving=model_of(first), artifact=first)
    sent = live(broken_from=LIVE_COUNT)

    async def scenario() -> str:
        await told(world, version="1.0.0")
        async with world.instance() as instance:
            await counting(instance)
            for begin in range(0, len(sent), 60):
                if begin == 1_200:
                    serve(models, second)
                    world.append("model-updates", b"{}")
                    await until(lambda: instance.version == "1.1.0")
                    await asyncio.sleep(10)
                world.send(sent[begin : begin + 60])
                await instance.idle()
            await until(lambda: instance.ports.drift_tail.lag("summaries") == 0)
            await asyncio.sleep(10)
            watch = instance.parts.drift.watch
            assert watch is not None
            await instance.stop()
            return watch.version

    assert run(scenario()) == "1.1.0"
    assert [one for one in alarms(world) if one.version == "1.1.0"] == []
    [found] = [w for w in run(windows(world)) if w.scale == "day" and w.version == "1.1.0"][:1]
    assert not any(finding.alarm for finding in found.findings)
