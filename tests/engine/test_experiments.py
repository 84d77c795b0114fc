"""Experiments in a small world: who decides for whom, what falls back, what is stopped."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sentinel.adapters.memory import MemoryDocuments
from sentinel.codec.stored import decode_stored
from sentinel.core.experiments import transitions
from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.core.experiments.params import ExperimentParams
from sentinel.core.experiments.transitions import Step
from sentinel.core.registry import transitions as registry_transitions
from sentinel.engine.experiments.desk import change_stored
from sentinel.records import TopicPartition
from sentinel.stored.experiments import ArmSpec, Definition, StoredExperiment, StoredVerdict
from sentinel.stored.versions import Artifact
from sentinel.stores import StoredExperiments
from tests.engine.clock import run, until
from tests.engine.learning_world import artifact, change, put, step
from tests.engine.samples import transactions
from tests.engine.test_deployment import NEW, a_world, scores_of
from tests.engine.world import MemoryInstance, World

SECRET = "a secret of ours"
SPLIT = Definition("fast", "split", (ArmSpec("control", 0.5), ArmSpec("challenger", 0.5, "1.1.0")))
POLICY = Definition(
    "cuts",
    "split",
    (ArmSpec("control", 0.5), ArmSpec("lower", 0.5, policy={"review_min": 0.001})),
    layer="policy",
)


def experimenting(world: World, **params: Any) -> World:
    settings = ExperimentParams(secret=SECRET, **params)
    world.config = replace(world.config, experiments=settings)
    return world


def kept(world: World) -> StoredExperiments:
    return StoredExperiments(MemoryDocuments(world.experiments))


def stage(world: World, one: Artifact) -> None:
    put(world.models, one)
    change(
        world.models,
        step(registry_transitions.registered, one.version),
        step(registry_transitions.staged, one.version),
    )


async def take(world: World, name: str, taken: Step) -> StoredExperiment:
    """A step by a person, told as the command tells it."""
    done = await change_stored(kept(world), name, taken, who="ada", why="because", at_ms=1_000)
    world.cluster.append(TopicPartition("experiments", 0), [done.record])
    return done.after


async def started(world: World, definition: Definition) -> StoredExperiment:
    await take(world, definition.name, transitions.create(definition))
    return await take(
        world,
        definition.name,
        transitions.start(
            at_ms=1_000,
            champion="1.0.0",
            key_check=key_check(key_of(SECRET)),
            holdout=0.0,
            servable=["1.0.0", "1.1.0"],
        ),
    )


def decided(world: World) -> list[dict[str, Any]]:
    return world.values("decisions")


def arms_of(decisions: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in decisions:
        found.setdefault(one["account"], set()).add(one["arm"])
    return found


def test_each_arm_is_decided_by_its_model_and_an_account_keeps_its_arm_over_restarts() -> None:
    world = experimenting(a_world(partition_count=3))
    sent = transactions(400)

    async def scenario() -> None:
        stage(world, NEW)
        async with world.instance() as instance:
            await instance.idle()
            await started(world, SPLIT)
            await until(lambda: instance.parts.serving.routing is not None)
            world.send(sent[:200])
            await instance.idle()
            await instance.stop()
        async with world.instance() as instance:
            world.send(sent[200:])
            await instance.idle()
            await instance.stop()

    run(scenario())
    decisions = decided(world)
    assert len(decisions) == 400
    assert {one["experiment"] for one in decisions} == {"fast@1.0"}
    assert {one["propensity"] for one in decisions} == {0.5}
    assert all(len(arms) == 1 for arms in arms_of(decisions).values())
    for name, one in (("control", artifact("1.0.0")), ("challenger", NEW)):
        mine = [decision for decision in decisions if decision["arm"] == name]
        assert {decision["model_version"] for decision in mine} == {one.version}
        assert [decision["score"] for decision in mine] == scores_of(one, mine)
        assert len(mine) > 80
    assert world.unsafe == []


def test_two_layers_decide_for_the_same_account_and_each_sets_its_own() -> None:
    world = experimenting(a_world())

    async def scenario() -> None:
        stage(world, NEW)
        async with world.instance() as instance:
            await instance.idle()
            await started(world, SPLIT)
            await started(world, POLICY)
            await until(lambda: len(routed(instance)) == 2)
            world.send(transactions(300))
            await instance.idle()
            await instance.stop()

    run(scenario())
    found = {(one["experiment"], one["arm"]) for one in decided(world)}
    assert found == {
        ("fast@1.0+cuts@1.0", f"{a}+{b}")
        for a in ("control", "challenger")
        for b in ("control", "lower")
    }
    assert {one["propensity"] for one in decided(world)} == {0.25}
    for one in decided(world):
        assert one["model_version"] == ("1.1.0" if "challenger" in one["arm"] else "1.0.0")
        if one["arm"].endswith("lower"):
            assert (one["action"] != "approve") == (one["probability"] >= 0.001)


def routed(instance: MemoryInstance) -> list[str]:
    table = instance.parts.serving.routing
    return [] if table is None else [one.id for one in table.plan.experiments]


def test_a_model_that_cannot_score_falls_back_and_says_so() -> None:
    world = experimenting(a_world())

    async def scenario() -> None:
        stage(world, NEW)
        async with world.instance() as instance:
            await instance.idle()
            await started(world, SPLIT)
            await until(lambda: instance.parts.serving.routing is not None)
            await until(lambda: not instance.parts.routing.trouble)
            instance.parts.serving.fail("1.1.0", "it cannot score: of a test")
            world.send(transactions(100))
            await instance.idle()
            await instance.stop()

    run(scenario())
    for one in decided(world):
        is_fallback = one["arm"] == "challenger"
        assert one["model_version"] == "1.0.0"
        assert ("arm" in one["degraded"]) == is_fallback
    told = [json.loads(one.value or b"") for one in world.records("outcomes")]
    parts = [part for one in told for part in one["parts"] if part["arm"] == "challenger"]
    assert sum(part["failed"] for part in parts) == sum(part["batches"] for part in parts) > 0


def test_another_secret_routes_nothing_and_says_so() -> None:
    world = experimenting(a_world())

    async def scenario() -> None:
        stage(world, NEW)
        await started(world, SPLIT)
        world.config = replace(world.config, experiments=ExperimentParams(secret="another"))
        async with world.instance() as instance:
            world.send(transactions(20))
            await instance.idle()
            assert "secret" in instance.parts.routing.trouble
            await instance.stop()

    run(scenario())
    assert {one["arm"] for one in decided(world)} == {"champion"}


def test_what_is_stopped_is_the_champions_at_once() -> None:
    world = experimenting(a_world())

    async def scenario() -> float:
        stage(world, NEW)
        async with world.instance() as instance:
            await instance.idle()
            await started(world, SPLIT)
            await until(lambda: instance.parts.serving.routing is not None)
            begin_s = asyncio.get_running_loop().time()
            await take(world, "fast", transitions.stop(StoredVerdict("stopped", "enough")))
            await until(lambda: instance.parts.serving.routing is None)
            took_s = asyncio.get_running_loop().time() - begin_s
            world.send(transactions(20))
            await instance.idle()
            await instance.stop()
            return took_s

    assert run(scenario()) < 1.0  # of the loop's own clock, which only waits make go on
    assert {one["arm"] for one in decided(world)} == {"champion"}


def test_an_arm_that_alerts_on_everything_is_stopped_by_its_guardrail() -> None:
    world = experimenting(a_world())
    wild = replace(
        POLICY, arms=(POLICY.arms[0], ArmSpec("lower", 0.5, policy={"review_min": 1e-9}))
    )

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            await started(world, wild)
            await until(lambda: instance.parts.serving.routing is not None)
            for begin in range(0, 600, 50):
                world.send(transactions(50, first=begin, account_count=1_000))
                await instance.idle()
                await asyncio.sleep(2)
            await until(lambda: instance.parts.serving.routing is None)
            await instance.stop()

    run(scenario())
    ended = run(kept(world).experiment("cuts"))
    assert ended is not None
    assert ended.status == "ended"
    assert ended.verdict is not None
    assert (ended.verdict.name, ended.verdict.arm) == ("harm", "lower")
    assert ended.verdict.why.startswith("guardrail alerts of arm lower")
    told = [decode_stored(StoredExperiment, r.value or b"") for r in world.records("experiments")]
    assert told[-1] == ended
    [entry] = [e for e in world.values("audit") if e["kind"] == "experiment"]
    assert (entry["who"], entry["after"]["status"]) == ("experiments", "ended")


def test_a_shadow_scores_beside_and_changes_nothing() -> None:
    world = experimenting(a_world())
    beside = Definition(
        "watch", "shadow", (ArmSpec("champion", 1.0), ArmSpec("challenger", 0.5, "1.1.0"))
    )

    async def scenario() -> None:
        stage(world, NEW)
        async with world.instance() as instance:
            await instance.idle()
            await started(world, beside)
            await until(lambda: instance.parts.serving.routing is not None)
            await until(lambda: not instance.parts.routing.trouble)
            world.send(transactions(300))
            await instance.idle()
            await instance.stop()

    run(scenario())
    decisions = decided(world)
    assert {one["arm"] for one in decisions} == {"champion"}
    assert not any("experiment" in one for one in decisions)
    shadowed = [one for one in decisions if one["shadow_scores"]]
    assert 90 < len(shadowed) < 210
    scores = [one["shadow_scores"]["1.1.0"] for one in shadowed]
    assert np.allclose(scores, scores_of(NEW, shadowed), rtol=0, atol=0)
    of_account = {one["account"]: bool(one["shadow_scores"]) for one in decisions}
    assert all(of_account[one["account"]] == bool(one["shadow_scores"]) for one in decisions)
