"""Rows that people bring: each is read, or refused with the field that is wrong."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.codec.feedback.checking import FeedbackBounds
from sentinel.codec.feedback.file_values import COLUMNS, LocalMicros, Micros
from sentinel.codec.feedback.files import (
    REFUSED_COUNT_MAX,
    FeedbackReader,
    Refusals,
    VoteRows,
    columns_of,
    decode_line,
    missing_columns,
)
from sentinel.codec.records import encode
from sentinel.codec.schema import SchemaParams
from sentinel.errors import RecordError
from sentinel.records import Feedback

NOW_MS = 1_800_000_000_000
EVENT_MS = 1_788_256_800_000  # 2026-09-01T10:00:00Z
BOUNDS = FeedbackBounds.of(SchemaParams(entities={"terminal": "shop"}))


def a_reader(source: str = "investigator") -> FeedbackReader:
    return FeedbackReader(BOUNDS, source=source, now_ms=NOW_MS)


def read(row: dict[str, Any], source: str = "investigator") -> Feedback | str:
    """The voice of a row, or why it is refused."""
    found = a_reader(source).read(VoteRows(1, 1, dict(columns_of([row]))))
    assert len(found.all_feedback) + len(found.refused) == 1
    return found.all_feedback[0] if found.all_feedback else found.refused[1]


def voice(**values: Any) -> Feedback:
    """The voice of a row that has these values, too."""
    found = read({"transaction_id": "T1", "label": "fraud", **values})
    assert isinstance(found, Feedback), found
    return found


def refusal(**values: Any) -> str:
    found = read({"transaction_id": "T1", "label": "fraud", **values})
    assert isinstance(found, str), found
    return found


@pytest.mark.parametrize(
    ("label", "values"),
    [
        ("fraud", ["fraud", " FRAUD ", "1", 1, 1.0, "1.0", Decimal("1.00"), True, "True", "t"]),
        ("fraud", ["YES", "y", "fraudulent", "Confirmed Fraud", "true-positive"]),
        ("genuine", ["Genuine", "0", 0, 0.0, "0.0", False, "FALSE", "f", "no", "N", "legit"]),
        ("genuine", ["legitimate", "not fraud", "not_fraud", "non-fraud", "False Positive"]),
        ("unsure", ["unsure", "Not sure", "unknown", "undecided"]),
        ("retracted", ["retracted", " Withdrawn"]),
    ],
)
def test_a_label_has_one_vocabulary(label: str, values: list[object]) -> None:
    assert {voice(label=value).label for value in values} == {label}


@pytest.mark.parametrize(
    "value",
    [
        *("fruad", "-1", 2, 0.5, float("nan"), float("inf"), "nan", "10", "١", [1], {"a": 1}),
        *("chargeback", "suspicious", Micros(1), timedelta(1), b"fraud"),
    ],
)
def test_another_label_is_refused(value: object) -> None:
    assert refusal(label=value).startswith("label ")


@pytest.mark.parametrize(
    "value",
    [
        *(float("nan"), float("inf"), 1e30, 10**30, "1e30", 1.5, "1.5", -1, "-1", "abc", "nan"),
        *(True, 2**53, [1], Decimal("0.5"), "1_0"),
    ],
)
def test_a_revision_that_is_no_whole_number_is_refused(value: object) -> None:
    assert refusal(revision=value).startswith("revision ")


def test_a_revision_is_a_whole_number_in_any_form() -> None:
    for value in (3, 3.0, "3", "3.0", " 3 ", "3e0", Decimal(3)):
        assert voice(revision=value).revision == 3
    assert voice(revision="").revision == voice(revision=None).revision == 0
    assert voice(revision=2**53 - 1).revision == 2**53 - 1


@pytest.mark.parametrize("name", ["event_time", "event_time_ms"])
@pytest.mark.parametrize(
    "value",
    [
        *("2026-09-01T10:00:00Z", "2026-09-01 12:00:00+02:00", " 2026-09-01T10:00:00 "),
        *(EVENT_MS, str(EVENT_MS), float(EVENT_MS), Decimal(EVENT_MS), Micros(EVENT_MS * 1000)),
    ],
)
def test_a_time_is_text_or_milliseconds_or_typed(name: str, value: object) -> None:
    assert voice(**{name: value}).event_time_ms == EVENT_MS


@pytest.mark.parametrize("value", [1_788_256_800, "1788256800", 1_788_256_800.0, "1788256800.0"])
def test_seconds_are_taken_for_seconds_but_where_the_name_says_milliseconds(value: object) -> None:
    assert voice(event_time=value).event_time_ms == EVENT_MS
    assert voice(time=value).observed_ms == EVENT_MS
    assert "1970-01-21 16:44:16 is before 2000-01-01" in refusal(event_time_ms=value)
    assert "1970-01-21 16:44:16 is before 2000-01-01" in refusal(observed_ms=value)


@pytest.mark.parametrize("value", [20_260_901, "20260901", "2026-09-01", 20_260_901.0])
def test_eight_digits_are_a_date(value: object) -> None:
    if isinstance(value, float):
        assert "1970" in refusal(event_time=value), "a fraction of seconds was meant"
    else:
        assert voice(event_time=value).event_time_ms == EVENT_MS - 10 * 3_600_000


@pytest.mark.parametrize("name", ["event_time", "observed", "time"])
@pytest.mark.parametrize(
    "value",
    [
        *(float("nan"), float("inf"), 1e30, -5, 10**18, 10**30, "yesterday", "1999-01-01", True),
        *([1], "2027-03-01", date(2026, 9, 1), EVENT_MS * 1000, "nan", 0, "1970-01-01", Micros(0)),
    ],
)
def test_a_time_out_of_bounds_is_refused_and_never_1970(name: str, value: object) -> None:
    field = COLUMNS[name][0].removesuffix("_ms")
    assert refusal(**{name: value}).startswith((name, field))


def test_a_record_says_with_0_that_it_does_not_know_when() -> None:
    assert voice(observed_ms=0).observed_ms == voice(observed_ms="0").observed_ms == 0


def test_a_vote_is_not_older_than_its_transaction() -> None:
    said = refusal(event_time=EVENT_MS, observed=EVENT_MS - 1)
    assert said == "observed before the transaction happened"


def test_columns_of_the_crowd_and_of_the_record_are_the_same_fields() -> None:
    crowd = {"task": "T1", "worker": 12, "is_fraud": 0, "time": EVENT_MS}
    ours = {"transaction_id": "T1", "who": "12", "label": "genuine", "observed_ms": EVENT_MS}

    assert read(crowd) == read(ours)
    assert read({"task": "T1", "label": "fraud", "annotator": " ann "}) == voice(who="ann")


def test_two_columns_of_one_field_may_say_the_same_only() -> None:
    assert voice(task="T1", observed="2026-09-01T10:00Z", observed_ms=EVENT_MS).observed_ms
    assert refusal(task="T2").startswith("task says something else")
    assert voice(task=None).transaction_id == "T1"
    assert read({"transaction_id": "", "task": "T2", "label": 1}) == Feedback(
        "T2", "fraud", "investigator"
    )


def test_entities_are_an_object_or_columns_and_what_the_schema_has() -> None:
    expected = {"account": "C1", "terminal": "7"}
    text = '{"account": "C1", "terminal": 7, "planet": "mars"}'
    for values in (
        {"entities": {"account": "C1", "terminal": 7, "planet": "mars"}},
        {"entities": text},
        {"account": "C1", "entity_terminal": 7, "entity_planet": "mars"},
        {"account": "C1", "entities": {"terminal": "7", "account": None}},
        {"entities": {"account": "C1"}, "account": "C1", "entity_terminal": 7.0},
    ):
        assert voice(**values).entities == expected

    reader = a_reader()
    rows = [{"task": "T", "label": 1, "entities": text, "entity_moon": "x", "foo": 1, "v": 1}] * 2
    reader.read(VoteRows(1, 2, dict(columns_of(rows))))
    assert list(reader.unknown_columns) == ["entity_moon", "foo"]
    assert list(reader.unknown_kinds) == ["planet"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"entities": "C1"}, 'entities "C1" is not a JSON object'),
        ({"entities": [1]}, 'entities "[1]" is not a JSON object'),
        ({"entities": {"account": [1]}}, 'entities account "[1]" is neither text nor'),
        ({"entities": {"account": "C1"}, "account": "C9"}, 'account "C9", but entities say "C1"'),
        ({"account": True}, 'account "True" is neither text nor a whole number'),
        ({"account": 1e30}, 'account "1e+30" is neither'),
        ({"account": "x" * 5000}, "account of 5000 characters"),
    ],
)
def test_entities_that_are_none_are_refused(values: dict[str, Any], words: str) -> None:
    assert refusal(**values).startswith(words)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"label": "fraud"}, "transaction_id is missing"),
        ({"task": "  ", "label": "fraud"}, "transaction_id is missing"),
        ({"task": "T"}, "label is missing"),
        ({"task": "T", "label": ""}, "label is missing"),
        ({"task": "T", "label": 1, "confidence": "high"}, 'confidence "high" is not a number'),
        ({"task": "T", "label": 1, "confidence": "0,5"}, 'confidence "0,5" is not a number'),
        ({"task": "T", "label": 1, "confidence": 1.5}, 'confidence "1.5" is not in [0, 1]'),
        ({"task": "T", "label": 1, "probability": 2}, 'probability "2" is not in [0, 1]'),
        ({"task": "T", "label": 1, "who": {"a": 1}}, "who \"{'a': 1}\" is neither text"),
        ({"task": "T", "label": 1, "selected_by": "x" * 65}, "selected_by of over 64"),
        ({"task": "T", "label": 1, "source": "a/b"}, 'source "a/b" must not hold a slash'),
    ],
)
def test_a_row_is_refused_with_the_field(row: dict[str, Any], words: str) -> None:
    found = read(row)
    assert isinstance(found, str)
    assert found.startswith(words)


def test_a_row_without_who_is_the_one_voice_of_its_source_if_it_names_one() -> None:
    row: dict[str, Any] = {"task": "T", "label": 1, "who": None}

    assert read(row, source="chargeback") == Feedback("T", "fraud", "chargeback")
    assert read({**row, "source": "bank"}, source="") == Feedback("T", "fraud", "bank")
    assert read(row, source="") == "who is missing, and source, too"


def test_a_documented_record_comes_back_as_it_was_published() -> None:
    whole = Feedback(
        "T1", "retracted", "bank", "issuer", 0.25, "[b]x", EVENT_MS + 5, EVENT_MS,
        {"account": "C1", "terminal": "M1"}, 3, 0.75, "random_check",
    )  # fmt: skip

    assert read(decode_line(encode(whole))) == whole
    bare = Feedback("T1", "fraud", "bank")
    assert read(decode_line(encode(bare))) == bare


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"revision": NaN}', "revision is nan, which JSON does not have"),
        (b'{"a": 1, "confidence": -Infinity}', "confidence is -inf"),
        (b'{"revision": 1e400}', "revision is inf"),
        (b"{", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"fraud", "not a JSON object"),
        (b'{"a": "\xff"}', "not"),
        (b'{"a": "\\ud800"}', "not a JSON object"),
        (b'{"a":' * 100_000, "not"),
        (b"[" * 100_000, "not"),
    ],
)
def test_a_line_that_is_no_json_is_refused(line: bytes, words: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_line(line)
    assert caught.value.detail.startswith(words)


def test_what_a_file_lacks_is_said_with_the_names_that_would_do() -> None:
    assert missing_columns(["task", "is_fraud"]) == missing_columns(["transaction_id", "label"])
    assert missing_columns(["x"]) == ["transaction_id or task", "label or is_fraud"]


def test_of_refused_rows_the_first_are_kept_and_all_are_counted() -> None:
    refused = Refusals()
    for begin in range(0, 300, 15):
        refused.add(dict.fromkeys(range(begin, begin + 15), "why"))

    assert refused.count == 300
    assert list(refused.reasons) == list(range(REFUSED_COUNT_MAX))


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**9, 10**13)
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=9)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
    | st.integers(-(2**63), 2**63 - 1).map(Micros)
    | st.sampled_from(["fraud", "0", "T1", "2026-09-01", "1e999", '{"account": "x"}', "[1]", "{"])
)
values = st.recursive(
    scalars, lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(max_size=3), x, max_size=2)
)
NAMES = [*COLUMNS, "account", "entities", "entity_terminal"]


@given(st.lists(st.dictionaries(st.sampled_from([*NAMES, "v", "foo", ""]), values), max_size=4))
def test_any_value_in_any_field_is_read_or_refused_by_its_name(rows: list[dict[str, Any]]) -> None:
    found = a_reader().read(VoteRows(1, len(rows), dict(columns_of(rows))))

    assert sorted([*found.numbers, *found.refused]) == list(range(1, len(rows) + 1))
    for reason in found.refused.values():
        assert reason.split()[0] in {*NAMES, "terminal"}, reason
    for one in found.all_feedback:
        encode(one)


@given(name=st.sampled_from(NAMES), value=values)
def test_one_bad_field_refuses_its_row_alone(name: str, value: object) -> None:
    good: dict[str, object] = {"transaction_id": "T1", "label": "fraud"}
    rows: list[dict[str, object]] = [good, {**good, name: value}, good]

    found = a_reader().read(VoteRows(7, 3, dict(columns_of(rows))))

    assert {7, 9} <= set(found.numbers)
    assert 8 in found.numbers or list(found.refused) == [8]


BERLIN = FeedbackBounds.of(SchemaParams(event_time_zone="Europe/Berlin"))


@pytest.mark.parametrize(
    "column", ["event_time", "event_time_ms", "observed", "observed_ms", "time"]
)
@pytest.mark.parametrize(
    ("value", "utc"),
    [
        ("2026-09-01 12:00:00", "2026-09-01T10:00:00Z"),
        ("2026-09-01", "2026-08-31T22:00:00Z"),
        ("2026-09-01T12:00:00Z", "2026-09-01T12:00:00Z"),
        ("2026-09-01T12:00:00-01:00", "2026-09-01T13:00:00Z"),
        ("2026-10-25T02:10:00", "2026-10-25T00:10:00Z"),  # the first of two
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),  # left out: as if not yet put forward
        (LocalMicros(EVENT_MS * 1_000), "2026-09-01T08:00:00Z"),
        (Micros(EVENT_MS * 1_000), "2026-09-01T10:00:00Z"),
        (EVENT_MS, "2026-09-01T10:00:00Z"),
    ],
)
def test_a_time_without_an_offset_is_one_of_the_schema_s_zone(
    column: str, value: object, utc: str
) -> None:
    reader = FeedbackReader(BERLIN, source="x", now_ms=NOW_MS)
    row = {"transaction_id": "T1", "label": "fraud", column: value}

    (found,) = reader.read(VoteRows(1, 1, dict(columns_of([row])))).all_feedback

    expected = round(datetime.fromisoformat(utc).timestamp() * 1000)
    assert getattr(found, COLUMNS[column][0]) == expected


def test_microseconds_that_no_calendar_has_are_refused_in_every_zone() -> None:
    reader = FeedbackReader(BERLIN, source="x", now_ms=NOW_MS)
    row = {"transaction_id": "T1", "label": "fraud", "observed": LocalMicros(2**62)}

    found = reader.read(VoteRows(1, 1, dict(columns_of([row]))))

    assert "observed is after the year 9999" in found.refused[1]
