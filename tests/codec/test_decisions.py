"""Decisions and alerts as JSON."""

import json
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.adapters.memory import MemoryRecord
from sentinel.codec.archive import FIELD_TYPES, archive_rows, decode_archived
from sentinel.codec.decisions import ArmStamp, Stamp, Verdicts, alert, decision_id, decisions
from sentinel.records import Transactions, part
from sentinel.texts import Texts
from tests.codec.reference import decisions_one_by_one

CHAMPION = ArmStamp("champion", "1.0.0", ((), ("ask",), ("hold",), ("block",)))
STAMP = Stamp("tx", "layout", "config", (CHAMPION,))


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
        arm=np.zeros(2, dtype=np.int64),
        features=np.array([[1.5, np.nan], [np.inf, -0.0]]),
    )


def as_bytes(found: Texts) -> list[bytes]:
    return [found.bytes_at(i) or b"" for i in range(len(found))]


def encoded(stamp: Stamp = STAMP) -> list[bytes]:
    return as_bytes(decisions(rows(), verdicts(), {1: ["late", "state"]}, stamp))


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
        "explore_share": None,
        "explored": False,
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


def test_a_decision_says_that_it_was_at_stake_and_what_became_of_it() -> None:
    """Whoever reads it sees that it would have been blocked, how likely a review was, and which."""
    stamp = replace(STAMP, arms=(replace(CHAMPION, explore_share=0.01),))
    three = Transactions(
        transaction_id=Texts.of(["a", "b", "c"]),
        partition=np.zeros(3, dtype=np.int64),
        offset=np.arange(3),
        event_time_ms=np.arange(3),
        amount_minor=np.arange(3),
        entities={"account": Texts.of(["A", "B", "C"])},
    )
    half = np.full(3, 0.5)
    judged = Verdicts(
        half,
        half,
        np.array([2, 2, 1]),
        np.full(3, 3),
        np.zeros(3, dtype=np.int64),
        half[:, np.newaxis],
        {1: False, 2: True},
    )

    found = [json.loads(text) for text in as_bytes(decisions(three, judged, {2: ["late"]}, stamp))]

    told = [(d["action"], d["explore_share"], d["explored"], d["degraded"]) for d in found]
    assert told == [
        ("block", None, False, []),
        ("block", 0.01, False, []),
        ("review", 0.01, True, ["late"]),
    ]


def test_a_decision_names_the_currency_of_its_amount_only_where_one_is_configured() -> None:
    named = replace(STAMP, currency="EUR")

    found = json.loads(encoded(named)[0])

    assert found.pop("currency") == "EUR"
    assert found == json.loads(encoded()[0])


def test_a_decision_without_a_score_says_null_and_names_the_rule_that_stopped_it() -> None:
    nothing = np.array([np.nan, np.nan])
    judged = replace(
        verdicts(), score=nothing, probability=nothing, rules={1: "fallback_block_amount"}
    )
    flags = {0: ["model"], 1: ["model"]}

    found = as_bytes(decisions(rows(), judged, flags, STAMP))

    assert found == decisions_one_by_one(rows(), judged, flags, STAMP)
    told = [json.loads(text) for text in found]
    assert [(one["score"], one["probability"]) for one in told] == [(None, None)] * 2
    assert [one["rule_hits"] for one in told] == [[], ["fallback_block_amount"]]
    records = [MemoryRecord(i, 0, None, text, ()) for i, text in enumerate(found)]
    archived = archive_rows(records, [decode_archived("decisions", one) for one in records])
    assert archived.columns["score"] == archived.columns["probability"] == [None, None]
    assert FIELD_TYPES["score"] is FIELD_TYPES["probability"] is float


def test_a_repeated_decision_has_the_same_bytes() -> None:
    assert encoded() == encoded()


any_texts = st.lists(st.text(), min_size=4, max_size=4)
any_integers = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4)
any_floats = st.lists(st.floats(), min_size=20, max_size=20)


any_explored = st.dictionaries(st.integers(0, 3), st.booleans())


@given(
    any_texts,
    st.lists(st.none() | st.text(), min_size=4, max_size=4),
    any_integers,
    any_floats,
    any_explored,
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_a_decision_is_what_encoding_it_as_a_dictionary_gives(
    texts: list[str],
    others: list[str | None],
    integers: list[int],
    floats: list[float],
    explored: dict[int, bool],
    arms: list[int],
) -> None:
    column = np.array(integers)
    some = Transactions(
        transaction_id=Texts.of(texts),
        partition=column[::-1],
        offset=column,
        event_time_ms=~column,
        amount_minor=column,
        entities={'a "kind"': Texts.of(others), "account": Texts.of(texts[::-1])}
        | {"third": Texts.of(others)[::-1]},
    )
    numbers = np.array(floats)
    judged = Verdicts(
        score=numbers[::5],
        probability=numbers[1::5],
        action=np.arange(4) % 3,
        severity=np.arange(4),
        arm=np.array(arms),
        features=numbers.reshape(5, 4).T,
        explored=explored,
    )
    model, schema, config, _ = texts
    champion = ArmStamp("champion", model, ((), tuple(texts), ("one",), ()), 0.015)
    others_of_it = (
        ArmStamp('an "arm"', config, ((),) * 4, 0.1, 0.25, schema),
        replace(champion, propensity=0.7),
    )
    stamp = Stamp('a "topic"', schema, config, (champion, *others_of_it))
    degraded = {3: texts[:2], 1: ["late"], 2: ["late"]}

    expected = decisions_one_by_one(some, judged, degraded, stamp)
    assert as_bytes(decisions(some, judged, degraded, stamp)) == expected


@pytest.mark.parametrize("text", [chr(i) * 50 for i in range(0x20)] + ['"' * 99, "\\" * 99, "é"])
def test_a_text_of_nothing_but_escapes_has_room(text: str) -> None:
    some = Transactions(
        transaction_id=Texts.of([text]),
        partition=np.array([0]),
        offset=np.array([0]),
        event_time_ms=np.array([0]),
        amount_minor=np.array([0]),
        entities={"account": Texts.of([text])},
    )
    code, number = np.array([0]), np.array([-2.2250738585072014e-308])
    judged = Verdicts(number, number, code, code, code, np.tile(number, (1, 9)))

    expected = decisions_one_by_one(some, judged, {}, STAMP)
    assert as_bytes(decisions(some, judged, {}, STAMP)) == expected


def test_half_a_surrogate_pair_is_replaced_since_readers_refuse_it() -> None:
    texts = Texts.of(["a\ud800b\udfff", "\ud7ff\ud800"])
    some = replace(rows(), transaction_id=texts)

    found = [orjson.loads(text) for text in as_bytes(decisions(some, verdicts(), {}, STAMP))]

    assert [d["transaction_id"] for d in found] == ["a\ufffdb\ufffd", "\ud7ff\ufffd"]


def test_a_text_that_ends_within_a_character_reads_nothing_behind_it() -> None:
    whole = Texts.of_bytes([b"\xed", b"\xa0\x80"])

    (first, _) = as_bytes(decisions(replace(rows(), transaction_id=whole), verdicts(), {}, STAMP))

    assert b'"transaction_id":"\xed",' in first


def test_decisions_do_not_need_the_bytes_that_the_transactions_lie_in() -> None:
    some = rows()
    found = decisions(some, verdicts(), {}, STAMP)
    before = as_bytes(found)

    for column in (some.transaction_id, *some.entities.values()):
        column.data[:] = 0

    assert as_bytes(found) == before


def test_bytes_that_cannot_be_written_to_are_taken_as_well() -> None:
    some = rows()
    ids = some.transaction_id
    ids = Texts(np.frombuffer(ids.data.tobytes(), dtype=np.uint8), ids.start, ids.length)

    found = decisions(replace(some, transaction_id=ids), verdicts(), {}, STAMP)

    assert found == decisions(some, verdicts(), {}, STAMP)


def test_no_rows_are_no_decisions() -> None:
    none = part(rows(), 0, 0)
    code, number = np.zeros(0, dtype=np.int64), np.zeros(0)
    judged = Verdicts(number, number, code, code, code, np.zeros((0, 2)))

    assert as_bytes(decisions(none, judged, {}, STAMP)) == []


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
