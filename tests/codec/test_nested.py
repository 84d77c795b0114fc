"""Fields that lie in objects: what the compiled functions read, msgspec reads, and json.loads."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.codec.records import fields_of_line
from sentinel.codec.rows import RowDecoder
from sentinel.codec.schema import SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.records import Record
from tests.codec.mutations import NEW_YEAR
from tests.codec.test_scanning import assert_same, by_columns

SCHEMA = SchemaParams(
    transaction_id="a.id",
    event_time="t",
    event_time_format="epoch_ms",
    account="a.b.id",
    amount="a.m",
    entities={"terminal": "a.b.shop"},
    numeric=("b.n", "a.b.n"),
    boolean=("b.b",),
    categorical=("a.b.c.d", "d."),
    event_time_min="1970-01-01T00:00:00Z",
    future_s_max=1e9,
)
MISSING, REFUSED = object(), object()

Pairs = list[tuple[str, Any]]  # of an object, some keys perhaps twice


def walked(record: dict[str, Any], name: str) -> Any:
    """What stands under a name: the field so called, else what the keys of the path lead to."""
    if name in record:
        return record[name]
    *way, last = name.split(".")
    if not all((*way, last)):
        return MISSING
    for key in way:
        if (inner := record.get(key)) is None:
            return MISSING
        if not isinstance(inner, dict):
            return REFUSED
        record = inner
    return record.get(last, MISSING)


def number(value: Any) -> float | None:
    return None if value is None else float(value)


def text_of(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


# Of each column of the schema: what JSON may have there, and what is made of it.
TEXT, OPTIONAL, NUMBER = (str, int), (str, int, type(None)), (int, float, type(None))
COLUMNS: list[tuple[tuple[type, ...], Callable[[Any], Any]]] = [
    (TEXT, text_of),
    ((int, float), round),
    (TEXT, text_of),
    ((int, float, str), lambda value: round(float(value) * 100)),
    (OPTIONAL, text_of),
    (NUMBER, number),
    (NUMBER, number),
    ((bool, type(None)), number),
    *[((*OPTIONAL, bool), text_of)] * 2,
]


def expected(text: str) -> list[Any] | None:
    """The values of a record in the order of the schema's columns; None if it is refused."""
    record = json.loads(text)
    values = []
    for i, ((name, _), (kinds, made)) in enumerate(zip(SCHEMA.columns, COLUMNS, strict=True)):
        found = walked(record, name)
        found = None if found is MISSING and i >= 4 else found
        if type(found) not in kinds:
            return None
        try:
            values.append(made(found))
        except ValueError:
            return None
    usable = None not in values[:4] and values[1] >= 0 and values[3] >= 0
    return values if usable else None


def read(text: str) -> list[Any] | None:
    """What the decoder makes of it, likewise."""
    found, refused = by_columns(SCHEMA, [(0, [Record(0, 0, None, text.encode())])])
    if refused:
        return None
    numbers = [float.fromhex(found[f"number {n}"][0]) for n in ("b.n", "a.b.n", "b.b")]
    return [
        *(found["id"][0], found["time"][0], found["entity account"][0], found["amount"][0]),
        found["entity terminal"][0],
        *(None if np.isnan(x) else x for x in numbers),
        *(found[f"category {name}"][0] for name in SCHEMA.categorical),
    ]


def written(value: Any) -> str:
    """JSON of nested pairs, which may repeat a key."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return "{" + ",".join(f"{json.dumps(k)}:{written(v)}" for k, v in value) + "}"
    return json.dumps({} if value == [] else value, ensure_ascii=False)


scalars = st.sampled_from([None, True, False, 0, 1, -3, 2.5, "x", "é", "", "7", "1.5"])
arrays = st.sampled_from([[1], ["x", {"a": 1}], [[]]])
keys = st.sampled_from(
    ["a", "b", "c", "d", "id", "t", "m", "n", "shop", "a.id", "b.n", "a.b.c.d", "a.b", "d.", "x"]
)
documents = st.recursive(
    scalars | arrays | st.just({}),
    lambda inner: st.lists(st.tuples(keys, inner), min_size=1, max_size=6),
    max_leaves=12,
)


def good(number: int, *, shop: Any = "S1") -> Pairs:
    """A record as it should be."""
    inner = [("id", f"A{number}"), ("shop", shop), ("n", number / 2), ("c", [("d", "x")])]
    return [
        ("t", NEW_YEAR + number),
        ("a", [("id", number), ("m", "12.50"), ("b", inner)]),
        ("b", [("n", 1), ("b", True)]),
    ]


def replaced(value: Pairs, at: Sequence[int], other: Any) -> Pairs:
    """With another value, or one more pair, somewhere."""
    i = at[0] % (len(value) + 1)
    if i == len(value):
        return [*value, (other[0], other[1])]
    key, inner = value[i]
    deeper = isinstance(inner, list) and inner and isinstance(inner[0], tuple) and len(at) > 1
    changed = replaced(inner, at[1:], other) if deeper else other[1]
    return [*value[:i], (key, changed), *value[i + 1 :]]


changes = st.lists(
    st.tuples(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.tuples(keys, documents)),
    max_size=3,
)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), changes), min_size=1, max_size=5))
def test_any_nested_record_is_read_as_by_json_loads_and_a_walk(
    rows: list[tuple[int, list[tuple[list[int], Any]]]],
) -> None:
    texts = []
    for number, some in rows:
        record = good(number)
        for at, other in some:
            record = replaced(record, at, other)
        texts.append(written(record))

    for text in texts:
        assert read(text) == expected(text), text
    assert_same(SCHEMA, [(NEW_YEAR, text.encode()) for text in texts])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.integers(0, 150),
            st.sampled_from([*'{}[],:" \n', "", '{"id":', ',"b":', "}}", "null"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_spoilt_records_are_refused_as_by_msgspec(rows: list[tuple[int, int, str, bool]]) -> None:
    values = []
    for number, at, spoiler, is_spaced in rows:
        text = written(good(number))
        text = text.replace(":", ": ").replace("}", " }") if is_spaced else text
        values.append((NEW_YEAR, (text[:at] + spoiler + text[at + len(spoiler) // 2 :]).encode()))

    assert_same(SCHEMA, values)


def test_what_is_plain_needs_no_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [written(good(number)) for number in range(5)]
    values.append(values[0].replace('"b":', '"c":[1,{"z":{}}],"b":', 1))
    values.append(' { "a.id" : "L" , ' + values[1].replace(",", " ,\n").replace("{", "{ ")[2:])
    values.append('{"z":{"id":"other"},' + values[2].replace('{"id":"A2"', '{"n":null,"id":9')[1:])

    def refuse(*_: object) -> None:
        raise AssertionError("asked msgspec")

    monkeypatch.setattr(RowDecoder, "decode", refuse)
    records = [Record(i, 0, None, value.encode()) for i, value in enumerate(values)]
    rows, _ = TransactionDecoder(SCHEMA).decode([(0, records)])

    assert rows.transaction_id == ["0", "1", "2", "3", "4", "0", "L", "2"]
    assert rows.entities["account"] == ["A0", "A1", "A2", "A3", "A4", "A0", "A1", "9"]
    assert rows.entities["terminal"] == ["S1"] * 8
    assert rows.categorical["a.b.c.d"] == ["x"] * 8
    assert rows.amount_minor.tolist() == [1250] * 8


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"a": [{"id": 1}]}, "a.id: an array stands at a, no object"),
        ({"a": {"id": 1, "m": 1, "b": [1]}}, "a.b.id: an array stands at a.b, no object"),
        ({"a": "x"}, "a.id: a text stands at a, no object"),
        ({"a": 5}, "a.id: a number stands at a, no object"),
        ({"a": None}, "Object missing required field `a.id`"),
        ({"a": {"id": None}}, "Expected `int | str`, got `null` - at `$.a.id`"),
    ],
)
def test_a_reason_names_the_field_and_what_stands_in_its_way(
    record: dict[str, Any], told: str
) -> None:
    value = json.dumps(record).encode()

    _, (rejected,) = TransactionDecoder(SCHEMA).decode([(0, [Record(0, 0, None, value)])])

    assert rejected.error.detail == told


@pytest.mark.parametrize(
    "value", [b'{"a":' * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"a":{"b":{}}}']
)
def test_no_depth_ends_the_reader(value: bytes) -> None:
    rows, (rejected,) = TransactionDecoder(SCHEMA).decode([(0, [Record(0, 0, None, value)])])

    assert len(rows) == 0
    assert rejected.error.reason in ("not_json", "missing_field")
    assert fields_of_line(value, ["a.b.c.d"], "").kept in (value, b"{}")


def test_a_line_of_a_file_keeps_what_paths_lead_to_and_no_label() -> None:
    line = b'{"a": {"id": 1.50, "fraud": 1, "b": [ {"fraud": 1} ]}, "b.n": 2, "b": {"n": 3}}'

    found = fields_of_line(line, ["a.id", "b.n", "a.b.c.d", "a.none", "x.y"], "a.fraud")

    assert found.kept == b'{"a.id":1.50,"b.n":2,"a":{"b":[ {"fraud": 1} ]}}'
    assert found.label == "1"
    assert found.names == ["a", "b.n", "b", "a.id", "a.fraud"]


def test_a_field_that_holds_others_is_refused() -> None:
    with pytest.raises(ValueError, match=r'"a\.b\.c" leads into "a", which is a field itself'):
        SchemaParams(account="a", numeric=("a.b.c",))
