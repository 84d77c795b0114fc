"""The user's transactions: what is read, what is refused and why; nobody pays for another."""

import json
import math
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.codec.schema import AMOUNT_MINOR_MAX, SchemaParams, rfc3339_ms
from sentinel.codec.transactions import TransactionDecoder
from sentinel.records import Record, Transactions

NEW_YEAR = 1_577_836_800_000  # 2020-01-01T00:00:00Z

DEFAULT = SchemaParams()
FULL = SchemaParams(
    entities={"terminal": "shop"},
    numeric=("distance",),
    boolean=("contactless",),
    categorical=("country",),
)


def transaction(**fields: Any) -> bytes:
    """A good one, but for `fields`; None leaves a field out."""
    whole = {
        "transaction_id": "T1",
        "event_time": "2020-01-01T00:00:00Z",
        "account": "A1",
        "amount": 12.34,
    } | fields
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def raw(**fields: bytes) -> bytes:
    """A good one, but for `fields`, given as they stand in the JSON."""
    whole = {
        "transaction_id": b'"T1"',
        "event_time": b'"2020-01-01T00:00:00Z"',
        "account": b'"A1"',
        "amount": b"12.34",
    } | fields
    return b"{" + b",".join(f'"{n}":'.encode() + v for n, v in whole.items()) + b"}"


def decoded(
    values: Sequence[bytes | None], schema: SchemaParams = DEFAULT, *, stamp_ms: int = 0
) -> tuple[Transactions, dict[int, str]]:
    """The rows, and for each record that was refused its reason."""
    records = [Record(100 + i, stamp_ms, None, value) for i, value in enumerate(values)]
    pieces = [(i % 3, [record]) for i, record in enumerate(records)]
    rows, rejected = TransactionDecoder(schema).decode(pieces)
    assert len({r.index for r in rejected}) == len(rejected)
    return rows, {r.index: r.error.reason for r in rejected}


def one(value: bytes, schema: SchemaParams = DEFAULT, *, stamp_ms: int = 0) -> Transactions:
    rows, rejected = decoded([value], schema, stamp_ms=stamp_ms)
    assert rejected == {}
    return rows


def reason(value: bytes | None, schema: SchemaParams = DEFAULT, *, stamp_ms: int = 0) -> str:
    rows, rejected = decoded([value], schema, stamp_ms=stamp_ms)
    assert len(rows) == 0
    return rejected[0]


def test_a_transaction_becomes_columns() -> None:
    value = transaction(shop="M1", distance=2.5, contactless=True, country="FR", unknown={"a": [1]})

    rows = one(value, FULL)

    assert rows.transaction_id == ["T1"]
    assert rows.event_time_ms.tolist() == [NEW_YEAR]
    assert rows.amount_minor.tolist() == [1234]
    assert rows.entities == {"account": ["A1"], "terminal": ["M1"]}
    assert {name: column.tolist() for name, column in rows.numeric.items()} == {
        "distance": [2.5],
        "contactless": [1.0],
    }
    assert rows.categorical == {"country": ["FR"]}
    assert rows.offset.tolist() == [100]


def test_what_is_optional_may_be_missing_null_or_empty() -> None:
    values = [transaction(), transaction(shop=None, distance=None, contactless=None, country=None)]
    values.append(transaction(shop="", country=""))

    rows, rejected = decoded(values, FULL)

    assert rejected == {}
    assert rows.entities["terminal"] == [None, None, None]
    assert rows.categorical["country"] == [None, None, None]
    assert np.isnan(rows.numeric["distance"]).all()
    assert np.isnan(rows.numeric["contactless"]).all()


def test_no_records_are_no_rows() -> None:
    rows, rejected = decoded([], FULL)

    assert (len(rows), rejected) == (0, {})
    assert rows.event_time_ms.dtype == rows.amount_minor.dtype == np.int64
    assert rows.numeric["distance"].shape == (0,)


@pytest.mark.parametrize(
    ("time_format", "text", "expected_ms"),
    [
        ("rfc3339", b'"2020-01-01T00:00:00Z"', NEW_YEAR),
        ("rfc3339", b'"2020-01-01T00:00:00.1234567Z"', NEW_YEAR + 123),
        ("rfc3339", b'"2020-01-01T02:00:00+02:00"', NEW_YEAR),
        ("rfc3339", b'"2019-12-31T19:00:00-05:00"', NEW_YEAR),
        ("rfc3339", b'"2020-01-01T00:00:00"', NEW_YEAR),
        ("rfc3339", b'"2020-01-01 00:00:00"', NEW_YEAR),
        ("epoch_s", b"1577836800", NEW_YEAR),
        ("epoch_s", b"1577836800.0015", NEW_YEAR + 2),
        ("epoch_ms", b"1577836800000", NEW_YEAR),
        ("epoch_ms", b"1577836800000.0", NEW_YEAR),
        ("epoch_ms", b"1.5778368e12", NEW_YEAR),
    ],
)
def test_every_format_of_time_is_read(time_format: Any, text: bytes, expected_ms: int) -> None:
    schema = SchemaParams(event_time_format=time_format)

    assert one(raw(event_time=text), schema).event_time_ms.tolist() == [expected_ms]


def test_a_time_without_an_offset_is_utc_wherever_we_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    assert one(raw(event_time=b'"2020-07-01T00:00:00"')).event_time_ms[0] == rfc3339_ms(
        "2020-07-01"
    )


@pytest.mark.parametrize(
    ("time_format", "text", "expected"),
    [
        ("rfc3339", b'"1999-12-31T23:59:59Z"', "bad_time"),
        ("rfc3339", b'"0001-01-01T00:00:00+23:59"', "bad_time"),
        ("rfc3339", b'"9999-12-31T23:59:59-23:59"', "bad_time"),
        ("rfc3339", b'"2020-01-01"', "wrong_type"),
        ("rfc3339", b'"2020-13-01T00:00:00Z"', "wrong_type"),
        ("rfc3339", b"1577836800", "wrong_type"),
        ("epoch_s", b'"1577836800"', "wrong_type"),
        ("epoch_s", b"1577836800000", "bad_time"),
        ("epoch_s", b"1e308", "bad_time"),
        ("epoch_s", b"-5", "bad_time"),
        ("epoch_ms", b"1577836800", "bad_time"),
        ("epoch_ms", b"1e300", "bad_time"),
        ("epoch_ms", b"null", "wrong_type"),
    ],
)
def test_a_time_that_cannot_be_is_refused(time_format: Any, text: bytes, expected: str) -> None:
    schema = SchemaParams(event_time_format=time_format)

    assert reason(raw(event_time=text), schema) == expected


def test_a_time_may_be_a_little_ahead_of_its_record_and_no_more() -> None:
    schema = SchemaParams(future_s_max=60.0)

    assert len(one(transaction(), schema, stamp_ms=NEW_YEAR - 60_000)) == 1
    assert reason(transaction(), schema, stamp_ms=NEW_YEAR - 60_001) == "bad_time"
    assert len(one(transaction(), schema, stamp_ms=-1)) == 1, "a record without a time"


@pytest.mark.parametrize(
    ("text", "expected_minor"),
    [
        (b"0", 0),
        (b"-0.0", 0),
        (b"12", 1200),
        (b"12.34", 1234),
        (b"0.29", 29),
        (b'"12.34"', 1234),
        (b'" 12.34 "', 1234),
        (b'"1e3"', 100_000),
        (b"0.125", 12),  # half to even
        (b"0.375", 38),
        (b"1e10", AMOUNT_MINOR_MAX),
    ],
)
def test_a_decimal_amount_becomes_minor_units(text: bytes, expected_minor: int) -> None:
    assert one(raw(amount=text)).amount_minor.tolist() == [expected_minor]


@given(minor=st.integers(0, AMOUNT_MINOR_MAX), decimals=st.integers(0, 4), as_text=st.booleans())
def test_an_amount_with_all_its_decimals_is_exact(minor: int, decimals: int, as_text: bool) -> None:
    schema = SchemaParams(amount_decimals=decimals)
    text = f"{Decimal(minor).scaleb(-decimals):f}".encode()

    rows = one(raw(amount=b'"' + text + b'"' if as_text else text), schema)

    assert rows.amount_minor.tolist() == [minor]


@given(eighths=st.integers(0, 10**6))
def test_an_amount_between_two_units_goes_to_the_even_one(eighths: int) -> None:
    """Eighths are exact in binary, so that the ties are real ones."""
    expected = (Decimal(eighths) / 8 * 100).to_integral_value(ROUND_HALF_EVEN)

    assert one(transaction(amount=eighths / 8)).amount_minor.tolist() == [int(expected)]


def test_minor_units_are_whole_numbers_and_nothing_else() -> None:
    schema = SchemaParams(amount_format="minor")

    assert one(raw(amount=b"1234"), schema).amount_minor.tolist() == [1234]
    for text in (b"12.34", b'"1234"', b"true", b"9" * 30):
        assert reason(raw(amount=text), schema) == "wrong_type"
    assert reason(raw(amount=b"-1"), schema) == "bad_amount"
    assert reason(raw(amount=b"1000000000001"), schema) == "bad_amount"


@pytest.mark.parametrize(
    "text",
    [
        b"-0.01",
        b"10000000000.01",
        b"1e308",
        b'"nan"',
        b'"inf"',
        b'"1e999"',
        b'""',
        b'"12,34"',
        b'"1_000"',
        '"١٢"'.encode(),
        b'"0x10"',
    ],
)
def test_an_amount_that_cannot_be_is_refused(text: bytes) -> None:
    assert reason(raw(amount=text)) == "bad_amount"


def test_identifiers_may_be_numbers() -> None:
    value = transaction(transaction_id=7, account=2**70, shop=-3, country=33)

    rows = one(value, FULL)

    assert rows.transaction_id == ["7"]
    assert rows.entities == {"account": [str(2**70)], "terminal": ["-3"]}
    assert rows.categorical == {"country": ["33"]}


def test_true_is_a_category_and_no_identifier() -> None:
    assert one(transaction(country=True), FULL).categorical == {"country": ["true"]}
    assert one(transaction(country=False), FULL).categorical == {"country": ["false"]}
    assert reason(transaction(account=True)) == "wrong_type"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "tombstone"),
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"hello", "not_json"),
        (b"\xff\xfe", "not_json"),
        (raw(account=b'"\xff"'), "not_json"),
        (raw(account=b'"\\ud800"'), "not_json"),
        (raw(amount=b"NaN"), "not_json"),
        (raw(amount=b"012"), "not_json"),
        (raw() + b"x", "not_json"),
        (b"null", "wrong_type"),
        (b"[]", "wrong_type"),
        (raw(account=b"null"), "wrong_type"),
        (raw(account=b"[]"), "wrong_type"),
        (raw(transaction_id=b"1.5"), "wrong_type"),
        (raw(amount=b"true"), "wrong_type"),
        (raw(amount=b"1e999"), "wrong_type"),
        (b"{}", "missing_field"),
        (transaction(account=...), "missing_field"),
        (transaction(transaction_id=""), "bad_id"),
        (transaction(account=""), "bad_id"),
        (transaction(account="a" * 257), "bad_id"),
        (transaction(transaction_id="a" * 257), "bad_id"),
        (transaction(pad="a" * 1_048_576), "too_large"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_for_its_reason(
    value: bytes | None, expected: str
) -> None:
    assert reason(value) == expected


def test_the_longest_identifier_is_accepted_and_one_more_character_is_not() -> None:
    for name in ("transaction_id", "account", "shop"):
        assert len(one(transaction(**{name: "é" * 256}), FULL)) == 1
        assert reason(transaction(**{name: "é" * 257}), FULL) == "bad_id"


@pytest.mark.parametrize("nested", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000])
def test_nesting_without_end_is_refused(nested: bytes) -> None:
    assert reason(raw(unknown=nested)) == "not_json"
    assert reason(nested) in {"not_json", "wrong_type"}


@pytest.mark.parametrize("name", ["transaction_id", "account", "amount", "shop", "country"])
@pytest.mark.parametrize("text", [b"9" * 5_000, b"-" + b"9" * 100_000, b"1" + b"0" * 4_300])
def test_an_integer_without_end_is_refused(name: str, text: bytes) -> None:
    assert reason(raw(**{name: text}), FULL) in {"wrong_type", "bad_id"}


def test_an_integer_without_end_in_an_unknown_field_is_nothing_to_us() -> None:
    assert len(one(raw(unknown=b"9" * 100_000))) == 1


def test_the_last_of_a_repeated_key_counts() -> None:
    assert one(raw()[:-1] + b',"amount":5}').amount_minor.tolist() == [500]


def test_nul_is_a_character_like_any_other() -> None:
    rows = one(raw(account=b'"a\\u0000"', transaction_id=b'"\\u0000"'))

    assert rows.entities["account"] == ["a\0"]
    assert rows.transaction_id == ["\0"]


def test_the_record_and_its_place_stay_together() -> None:
    values = [transaction(transaction_id=str(i)) for i in range(10)]
    values[3], values[7] = b"garbage", transaction(amount=-1)

    rows, rejected = decoded(values)

    assert rejected == {3: "not_json", 7: "bad_amount"}
    assert rows.transaction_id == ["0", "1", "2", "4", "5", "6", "8", "9"]
    assert rows.offset.tolist() == [100, 101, 102, 104, 105, 106, 108, 109]
    assert rows.partition.tolist() == [0, 1, 2, 1, 2, 0, 2, 0]


good = st.builds(
    transaction,
    transaction_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    account=st.integers(0, 99),
    amount=st.integers(0, 10**6).map(lambda minor: minor / 100),
    shop=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    distance=st.none() | st.floats(-1e9, 1e9),
    country=st.none() | st.booleans() | st.integers() | st.text("ab"),
)
garbage = st.one_of(
    st.none(),
    st.binary(max_size=30),
    st.sampled_from(
        [
            transaction(amount=-1),
            transaction(account=""),
            transaction(event_time="1990-01-01T00:00:00Z"),
            transaction(account=...),
            transaction(account="x" * 300, amount=-1),
            raw(unknown=b"[" * 5_000),
            raw(country=b"9" * 5_000),
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.tuples(st.booleans(), good, garbage), max_size=20))
def test_a_bad_record_never_costs_a_neighbour(
    values: list[tuple[bool, bytes, bytes | None]],
) -> None:
    mixed = [fine if is_good else bad for is_good, fine, bad in values]
    alone = [one(fine, FULL) for is_good, fine, _ in values if is_good]

    rows, rejected = decoded(mixed, FULL)

    at = [i for i, (is_good, _, _) in enumerate(values) if is_good]
    assert sorted([*at, *rejected]) == list(range(len(values)))
    assert rows.offset.tolist() == [100 + i for i in at]
    assert rows.transaction_id == [x.transaction_id[0] for x in alone]
    assert rows.amount_minor.tolist() == [x.amount_minor[0] for x in alone]
    assert rows.entities["account"] == [x.entities["account"][0] for x in alone]
    assert rows.entities["terminal"] == [x.entities["terminal"][0] for x in alone]
    assert rows.categorical["country"] == [x.categorical["country"][0] for x in alone]
    expected = [x.numeric["distance"][0] for x in alone]
    assert np.array_equal(rows.numeric["distance"], expected, equal_nan=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
any_transaction = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("transaction_id", "event_time", "account", "amount", "shop", "distance"), json_values
    ),
).map(lambda value: json.dumps(value).encode())


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.binary(max_size=60) | any_transaction, max_size=5), epoch=st.booleans())
def test_nothing_that_is_sent_to_us_raises(values: list[bytes], epoch: bool) -> None:
    schema = SchemaParams(
        entities={"terminal": "shop"},
        numeric=("distance",),
        event_time_format="epoch_s" if epoch else "rfc3339",
        amount_format="minor" if epoch else "decimal",
    )

    rows, rejected = decoded(values, schema)

    assert len(rows) + len(rejected) == len(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"event_time_format": "iso"}, "event_time_format"),
        ({"amount_format": "cents"}, "amount_format"),
        ({"amount_decimals": 5}, r"amount_decimals must be in 0\.\.4, got 5"),
        ({"id_length_max": 0}, r"id_length_max must be in 1\.\.4096, got 0"),
        ({"record_bytes_max": 10}, "record_bytes_max"),
        ({"future_s_max": -1.0}, "future_s_max"),
        ({"future_s_max": math.nan}, "future_s_max"),
        ({"entities": {"account": "x"}}, '"account" has its own key'),
        ({"event_time_min": "yesterday"}, '"yesterday" is not an RFC 3339 time'),
        ({"numeric": ("amount",)}, r"mapped twice: \['amount'\]"),
        ({"entities": {"a": "x", "b": "x"}}, r"mapped twice: \['x'\]"),
        ({"account": ""}, "names of fields"),
        ({"account": 'a"b'}, "names of fields"),
        ({"account": "a\\b"}, "names of fields"),
        ({"account": "a\nb"}, "names of fields"),
    ],
)
def test_a_schema_that_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SchemaParams(**values)


def test_fields_may_have_any_printable_name() -> None:
    schema = SchemaParams(account="numéro de compte", numeric=("f0", "f1"))

    rows = one(
        transaction(account=..., **{"numéro de compte": "A", "f0": 1, "f1": 2}),
        schema,
    )

    assert rows.entities["account"] == ["A"]
    assert (rows.numeric["f0"][0], rows.numeric["f1"][0]) == (1.0, 2.0)


def test_a_field_may_be_an_entity_and_a_category() -> None:
    schema = SchemaParams(entities={"terminal": "shop"}, categorical=("country", "shop", "account"))
    escaped = transaction(shop="M1", country="FR").replace(b'"M1"', b'"M\\u0032"')

    rows, rejected = decoded([transaction(shop=7, country=True), escaped, transaction()], schema)

    assert rejected == {}
    assert rows.entities == {"account": ["A1"] * 3, "terminal": ["7", "M2", None]}
    assert rows.categorical == {
        "country": ["true", "FR", None],
        "shop": ["7", "M2", None],
        "account": ["A1"] * 3,
    }


@pytest.mark.parametrize(
    "others",
    [
        {"categorical": ("account", "account")},
        {"categorical": ("transaction_id",)},
        {"categorical": ("shop",), "numeric": ("shop",)},
        {"categorical": ("amount",)},
        {"entities": {"terminal": "shop", "device": "shop"}, "categorical": ("shop",)},
        {"entities": {"terminal": "account"}},
    ],
)
def test_no_other_field_may_be_two_things(others: Any) -> None:
    with pytest.raises(ValueError, match="fields are mapped twice"):
        SchemaParams(**others)


@pytest.mark.parametrize(
    ("rule", "expected"), [("refuse", [500]), ("zero", [0, 0, 500]), ("signed", [-1250, -1, 500])]
)
@pytest.mark.parametrize("text", [b"-12.50", b'"-12.50"', b"-1250e-2"])
def test_a_negative_amount_goes_by_the_rule(rule: Any, expected: list[int], text: bytes) -> None:
    schema = SchemaParams(negative_amounts=rule)
    values = [raw(amount=text), raw(amount=b"-0.01"), raw(amount=b"5")]

    rows, rejected = decoded(values, schema)

    assert rows.amount_minor.tolist() == expected
    assert rejected == ({0: "bad_amount", 1: "bad_amount"} if rule == "refuse" else {})


@pytest.mark.parametrize("rule", ["zero", "signed"])
def test_a_negative_amount_has_the_same_limits(rule: Any) -> None:
    schema = SchemaParams(negative_amounts=rule, amount_format="minor")

    assert len(one(raw(amount=b"-1000000000000"), schema)) == 1
    assert reason(raw(amount=b"-1000000000001"), schema) == "bad_amount"
