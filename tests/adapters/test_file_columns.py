"""The same transactions, however a file types its columns."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.adapters.files import TransactionFile
from sentinel.codec.schema import SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.errors import ConfigError
from sentinel.records import Record, Transactions
from sentinel.texts import Texts

SCHEMA = SchemaParams(
    entities={"terminal": "terminal"},
    numeric=("distance",),
    boolean=("contactless",),
    categorical=("country", "chip"),
)
START = datetime(2024, 5, 1, tzinfo=UTC)


def row(number: int = 1, **others: Any) -> dict[str, Any]:
    return {
        "transaction_id": number,
        "event_time": START,
        "account": 42,
        "amount": 12.5,
        "terminal": 7,
        "distance": 1.5,
        "contactless": True,
        "country": "FR",
        "chip": True,
    } | others


def decoded(path: Path, schema: SchemaParams = SCHEMA) -> tuple[Transactions, list[str]]:
    """The usable rows of a file, and why the others are refused."""
    values = [v for chunk in TransactionFile(path, schema).chunks() for v in chunk.values]
    records = [Record(i, 0, None, value) for i, value in enumerate(values)]
    rows, rejected = TransactionDecoder(schema).decode([(0, records)])
    return rows, [str(one.error.detail) for one in rejected]


def as_lists(rows: Transactions) -> list[Any]:
    numbers = [rows.event_time_ms, rows.amount_minor, *rows.numeric.values()]
    texts = [rows.transaction_id, *rows.entities.values(), *rows.categorical.values()]
    known = [[None if np.isnan(x) else float(x) for x in column] for column in numbers]
    return [*known, *(listed(column) for column in texts)]


def listed(column: Texts) -> list[str | None]:
    return [column[i] for i in range(len(column))]


def parquet(path: Path, rows: Sequence[dict[str, Any]], **kinds: Any) -> Path:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame.with_columns(pl.col(n).cast(k) for n, k in kinds.items()).write_parquet(path)
    return path


def pandas_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """As another library writes it: True, and nothing where there is no value."""
    lines = [",".join(rows[0])]
    for one in rows:
        cells = [x.isoformat() if isinstance(x, datetime) else x for x in one.values()]
        lines.append(",".join("" if x is None else str(x) for x in cells))
    path.write_text("\n".join(lines) + "\n")
    return path


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    texts = [json.dumps(one, default=datetime.isoformat) for one in rows]
    path.write_text("\n".join(texts) + "\n")
    return path


WRITE: dict[str, Callable[[Path, Sequence[dict[str, Any]]], Path]] = {
    "parquet": parquet,
    "csv": pandas_csv,
    "jsonl": jsonl,
}
some_rows = st.lists(
    st.builds(
        row,
        number=st.integers(0, 2**53),
        event_time=st.integers(0, 10**9).map(lambda s: START + timedelta(milliseconds=s)),
        account=st.integers(0, 2**53),
        amount=st.integers(0, 10**9).map(lambda minor: minor / 100),
        terminal=st.none() | st.integers(0, 999),
        distance=st.none() | st.floats(-1e9, 1e9),
        contactless=st.none() | st.booleans(),
        country=st.sampled_from(["FR", "DE", "033", None]),
        chip=st.none() | st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_rows)
def test_the_same_rows_are_the_same_transactions_in_every_format(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    found = [decoded(write(tmp_path / f"rows.{kind}", rows)) for kind, write in WRITE.items()]

    assert [refused for _, refused in found] == [[], [], []]
    first, *others = [as_lists(transactions) for transactions, _ in found]
    assert others == [first, first]
    assert len(found[0][0]) == len(rows)


@pytest.mark.parametrize(
    "kind", [pl.Float64, pl.Float32, pl.Decimal(12, 0), pl.Decimal(12, 3), pl.Int8, pl.String]
)
def test_a_whole_number_is_one_identifier_whatever_its_type(tmp_path: Path, kind: Any) -> None:
    kinds = dict.fromkeys(("account", "transaction_id", "terminal"), kind)
    rows, refused = decoded(parquet(tmp_path / "a.parquet", [row()], **kinds))

    assert refused == []
    assert rows.transaction_id.strings() == ["1"]
    assert rows.entities["account"].strings() == ["42"]
    assert rows.entities["terminal"].strings() == ["7"]


def test_bytes_are_the_text_that_they_hold(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", [row(account=b"caf\xc3\xa9"), row(account=b"\xff\xfe")])
    rows, refused = decoded(path)

    assert rows.entities["account"].strings() == ["café", "fffe"]
    assert refused == []


@pytest.mark.parametrize("value", [Decimal("1250.00"), 1250.0, 1250, "1250"])
def test_minor_units_have_many_types(tmp_path: Path, value: Any) -> None:
    schema = SchemaParams(amount_format="minor")
    rows, refused = decoded(parquet(tmp_path / "a.parquet", [row(amount=value)]), schema)

    assert (rows.amount_minor.tolist(), refused) == ([1250], [])


def test_a_part_of_a_minor_unit_is_refused_as_it_is_written(tmp_path: Path) -> None:
    schema = SchemaParams(amount_format="minor")
    path = parquet(tmp_path / "a.parquet", [row(amount=12.5), row(amount=13.0)])
    rows, (refused,) = decoded(path, schema)

    assert rows.amount_minor.tolist() == [13]
    assert "amount" in refused


YES = ["true", "True", "TRUE", "t", "T", "1", "y", "Y", "yes", "1.0"]
NO = ["false", "False", "FALSE", "f", "F", "0", "n", "N", "no", "0.0"]


@pytest.mark.parametrize(("text", "value"), [(x, 1.0) for x in YES] + [(x, 0.0) for x in NO])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_yes_and_no_are_spelt_in_many_ways(
    tmp_path: Path, kind: str, text: str, value: float
) -> None:
    rows, refused = decoded(WRITE[kind](tmp_path / f"a.{kind}", [row(contactless=text)]))

    assert refused == []
    assert rows.numeric["contactless"].tolist() == [value]


@pytest.mark.parametrize("marker", ["", "NaN", "nan", "NA", "N/A", "null", "NULL", "\\N"])
def test_a_marker_of_a_csv_is_no_value(tmp_path: Path, marker: str) -> None:
    names = ("terminal", "distance", "contactless", "country", "chip")
    without = [row() | dict.fromkeys(names, marker)]
    rows, refused = decoded(pandas_csv(tmp_path / "a.csv", without))

    assert refused == []
    assert listed(rows.entities["terminal"]) == listed(rows.categorical["country"]) == [None]
    assert np.isnan(rows.numeric["distance"]).all()
    assert np.isnan(rows.numeric["contactless"]).all()


@pytest.mark.parametrize("blank", ["\n", "\n\n", ",,,,,,,,\n"])
def test_a_blank_line_is_no_row(tmp_path: Path, blank: str) -> None:
    path = pandas_csv(tmp_path / "a.csv", [row(1), row(2)])
    header, first, second = path.read_text().splitlines(keepends=True)
    path.write_text(header + first + blank + second + blank)

    rows, refused = decoded(path)

    assert (rows.transaction_id.strings(), refused) == (["1", "2"], [])
    assert TransactionFile(path, SCHEMA).row_count() == 2


def test_a_path_is_a_path_and_no_pattern(tmp_path: Path) -> None:
    for kind, write in WRITE.items():
        write(tmp_path / f"tx1.{kind}", [row(1)])
        path = write(tmp_path / f"tx[1].{kind}", [row(2), row(3)])

        assert decoded(path)[0].transaction_id.strings() == ["2", "3"]


@pytest.mark.parametrize("name", ["A.PARQUET", "a.CSV", "a.ndjson", "a.JSONL"])
def test_an_ending_may_be_written_in_capitals(tmp_path: Path, name: str) -> None:
    kind = name.lower().rpartition(".")[2].replace("ndjson", "jsonl")

    assert len(decoded(WRITE[kind](tmp_path / name, [row()]))[0]) == 1


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_mark_of_the_byte_order_is_no_part_of_the_first_line(tmp_path: Path, kind: str) -> None:
    path = WRITE[kind](tmp_path / f"a.{kind}", [row(1), row(2)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert decoded(path)[0].transaction_id.strings() == ["1", "2"]


def test_a_packed_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.zst"
    frame = pl.read_csv(pandas_csv(tmp_path / "a.csv", [row()]), infer_schema=False)
    frame.lazy().sink_csv(path, compression="zstd")

    assert decoded(path)[0].transaction_id.strings() == ["1"]


@pytest.mark.parametrize("column", ["amount", "terminal", "chip"])
def test_a_label_among_the_inputs_is_refused(tmp_path: Path, column: str) -> None:
    path = jsonl(tmp_path / "a.jsonl", [row()])
    with pytest.raises(ConfigError, match=f"{column} is a field of"):
        TransactionFile(path, SCHEMA, label_column=column)


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_a_part_of_a_millisecond_is_rounded_as_that_of_a_text(tmp_path: Path, unit: Any) -> None:
    times = [START + timedelta(microseconds=us) for us in (400, 600, 1_499, 1_501, 999_999)]
    rows = [row(i, event_time=time) for i, time in enumerate(times)]
    kind = pl.Datetime(unit, "UTC")

    typed, _ = decoded(parquet(tmp_path / "a.parquet", rows, event_time=kind))
    text, _ = decoded(jsonl(tmp_path / "a.jsonl", rows))

    assert typed.event_time_ms.tolist() == text.event_time_ms.tolist()


NESTED = SchemaParams(
    transaction_id="after.id",
    event_time="after.at",
    account="after.card.number",
    amount="after.amount.value",
    categorical=("op", "after.amount.currency"),
)


def change(number: int, **others: Any) -> dict[str, Any]:
    """A change record."""
    after = {
        "id": f"T{number}",
        "at": START.isoformat(),
        "card": {"number": number % 2},
        "amount": {"value": number + 0.5, "currency": "EUR"},
    }
    return {"op": "c", "before": None, "after": after | others, "fraud": {"is": number % 2}}


def flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    """With the paths as names."""
    found: dict[str, Any] = {}
    for name, inner in value.items():
        deeper = flat(inner, f"{before}{name}.") if isinstance(inner, dict) else None
        found |= {f"{before}{name}": inner} if deeper is None else deeper
    return found


def test_what_lies_in_objects_is_the_same_from_every_file(tmp_path: Path) -> None:
    rows = [change(0), change(1, card={"number": 7}, amount={"value": 2.5, "currency": None})]

    found = [
        decoded(jsonl(tmp_path / "nested.jsonl", rows), NESTED),
        decoded(parquet(tmp_path / "nested.parquet", rows), NESTED),
        decoded(jsonl(tmp_path / "flat.jsonl", [flat(one) for one in rows]), NESTED),
        decoded(parquet(tmp_path / "flat.parquet", [flat(one) for one in rows]), NESTED),
        decoded(pandas_csv(tmp_path / "flat.csv", [flat(one) for one in rows]), NESTED),
    ]

    assert [refused for _, refused in found] == [[]] * 5
    first, *others = [as_lists(transactions) for transactions, _ in found]
    assert others == [first] * 4
    assert listed(found[0][0].entities["account"]) == ["0", "7"]
    assert listed(found[0][0].categorical["after.amount.currency"]) == ["EUR", None]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_label_may_lie_in_an_object_as_well(tmp_path: Path, kind: str) -> None:
    path = WRITE[kind](tmp_path / f"rows.{kind}", [change(0), change(1)])

    (chunk,) = TransactionFile(path, NESTED, label_column="fraud.is").chunks()

    assert chunk.is_fraud == [False, True]
    assert not any(b"fraud" in value for value in chunk.values)


def test_a_null_struct_holds_nothing(tmp_path: Path) -> None:
    rows = [change(0), change(1) | {"after": None}]

    for kind in ("jsonl", "parquet"):
        transactions, refused = decoded(WRITE[kind](tmp_path / f"rows.{kind}", rows), NESTED)
        assert len(transactions) == 1
        assert refused == ["Object missing required field `after.id`"] or kind == "parquet"
        assert len(refused) == 1


def test_an_array_on_the_way_is_told(tmp_path: Path) -> None:
    rows = [change(0, card=[{"number": 1}])]

    _, refused = decoded(jsonl(tmp_path / "rows.jsonl", [change(1), *rows]), NESTED)
    with pytest.raises(ConfigError, match=r"rows.parquet: after.card.number: an array stands at"):
        decoded(parquet(tmp_path / "rows.parquet", rows), NESTED)

    assert refused == ["after.card.number: an array stands at after.card, no object"]
