"""Whatever a model or a helper fails at, transactions are decided, and what is missing is said."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from sentinel.adapters.memory import MemoryRecord
from sentinel.codec.stored import decode_stored
from sentinel.codec.transactions import TransactionDecoder
from sentinel.core.fallback import FallbackParams
from sentinel.core.registry import transitions
from sentinel.engine.scoring.judging import Judge, Rules
from sentinel.engine.scoring.serving import Serving
from sentinel.errors import ModelError, TransientError
from sentinel.metrics import Metrics
from sentinel.model import LightGBMError
from sentinel.records import Floats, Transactions
from sentinel.serving_model import ServingModel
from sentinel.stored.versions import ServingReport
from tests.engine.clock import run, until
from tests.engine.faults import Away
from tests.engine.learning_world import artifact, change, model_of, serve, step, training_rows
from tests.engine.linear_trees import linear
from tests.engine.samples import START_MS, a_config, encoded, transactions
from tests.engine.test_deployment import a_world, ring, serves, shadow, versions_by_partition
from tests.engine.world import MemoryInstance, World

LINEAR = linear("1.1.0")
BREAKS = linear("1.1.0", breaks=True)
OTHER = artifact("1.2.0", 2)


def reports(world: World) -> list[ServingReport]:
    """What running instances say that they serve."""
    return [decode_stored(ServingReport, data) for data in world.reports.live]


async def send(world: World, instance: MemoryInstance, count: int, first: int) -> None:
    world.send(transactions(count, first=first))
    await instance.idle()


def alerts_of(world: World, version: str) -> list[dict[str, Any]]:
    return [one for one in world.values("alerts") if one["model_version"] == version]


def test_a_model_that_lightgbm_scores_and_will_not_explain_serves_without_reasons(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            await send(world, instance, 100, 0)
            assert instance.metrics.unexplained == 0
            serve(world.models, LINEAR)
            ring(world)
            await serves(instance, "1.1.0")
            for first in range(100, 400, 100):
                await send(world, instance, 100, first)
                await asyncio.sleep(6.0)
            assert instance.metrics.unexplained == len(alerts_of(world, "1.1.0"))
            health = instance.health()
            assert health.status == "degraded"
            assert health.is_ready
            assert "alerts go out without reasons" in health.reasons[0]
            assert "not implemented for linear trees" in health.reasons[0]
            [report] = reports(world)
            assert (report.version, report.champion, report.why) == ("1.1.0", "1.1.0", "")
            assert "linear trees" in report.unexplained

            serve(world.models, OTHER)
            ring(world)
            await serves(instance, "1.2.0")
            await send(world, instance, 100, 400)
            assert instance.health().status == "ok", "the reasons are back"
            await asyncio.sleep(2.0)
            assert [one.unexplained for one in reports(world)] == [""]
            await instance.stop()

    with caplog.at_level(logging.WARNING, logger="sentinel.engine.scoring.alerts"):
        run(scenario())
    assert len(world.values("decisions")) == 500
    unexplained = alerts_of(world, "1.1.0")
    assert len(unexplained) > 20
    assert all(one["explained"] is False and one["reasons"] == [] for one in unexplained)
    for version in ("1.0.0", "1.2.0"):
        assert all(one["explained"] for one in alerts_of(world, version))
    said = [one for one in caplog.records if one.name == "sentinel.engine.scoring.alerts"]
    assert len(said) == 1, "it is said once"
    assert world.unsafe == []


def test_an_instance_starts_again_with_a_model_that_will_not_be_explained() -> None:
    world = a_world()
    serve(world.models, LINEAR)
    for first in (0, 100, 200):
        world.send(transactions(100, first=first))
        instance = run(world.run_through())
        assert instance.version == "1.1.0"
    assert versions_by_partition(world) == [["1.1.0"] * 300]
    assert len(alerts_of(world, "1.1.0")) > 20


def test_a_champion_that_cannot_score_what_comes_is_left_for_the_one_before() -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            await send(world, instance, 100, 0)
            serve(world.models, BREAKS)
            ring(world)
            await serves(instance, "1.1.0")
            await send(world, instance, 100, 100)
            assert instance.version == "1.0.0"
            metrics = instance.metrics
            assert (metrics.scoring_failures, metrics.unscored, metrics.degraded) == (1, 0, 0)
            await asyncio.sleep(700.0)  # it is not brought back
            await send(world, instance, 100, 200)
            assert metrics.scoring_failures == 1
            health = instance.health()
            assert health.status == "degraded"
            assert health.reasons == (
                "model 1.0.0 serves, not the champion 1.1.0: it has no score for some transactions",
            )
            [report] = reports(world)
            assert (report.version, report.champion) == ("1.0.0", "1.1.0")
            assert report.why == "it has no score for some transactions"
            change(world.models, transitions.rolled_back)
            ring(world)
            await until(lambda: instance.health().status == "ok")
            await instance.stop()

    run(scenario())
    assert versions_by_partition(world) == [["1.0.0"] * 300]
    assert world.unsafe == []


def test_a_restart_with_a_champion_that_cannot_score_serves_the_one_before_it() -> None:
    """On this machine is another one than the registry's champions."""
    world = a_world()
    serve(world.models, OTHER)
    serve(world.models, linear("1.3.0", breaks=True))
    for first in (0, 100):
        world.send(transactions(100, first=first))
        assert run(world.run_through()).version == "1.2.0"

    versions = versions_by_partition(world)[0]
    assert set(versions) == {"1.2.0", "1.0.0"}, "until 1.2.0 is here, what was here at the start"
    assert versions.count("1.0.0") < 200
    assert len(versions) == 200


def blind_world(fallback: FallbackParams) -> World:
    """Its only model has no score for most transactions."""
    one = linear("1.0.0", breaks=True)
    config = replace(a_world().config, fallback=fallback)
    return World(config=config, serving=model_of(one), artifact=one)


def test_without_a_model_that_can_score_what_has_no_score_is_approved_and_says_so() -> None:
    world = blind_world(FallbackParams())
    world.send(transactions(200))

    async def scenario() -> MemoryInstance:
        async with world.instance() as instance:
            await instance.idle()
            health = instance.health()
            assert health.status == "degraded"
            assert health.reasons == (
                "model 1.0.0 serves, though it has no score for some transactions: rules of thumb "
                "decide the rest",
            )
            await instance.stop()
        return instance

    instance = run(scenario())
    decisions = world.values("decisions")
    assert len(decisions) == 200
    blind = [decision for decision in decisions if "model" in decision["degraded"]]
    assert len(blind) == instance.metrics.unscored > 100
    assert {(one["action"], one["score"], one["probability"]) for one in blind} == {
        ("approve", None, None)
    }
    assert instance.metrics.scoring_failures == 1, "it is counted, and said, once"
    assert sum(instance.metrics.scores) == 200 - len(blind), "of what has no score none is told"


def test_rules_of_thumb_stop_large_amounts_and_give_no_reasons_of_a_model() -> None:
    rules = FallbackParams(review_amount_minor_min=3_000, block_amount_minor_min=9_000)
    world = blind_world(rules)
    world.send(transactions(200))

    run(world.run_through())

    blind = [one for one in world.values("decisions") if "model" in one["degraded"]]
    found = {(one["action"], *one["rule_hits"]) for one in blind}
    assert found == {
        ("approve",),
        ("review", "fallback_review_amount"),
        ("block", "fallback_block_amount"),
    }
    for one in blind:
        least = {"approve": 0, "review": 3_000, "block": 9_000}[one["action"]]
        most = {"approve": 3_000, "review": 9_000, "block": 10**9}[one["action"]]
        assert least <= one["amount_minor"] < most
        assert (
            one["severity"]
            == {"approve": "low", "review": "medium", "block": "high"}[one["action"]]
        )
    alerts = {one["decision_id"]: one for one in world.values("alerts")}
    stopped = [one["decision_id"] for one in blind if one["action"] != "approve"]
    assert stopped
    assert all(not alerts[name]["explained"] for name in stopped), "no model has decided"
    assert all(one["model_version"] == "1.0.0" for one in blind)


def test_an_instance_that_may_not_go_by_rules_of_thumb_refuses_to_take_records() -> None:
    """They wait, undecided and uncommitted, until a version is there that can score."""
    world = blind_world(FallbackParams(after="refuse"))
    world.send(transactions(200))

    with pytest.raises(TransientError, match=r'fallback\.after is "refuse": the records wait'):
        run(world.run_through())

    assert not any("model" in one["degraded"] for one in world.values("decisions"))
    assert not world.is_done()
    world.serving, world.artifact = model_of(artifact("1.0.0")), None
    run(world.run_through())
    assert len(world.decisions()) == 200
    assert world.unsafe == []


def test_a_shadow_that_cannot_score_costs_the_shadow_only() -> None:
    expected, world = a_world(shadow_share=1.0), a_world(shadow_share=1.0)
    for one in (expected, world):
        one.send(transactions(200))
    run(expected.run_through())
    shadow(world, BREAKS)

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            assert instance.parts.serving.shadow is None
            counts = instance.metrics.scoring_failures, instance.metrics.shadow_failures
            assert counts == (0, 1)
            await asyncio.sleep(700.0)
            assert instance.parts.serving.shadow is None, "it does not come back"
            [report] = reports(world)
            assert (report.version, report.why, report.shadow) == ("1.0.0", "", "")
            assert report.shadow_why == "it has no score for some transactions"
            assert instance.health().status == "ok"
            change(world.models, step(transitions.shadowed, None))  # type: ignore[arg-type]
            await until(lambda: reports(world)[0].shadow_why == "")
            await instance.stop()

    run(scenario())
    assert world.decisions() == expected.decisions()


class Refusing:
    """In the place of a booster, refuses as LightGBM does."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def predict(self, *_: object, **__: object) -> None:
        raise self._error


def refusing(version: str) -> ServingModel:
    one = model_of(LINEAR)
    model = replace(one.model, version=version, _booster=Refusing(LightGBMError("no memory")))
    return replace(one, version=version, model=model)


def test_what_lightgbm_refuses_to_score_is_scored_by_the_model_before() -> None:
    good, world, metrics = model_of(artifact("1.0.0")), a_world(), Metrics()
    serving = Serving(refusing("1.2.0"))
    serving.spare = (good, refusing("1.1.0"))
    serving.shadow = refusing("1.3.0")
    judge = Judge(serving, Rules(world.config.policy, shadow_share=1.0), metrics)
    rows, features = a_batch(world, 20)

    found = judge.judge(rows, features)

    assert [arm.model for arm in found.arms] == [good]
    assert metrics.version_failures == {"1.2.0": 1, "1.1.0": 1}
    assert found.verdicts.score.tolist() == good.score(good.model.raw_scores(features)).tolist()
    assert (found.unscored, found.shadow_version, found.verdicts.shadow) == ([], "", {})
    assert (metrics.scoring_failures, metrics.shadow_failures) == (2, 1)
    assert serving.failed == dict.fromkeys(
        ("1.2.0", "1.1.0", "1.3.0"), "it cannot score: no memory"
    )


def a_batch(world: World, count: int) -> tuple[Transactions, Floats]:
    records = [
        MemoryRecord(offset, START_MS, None, encoded(one), ())
        for offset, one in enumerate(transactions(count))
    ]
    rows, rejected = TransactionDecoder(world.config.schema).decode([(0, records)])
    assert rejected == []
    return rows, training_rows()[:count].copy()


def test_a_version_that_the_explainer_does_not_survive_never_serves() -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            instance.explainer.warm_error = ModelError("1.2.0", "each process that loads it dies")
            serve(world.models, OTHER)
            ring(world)
            await until(lambda: instance.metrics.deployment_failures == 1)
            await send(world, instance, 50, 0)
            assert instance.version == "1.0.0"
            assert instance.health().reasons == (
                "model 1.0.0 serves, not the champion 1.2.0: each process that loads it dies",
            )
            assert "1.2.0" not in instance.explainer._texts
            instance.explainer.warm_error = None
            await serves(instance, "1.2.0", timeout_s=90.0)
            assert instance.health().status == "ok"

    run(scenario())


def test_a_version_serves_though_the_explainer_has_no_time_to_try_it() -> None:
    """A busy machine would else serve an old version after each start."""
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            instance.explainer.warm_error = TransientError("no answer in 30 s")
            serve(world.models, OTHER)
            ring(world)
            await serves(instance, "1.2.0", timeout_s=5.0)
            assert instance.metrics.deployment_failures == 0
            await asyncio.sleep(6.0)
            assert instance.health().status == "ok"

    run(scenario())


@pytest.mark.parametrize("error", [ModelError("1.0.0", "is lost"), TransientError("no memory")])
def test_an_explainer_that_cannot_be_warmed_does_not_keep_an_instance_from_starting(
    error: Exception,
) -> None:
    world = a_world()
    world.send(transactions(50))

    async def scenario() -> None:
        instance = world.instance()
        instance.explainer.warm_error = error
        async with instance:
            await instance.idle()
            await instance.stop()

    run(scenario())
    assert len(world.decisions()) == 50


def test_an_explainer_that_takes_its_time_keeps_the_start_waiting_no_longer_than_it_may() -> None:
    world = a_world()
    world.send(transactions(50))

    async def scenario() -> None:
        instance = world.instance()
        instance.explainer.warm_delay_s = 1_000.0
        async with instance:
            begun_s = asyncio.get_running_loop().time()
            await until(lambda: instance.metrics.decisions == 50)
            assert 9.0 < asyncio.get_running_loop().time() - begun_s < 20.0
            await instance.stop()

    run(scenario())


def test_the_explainer_is_warm_before_the_first_record_and_before_a_new_version_serves() -> None:
    world = a_world()
    world.send(transactions(100))
    seen: list[tuple[str, str, int]] = []

    async def scenario() -> None:
        instance = world.instance()
        warm = instance.explainer.warm

        async def spied(version: str) -> str:
            seen.append((version, instance.version, instance.metrics.decisions))
            return await warm(version)

        instance.explainer.warm = spied  # type: ignore[method-assign]
        async with instance:
            await instance.idle()
            serve(world.models, OTHER)
            ring(world)
            await serves(instance, "1.2.0")

    run(scenario())
    assert seen == [("1.0.0", "1.0.0", 0), ("1.2.0", "1.0.0", 100)]
    assert all(one["explained"] for one in world.values("alerts"))


def test_a_pinned_instance_says_so_and_is_well() -> None:
    world = a_world()
    serve(world.models, OTHER)
    world.config = replace(world.config, model=replace(world.config.model, version="1.0.0"))

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            await until(lambda: bool(reports(world)))
            [report] = reports(world)
            assert (report.version, report.champion, report.is_pinned) == ("1.0.0", None, True)
            assert instance.health().status == "ok"

    run(scenario())


def test_what_served_until_when_is_kept() -> None:
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            await until(lambda: bool(reports(world)))
            serve(world.models, OTHER)
            ring(world)
            await serves(instance, "1.2.0")
            await until(lambda: reports(world)[0].version == "1.2.0")
            await instance.stop()

    run(scenario())
    assert reports(world) == []
    ended = [decode_stored(ServingReport, data) for data in world.reports.ended]
    assert sorted((one.version, one.champion) for one in ended) == [
        ("1.0.0", "1.0.0"),
        ("1.2.0", "1.2.0"),
    ]
    assert all(one.since_ms <= one.until_ms for one in ended)


@pytest.mark.parametrize("name", ["reports.tell what serves", "reports.tell what served"])
def test_a_store_of_reports_that_is_away_costs_the_reports_only(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    world, faults = a_world(), Away()
    faults.names = frozenset({name})

    async def scenario() -> None:
        instance = world.instance()
        instance.report_faults = faults
        async with instance:
            serve(world.models, OTHER)
            ring(world)
            await serves(instance, "1.2.0")
            await send(world, instance, 50, 0)
            await asyncio.sleep(120.0)
            faults.names = frozenset()
            await until(lambda: [one.version for one in reports(world)] == ["1.2.0"])
            await instance.stop()

    with caplog.at_level(logging.WARNING, logger="sentinel.engine.deployment.reporting"):
        run(scenario())
    said = [one for one in caplog.records if one.name == "sentinel.engine.deployment.reporting"]
    assert len(said) <= 1
    assert len(world.decisions()) == 50


def test_a_trouble_of_a_moment_is_no_state_of_health() -> None:
    world = World(config=a_config())

    async def scenario() -> None:
        async with world.instance() as instance:
            instance.explainer.error = TransientError("the worker is gone")
            await send(world, instance, 50, 0)
            assert instance.metrics.unexplained > 0
            assert instance.health().status == "ok"
            await asyncio.sleep(60.0)
            assert instance.health().status == "ok", "nothing has gone wrong since"
            await send(world, instance, 50, 50)
            assert instance.health().status == "degraded"
            instance.explainer.error = None
            await send(world, instance, 50, 100)
            assert instance.health().status == "ok"

    run(scenario())
