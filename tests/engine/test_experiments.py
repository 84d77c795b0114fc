"""Experiments in a small world: who decides for whom, what falls back, what is stopped."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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
from tests.engine.faults import Away
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


@asynccontextmanager
async def routing(world: World, definition: Definition) -> AsyncIterator[MemoryInstance]:
    """An instance that routes by an experiment."""
    async with world.instance() as instance:
        await instance.idle()
        await started(world, definition)
        await until(lambda: instance.parts.serving.routing is not None)
        yield instance


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
        async with routing(world, SPLIT) as instance:
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
        async with routing(world, SPLIT) as instance:
            await until(lambda: not instance.parts.routing.trouble)
            instance.parts.serving.fail("1.1.0", "it cannot score: of a test")
            world.send(transactions(100))
            await instance.idle()
            health = instance.health()
            assert (health.status, health.is_ready) == ("degraded", True)
            assert health.reasons == (
                "models 1.1.0 cannot score: the champion decides in their arms",
            )
            await instance.stop()

    run(scenario())
    for one in decided(world):
        is_fallback = one["arm"] == "challenger"
        assert one["model_version"] == "1.0.0"
        assert ("arm" in one["degraded"]) == is_fallback
    told = [json.loads(one.value or b"") for one in world.records("outcomes")]
    parts = [part for one in told for part in one["parts"] if part["arm"] == "challenger"]
    assert sum(part["failed"] for part in parts) == sum(part["batches"] for part in parts) > 0


def test_a_model_that_is_on_its_way_is_waited_for_and_nothing_is_counted_against_its_arm() -> None:
    world = experimenting(a_world())
    away = Away()

    async def scenario() -> None:
        stage(world, NEW)
        async with world.instance(away) as instance:
            await instance.idle()
            away.names = frozenset({"models.load model 1.1.0"})
            await started(world, SPLIT)
            await until(lambda: instance.parts.serving.routing is not None)
            world.send(transactions(100))
            await instance.idle()
            assert "1.1.0" in instance.parts.routing.trouble
            away.names = frozenset()
            await until(lambda: not instance.parts.routing.trouble)
            world.send(transactions(100, first=100))
            await instance.idle()
            await instance.stop()

    run(scenario())
    told = [json.loads(one.value or b"") for one in world.records("outcomes")]
    parts = [part for one in told for part in one["parts"] if part["arm"] == "challenger"]
    assert sum(part["failed"] for part in parts) == 0 < sum(part["batches"] for part in parts)
    waited = [one for one in decided(world) if "arm" in one["degraded"]]
    assert waited
    assert {one["model_version"] for one in waited} == {"1.0.0"}


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
        async with routing(world, SPLIT) as instance:
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
        async with routing(world, wild) as instance:
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
        async with routing(world, beside) as instance:
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


def won(one: Definition) -> Step:
    verdict = StoredVerdict("promote", "it is better", "challenger", look=3)
    return transitions.stop(verdict, is_waiting=True)


async def state_of(world: World, name: str) -> StoredExperiment:
    found = await kept(world).experiment(name)
    assert found is not None
    return found


async def ended(world: World, name: str) -> StoredExperiment:
    async with asyncio.timeout(120):
        while not (found := await state_of(world, name)).is_over:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.2)
    return found


def test_a_winner_is_promoted_by_the_registry_even_if_whoever_found_that_died_on_the_way() -> None:
    world = experimenting(a_world())
    best = replace(SPLIT, may_promote=True)

    async def scenario() -> StoredExperiment:
        stage(world, NEW)
        async with world.instance() as instance:
            await instance.idle()
            await started(world, best)
            await instance.stop()
        await take(world, "fast", won(best))  # and nobody was left to carry it out
        async with world.instance() as instance:
            await until(lambda: instance.version == "1.1.0")
            found = await ended(world, "fast")
            await instance.stop()
        return found

    found = run(scenario())
    assert found.why == "1.1.0 serves"
    assert found.verdict is not None
    assert found.verdict.name == "promote"
    [event] = [one for one in world.values("model-updates") if one.get("kind") == "promoted"]
    assert (event["version"], event["who"]) == ("1.1.0", "experiments")
    assert event["why"] == "experiment fast@1: it is better"


def test_what_may_not_be_promoted_by_itself_waits_for_a_person() -> None:
    world = experimenting(a_world())

    async def scenario() -> StoredExperiment:
        stage(world, NEW)
        async with world.instance() as instance:
            await instance.idle()
            await started(world, SPLIT)
            await take(world, "fast", won(SPLIT))
            await asyncio.sleep(30)
            assert instance.version == "1.0.0"
            waits = await state_of(world, "fast")
            await take(world, "fast", transitions.settle)
            await instance.stop()
            return waits

    assert run(scenario()).status == "waiting"
    assert run(state_of(world, "fast")).status == "ended"


def test_where_models_need_an_approval_a_winner_waits_for_it() -> None:
    world = experimenting(a_world())
    world.config = replace(world.config, updates=replace(world.config.updates, needs_approval=True))
    best = replace(SPLIT, may_promote=True)

    async def scenario() -> None:
        stage(world, NEW)
        async with world.instance() as instance:
            await instance.idle()
            await started(world, best)
            await take(world, "fast", won(best))
            await asyncio.sleep(30)
            assert (await state_of(world, "fast")).status == "waiting"
            change(world.models, step(registry_transitions.approved, "1.1.0"))
            await until(lambda: instance.version == "1.1.0")
            await ended(world, "fast")
            await instance.stop()

    run(scenario())


def test_an_experiment_whose_model_is_archived_meanwhile_is_invalid() -> None:
    world = experimenting(a_world())

    async def scenario() -> StoredExperiment:
        stage(world, NEW)
        async with routing(world, SPLIT) as instance:
            change(world.models, step(registry_transitions.archived, "1.1.0"))
            found = await ended(world, "fast")
            await until(lambda: instance.parts.serving.routing is None)
            await instance.stop()
            return found

    verdict = run(scenario()).verdict
    assert verdict is not None
    assert (verdict.name, verdict.why) == (
        "invalid",
        "model 1.1.0 of arm challenger is archived by now",
    )


def test_a_ramp_goes_up_by_itself_step_by_step() -> None:
    world = experimenting(a_world())
    ramp = Definition(
        "up",
        "ramp",
        (ArmSpec("control", 0.5), ArmSpec("lower", 0.5, policy={"review_min": 0.39})),
        steps=(0.1, 0.5),
        step="3h",
    )

    async def scenario() -> None:
        async with routing(world, ramp) as instance:
            for begin in range(0, 300, 50):  # two minutes apart
                world.send(transactions(50, first=begin))
                await instance.idle()
                await asyncio.sleep(8)
            await instance.stop()

    run(scenario())
    found = run(state_of(world, "up"))
    assert (found.status, found.step) == ("running", 1)
    tags = [one["experiment"] for one in decided(world)]
    assert tags == sorted(tags)
    assert set(tags) == {"up@1.0", "up@1.1"}
    moved = {account for account, arms in arms_of(decided(world)).items() if len(arms) > 1}
    later = [one for one in decided(world) if one["experiment"] == "up@1.1"]
    assert {one["arm"] for one in later if one["account"] in moved} <= {"lower"}
