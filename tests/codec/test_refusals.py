"""Each way of refusing a record names the field that is wrong, its value, and what it may be."""

import json
from typing import Any

import pytest

from sentinel.codec.schema import SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.codec.values.refusals import fault
from sentinel.records import Record

SCHEMA = SchemaParams(
    entities={"shop": "shop_id"},
    numeric=("distance",),
    boolean=("online",),
    categorical=("country",),
)
RIGHT: dict[str, Any] = {
    "transaction_id": "T1",
    "event_time": "2026-03-01T12:00:00Z",
    "account": "A1",
    "amount": 12.5,
    "shop_id": "S1",
    "distance": 1.5,
    "online": True,
    "country": "DE",
}


def refused(value: bytes, schema: SchemaParams = SCHEMA) -> tuple[str, str, str]:
    _, [rejected] = TransactionDecoder(schema).decode([(0, [Record(0, 0, None, value)])])
    found = fault(schema, value, rejected.error)
    assert found.reason == rejected.error.reason
    return found.field, found.value, found.allowed


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("transaction_id", "", "a text of 1 to 256 characters, or a whole number"),
        ("transaction_id", None, "a text of 1 to 256 characters, or a whole number"),
        ("event_time", "yesterday", "a time such as 2026-03-01T12:00:00Z, not before 2000"),
        ("event_time", "1999-12-31T23:59:59Z", "a time such as 2026-03-01T12:00:00Z"),
        ("account", 1.5, "a text of 1 to 256 characters, or a whole number"),
        ("account", "x" * 257, "a text of 1 to 256 characters"),
        ("amount", -1, "a number from 0 to 10,000,000,000"),
        ("amount", "12,50", "a number from 0 to 10,000,000,000"),
        ("amount", [1], "a number from 0 to"),
        ("shop_id", "x" * 257, "a text of at most 256 characters, a whole number, or nothing"),
        ("distance", "far", "a number, or nothing"),
        ("online", "maybe", "true or false, or nothing"),
        ("country", 1.5, "a text, a whole number, true, false, or nothing"),
        ("country", {"code": "DE"}, "a text, a whole number, true, false, or nothing"),
    ],
)
def test_a_value_that_is_wrong_is_shown_with_what_is_allowed(
    field: str, value: Any, allowed: str
) -> None:
    record = json.dumps(RIGHT | {field: value}, separators=(",", ":")).encode()

    found = refused(record)

    assert found[0] == field
    assert json.dumps(value, separators=(",", ":")).startswith(found[1].removesuffix("…"))
    assert found[2].startswith(allowed)
    assert len(found[1]) <= 61


@pytest.mark.parametrize("field", ["transaction_id", "event_time", "account", "amount"])
def test_a_field_that_is_not_there_has_no_value(field: str) -> None:
    record = {name: value for name, value in RIGHT.items() if name != field}

    assert refused(json.dumps(record).encode())[:2] == (field, "")


@pytest.mark.parametrize("record", [b"garbage", b"[1]", b"null", b'{"a":', b"\xff"])
def test_what_is_no_object_is_shown_as_a_whole(record: bytes) -> None:
    field, value, allowed = refused(record)

    assert field == ""
    assert value == record.decode(errors="replace")
    assert allowed


def test_minor_units_and_steps_say_what_they_are() -> None:
    schema = SchemaParams(
        amount_format="minor",
        event_time_format="steps",
        event_time_origin="2026-01-01T00:00:00Z",
    )
    record = {"transaction_id": 1, "event_time": 5, "account": 1, "amount": 12.5}

    assert refused(json.dumps(record).encode(), schema) == (
        "amount",
        "12.5",
        "a whole number of minor units from 0 to 1,000,000,000,000",
    )
    field, _, allowed = refused(
        json.dumps(record | {"amount": 1, "event_time": "x"}).encode(), schema
    )
    assert field == "event_time"
    assert '"steps"' in allowed
