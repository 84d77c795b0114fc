"""Records in, decisions out: one for each, in its words, whatever the batch."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sentinel.core.partitioning import PartitionOf
from sentinel.operations.data.history import History
from tests.engine.clock import run
from tests.engine.samples import (
    DAY_MS,
    ENTITIES,
    MINUTE_MS,
    NAMES,
    START_MS,
    a_config,
    encoded,
    serving,
    transactions,
    voice,
)
from tests.engine.world import World


def test_each_transaction_gets_one_decision_in_the_partition_of_its_input() -> None:
    world = World(config=a_config(partition_count=3))
    sent = transactions(300)
    world.send(sent)

    instance = run(world.run_through())

    found = {d["transaction_id"]: d for d in world.values("decisions")}
    assert len(world.records("decisions")) == len(found) == 300
    partition_of = PartitionOf(3)
    for number in range(3):
        inputs = [x for x in sent if partition_of(x["account"]) == number]
        for offset, made in enumerate(inputs):
            decision = found[made["transaction_id"]]
            assert decision["decision_id"] == f"transactions-{number}-{offset}"
    assert instance.metrics.transactions == instance.metrics.decisions == 300
    assert sum(instance.metrics.actions.values()) == 300
    assert world.unsafe == []


def test_outputs_are_keyed_by_the_account() -> None:
    world = World()
    world.send(transactions(50))

    run(world.run_through())

    for topic in ("decisions", "alerts"):
        assert world.records(topic)
        for record in world.records(topic):
            assert record.key == json.loads(record.value or b"")["account"].encode()


def test_a_decision_says_what_was_decided_and_from_what() -> None:
    world = World()
    made = {
        "transaction_id": 77,
        "event_time": START_MS + 5,
        "account": "é",
        "amount": 12.345,
        "terminal": None,
        "channel": "web",
        "unknown": {"further": ["fields", "are", "no", "harm"]},
    }
    world.append("transactions", encoded(made))

    run(world.run_through())

    (decision,) = world.values("decisions")
    assert decision.pop("schema_version").count("-") == 1
    features = decision.pop("features")
    assert dict(zip(NAMES, features, strict=True)) == {
        "amount": 12.34,
        "hour": 15,
        "distance": None,
        "channel": 0,
        "account_count_1d": 0,
        "account_mean_7d": None,
        "account_since_last": None,
        "account_terminals": 0,
        "account_frauds": 0,
        "terminal_sum_1h": None,
        "terminal_frauds": None,
    }
    model = serving()
    matrix = np.array([[np.nan if x is None else x for x in features]])
    raw = model.model.raw_scores(matrix)
    assert decision == {
        "decision_id": "transactions-0-0",
        "transaction_id": "77",
        "event_time_ms": START_MS + 5,
        "account": "é",
        "entities": {"terminal": None},
        "amount_minor": 1234,
        "score": model.model.scores(matrix)[0],
        "probability": model.calibration.probability(raw)[0],
        "action": "approve",
        "severity": "low",
        "explore_share": None,
        "explored": False,
        "recommended": [],
        "degraded": [],
        "model_version": "v1",
        "arm": "champion",
        "propensity": 1.0,
        "shadow_scores": {},
        "rule_hits": [],
        "config_version": "test",
        "v": 1,
    }


def test_a_decision_names_the_currency_that_amounts_are_converted_to() -> None:
    config = a_config()
    schema = replace(
        config.schema, currency="money", reporting_currency="EUR", rates={"JPY": 0.0061}
    )
    world = World(config=replace(config, schema=schema))
    made = transactions(1)[0] | {"amount": 1000, "money": "JPY"}
    world.append("transactions", encoded(made))

    run(world.run_through())

    for topic in ("decisions", *(["alerts"] if world.records("alerts") else [])):
        [told] = world.values(topic)
        assert (told["amount_minor"], told["currency"]) == (610, "EUR")


def test_features_and_scores_are_those_of_the_same_history_bit_for_bit() -> None:
    world = World()
    sent = transactions(500, shuffled_ms=0)
    world.send(sent)

    run(world.run_through())

    offline = History(world.config).fold([encoded(x) for x in sent], [None] * 500).features
    decisions = world.values("decisions")
    online = np.array([d["features"] for d in decisions], dtype=np.float64)
    assert online.tobytes() == offline.tobytes()
    raw = serving().model.raw_scores(offline)
    assert [d["score"] for d in decisions] == serving().model.scores_of(raw).tolist()
    expected = serving().calibration.probability(raw).tolist()
    assert [d["probability"] for d in decisions] == expected


def test_labels_reach_the_features_when_they_do_in_history() -> None:
    """Every fraud is reported two hours after it, and known before the stream goes on."""
    training = replace(a_config().training, label_delay="2h")
    world = World(config=replace(a_config(batch_count_max=400), training=training))
    sent = transactions(400)
    is_fraud = [i % 7 == 0 for i in range(400)]
    frauds = [x for x, fraud in zip(sent, is_fraud, strict=True) if fraud]
    world.send_feedback([voice(x, observed_ms=x["event_time"] + 120 * MINUTE_MS) for x in frauds])

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send(sent[:1])
            await instance.idle()
            world.send(sent[1:])
            await instance.idle()

    run(scenario())

    values = [encoded(x) for x in sent]
    offline = History(world.config).fold(values, is_fraud).features
    online = np.array([d["features"] for d in world.values("decisions")], dtype=np.float64)
    assert np.nansum(online[:, NAMES.index("terminal_frauds")]) > 100
    assert online.tobytes() == offline.tobytes()


@pytest.mark.parametrize("batch_count_max", [1, 7, 512])
def test_decisions_do_not_depend_on_the_batch(batch_count_max: int) -> None:
    def outcome(count_max: int) -> World:
        world = World(config=a_config(batch_count_max=count_max))
        world.send(transactions(200, shuffled_ms=30 * MINUTE_MS))
        run(world.run_through())
        return world

    found, expected = outcome(batch_count_max), outcome(16)

    assert [r.value for r in found.records("decisions")] == [
        r.value for r in expected.records("decisions")
    ]
    assert found.blobs() == expected.blobs()


def test_alerts_are_the_decisions_that_are_not_approved_with_their_reasons() -> None:
    world = World()
    world.send(transactions(200))

    instance = run(world.run_through())

    flagged = [d for d in world.values("decisions") if d["action"] != "approve"]
    alerts = world.values("alerts")
    assert 10 < len(alerts) < 190
    assert [a["decision_id"] for a in alerts] == [d["decision_id"] for d in flagged]
    assert instance.metrics.alerts == len(alerts)
    for alert, decision in zip(alerts, flagged, strict=True):
        reasons = alert.pop("reasons")
        assert alert.pop("explained") is True
        assert alert == decision
        assert 1 <= len(reasons) <= world.config.policy.reason_count_max
        assert [r["contribution"] for r in reasons] == sorted(
            (r["contribution"] for r in reasons), reverse=True
        )
        features = dict(zip(NAMES, decision["features"], strict=True))
        for reason in reasons:
            assert reason["contribution"] > 0
            assert reason["value"] == features[reason["feature"]]
            assert reason["usual_low"] <= reason["usual_high"]
            if reason["usual_of"] == "population":
                at = NAMES.index(reason["feature"])
                assert reason["usual_low"] == serving().usual.low[at]
            else:
                assert reason["feature"] == "amount"


def test_a_late_record_is_decided_flagged_and_not_counted_into_the_state() -> None:
    on_time = transactions(60, account_count=1, terminal_count=1)
    late = {**on_time[0], "transaction_id": "late", "event_time": START_MS - DAY_MS}
    world, without = World(), World()
    world.send([*on_time[:40], late, *on_time[40:]])
    without.send(on_time)

    instance = run(world.run_through())
    run(without.run_through())

    assert world.decision_of("late")["degraded"] == ["late"]
    assert sum(d["degraded"] == [] for d in world.values("decisions")) == 60
    assert instance.metrics.late == instance.metrics.degraded == 1
    for made in on_time:
        name = made["transaction_id"]
        assert world.decision_of(name)["features"] == without.decision_of(name)["features"]


def test_a_record_within_the_grace_takes_its_place_in_time() -> None:
    sent = transactions(120, shuffled_ms=180 * MINUTE_MS, account_count=2, terminal_count=1)
    ordered = sorted(sent, key=lambda made: made["event_time"])
    shuffled, sorted_world = World(), World()
    probe = transactions(2, first=121, account_count=2, terminal_count=1)
    shuffled.send([*sent, *probe])
    sorted_world.send([*ordered, *probe])

    instance = run(shuffled.run_through())
    run(sorted_world.run_through())

    assert instance.metrics.late == 0
    for made in probe:
        name = made["transaction_id"]
        assert shuffled.decision_of(name)["features"] == sorted_world.decision_of(name)["features"]


def test_memory_is_bounded_and_what_has_left_it_comes_back_as_it_was() -> None:
    """3,500 accounts through a table of 1,024, visited three times, against one that holds all."""

    def config(entities_max: int) -> World:
        entities = {
            kind: replace(params, entities_max=entities_max) for kind, params in ENTITIES.items()
        }
        settings = a_config(batch_count_max=256, commit_interval_s=0.05)
        world = World(config=replace(settings, entities=entities))
        world.send(transactions(9000, account_count=3500, terminal_count=1500))
        return world

    small, large = config(1024), config(8192)

    instance = run(small.run_through())
    run(large.run_through())

    assert instance.parts.state.tables["account"].eviction_count > 3000
    assert max(instance.entity_counts().values()) <= 1024
    assert [r.value for r in small.records("decisions")] == [
        r.value for r in large.records("decisions")
    ]
    assert small.blobs() == large.blobs()
    assert small.unsafe == []
