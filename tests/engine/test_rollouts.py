"""Rollouts in a small world: step by step to the champion's place, or back, whoever dies."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sentinel.adapters.memory import MemoryDocuments
from sentinel.core.experiments.params import ExperimentParams
from sentinel.core.learning.gate.judging import Verdict
from sentinel.core.registry import transitions as registry_transitions
from sentinel.core.rollouts import transitions
from sentinel.core.rollouts.params import RolloutParams
from sentinel.engine.rollouts.desk import RolloutChange, begin_rollout, change_rollout
from sentinel.stored.experiments import StoredExperiment
from sentinel.stored.rollouts import StoredRollout
from sentinel.stored.versions import Artifact
from sentinel.stores import StoredRollouts
from tests.engine.clock import run, until
from tests.engine.learning_world import (
    Script,
    a_learning_world,
    a_worker,
    artifact,
    ask,
    candidate,
    change,
    put,
    registry_state_of,
    send_examples,
    step,
    update_of,
)
from tests.engine.samples import transactions
from tests.engine.test_experiments import SECRET, state_of
from tests.engine.world import MemoryInstance, World

CANARY = RolloutParams(
    steps=("canary",),
    urgent_steps=(),
    looks=1,
    canary_share=0.1,
    canary_for="4h",
    urgent_canary_for="1h",
    cooldown_s=0.0,
    wait_s_max=3_600.0,
)
_PROMOTED = partial(registry_transitions.promoted, approval_needed=False)


def a_rolling_world(params: RolloutParams = CANARY, *, secret: str = SECRET) -> World:
    world = a_learning_world(rollouts=params)
    world.config = replace(world.config, experiments=ExperimentParams(secret=secret))
    return world


def kept_rollouts(world: World) -> StoredRollouts:
    return StoredRollouts(MemoryDocuments(world.experiments))


async def newest(world: World) -> StoredRollout | None:
    found = await kept_rollouts(world).rollouts(1)
    return found[0] if found else None


async def rollout_is(world: World, status: str, **wanted: Any) -> StoredRollout:
    """Wait until the newest rollout is so."""
    for _ in range(6_000):
        one = await newest(world)
        asked = {"status": status, **wanted}
        if one is not None and all(getattr(one, name) == asked[name] for name in asked):
            return one
        await asyncio.sleep(0.1)
    raise AssertionError(f"the newest rollout is {one}")


async def decide(
    world: World, instance: MemoryInstance, count: int, *, first: int = 0, accounts: int = 12
) -> None:
    """Transactions two minutes apart, in batches, with time for whoever counts them."""
    for begin in range(first, first + count, 200):
        world.send(transactions(200, first=begin, account_count=accounts))
        await instance.idle()
        await asyncio.sleep(2)


def learning_instance(world: World, *seeds: int) -> MemoryInstance:
    instance = world.instance()
    instance.trainer = a_worker(Script([candidate(seed) for seed in seeds]))
    return instance


Scenario = Callable[[World, MemoryInstance], Awaitable[None]]


def play(world: World, scenario: Scenario, *seeds: int) -> None:
    async def whole() -> None:
        async with learning_instance(world, *(seeds or (1,))) as instance:
            await instance.idle()
            await scenario(world, instance)
            await instance.stop()

    run(whole())


async def person(world: World, number: int, taken: RolloutChange) -> StoredRollout:
    done = await change_rollout(
        kept_rollouts(world), number, taken, who="ada", why="because", at_ms=5
    )
    return done.after


def promote_by_hand(world: World, one: Artifact) -> None:
    """As a person does, past every gate and step."""
    put(world.models, one)
    staged = (registry_transitions.registered, registry_transitions.staged, _PROMOTED)
    change(world.models, *(step(taken, one.version) for taken in staged))


def statuses(world: World) -> list[str]:
    """As the topic tells it, what is said twice once."""
    told = [f"{one['status']} {one['place']}" for one in world.values("rollouts")]
    return [now for before, now in zip(["", *told], told, strict=False) if now != before]


def test_a_candidate_decides_for_some_and_then_for_all() -> None:
    world = a_rolling_world()

    async def scenario(world: World, instance: MemoryInstance) -> None:
        send_examples(world, 50)
        one = await rollout_is(world, "running")
        assert (one.version, one.experiment) == ("1.1.0", "rollout-1-canary@1")
        await until(lambda: instance.parts.serving.routing is not None)
        await decide(world, instance, 1_600)
        one = await rollout_is(world, "watching")
        assert one.passed[0].why.startswith("promote: 4h, and ")
        await until(lambda: instance.parts.serving.champion.version == "1.1.0")
        await until(lambda: instance.parts.serving.routing is None)

    play(world, scenario)
    assert statuses(world) == ["waiting 0", "running 0", "waiting 1", "promoting 1", "watching 1"]
    assert registry_state_of(world).champion == "1.1.0"
    experiment = run(state_of(world, "rollout-1-canary"))
    assert experiment.is_over
    arms = {(one["arm"], one["model_version"]) for one in world.values("decisions")}
    assert ("candidate", "1.1.0") in arms
    entries = [one for one in world.values("audit") if one["kind"] == "rollout"]
    assert len({one["id"] for one in entries}) == len(entries) == 5
    assert world.unsafe == []


def test_a_candidate_that_alerts_on_everything_is_refused_and_the_champion_stays() -> None:
    world = a_rolling_world(replace(CANARY, canary_for="9d"))
    loud = artifact("0.0.0", 3, intercept=6.0)

    async def scenario() -> None:
        instance = world.instance()
        instance.trainer = a_worker(Script([candidate(3, one=loud)]))
        async with instance:
            await instance.idle()
            send_examples(world, 50)
            await rollout_is(world, "running")
            await until(lambda: instance.parts.serving.routing is not None)
            await decide(world, instance, 2_000, accounts=1_500)
            one = await rollout_is(world, "refused")
            assert "guardrail" in one.why
            await until(lambda: update_of(world).state == "idle")
            assert instance.parts.serving.routing is None
            await instance.stop()

    run(scenario())
    registry = registry_state_of(world)
    assert (registry.champion, registry.stages["1.1.0"]) == ("1.0.0", "archived")
    assert update_of(world).outcome.startswith("refused: canary: harm: guardrail")


@pytest.mark.parametrize("at", ["waiting", "running", "promoting"])
def test_whoever_takes_over_in_any_status_goes_on(at: str) -> None:
    params = replace(CANARY, approve=("champion",)) if at == "promoting" else CANARY
    world = a_rolling_world(params if at != "waiting" else replace(CANARY, approve=("canary",)))

    async def scenario() -> None:
        async with learning_instance(world, 1) as instance:
            await instance.idle()
            send_examples(world, 50)
            if at == "waiting":
                await rollout_is(world, "waiting", needs_person=True)
            else:
                await rollout_is(world, "running")
                if at == "promoting":
                    await decide(world, instance, 1_600)
                    await rollout_is(world, "waiting", place=1, needs_person=True)
        if at != "running":
            place = "canary" if at == "waiting" else "champion"
            agree = partial(transitions.approved, place=place, who="ada", at_ms=5)
            await person(world, 1, lambda one: agree(one))
        async with learning_instance(world, 1) as instance:
            await instance.idle()
            if at != "promoting":
                await rollout_is(world, "running")
                await until(lambda: instance.parts.serving.routing is not None)
                await decide(world, instance, 1_600, first=1_600)
            one = await rollout_is(world, "watching")
            assert one.number == 1
            await until(lambda: instance.parts.serving.champion.version == "1.1.0")
            await instance.stop()

    run(scenario())
    assert [one["number"] for one in world.values("rollouts")][-1] == 1
    assert registry_state_of(world).champion == "1.1.0"
    assert world.unsafe == []


def test_a_person_who_has_to_agree_and_never_does_ends_it() -> None:
    world = a_rolling_world(replace(CANARY, approve=("canary",), wait_s_max=60.0))

    async def scenario(world: World, instance: MemoryInstance) -> None:
        send_examples(world, 50)
        await rollout_is(world, "waiting", needs_person=True)
        waits = await newest(world)
        assert waits is not None
        long_ago = waits.since_ms - 100_000
        await person(world, 1, lambda one: replace(one, since_ms=long_ago))
        one = await rollout_is(world, "refused")
        assert one.why == "nobody has agreed in time"

    play(world, scenario)
    assert registry_state_of(world).stages["1.1.0"] == "archived"


def test_a_person_ends_it_at_once_and_the_version_can_be_tried_again() -> None:
    world = a_rolling_world()

    async def scenario(world: World, instance: MemoryInstance) -> None:
        send_examples(world, 50)
        await rollout_is(world, "running")
        await until(lambda: instance.parts.serving.routing is not None)
        await person(world, 1, lambda one: transitions.aborted(one, at_ms=5))
        await until(lambda: instance.parts.serving.routing is None)
        await until(lambda: update_of(world).state == "idle")
        assert registry_state_of(world).stages["1.1.0"] == "staging"
        await asked_for(world, "1.1.0")
        one = await rollout_is(world, "running", number=2)
        assert (one.trigger, one.champion) == ("by_hand", "1.0.0")

    play(world, scenario)
    assert update_of(world).outcome == ""
    assert update_of(world).number == 2


async def asked_for(world: World, version: str) -> None:
    """As `sentinel rollouts start` does."""
    champion = registry_state_of(world).champion or ""

    def make(number: int) -> StoredRollout:
        steps = CANARY.steps_for(is_urgent=False)
        return transitions.begun(
            number, version, champion, trigger="by_hand", reason="to see", steps=steps, at_ms=5
        )

    await begin_rollout(kept_rollouts(world), make, who="ada", at_ms=5)


def test_a_candidate_that_is_archived_in_the_middle_leads_nowhere() -> None:
    world = a_rolling_world()

    async def scenario(world: World, instance: MemoryInstance) -> None:
        send_examples(world, 50)
        await rollout_is(world, "running")
        change(world.models, step(registry_transitions.archived, "1.1.0"))
        one = await rollout_is(world, "aborted")
        assert one.why == "version 1.1.0 is archived by now"
        await until(lambda: update_of(world).state == "idle")

    play(world, scenario)
    assert run(state_of(world, "rollout-1-canary")).is_over


def test_without_a_secret_a_canary_waits_for_a_person_and_says_which_setting() -> None:
    world = a_rolling_world(secret="")

    async def scenario(world: World, instance: MemoryInstance) -> None:
        send_examples(world, 50)
        one = await rollout_is(world, "waiting", needs_person=True)
        assert "SENTINEL__EXPERIMENTS__SECRET" in one.waits_for

    play(world, scenario)


def test_the_next_update_on_demand_takes_its_place_and_its_experiment_ends() -> None:
    world = a_rolling_world()

    async def scenario(world: World, instance: MemoryInstance) -> None:
        send_examples(world, 50)
        await rollout_is(world, "running")
        send_examples(world, 50, hours=1)
        await asyncio.sleep(30)
        assert update_of(world).number == 1  # what is only due waits for the end of this one
        ask(world)
        one = await rollout_is(world, "running", number=2)
        assert one.version == "1.2.0"

    play(world, scenario, 1, 2)
    first: StoredExperiment = run(state_of(world, "rollout-1-canary"))
    assert first.is_over
    [before] = [one for one in run(kept_rollouts(world).rollouts(9)) if one.number == 1]
    assert (before.status, before.why) == ("aborted", "the next update took its place")


def test_what_a_person_promotes_is_watched_and_goes_back_if_the_former_is_better() -> None:
    world = a_rolling_world()
    script = Script(comparisons=[Verdict("promote", ())])
    bad = artifact("2.0.0", 5)

    async def scenario() -> None:
        instance = world.instance()
        instance.trainer = a_worker(script)
        async with instance:
            await instance.idle()
            await until(lambda: update_of(world).seen == "1.0.0")
            promote_by_hand(world, bad)
            one = await rollout_is(world, "watching")
            assert one.reason == "promoted by ann: tests"
            send_examples(world, 40)
            one = await rollout_is(world, "rolled_back")
            await until(lambda: instance.parts.serving.champion.version == "1.0.0")
            await instance.stop()

    run(scenario())
    assert script.compared[0][:2] == ("1.0.0", "2.0.0")
    assert registry_state_of(world).champion == "1.0.0"
    assert "which served before, is better" in update_of(world).outcome


def test_who_goes_back_by_hand_is_not_second_guessed() -> None:
    world = a_rolling_world()

    async def scenario(world: World, instance: MemoryInstance) -> None:
        await until(lambda: update_of(world).seen == "1.0.0")
        promote_by_hand(world, artifact("2.0.0", 5))
        await rollout_is(world, "watching")
        change(world.models, registry_transitions.rolled_back)
        one = await rollout_is(world, "rolled_back")
        assert one.number == 1
        await until(lambda: update_of(world).seen == "1.0.0")

    play(world, scenario)
    assert len(run(kept_rollouts(world).rollouts(9))) == 1


def test_what_is_due_does_not_take_the_place_of_a_watch_that_has_seen_nothing() -> None:
    """Or a bad model that somebody promotes right before would stay."""
    world = a_rolling_world()
    loud = artifact("2.0.0", 5, intercept=6.0)

    async def scenario(world: World, instance: MemoryInstance) -> None:
        await until(lambda: update_of(world).seen == "1.0.0")
        await decide(world, instance, 200)
        promote_by_hand(world, loud)
        await rollout_is(world, "watching")
        await until(lambda: instance.parts.serving.champion.version == "2.0.0")
        send_examples(world, 60)  # an update is due
        await asyncio.sleep(30)
        assert (update_of(world).state, update_of(world).version) == ("watching", "2.0.0")
        await decide(world, instance, 200, first=200)
        await until(lambda: instance.parts.serving.champion.version == "1.0.0")
        one = await kept_rollouts(world).rollout(1)
        assert one is not None
        assert one.status == "rolled_back"
        assert "its share of alerts is" in one.why

    play(world, scenario)
    [event] = [one for one in world.values("model-updates") if one["kind"] == "rolled_back"]
    assert (event["version"], event["champion"]) == ("2.0.0", "1.0.0")


def test_who_asks_for_an_update_does_not_wait_for_a_watch() -> None:
    world = a_rolling_world()

    async def scenario(world: World, instance: MemoryInstance) -> None:
        await until(lambda: update_of(world).seen == "1.0.0")
        await decide(world, instance, 200)
        promote_by_hand(world, artifact("2.0.0", 5))
        await rollout_is(world, "watching")
        send_examples(world, 20)
        ask(world)
        await until(lambda: update_of(world).number == 2)

    play(world, scenario)
