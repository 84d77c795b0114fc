"""Files that are not what their names say, and CSV files as others write them."""

import gzip
import os
from pathlib import Path

import polars as pl
import pytest

from sentinel.adapters.files import TransactionFile, transactions_in
from sentinel.adapters.files.looking import seen_rows
from sentinel.codec.schema import SchemaParams
from sentinel.errors import ConfigError

SCHEMA = SchemaParams()
HEADER = "transaction_id,event_time,account,amount,note"
ROW = 'T1,2026-03-01T12:00:00Z,A1,12.50,"a, b"'


def refusal(path: Path) -> str:
    """What both say who open a file: with a schema, and before there is one."""
    with pytest.raises(ConfigError) as of_file:
        transactions_in(path, SCHEMA)
    with pytest.raises(ConfigError) as of_look:
        seen_rows(path)
    assert str(of_file.value) == str(of_look.value)
    assert "\n" not in str(of_file.value)
    assert str(of_file.value).startswith(f"{path}: ")
    return str(of_file.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"%PDF-1.7\n...", "its name says csv, but it is a PDF"),
        ("a.csv", b"PK\x03\x04xl/", "it is a zip archive, as spreadsheets are"),
        ("a.jsonl", b"\x1f\x8b\x08\x00", "it is packed with gzip"),
        ("a.jsonl", b"PAR1....PAR1", "its name says jsonl, but it is Parquet"),
        ("a.parquet", b"SQLite format 3\x00", "its name says parquet, but it is an SQLite"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "it is text in UTF-16; UTF-8 is read"),
        ("a.csv", b"a,b\n1,\x00\n", "it is no text"),
        ("a.csv", "größe\n1\n".encode("latin-1"), "its header is no text in UTF-8"),
        ("a.csv", b"", "is empty"),
        ("a.jsonl", b"", "is empty"),
        ("a.csv.gz", gzip.compress(b""), "is empty"),
        ("a.csv.gz", b"not packed at all", "cannot be read: "),
        ("a.jsonl", b'[{"a": 1}]', "must have one JSON object a line"),
        ("a.jsonl.zst", b"\x28\xb5\x2f\xfd", "JSON lines are not read from zstd: unpack it"),
        ("a.ndjson.zst", b"\x28\xb5\x2f\xfd", "JSON lines are not read from zstd: unpack it"),
        ("a.xlsx", b"PK\x03\x04", "must end in .parquet, .csv"),
        ("a.csv", b"id,amount,id,amount\n1,2,3,4\n", "same name: ['amount', 'id']"),
        ("a.csv", b"x" * (16 * 2**20 + 1), "its first line is longer than 16 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_something_else_is_refused_by_what_it_is(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert message in refusal(path)


def test_a_folder_and_nothing_at_all_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()

    assert refusal(tmp_path / "folder.csv") == "is a folder without files"
    assert refusal(tmp_path / "none.csv") == "there is no such file"


@pytest.mark.parametrize("ending", [b".csv", b".csv.zst", b".parquet"])
def test_a_name_that_is_no_text_is_refused_where_it_cannot_be_opened(
    tmp_path: Path, ending: bytes
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff" + ending))
    path.write_text(f"{HEADER}\n{ROW}\n")

    assert "a name that is not UTF-8 leads to it" in refusal(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv"])
def test_a_csv_is_read_whatever_separates_its_columns(
    tmp_path: Path, separator: str, ending: str
) -> None:
    path = tmp_path / f"rows.{ending}"
    lines = [HEADER.replace(",", separator)]
    lines += [separator.join(["T1", "2026-03-01T12:00:00Z", "A1", "12.50", f'"a{separator} b"'])]
    text = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)

    [chunk] = TransactionFile(path, SCHEMA).chunks()

    assert chunk.values == [
        b'{"transaction_id":"T1","event_time":"2026-03-01T12:00:00Z","account":"A1","amount":12.5}'
    ]


def test_what_is_quoted_in_a_header_separates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('id,"a;b;c;d",amount\n1,2,3\n')

    assert [column.name for column in seen_rows(path).columns] == ["id", "a;b;c;d", "amount"]


def test_a_header_without_rows_is_said_to_have_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEADER + "\n")

    assert TransactionFile(path, SCHEMA).row_count() == 0
    with pytest.raises(ConfigError, match="has no rows"):
        seen_rows(path)


def test_of_thousands_of_columns_only_some_are_named(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names = [f"column_{i}" for i in range(5_000)]
    path.write_text("\n".join([",".join(names), ",".join(["1"] * 5_000)]))

    with pytest.raises(ConfigError) as caught:
        TransactionFile(path, SCHEMA)
    assert "and 4,960 more" in str(caught.value)
    assert len(str(caught.value)) < 2_000
    assert len(seen_rows(path).columns) == 5_000


def test_a_line_of_50_megabytes_is_one_record_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w") as file:
        file.write(f"{HEADER}\n{ROW}\n")
        file.write(f"T2,2026-03-01T12:00:01Z,{'9' * 50_000_000},1,\n{ROW.replace('T1', 'T3')}\n")

    [chunk] = TransactionFile(path, SCHEMA).chunks()
    seen = seen_rows(path)

    assert [len(value) > 10**6 for value in chunk.values] == [False, True, False]
    assert max(len(text or "") for column in seen.columns for text in column.values) <= 300


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_look_at_a_long_file_is_bounded_and_reaches_its_end(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    frame = pl.DataFrame({"i": range(70_000)})
    if ending == "csv":
        frame.write_csv(path)
    elif ending == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_ndjson(path)

    seen = seen_rows(path)

    assert seen.row_count == 70_000
    numbers = [int(text or -1) for text in seen.columns[0].values]
    assert len(numbers) <= 10_000
    assert numbers == sorted(set(numbers))
    assert numbers[:5_000] == list(range(5_000))
    assert numbers[-1] > 69_900
