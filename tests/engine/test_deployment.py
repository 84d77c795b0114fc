"""What the registry says serves everywhere, between two batches; what is wrong never does."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.memory import Faults, MemoryBroker, MemoryDocuments, MemoryTail
from sentinel.codec.models.artifacts import encode_artifact
from sentinel.core.exploration import is_shadowed
from sentinel.core.features.hashing import hash64
from sentinel.core.registry import transitions
from sentinel.engine.audit import AuditLog
from sentinel.engine.deployment.champion import Deployment, DeploymentParams
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.registry.remembered import RegistryMemory, RememberedRegistry
from sentinel.engine.scoring.serving import Serving
from sentinel.engine.tasks import end
from sentinel.metrics import Metrics
from sentinel.records import OutputRecord, TopicPartition
from sentinel.stored.versions import Artifact
from sentinel.stores import StoredModels
from sentinel.texts import Texts
from tests.engine.clock import run, until
from tests.engine.faults import Away, CrashError, DoomAt, Noted
from tests.engine.learning_world import (
    UPDATES,
    a_learning_world,
    artifact,
    change,
    model_of,
    put,
    registry_state_of,
    serve,
    step,
)
from tests.engine.samples import NAMES, transactions
from tests.engine.world import InProcessExplainer, MemoryInstance, World
from tests.kept import KeptModels

NEW = artifact("1.1.0", 1)
OTHER = artifact("1.2.0", 2)
REGISTRY = frozenset(
    {
        "models.read where the models stand",
        "models.read manifests",
        "models.read the history of models",
        *(f"models.load model 1.{number}.0" for number in range(3)),
    }
)
OFF = replace(UPDATES, is_on=False)


def a_world(partition_count: int = 1, **deployment: Any) -> World:
    """It has a registry and does not train."""
    world = a_learning_world(updates=OFF, deployment=DeploymentParams(**deployment))
    if partition_count == 1:
        return world
    topics = replace(world.config.topics, partition_count=partition_count)
    config = replace(world.config, topics=topics)
    return World(config=config, models=world.models, serving=world.serving, artifact=world.artifact)


def ring(world: World) -> None:
    """Have all instances look at the registry at once."""
    world.append("model-updates", b"{}")


async def serves(instance: MemoryInstance, version: str, *, timeout_s: float = 60.0) -> None:
    await until(lambda: instance.version == version, timeout_s=timeout_s)


def roll_back(world: World) -> None:
    change(world.models, transitions.rolled_back)


def shadow(world: World, one: Artifact) -> None:
    put(world.models, one)
    change(
        world.models,
        step(transitions.registered, one.version),
        step(transitions.shadowed, one.version),
    )


def versions_by_partition(world: World) -> list[list[str]]:
    """Which model decided, record after record."""
    count = world.partition_count
    logs = [world.cluster.log(TopicPartition("decisions", i)).records for i in range(count)]
    return [[json.loads(one.value or b"")["model_version"] for one in log] for log in logs]


def scores_of(one: Artifact, decisions: Sequence[dict[str, Any]]) -> list[float]:
    """What a model says of the features that stand in decisions."""
    model = model_of(one)
    rows = [[np.nan if x is None else x for x in decision["features"]] for decision in decisions]
    features = np.array(rows, dtype=np.float64).reshape(-1, len(model.model.feature_names))
    scores: list[float] = model.score(model.model.raw_scores(features)).tolist()
    return scores


def test_a_promoted_version_takes_over_between_two_batches() -> None:
    world = a_world(partition_count=3)
    blocks: list[set[str]] = []

    async def scenario() -> None:
        async with world.instance(publish_delay_s=0.02) as instance:
            publish = instance.ports.broker.publish

            async def spied(topic: str, partition: int, records: Any, **others: Any) -> None:
                if topic == "decisions":
                    values = [json.loads(record.value) for record in records]
                    blocks.append({value["model_version"] for value in values})
                await publish(topic, partition, records, **others)

            instance.ports.broker.publish = spied  # type: ignore[method-assign]
            world.send(transactions(300))
            await until(lambda: instance.metrics.decisions >= 100)
            serve(world.models, NEW)
            ring(world)
            await serves(instance, "1.1.0")
            await instance.idle()
            assert instance.metrics.deployments == 1
            await instance.stop()

    run(scenario())
    assert all(len(block) == 1 for block in blocks)
    for versions in versions_by_partition(world):
        before = versions.count("1.0.0")
        assert versions == ["1.0.0"] * before + ["1.1.0"] * (len(versions) - before)
        assert 0 < before < len(versions)
    decisions = world.values("decisions")
    assert len(decisions) == 300
    for one in (artifact("1.0.0"), NEW):
        mine = [decision for decision in decisions if decision["model_version"] == one.version]
        assert [decision["score"] for decision in mine] == scores_of(one, mine)
    assert world.unsafe == []


def test_a_rollback_decides_as_before_bit_for_bit_and_loads_nothing() -> None:
    expected, world = a_world(), a_world()
    expected.send(transactions(300))
    run(expected.run_through())
    calls = Noted()

    async def scenario() -> None:
        async with world.instance(calls) as instance:
            world.send(transactions(100))
            await instance.idle()
            serve(world.models, NEW)
            ring(world)
            await serves(instance, "1.1.0")
            world.send(transactions(100, first=100))
            await instance.idle()
            assert calls.names.count("models.load model 1.1.0") == 1
            roll_back(world)
            ring(world)
            await serves(instance, "1.0.0")
            assert calls.names.count("models.load model 1.1.0") == 1
            world.send(transactions(100, first=200))
            await instance.idle()
            await instance.stop()

    run(scenario())
    found, reference = world.decisions(), expected.decisions()
    assert found.keys() == reference.keys()
    names = [f"transactions-0-{i}" for i in range(300)]
    differing = {name for name in names if found[name] != reference[name]}
    assert differing == set(names[100:200])


def test_whoever_misses_the_bell_follows_within_a_look() -> None:
    world = a_world(look_s=30.0)

    async def scenario() -> float:
        async with world.instance() as instance:
            await instance.idle()
            begun_s = asyncio.get_running_loop().time()
            serve(world.models, NEW)
            await serves(instance, "1.1.0", timeout_s=31.0)
            return asyncio.get_running_loop().time() - begun_s

    assert run(scenario()) > 1.0, "it would have been rung for"


def test_a_bell_is_heard_at_once() -> None:
    world = a_world(look_s=600.0)

    async def scenario() -> None:
        async with world.instance() as one, world.instance() as another:
            await one.idle()
            serve(world.models, NEW)
            ring(world)
            for instance in (one, another):
                await serves(instance, "1.1.0", timeout_s=1.0)

    run(scenario())


def test_one_that_starts_later_serves_what_the_registry_says_from_its_first_decision() -> None:
    world = a_world()
    serve(world.models, NEW)
    world.send(transactions(50))

    run(world.run_through())

    assert versions_by_partition(world) == [["1.1.0"] * 50]


def test_a_first_model_that_another_machine_has_trained_is_taken_from_the_registry() -> None:
    """Both are 1.0.0: under one number all instances must score alike."""
    world = a_world()
    text, manifest = encode_artifact(replace(OTHER, version="1.0.0"))
    local = Artifact("1.0.0", text.decode(), json.loads(manifest))
    mine = World(config=world.config, models=world.models, serving=model_of(local), artifact=local)
    mine.send(transactions(50))

    run(mine.run_through())

    decisions = mine.values("decisions")
    assert len(decisions) == 50
    scores = [decision["score"] for decision in decisions]
    assert scores == scores_of(artifact("1.0.0"), decisions) != scores_of(local, decisions)


def test_the_first_model_of_this_machine_is_not_loaded_again() -> None:
    world, calls = a_world(), Noted()
    text, manifest = encode_artifact(artifact("1.0.0"))
    local = Artifact("1.0.0", text.decode(), json.loads(manifest))
    mine = World(config=world.config, models=world.models, serving=model_of(local), artifact=local)

    async def scenario() -> None:
        async with mine.instance(calls) as instance:
            await instance.idle()
            assert instance.metrics.deployments == 0

    run(scenario())
    assert not any(name.startswith("models.load") for name in calls.names)


def test_while_the_registry_is_away_what_serves_goes_on() -> None:
    world, faults = a_world(), Away()
    faults.names = REGISTRY
    serve(world.models, NEW)

    async def scenario() -> None:
        async with world.instance(faults) as instance:
            world.send(transactions(50))
            await instance.idle()
            assert instance.version == "1.0.0"
            faults.names = frozenset()
            await serves(instance, "1.1.0", timeout_s=10.0)

            faults.names = REGISTRY
            serve(world.models, OTHER)
            ring(world)
            world.send(transactions(50, first=50))
            await instance.idle()
            await asyncio.sleep(30.0)
            assert instance.version == "1.1.0"
            faults.names = frozenset()
            await serves(instance, "1.2.0", timeout_s=10.0)
            await instance.stop()

    run(scenario())
    assert versions_by_partition(world) == [["1.0.0"] * 50 + ["1.1.0"] * 50]


def test_an_empty_registry_that_was_away_at_the_start_gets_its_first_model_later() -> None:
    world, faults = a_world(), Away()
    world.models.__init__()  # type: ignore[misc]
    faults.names = REGISTRY

    async def scenario() -> None:
        async with world.instance(faults) as instance:
            world.send(transactions(50))
            await instance.idle()
            assert world.models.registry_state is None
            faults.names = frozenset()
            await until(lambda: world.models.registry_state is not None)
            assert registry_state_of(world).champion == "1.0.0"
            serve(world.models, NEW)
            await serves(instance, "1.1.0")

    run(scenario())


def with_manifest(one: Artifact, **facts: Any) -> Callable[[KeptModels], None]:
    """Puts a version whose manifest says something else."""

    def damage(models: KeptModels) -> None:
        _, models.manifests[one.version] = encode_artifact(
            replace(one, manifest={**one.manifest, **facts})
        )

    return damage


def cut(models: KeptModels) -> None:
    models.texts["1.1.0"] = models.texts["1.1.0"][:-200]


def cut_before_it_was_kept(models: KeptModels) -> None:
    """The checksum is that of half a text."""
    half = replace(NEW, text=NEW.text[: len(NEW.text) // 2])
    models.texts["1.1.0"], models.manifests["1.1.0"] = encode_artifact(half)


def of_other_trees(models: KeptModels) -> None:
    """A whole model, but not the one whose golden rows are in the manifest."""
    other = replace(NEW, text=OTHER.text)
    models.texts["1.1.0"], models.manifests["1.1.0"] = encode_artifact(other)


def without(name: str) -> Callable[[KeptModels], None]:
    def damage(models: KeptModels) -> None:
        facts = {key: value for key, value in NEW.manifest.items() if key != name}
        _, models.manifests["1.1.0"] = encode_artifact(replace(NEW, manifest=facts))

    return damage


def remove_text(models: KeptModels) -> None:
    del models.texts["1.1.0"]


def spoil_manifest(models: KeptModels) -> None:
    models.manifests["1.1.0"] = models.manifests["1.1.0"][:-5]


GOLDEN = NEW.manifest["golden"]
DAMAGES: dict[str, Callable[[KeptModels], None]] = {
    "text cut": cut,
    "text cut and checked": cut_before_it_was_kept,
    "text missing": remove_text,
    "other trees": of_other_trees,
    "manifest no JSON": spoil_manifest,
    "manifest a list": lambda models: models.manifests.update({"1.1.0": b"[]"}),
    "other features": with_manifest(NEW, features=["amount"]),
    "features in another order": with_manifest(NEW, features=NEW.manifest["features"][::-1]),
    "features no list": with_manifest(NEW, features=5),
    "features lists": with_manifest(NEW, features=[["amount"], {"a": 1}]),
    "features numbers": with_manifest(NEW, features=[1, None]),
    "no calibration": without("calibration"),
    "calibration no object": with_manifest(NEW, calibration=[1.0]),
    "calibration no numbers": with_manifest(NEW, calibration={"slope": "1", "intercept": 0}),
    "calibration upside down": with_manifest(NEW, calibration={"slope": -1.0, "intercept": 0}),
    "another calibration": with_manifest(NEW, calibration={"slope": 1.1, "intercept": -2.0}),
    "no usual ranges": without("usual"),
    "usual ranges of text": with_manifest(NEW, usual={"low": "a", "high": "b"}),
    "usual ranges too short": with_manifest(NEW, usual={"low": [0.0], "high": [1.0]}),
    "usual ranges null": with_manifest(NEW, usual={"low": None, "high": None}),
    "scale without knots": with_manifest(
        NEW, scale={"challenger": [], "champion": [], "share_error_max": 0.0}
    ),
    "scale of text": with_manifest(
        NEW, scale={"challenger": ["a"], "champion": ["b"], "share_error_max": 0.0}
    ),
    "scale a number": with_manifest(NEW, scale=3),
    "golden rows differ": with_manifest(NEW, golden={**GOLDEN, "score": [0.1, 0.2, 0.3]}),
    "golden rows missing": with_manifest(NEW, golden={**GOLDEN, "score": []}),
    "golden rows of text": with_manifest(NEW, golden={**GOLDEN, "features": [["a"]]}),
    "golden a text": with_manifest(NEW, golden="rows"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_version_never_serves_and_a_later_good_one_does(
    damage: Callable[[KeptModels], None],
) -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send(transactions(20))
            await instance.idle()
            serve(world.models, NEW)
            damage(world.models)
            ring(world)
            await until(lambda: instance.metrics.deployment_failures > 0)
            world.send(transactions(20, first=20))
            await instance.idle()
            assert instance.version == "1.0.0"
            assert instance.metrics.deployments == 0

            serve(world.models, OTHER)
            ring(world)
            await serves(instance, "1.2.0")
            world.send(transactions(20, first=40))
            await instance.idle()
            assert instance.metrics.deployment_failures == 1, "what is wrong is counted once"
            await instance.stop()

    run(scenario())
    assert versions_by_partition(world) == [["1.0.0"] * 40 + ["1.2.0"] * 20]


@pytest.mark.parametrize("role", [serve, shadow], ids=["champion", "shadow"])
def test_a_version_that_was_missing_for_a_moment_comes_without_a_change_of_the_registry_state(
    role: Callable[[Any, Artifact], None], caplog: pytest.LogCaptureFixture
) -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            role(world.models if role is serve else world, NEW)
            text = world.models.texts.pop("1.1.0")
            ring(world)
            await asyncio.sleep(60.0)
            assert instance.metrics.deployment_failures == 1
            assert instance.version == "1.0.0"
            assert instance.parts.serving.shadow is None
            world.models.texts["1.1.0"] = text
            wanted = instance.parts.serving
            await until(
                lambda: (
                    "1.1.0" in {wanted.champion.version, wanted.shadow and wanted.shadow.version}
                ),
                timeout_s=90.0,
            )

    with caplog.at_level(logging.ERROR, logger="sentinel.engine.deployment.champion"):
        run(scenario())
    assert [one.getMessage() for one in caplog.records] == [
        "model 1.1.0: its text is missing; what served goes on serving"
    ]


def test_a_version_that_will_never_load_is_tried_ever_more_seldom_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world, calls, times_s = a_world(), Noted(), [0.0]
    serve(world.models, NEW)
    of_other_trees(world.models)
    metrics, serving = Metrics(), Serving(world.serving)

    async def scenario() -> None:
        clock_s = asyncio.get_running_loop().time
        store = StoredModels(MemoryDocuments(world.models, faults=calls))
        broker = MemoryBroker(world.cluster)
        teller = Registrar(
            store,
            broker,
            update_topic="",
            audit=AuditLog(broker, "audit"),
            who="",
            clock_ms=lambda: 0,
        )
        alone = Deployment(
            store=store,
            remembered=RememberedRegistry(RegistryMemory(), store, teller, world.copy),
            tail=MemoryTail(world.cluster, ["model-updates"]),
            serving=serving,
            features=NAMES,
            metrics=metrics,
            params=DeploymentParams(look_s=5.0),
            clock_s=clock_s,
            explainer=InProcessExplainer(world.serving, Faults()),
        )
        following = asyncio.create_task(alone.run())
        while clock_s() < 3_600:
            ring(world)  # which is no reason to try again
            await asyncio.sleep(1.0)
            times_s.extend([clock_s()] * (calls.names.count("load model 1.1.0") + 1 - len(times_s)))
        await end([following])

    with caplog.at_level(logging.ERROR, logger="sentinel.engine.deployment.champion"):
        run(scenario())
    assert (len(caplog.records), metrics.deployment_failures) == (1, 1)
    assert serving.champion is world.serving
    waits_s = np.diff(times_s)[1:]
    assert waits_s[:7] == pytest.approx([5, 10, 20, 40, 80, 160, 320], abs=2.5)
    assert waits_s[7:] == pytest.approx(600, abs=5)
    assert len(waits_s) >= 10


def test_what_is_wrong_is_counted_again_when_it_is_something_else() -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            serve(world.models, NEW)
            remove_text(world.models)
            await until(lambda: instance.metrics.deployment_failures == 1)
            of_other_trees(world.models)
            await until(lambda: instance.metrics.deployment_failures == 2)
            put(world.models, NEW)
            await serves(instance, "1.1.0")

    run(scenario())


def test_a_registry_that_loses_its_answer_to_a_load_is_asked_again() -> None:
    world, faults = a_world(), Away()

    async def scenario() -> None:
        async with world.instance(faults) as instance:
            await instance.idle()
            faults.names = frozenset({"models.load model 1.1.0"})
            serve(world.models, NEW)
            ring(world)
            await asyncio.sleep(120.0)
            assert instance.version == "1.0.0"
            faults.names = frozenset()
            await serves(instance, "1.1.0", timeout_s=6.0)
            assert instance.metrics.deployment_failures == 0, "nothing is wrong with the version"

    run(scenario())


def test_a_shadow_that_cannot_be_loaded_costs_the_shadow_only() -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            shadow(world, NEW)
            cut(world.models)
            ring(world)
            await until(lambda: instance.metrics.deployment_failures > 0)
            world.send(transactions(20))
            await instance.idle()
            assert instance.metrics.shadowed == 0
            serve(world.models, OTHER)
            ring(world)
            await serves(instance, "1.2.0")

    run(scenario())


def with_shadow(share: float, *, crash_at: int | None = None) -> World:
    """What comes of a shadow that scores beside; perhaps in two lives."""
    world = a_world(shadow_share=share)
    shadow(world, NEW)
    world.send(transactions(200))

    async def scenario() -> None:
        if crash_at is not None:
            async with world.instance(DoomAt("commit", crash_at)) as instance:
                assert instance.task is not None
                with pytest.raises(CrashError):
                    await asyncio.wait_for(instance.task, 60.0)
        await world.run_through()

    run(scenario())
    return world


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_shadow_scores_its_share_and_decides_nothing(share: float) -> None:
    expected, world = a_world(), with_shadow(share)
    expected.send(transactions(200))
    run(expected.run_through())

    decisions = world.values("decisions")
    names = Texts.of([decision["transaction_id"] for decision in decisions])
    chosen = is_shadowed(hash64(names), share).tolist()
    mine = [one for one, is_chosen in zip(decisions, chosen, strict=True) if is_chosen]
    scores = scores_of(NEW, mine)

    assert [bool(one["shadow_scores"]) for one in decisions] == chosen
    assert sum(chosen) == pytest.approx(200 * share, abs=25)
    assert [one["shadow_scores"] for one in mine] == [{"1.1.0": score} for score in scores]
    without_it = [{**one, "shadow_scores": {}} for one in decisions]
    assert without_it == [{**one, "shadow_scores": {}} for one in expected.values("decisions")]
    plain = [one for one in decisions if not one["shadow_scores"]]
    assert all(one in expected.values("decisions") for one in plain)


def test_after_a_crash_the_shadow_has_scored_the_same_ones() -> None:
    world, expected = with_shadow(0.3, crash_at=2), with_shadow(0.3)

    decided = world.decisions()

    assert {name: set(found) for name, found in decided.items()} == {
        name: set(found) for name, found in expected.decisions().items()
    }
    assert any(len(found) > 1 for found in decided.values()), "something was decided again"


@pytest.mark.parametrize("kept_count", [1, 3])
def test_a_few_models_stay_in_memory_and_the_others_leave_it(kept_count: int) -> None:
    world = a_world(kept_count=kept_count)
    made = [artifact(f"1.{i}.0", i) for i in range(1, 7)]

    async def scenario() -> None:
        async with world.instance() as instance:
            there = instance.explainer._models
            for i, one in enumerate(made, 1):
                serve(world.models, one)
                ring(world)
                await serves(instance, one.version)
                await asyncio.sleep(1.0)
                assert set(instance.parts.deployment._kept) == set(there)
                assert len(there) == min(i, kept_count) + 1
                assert one.version in there
            newest = [one.version for one in made[-kept_count - 1 :]]
            assert sorted(there) == newest

    run(scenario())


@pytest.mark.parametrize("kept_count", [0, 17])
def test_without_a_former_model_in_memory_alerts_on_their_way_would_have_no_reasons(
    kept_count: int,
) -> None:
    with pytest.raises(ValueError, match=r"kept_count must be in 1\.\.16"):
        DeploymentParams(kept_count=kept_count)


@pytest.mark.parametrize("back", [False, True], ids=["promoted", "rolled back"])
def test_alerts_on_their_way_are_explained_by_the_model_that_decided(back: bool) -> None:
    """Their reasons take three seconds, and the next model comes in the middle of them."""
    expected, world = a_world(), a_world(kept_count=1)
    versions = ("1.1.0", "1.0.0") if back else ("1.0.0", "1.1.0")
    if back:
        for one in (expected, world):
            serve(one.models, NEW)
    expected.send(transactions(200))
    run(expected.run_through())

    async def scenario() -> None:
        async with world.instance() as instance:
            instance.explainer.delay_s = 3.0
            world.send(transactions(200))
            await until(lambda: instance.metrics.decisions == 200)
            if back:
                roll_back(world)
            else:
                serve(world.models, NEW)
            ring(world)
            await serves(instance, versions[1], timeout_s=2.0)
            assert world.records("alerts") == []
            instance.explainer.delay_s = 0.0
            world.send(transactions(200, first=200))
            await instance.idle()
            await instance.stop()

    run(scenario())
    alerts = {one["decision_id"]: one for one in world.values("alerts")}
    assert all(one["explained"] for one in alerts.values())
    reference = {one["decision_id"]: one for one in expected.values("alerts")}
    assert len(reference) > 5
    assert {name: alerts[name] for name in reference} == reference
    assert {one["model_version"] for one in alerts.values()} == set(versions)


def test_a_version_that_the_configuration_names_serves_whatever_the_registry_says() -> None:
    world = a_world()
    serve(world.models, NEW)
    world.config = replace(world.config, model=replace(world.config.model, version="1.0.0"))
    world.send(transactions(50))
    world.cluster.append(TopicPartition("model-updates", 0), [OutputRecord(None, b"{}")])

    run(world.run_through())

    assert versions_by_partition(world) == [["1.0.0"] * 50]
