"""What feedback may be, and what a schema makes of it."""

from dataclasses import replace
from typing import Any

import pytest

from sentinel.codec.feedback.checking import (
    REVISION_MAX,
    FeedbackBounds,
    checked,
    decode_checked,
    is_placed,
    other_entities,
)
from sentinel.codec.records import encode
from sentinel.codec.schema import SchemaParams
from sentinel.errors import RecordError
from sentinel.records import Feedback, Record

NOW_MS = 1_800_000_000_000
VOICE = Feedback(
    "T1", "fraud", "investigator", "ann", 0.5, "lost", NOW_MS - 5, NOW_MS - 9, {"account": "C1"}
)
BOUNDS = FeedbackBounds.of(SchemaParams(entities={"terminal": "shop"}))


def decoded(now_ms: int = NOW_MS, **changes: Any) -> Feedback:
    return decode_checked(Record(0, now_ms, None, encode(replace(VOICE, **changes))), BOUNDS)


def test_what_can_be_true_passes() -> None:
    for change in ({}, {"revision": REVISION_MAX}, {"selected_by": "x" * 64}, {"observed_ms": 0}):
        voice = replace(VOICE, **change)
        assert checked(voice) is voice


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transaction_id": ""}, "transaction_id is empty"),
        ({"transaction_id": "x" * 4097}, "transaction_id of 4097 characters"),
        ({"entities": {"account": "x" * 4097}}, "account of 4097 characters"),
        ({"label": "Fraud"}, 'label "Fraud" is not one of fraud, genuine, unsure, retracted'),
        ({"source": "a/b"}, 'source "a/b" must not hold a slash'),
        ({"who": "x" * 257}, "who of over 256 characters"),
        ({"selected_by": "x" * 65}, "selected_by of over 64 characters"),
        ({"confidence": 1.1}, "confidence 1.1 is not in [0, 1]"),
        ({"confidence": float("nan")}, "confidence nan is not in [0, 1]"),
        ({"probability": -0.1}, "probability -0.1 is not in [0, 1]"),
        ({"revision": -1}, "revision -1 is not from 0 to 9007199254740991"),
        ({"revision": 2**70}, "revision 1180591620717411303424 is not from"),
        ({"notes": "x" * 10_001}, "notes of 10001 characters"),
        ({"observed_ms": NOW_MS - 10}, "observed before the transaction happened"),
    ],
)
def test_what_cannot_be_true_is_refused_by_its_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordError) as caught:
        checked(replace(VOICE, **change))
    assert caught.value.detail.startswith(words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"event_time_ms": 1_788_256_800},
            "event_time_ms 1970-01-21 16:44:16 is before 2000-01-01",
        ),
        ({"event_time_ms": NOW_MS + 86_400_001, "observed_ms": 0}, "event_time_ms 2027-01-16"),
        ({"observed_ms": 1_788_343_200, "event_time_ms": None}, "observed_ms 1970-01-21"),
    ],
)
def test_a_transaction_that_would_be_refused_has_no_feedback(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecordError) as caught:
        decoded(**change)
    assert caught.value.reason == "bad_time"
    assert caught.value.detail.startswith(words)


def test_what_the_log_cannot_date_is_believed_and_so_is_a_source_ahead_of_its_time() -> None:
    late = NOW_MS + 10**10

    assert decoded(now_ms=-1, event_time_ms=late, observed_ms=0).event_time_ms == late
    assert decoded(observed_ms=late).observed_ms == late


def test_entities_that_the_schema_does_not_have_are_left_out() -> None:
    entities = {"planet": "mars", "account": "C1", "terminal": None}
    voice = replace(VOICE, entities=entities)

    assert BOUNDS.unknown_kinds(voice) == ["planet"]
    assert BOUNDS.with_known_kinds(voice).entities == {"account": "C1", "terminal": None}
    assert BOUNDS.with_known_kinds(VOICE) is VOICE


def test_only_what_both_know_can_contradict() -> None:
    known = {"account": "C1", "terminal": None, "device": "D"}
    voice = replace(VOICE, entities={"account": "C9", "terminal": "M", "device": None, "x": "y"})

    assert other_entities(voice, known) == [("account", "C9", "C1")]
    assert other_entities(replace(VOICE, entities=None), known) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"event_time_ms": None}, False),
        ({"entities": None}, False),
        ({"entities": {"account": ""}}, False),
    ],
)
def test_a_voice_is_placed_by_a_time_and_an_account(change: Any, expected: bool) -> None:
    assert is_placed(replace(VOICE, **change)) is expected
