"""An experiment from its start to its verdict: decisions, labels, the archive, looks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.archive import ArchiveParams, ParquetArchive
from sentinel.adapters.memory import MemoryBroker, MemoryTail
from sentinel.app.archiving import archiver_of
from sentinel.core.experiments.guardrails.params import GuardrailParams
from sentinel.core.experiments.params import ExperimentParams
from sentinel.engine.archive.archiver import Archiver
from sentinel.records import TopicPartition
from sentinel.stored.experiments import ArmSpec, Definition, StoredExperiment
from tests.engine.clock import run, until
from tests.engine.samples import MINUTE_MS, transactions
from tests.engine.test_deployment import a_world
from tests.engine.test_experiments import SECRET, kept, started
from tests.engine.world import MemoryInstance, World

QUIET = GuardrailParams(
    alert_ratio_max=0, alert_ratio_min=0, block_ratio_max=0, loss_ratio_max=0
)  # fmt: skip
COUNT = 2_400
TIMES = {"duration": "2d", "looks": 4, "maturity": "12h"}


def the_world(folder: Path, guardrails: GuardrailParams = QUIET) -> World:
    world = a_world()
    config = replace(
        world.config,
        experiments=ExperimentParams(secret=SECRET, guardrails=guardrails),
        archive=ArchiveParams(directory=str(folder), interval_s=0.1, examples_interval_s=0.1),
        engine=replace(world.config.engine, batch_count_max=256),
    )
    return World(config=config, models=world.models, serving=world.serving, artifact=world.artifact)


@asynccontextmanager
async def archiving(world: World) -> AsyncIterator[Archiver]:
    """The archive at work beside."""
    stop = asyncio.Event()
    async with MemoryBroker(world.cluster, group_id="archive") as broker:
        archiver = archiver_of(
            world.config,
            broker,
            ParquetArchive(world.config.archive),
            MemoryTail(world.cluster, ["examples"]),
            MemoryTail(world.cluster, ["experiments", "outcomes"]),
            clock_s=asyncio.get_running_loop().time,
        )
        working = asyncio.create_task(archiver.run(stop))
        try:
            yield archiver
        finally:
            stop.set()
            await working


def chargebacks(sent: Sequence[dict[str, Any]], frauds: Sequence[bool]) -> list[dict[str, Any]]:
    return [
        {
            "transaction_id": one["transaction_id"],
            "label": "fraud",
            "source": "chargeback",
            "event_time_ms": one["event_time"],
            "entities": {"account": one["account"]},
            "observed_ms": one["event_time"] + 60 * MINUTE_MS,
        }
        for one, is_fraud in zip(sent, frauds, strict=True)
        if is_fraud
    ]


async def played(
    world: World,
    definitions: Sequence[Definition],
    *,
    seed: int = 0,
    fraud_share: float = 0.1,
    restart_at: int | None = None,
) -> list[StoredExperiment]:
    """Run experiments over a stream of four days; how they ended."""
    sent = transactions(COUNT, seed=seed, account_count=400)
    frauds = np.random.default_rng(seed).random(COUNT) < fraud_share
    async with archiving(world):
        begin = 0
        for end in [COUNT] if restart_at is None else [restart_at, COUNT]:
            async with world.instance() as instance:
                await instance.idle()
                if begin == 0:
                    for definition in definitions:
                        await started(world, definition)
                    await until(lambda: len(running(instance)) == len(definitions))
                for at in range(begin, end, 300):
                    piece = slice(at, min(at + 300, end))
                    world.send(sent[piece])
                    world.send_feedback(chargebacks(sent[piece], frauds[piece].tolist()))
                    await instance.idle()
                    await asyncio.sleep(3)
                await settled(world, definitions, instance, is_end=end == COUNT)
                await instance.stop()
            begin = end
    found = [await kept(world).experiment(one.name) for one in definitions]
    return [one for one in found if one is not None]


async def settled(
    world: World, definitions: Sequence[Definition], instance: MemoryInstance, *, is_end: bool
) -> None:
    """Until all that is to be looked at was."""
    if not is_end:
        await instance.parts.experiments.save()
        return

    async def are_over() -> bool:
        found = [await kept(world).experiment(one.name) for one in definitions]
        return all(one is not None and one.verdict is not None for one in found)

    async with asyncio.timeout(300):
        while not await are_over():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(1)


def running(instance: MemoryInstance) -> list[str]:
    table = instance.parts.serving.routing
    return [] if table is None else [one.id for one in table.plan.experiments]


def policy(name: str, review_min: float | None, **others: Any) -> Definition:
    """An experiment with another threshold; None changes nothing."""
    told = {} if review_min is None else {"review_min": review_min, "block_min": 1.0}
    arms = (ArmSpec("control", 0.5), ArmSpec("challenger", 0.5, policy=told))
    return Definition(name, "split", arms, layer=name, **{**TIMES, **others})


def test_one_that_stops_more_frauds_is_better_and_waits_for_a_person(tmp_path: Path) -> None:
    world = the_world(tmp_path)

    [ended] = run(played(world, [policy("all", 0.0089, metric="fraud_missed")]))

    assert ended.verdict is not None
    assert (ended.verdict.name, ended.verdict.arm) == ("promote", "challenger")
    assert ended.status == "waiting"  # a policy is set by a person
    assert "better" in ended.verdict.why
    looks = run(kept(world).looks("all@1"))
    assert [look.number for look in looks] == list(range(1, len(looks) + 1))
    last = looks[-1]
    [primary] = [one for one in last.compared if one.metric == "fraud_missed"]
    assert primary.value is not None
    assert primary.control is not None
    assert 0.01 < primary.value < primary.control < 0.15
    assert sum(last.accounts.values()) <= 400
    assert abs(last.accounts["control"] - last.accounts["challenger"]) < 100
    assert world.unsafe == []


def test_one_that_alerts_on_everything_is_worse_where_that_is_what_counts(tmp_path: Path) -> None:
    world = the_world(tmp_path)

    [ended] = run(played(world, [policy("all", 0.0089, metric="alert_rate")]))

    assert ended.verdict is not None
    assert (ended.verdict.name, ended.status) == ("harm", "ended")


def test_the_verdict_is_the_same_when_the_instance_dies_on_the_way(tmp_path: Path) -> None:
    wanted = [policy("all", 0.0089, metric="fraud_missed")]
    [undisturbed] = run(played(the_world(tmp_path / "a"), wanted))
    [disturbed] = run(played(the_world(tmp_path / "b"), wanted, restart_at=900))

    assert disturbed.verdict == undisturbed.verdict
    assert disturbed.test == undisturbed.test


@pytest.mark.slow
def test_equal_arms_are_told_apart_as_seldom_as_is_promised(tmp_path: Path) -> None:
    """Forty experiments of which nothing is to be found, at 5 %: 7 or more are of one in 30."""
    wrong = 0
    for seed in range(5):
        wanted = [policy(f"aa{i}", None, metric="fraud_missed") for i in range(8)]
        for ended in run(played(the_world(tmp_path / f"{seed}"), wanted, seed=seed)):
            assert ended.verdict is not None
            assert ended.verdict.name != "invalid"
            wrong += ended.verdict.name in ("promote", "harm")
    assert wrong <= 6


def test_outcomes_say_which_look_they_are_of_once(tmp_path: Path) -> None:
    world = the_world(tmp_path)
    run(played(world, [policy("none", None, metric="fraud_missed")]))
    told = [one for one in world.values("outcomes") if one["kind"] == "look"]
    numbers = [one["look"] for one in told]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == TIMES["looks"]
    assert world.cluster.log(TopicPartition("outcomes", 0)).end > len(told)
