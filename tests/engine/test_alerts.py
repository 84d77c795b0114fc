"""An alert goes out with its reasons, or without them and says so; it is never kept back."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

from sentinel.engine.scoring.alerts import Flagged
from sentinel.errors import ModelError, TransientError
from sentinel.records import TopicPartition
from tests.engine.clock import run
from tests.engine.samples import a_config, transactions
from tests.engine.world import MemoryInstance, World


def with_explainer(
    world: World, *, delay_s: float = 0.0, error: Exception | None = None
) -> MemoryInstance:
    async def scenario() -> MemoryInstance:
        async with world.instance() as instance:
            instance.explainer.delay_s = delay_s
            instance.explainer.error = error
            world.send(transactions(200))
            await instance.idle()
            await instance.stop()
        return instance

    return run(scenario())


def flagged(world: World) -> list[str]:
    return [d["decision_id"] for d in world.values("decisions") if d["action"] != "approve"]


@pytest.mark.parametrize(
    "error", [TransientError("the worker is gone"), ModelError("v1", "is not known")]
)
def test_an_explainer_that_fails_costs_the_reasons_and_nothing_else(error: Exception) -> None:
    world = World()

    instance = with_explainer(world, error=error)

    alerts = world.values("alerts")
    assert len(alerts) > 10
    assert [a["decision_id"] for a in alerts] == flagged(world)
    assert all(a["reasons"] == [] and a["explained"] is False for a in alerts)
    assert instance.metrics.decisions == 200
    assert world.unsafe == []


def test_an_explainer_that_is_too_slow_costs_the_reasons_and_nothing_else() -> None:
    world = World(config=a_config(explain_timeout_s=2.0))

    with_explainer(world, delay_s=1000.0)

    assert sorted(a["decision_id"] for a in world.values("alerts")) == sorted(flagged(world))
    assert all(a["explained"] is False for a in world.values("alerts"))
    assert world.unsafe == []


def test_decisions_do_not_wait_for_explanations() -> None:
    world = World(config=a_config(explain_timeout_s=5.0))

    async def scenario() -> None:
        async with world.instance() as instance:
            instance.explainer.delay_s = 3.0
            world.send(transactions(200))
            await asyncio.sleep(1.0)
            assert len(world.decisions()) == 200
            assert world.records("alerts") == []
            assert world.committed() is None or not world.is_done()
            await instance.idle()
            assert sorted(a["decision_id"] for a in world.values("alerts")) == sorted(
                flagged(world)
            )

    run(scenario())


def test_no_more_rows_wait_for_reasons_than_allowed() -> None:
    world = World(config=a_config(explain_rows_max=8, explain_timeout_s=5.0))

    instance = with_explainer(world, delay_s=1.0)

    alerts = world.values("alerts")
    explained = [a for a in alerts if a["explained"]]
    assert sorted(a["decision_id"] for a in alerts) == sorted(flagged(world))
    assert 0 < len(explained) <= 8
    assert sum(instance.explainer.row_counts) == len(explained)
    assert all(a["reasons"] for a in explained)
    assert all(a["reasons"] == [] for a in alerts if not a["explained"])


def test_rows_that_are_out_make_room_for_others() -> None:
    world = World(config=a_config(explain_rows_max=16))

    async def scenario() -> None:
        async with world.instance() as instance:
            instance.explainer.delay_s = 0.1
            for i in range(10):
                world.send(transactions(10, first=10 * i))
                await instance.idle()

    run(scenario())
    assert all(a["explained"] for a in world.values("alerts"))


def test_without_room_for_any_explanation_every_alert_still_goes_out() -> None:
    world = World(config=a_config(explain_rows_max=0))

    instance = with_explainer(world)

    assert [a["decision_id"] for a in world.values("alerts")] == flagged(world)
    assert instance.explainer.row_counts == []


def test_the_newest_few_are_kept_to_look_at() -> None:
    world = World()

    instance = with_explainer(world)

    assert instance.last_alerts() == [r.value for r in world.records("alerts")[-5:]]
    assert all(json.loads(a)["explained"] for a in instance.last_alerts())


def test_a_missing_value_among_the_reasons_is_null() -> None:
    world = World()

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            features = np.full((1, len(world.config.features)), np.nan)
            one = Flagged(
                TopicPartition("transactions", 0),
                [b"a"],
                [b'{"x":1}'],
                features,
                np.full((1, 2), np.nan),
                reason_count_max=3,
            )
            usual = replace(world.serving.usual, low=np.full_like(features[0], np.nan))
            instance.parts.alerts.submit(one, replace(world.serving, usual=usual))
            await instance.parts.alerts.at_cut()()

    run(scenario())
    (alert,) = world.values("alerts")
    for reason in alert["reasons"]:
        assert reason["value"] is None
        assert reason["usual_low"] is None
    assert alert["x"] == 1


def test_exactly_once_scoring_waits_for_a_slow_explanation_no_longer_than_between_two_cuts() -> (
    None
):
    config = a_config(explain_timeout_s=100.0, commit_interval_s=1.0, delivery="exactly_once")
    world = World(config=config)
    world.send(transactions(200))

    async def scenario() -> None:
        async with world.instance() as instance:
            instance.explainer.delay_s = 50.0
            await instance.idle(timeout_s=60.0)
            await instance.stop()

    run(scenario())

    assert len(world.records("decisions")) == 200
    assert world.records("alerts")
    assert all(alert["explained"] is False for alert in world.values("alerts"))
