"""Decisions and alerts as JSON."""

import json

import numpy as np

from sentinel.codec.decisions import Stamp, Verdicts, alert, decision_id, decisions
from sentinel.records import Transactions
from sentinel.texts import Texts

STAMP = Stamp("tx", "1.0.0", "layout", "config", ((), ("ask",), ("hold",), ("block",)))


def rows() -> Transactions:
    return Transactions(
        transaction_id=Texts.of(["T1", 'quote " and \u2028 and é']),
        partition=np.array([0, 3]),
        offset=np.array([10, 2**53 + 1]),
        event_time_ms=np.array([1, 2]),
        amount_minor=np.array([5, 10**12]),
        entities={"account": Texts.of(["A", "B"]), "terminal": Texts.of(["M", None])},
    )


def verdicts() -> Verdicts:
    return Verdicts(
        score=np.array([0.1, 0.95]),
        probability=np.array([0.25, 0.875]),
        action=np.array([0, 2]),
        severity=np.array([0, 3]),
        features=np.array([[1.5, np.nan], [np.inf, -0.0]]),
    )


def values(encoded: Texts) -> list[bytes]:
    return [encoded.bytes_at(i) or b"" for i in range(len(encoded))]


def encoded() -> list[bytes]:
    return values(decisions(rows(), verdicts(), {1: ["late", "state"]}, STAMP))


def test_a_decision_says_everything_that_it_rests_on() -> None:
    first, second = map(json.loads, encoded())

    assert first == {
        "decision_id": "tx-0-10",
        "transaction_id": "T1",
        "event_time_ms": 1,
        "account": "A",
        "entities": {"terminal": "M"},
        "amount_minor": 5,
        "score": 0.1,
        "probability": 0.25,
        "action": "approve",
        "severity": "low",
        "recommended": [],
        "degraded": [],
        "features": [1.5, None],
        "model_version": "1.0.0",
        "arm": "champion",
        "propensity": 1.0,
        "shadow_scores": {},
        "rule_hits": [],
        "schema_version": "layout",
        "config_version": "config",
        "v": 1,
    }
    assert second["decision_id"] == decision_id("tx", 3, 2**53 + 1)
    assert second["transaction_id"] == 'quote " and \u2028 and é'
    assert (second["action"], second["severity"]) == ("block", "critical")
    assert second["recommended"] == ["block"]
    assert second["degraded"] == ["late", "state"]
    assert second["entities"] == {"terminal": None}
    assert second["features"] == [None, -0.0]


def test_a_repeated_decision_has_the_same_bytes() -> None:
    assert encoded() == encoded()


def test_an_alert_is_the_decision_and_its_reasons() -> None:
    decision = encoded()[1]
    reasons = [{"feature": "amount", "value": float("nan"), "contribution": np.float64(1.5)}]

    found = json.loads(alert(decision, reasons, explained=True))

    assert found == json.loads(decision) | {
        "reasons": [{"feature": "amount", "value": None, "contribution": 1.5}],
        "explained": True,
    }


def test_an_alert_without_reasons_says_so() -> None:
    found = json.loads(alert(encoded()[1], [], explained=False))

    assert (found["reasons"], found["explained"]) == ([], False)
