"""Files of transactions: the same records from every format, and a plain word about bad ones."""

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sentinel.adapters import files
from sentinel.adapters.files import TransactionFile
from sentinel.codec.schema import SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.errors import ConfigError
from sentinel.records import Record

SCHEMA = SchemaParams(
    entities={"terminal": "terminal"},
    numeric=("distance",),
    boolean=("contactless",),
    categorical=("country",),
)
ROWS: list[dict[str, Any]] = [
    {
        "transaction_id": f"{i:05}",
        "event_time": f"2024-05-{1 + i:02}T00:00:00.000Z",
        "account": "007",
        "amount": amount,
        "terminal": ["M,1", 'M"2', "M\u2028\x85é", None][i],
        "distance": [1.5, None, -2.0, 1e9][i],
        "contactless": [True, False, None, True][i],
        "country": ["033", None, "FR", "a\\b"][i],
        "is_fraud": [1, 0, None, 1][i],
        "note": "not mapped",
    }
    for i, amount in enumerate([12.5, 0.0, 0.1, 9999999.99])
]
KEPT = [
    {name: value for name, value in row.items() if name not in {"is_fraud", "note"}} for row in ROWS
]
LABELS = [True, False, None, True]


def parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    pl.DataFrame(rows).write_parquet(path)


def csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text(pl.DataFrame(rows).write_csv())


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def zipped(write: Callable[[Path, Sequence[dict[str, Any]]], None]) -> Callable[..., None]:
    def write_and_zip(path: Path, rows: Sequence[dict[str, Any]]) -> None:
        write(path, rows)
        path.write_bytes(gzip.compress(path.read_bytes()))

    return write_and_zip


WRITE = {
    "parquet": parquet,
    "csv": csv,
    "csv.gz": zipped(csv),
    "jsonl": jsonl,
    "jsonl.gz": zipped(jsonl),
}
every_format = pytest.mark.parametrize("ending", WRITE)


def a_file(tmp_path: Path, ending: str, rows: Sequence[dict[str, Any]] = ROWS) -> Path:
    path = tmp_path / f"rows.{ending}"
    WRITE[ending](path, rows)
    return path


def read(
    path: Path, schema: SchemaParams = SCHEMA, *, label_column: str = "", skip: int = 0
) -> tuple[list[bytes], list[bool | None]]:
    chunks = list(TransactionFile(path, schema, label_column=label_column).chunks(skip=skip))
    values = [value for chunk in chunks for value in chunk.values]
    return values, [is_fraud for chunk in chunks for is_fraud in chunk.is_fraud]


def objects(values: Sequence[bytes]) -> list[dict[str, Any]]:
    return [json.loads(value) for value in values]


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@every_format
def test_every_format_gives_the_same_records(tmp_path: Path, ending: str) -> None:
    path = a_file(tmp_path, ending)

    values, labels = read(path, label_column="is_fraud")

    assert objects(values) == KEPT
    assert labels == LABELS
    assert TransactionFile(path, SCHEMA).row_count() == 4


@every_format
def test_a_label_never_travels_with_its_record(tmp_path: Path, ending: str) -> None:
    path = a_file(tmp_path, ending)

    for label_column in ("", "is_fraud"):
        for value in read(path, label_column=label_column)[0]:
            assert b"is_fraud" not in value
            assert b"note" not in value


@every_format
def test_without_a_label_column_nothing_is_known(tmp_path: Path, ending: str) -> None:
    assert read(a_file(tmp_path, ending))[1] == [None] * 4


@every_format
def test_rows_keep_their_order_over_many_chunks(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHUNK_ROW_COUNT", 100)
    rows = [ROWS[0] | {"transaction_id": f"T{i}", "is_fraud": i % 2} for i in range(1234)]
    path = a_file(tmp_path, ending, rows)

    values, labels = read(path, label_column="is_fraud")

    assert [row["transaction_id"] for row in objects(values)] == [f"T{i}" for i in range(1234)]
    assert labels == [bool(i % 2) for i in range(1234)]


@every_format
@pytest.mark.parametrize("skip", [0, 1, 3, 4, 100])
def test_rows_at_the_start_can_be_left_out(tmp_path: Path, ending: str, skip: int) -> None:
    values, labels = read(a_file(tmp_path, ending), label_column="is_fraud", skip=skip)

    assert objects(values) == KEPT[skip:]
    assert labels == LABELS[skip:]


@every_format
def test_what_comes_late_in_a_file_may_look_different(tmp_path: Path, ending: str) -> None:
    """Polars guesses types from the first 10,000 rows; whole amounts may end after them."""
    rows = [ROWS[0] | {"transaction_id": str(i), "amount": 5.0} for i in range(10_500)]
    if ending.startswith("csv"):
        path = tmp_path / f"rows.{ending}"
        lines = ["transaction_id,event_time,account,amount"]
        lines += [f"{i},2024-05-01T00:00:00Z,7,{5 if i < 10_400 else 5.5}" for i in range(10_500)]
        data = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    else:
        rows[-1] |= {"amount": 5.5}
        path = a_file(tmp_path, ending, rows)

    values, _ = read(path)

    assert len(values) == 10_500
    assert objects(values)[-1]["amount"] == 5.5


@every_format
def test_a_required_column_that_is_missing_is_named(tmp_path: Path, ending: str) -> None:
    rows = [{"account": "a", "amount": 1.0, "transaction_id": "t"}]

    message = refusal(a_file(tmp_path, ending, rows))

    assert "has no column ['event_time']" in message
    assert "it has ['account', 'amount', 'transaction_id']" in message


@every_format
def test_a_label_column_that_is_missing_is_named(tmp_path: Path, ending: str) -> None:
    assert "has no column ['fraud']" in refusal(a_file(tmp_path, ending), label_column="fraud")


@every_format
def test_optional_columns_may_be_missing(tmp_path: Path, ending: str) -> None:
    names = ("transaction_id", "event_time", "account", "amount")
    rows = [{name: row[name] for name in names} for row in ROWS]

    assert objects(read(a_file(tmp_path, ending, rows))[0]) == rows


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[(text, True) for text in ("1", "true", "True", "TRUE", "fraud", "Fraud", "1.0")],
        *[(text, True) for text in ("Y", "yes", " T ", "confirmed fraud", "True-Positive")],
        *[(text, False) for text in ("0", "false", "False", "genuine", "0.0")],
        *[(text, False) for text in ("N", "No", "f", "LEGIT", "not_fraud", "false positive")],
        *[(text, None) for text in ("", " ", "unsure", "Withdrawn")],
    ],
)
def test_labels_are_spelt_in_many_ways(
    tmp_path: Path, ending: str, text: str, expected: bool | None
) -> None:
    path = a_file(tmp_path, ending, [ROWS[0] | {"is_fraud": text}])

    assert read(path, label_column="is_fraud")[1] == [expected]


@pytest.mark.parametrize("value", [1, True, 1.0, "fraud"])
@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_labels_have_many_types(tmp_path: Path, ending: str, value: Any) -> None:
    path = a_file(tmp_path, ending, [ROWS[0] | {"is_fraud": value}])

    assert read(path, label_column="is_fraud")[1] == [True]


@every_format
def test_a_label_that_says_something_else_is_refused(tmp_path: Path, ending: str) -> None:
    path = a_file(tmp_path, ending, [ROWS[0] | {"is_fraud": "perhaps"}])

    message = refusal(path, label_column="is_fraud")

    assert 'column is_fraud: "perhaps" is no label: 0 or 1, true or false, yes or no' in message


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        (datetime(2024, 5, 1, 12), SchemaParams(), "2024-05-01T12:00:00.000Z"),
        (date(2024, 5, 1), SchemaParams(), "2024-05-01T00:00:00.000Z"),
        (
            datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))).astimezone(UTC),
            SchemaParams(),
            "2024-05-01T10:00:00.000Z",
        ),
        (datetime(2024, 5, 1), SchemaParams(event_time_format="epoch_ms"), 1_714_521_600_000),
        (datetime(2024, 5, 1), SchemaParams(event_time_format="epoch_s"), 1_714_521_600.0),
    ],
)
def test_times_of_parquet_become_those_of_the_schema(
    tmp_path: Path, value: Any, schema: SchemaParams, expected: Any
) -> None:
    path = a_file(tmp_path, "parquet", [ROWS[0] | {"event_time": value}])

    values, _ = read(path, schema)

    assert objects(values)[0]["event_time"] == expected
    assert_usable(values, schema)


def test_a_time_zone_of_parquet_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    frame = pl.DataFrame([ROWS[0] | {"event_time": datetime(2024, 5, 1, 12)}])
    frame.with_columns(pl.col("event_time").dt.replace_time_zone("Asia/Tokyo")).write_parquet(path)

    assert objects(read(path)[0])[0]["event_time"] == "2024-05-01T03:00:00.000Z"


def test_types_that_json_lacks_become_numbers_or_nothing(tmp_path: Path) -> None:
    row = ROWS[0] | {"amount": Decimal("12.50"), "distance": Decimal("1.5")}
    path = a_file(tmp_path, "parquet", [row])
    other = a_file(tmp_path, "parquet", [ROWS[0] | {"distance": float("nan")}])

    assert objects(read(other)[0])[0]["distance"] is None
    parquet(path, [row])
    assert objects(read(path)[0])[0] == KEPT[0]


def test_epochs_and_minor_units_of_a_csv_are_numbers(tmp_path: Path) -> None:
    schema = SchemaParams(event_time_format="epoch_ms", amount_format="minor")
    path = tmp_path / "rows.csv"
    path.write_text("transaction_id,event_time,account,amount\n1,1714521600000,007, 1250\n")

    values, _ = read(path, schema)

    assert objects(values) == [
        {
            "transaction_id": "1",
            "event_time": 1_714_521_600_000,
            "account": "007",
            "amount": 1250,
        }
    ]
    assert_usable(values, schema)


def test_a_value_that_does_not_fit_is_kept_as_it_is_and_its_neighbours_are_numbers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "transaction_id,event_time,account,amount,distance,contactless\n"
        "1,2024-05-01T00:00:00Z,a,5.5,2,TRUE\n"
        "2,2024-05-01T00:00:00Z,a,much,2,true\n"
        '3,2024-05-01T00:00:00Z,a,1,far,"maybe"\n'
        '4,2024-05-01T00:00:00Z,a,7,"",""\n'
    )

    values, _ = read(path)

    rows = [[row[n] for n in ("amount", "distance", "contactless")] for row in objects(values)]
    assert rows == [
        [5.5, 2.0, True],
        ["much", 2.0, True],
        [1.0, "far", "maybe"],
        [7.0, None, None],
    ]


def test_lines_that_are_no_objects_are_kept_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = json.dumps(KEPT[0])
    path.write_bytes(f"{good}\r\n\n  \nnot json\n[1]\n{good}".encode())

    values, labels = read(path)

    assert objects([values[0], values[3]]) == [KEPT[0]] * 2
    assert values[1:3] == [b"not json", b"[1]"]
    assert labels == [None] * 4
    assert TransactionFile(path, SCHEMA).row_count() == 4


def test_numbers_of_json_lines_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    line = b'{"transaction_id":1,"event_time":"2024-05-01","account":true,"amount":"1.50"}'
    path.write_bytes(line)

    assert read(path)[0] == [line]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "garbage": lambda data: b"\x93\x00garbage\n" * 50,
    "first half": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-12],
    "broken in the middle": lambda data: data[:40] + b"\xff" * 80 + data[120:],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("ending", ["parquet", "csv.gz", "jsonl.gz"])
def test_a_damaged_file_is_refused_with_a_word(tmp_path: Path, ending: str, damage: str) -> None:
    path = a_file(tmp_path, ending, [ROWS[0] | {"account": str(i)} for i in range(2_000)])
    path.write_bytes(DAMAGE[damage](path.read_bytes()))

    refusal(path)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\xfe\x00", b"a,b\n1,2,3\n"])
def test_a_text_that_holds_no_transactions_is_refused(
    tmp_path: Path, ending: str, data: bytes
) -> None:
    path = tmp_path / f"rows.{ending}"
    path.write_bytes(data)

    refusal(path)


def test_a_csv_that_turns_bad_later_is_refused(tmp_path: Path) -> None:
    header = "transaction_id,event_time,account,amount\n"
    for line in ("é,2024,b,c\n".encode("latin-1"), b"1,2,3,4,5,6\n"):
        path = tmp_path / "rows.csv"
        path.write_bytes(header.encode() + line)
        refusal(path)


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.parquet.gz", "rows.json"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    assert refusal(tmp_path / name).endswith(
        "must end in .parquet, .csv, .csv.gz, .csv.zst, .tsv, .jsonl, .ndjson or .jsonl.gz"
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.csv").endswith("there is no such file")
    (tmp_path / "folder.csv").mkdir()
    assert refusal(tmp_path / "folder.csv").endswith("is a folder, no file")


def assert_usable(values: Sequence[bytes], schema: SchemaParams) -> None:
    records = [Record(i, 0, None, value) for i, value in enumerate(values)]
    _, rejected = TransactionDecoder(schema).decode([(0, records)])
    assert rejected == []


@every_format
def test_every_format_can_be_scored(tmp_path: Path, ending: str) -> None:
    assert_usable(read(a_file(tmp_path, ending))[0], SCHEMA)
