"""Amounts of many currencies in one: exact against decimals, and every refusal says why."""

from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.adapters.files import TransactionFile
from sentinel.codec.rows import RowDecoder
from sentinel.codec.schema import AMOUNT_MINOR_MAX, SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.codec.values.currencies import DECIMALS, currencies_seen
from sentinel.errors import ConfigError
from sentinel.records import Record, Transactions

RATES = {"USD": 0.5, "JPY": 0.0061, "KWD": 3.0512, "CLF": 35.1, "GBP": 1.17}
EUR = SchemaParams(currency="currency", reporting_currency="EUR", rates=RATES)
codes = st.sampled_from(["EUR", *RATES])

PUBLISHED = Path(__file__).parents[1] / "data" / "iso_4217.csv"


def value_of(amount: str, code: str) -> bytes:
    text = f'{{"transaction_id":1,"event_time":"2020-01-01T00:00:00Z","account":2,"amount":{amount}'
    return f'{text},"currency":{code}}}'.encode()


def decoded(schema: SchemaParams, *values: bytes) -> tuple[Transactions, list[str]]:
    records = [Record(i, 0, None, value) for i, value in enumerate(values)]
    rows, rejected = TransactionDecoder(schema).decode([(0, records)])
    return rows, [f"{one.error.reason}: {one.error.detail}" for one in rejected]


def minor(schema: SchemaParams, amount: str, code: str) -> int:
    rows, refused = decoded(schema, value_of(amount, f'"{code}"'))
    assert refused == []
    return int(rows.amount_minor[0])


def exact(own_minor: int, code: str, reporting: str = "EUR") -> int:
    """Of whole minor units, by decimals."""
    rate = Decimal(repr({**RATES, reporting: 1}[code]))
    unit = Decimal(own_minor).scaleb(-DECIMALS[code]) * rate
    return int(unit.scaleb(DECIMALS[reporting]).to_integral_value(ROUND_HALF_EVEN))


@given(own=st.integers(0, 10**10), code=codes)
def test_every_amount_is_the_exact_product_rounded_half_to_even(own: int, code: str) -> None:
    text = f"{Decimal(own).scaleb(-DECIMALS[code]):f}"

    assert minor(EUR, text, code) == exact(own, code)
    assert minor(EUR, f'"{text}"', code) == exact(own, code)


@given(own=st.integers(0, 10**10), code=codes)
def test_minor_units_are_those_of_their_own_currency(own: int, code: str) -> None:
    schema = SchemaParams(
        currency="currency", reporting_currency="EUR", rates=RATES, amount_format="minor"
    )

    assert minor(schema, str(own), code) == exact(own, code)


@pytest.mark.parametrize(
    ("amount", "code", "expected"),
    [
        ("12.50", "EUR", 1250),
        ("1250", "JPY", 762),  # 7.625: half to even
        ("1250.4", "JPY", 762),  # a yen has no decimals
        ("3.750", "KWD", 1144),  # 11.442
        ("3.7504", "KWD", 1144),
        ("0.01", "USD", 0),  # half a cent goes to the even one
        ("0.03", "USD", 2),
        ("0", "GBP", 0),
    ],
)
def test_decimals_are_those_of_the_currency(amount: str, code: str, expected: int) -> None:
    assert minor(EUR, amount, code) == expected


def test_the_reporting_currency_has_decimals_of_its_own() -> None:
    schema = SchemaParams(
        currency="currency", reporting_currency="JPY", amount_decimals=0, rates={"EUR": 163.93}
    )

    assert minor(schema, "12.50", "EUR") == 2049
    assert minor(schema, "1250", "JPY") == 1250


def test_a_negative_amount_is_converted_with_its_sign() -> None:
    schema = SchemaParams(
        currency="currency", reporting_currency="EUR", rates=RATES, negative_amounts="signed"
    )

    assert minor(schema, "-12.50", "GBP") == -exact(1250, "GBP")


def test_the_plain_ones_are_converted_by_the_compiled_functions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("asked msgspec")

    monkeypatch.setattr(RowDecoder, "decode", refuse)

    assert minor(EUR, "12.34", "GBP") == exact(1234, "GBP")
    assert minor(EUR, "1251", "JPY") == exact(1251, "JPY")


@pytest.mark.parametrize(
    ("amount", "code", "reason"),
    [
        ("1", '"CHF"', "bad_currency: currency is CHF, of which [schema.rates] knows nothing"),
        ("1", '"eur"', 'bad_currency: currency "eur" is none of the codes of ISO 4217'),
        ("1", '"BTC"', 'bad_currency: currency "BTC" is none of the codes of ISO 4217'),
        ("1", "978", 'bad_currency: currency "978" is none of the codes of ISO 4217'),
        ("1", '""', "bad_currency: currency is missing"),
        ("1", "null", "bad_currency: currency is missing"),
        ("1e10", '"KWD"', "bad_amount: amount is 3051200000000.0 minor units"),
        ("1e300", '"KWD"', "bad_amount: amount is nan minor units"),
        ("-1", '"EUR"', "bad_amount: amount is -100.0 minor units"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_says_why(
    amount: str, code: str, reason: str
) -> None:
    rows, (refused,) = decoded(EUR, value_of(amount, code))

    assert len(rows) == 0
    assert refused.startswith(reason)


def test_the_largest_amount_is_one_after_the_conversion() -> None:
    assert minor(EUR, "20000000000", "USD") == AMOUNT_MINOR_MAX
    assert decoded(EUR, value_of("20000000000.02", '"USD"'))[1] != []


def test_the_currency_may_be_a_category() -> None:
    schema = SchemaParams(
        currency="currency", reporting_currency="EUR", rates=RATES, categorical=("currency",)
    )

    rows, _ = decoded(schema, value_of("1", '"JPY"'), value_of("1", '"\\u0045UR"'))

    assert rows.categorical == {"currency": ["JPY", "EUR"]}
    assert decoded(EUR, value_of("1", '"JPY"'))[0].categorical == {}


def test_a_file_of_many_currencies_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    header = "transaction_id,event_time,account,amount,currency\n"
    rows = [
        "T1,2026-09-01T10:00:00Z,C1,12.50,EUR",
        "T2,2026-09-01T11:00:00Z,C1,-12.50,EUR",
        "T3,2026-09-01T12:00:00Z,C1,1250,JPY",
        "T4,2026-09-01T13:00:00Z,C1,3.750,KWD",
        'T5,2026-09-01T13:00:00Z,C1,"1,234.50",USD',
    ]
    path.write_text(header + "\n".join(rows) + "\n")
    (chunk,) = TransactionFile(path, EUR).chunks()

    found, refused = decoded(EUR, *chunk.values)

    assert found.transaction_id.strings() == ["T1", "T3", "T4"]
    assert found.amount_minor.tolist() == [1250, 762, 1144]
    assert [one.partition(":")[0] for one in refused] == ["bad_amount", "bad_amount"]
    path.write_text("transaction_id,event_time,account,amount\nT1,2026-09-01T10:00:00Z,C1,1\n")
    with pytest.raises(ConfigError, match=r"has no column \['currency'\]"):
        TransactionFile(path, EUR)


def test_the_decimals_are_those_of_the_published_list_of_iso_4217() -> None:
    lines = PUBLISHED.read_text().splitlines()[1:]
    published = {code: int(unit) for code, unit in (line.split(",") for line in lines) if unit}
    withdrawn = {"ANG", "BGN", "CUC", "HRK", "SLL", "ZWL"}

    assert {code: DECIMALS[code] for code in published} == published
    assert DECIMALS.keys() - published.keys() == withdrawn


def test_a_column_of_currencies_is_recognised() -> None:
    assert currencies_seen(["EUR", None, "JPY", "EUR", ""]) == {"EUR", "JPY"}
    assert currencies_seen(["EUR", "euro"]) == currencies_seen([]) == currencies_seen([None])
    assert currencies_seen(["EUR", "euro"]) == set()


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"currency": "currency"}, "currency .a field. and reporting_currency need each other"),
        ({"reporting_currency": "EUR"}, "need each other"),
        ({"rates": {"USD": 1.0}}, "rates need currency and reporting_currency"),
        ({"rates": {"XX": 1.0}}, r"currencies \['XX'\] are not among the codes of ISO 4217"),
        ({"reporting_currency": "Euro"}, r"currencies \['Euro'\] are not"),
        ({"rates": {"USD": 0.0}}, r"rates.USD must be in 1e-9..1e9, got 0.0"),
        ({"rates": {"USD": float("nan")}}, r"rates.USD must be in 1e-9..1e9, got nan"),
        ({"rates": {"EUR": 2.0}}, "rates.EUR must be 1: it is the reporting currency"),
        ({"reporting_currency": "JPY"}, "amount_decimals must be 0, as JPY has, got 2"),
        ({"currency": "account"}, 'currency "account" may not be an entity'),
        ({"currency": "amount"}, "fields are mapped twice"),
    ],
)
def test_settings_of_currencies_that_cannot_be_are_refused(others: Any, message: str) -> None:
    whole = {"currency": "currency", "reporting_currency": "EUR"} | others
    alone = len(others) == 1 and "need" in message
    with pytest.raises(ValueError, match=message):
        SchemaParams(**(others if alone else whole))
