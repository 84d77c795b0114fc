"""A folder of files is one history: in which order, of what shape, and where its rows are."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sentinel.adapters.files import TransactionFile, TransactionFolder, transactions_in
from sentinel.adapters.files.folders import files_of
from sentinel.adapters.files.looking import seen_rows
from sentinel.codec.schema import SchemaParams
from sentinel.codec.values.seen import SeenRows
from sentinel.errors import ConfigError

SCHEMA = SchemaParams(numeric=("age",))
ENDINGS = ("csv", "csv.gz", "jsonl", "parquet")


def rows(begin: int, count: int) -> list[dict[str, Any]]:
    return [
        {
            "transaction_id": f"T{i}",
            "event_time": f"2026-03-{1 + i // 24:02}T{i % 24:02}:00:00Z",
            "account": f"A{i % 3}",
            "amount": i + 0.5,
            "age": i,
            "is_fraud": i % 2,
        }
        for i in range(begin, begin + count)
    ]


def write(path: Path, found: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(found)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in found))
    else:
        data = frame.write_csv().encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def ids(source: TransactionFile | TransactionFolder, skip: int = 0) -> list[str]:
    chunks = list(source.chunks(skip=skip))
    return [json.loads(v)["transaction_id"] for chunk in chunks for v in chunk.values]


def refusal(path: Path, schema: SchemaParams = SCHEMA) -> str:
    with pytest.raises(ConfigError) as caught:
        list(transactions_in(path, schema).chunks())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_come_in_the_order_of_their_names_and_numbers_as_numbers(tmp_path: Path) -> None:
    names = ["10.csv", "9.csv", "day=2/b.csv", "day=10/a.csv", "a2.csv", "a10.csv"]
    hidden = [".hidden.csv", "_SUCCESS", "_delta_log/0.json", ".git/x.csv", "day=2/.b.csv.crc"]
    for name in (*names, *hidden):
        write(tmp_path / name, rows(0, 1))

    found = [str(file.relative_to(tmp_path)) for file in files_of(tmp_path)]

    assert found == ["9.csv", "10.csv", "a2.csv", "a10.csv", "day=2/b.csv", "day=10/a.csv"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_rows_of_all_files_are_one_history(tmp_path: Path, ending: str) -> None:
    for i, (begin, count) in enumerate([(0, 5), (5, 1), (6, 7)]):
        write(tmp_path / f"{i}.{ending}", rows(begin, count))
    source = transactions_in(tmp_path, SCHEMA, label_column="is_fraud")

    chunks = list(source.chunks())

    assert ids(source) == [f"T{i}" for i in range(13)]
    assert [is_fraud for c in chunks for is_fraud in c.is_fraud] == [i % 2 == 1 for i in range(13)]
    assert source.row_count() == 13
    assert source.label_column == "is_fraud"


@pytest.mark.parametrize("skip", range(15))
def test_rows_are_left_out_over_files(tmp_path: Path, skip: int) -> None:
    for i, (begin, count) in enumerate([(0, 5), (5, 1), (6, 7)]):
        write(tmp_path / f"{i}.csv", rows(begin, count))

    assert ids(transactions_in(tmp_path, SCHEMA), skip) == [f"T{i}" for i in range(skip, 13)]


def test_a_row_is_named_by_its_file(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", rows(0, 5))
    (tmp_path / "b.csv").write_text("transaction_id,event_time,account,amount,age,is_fraud\n")
    write(tmp_path / "more/c.csv", rows(5, 3))
    source = transactions_in(tmp_path, SCHEMA)
    while_read = [source.row_name(1) for _ in source.chunks()]

    assert while_read == ["row 1 of a.csv"] * 2
    found = [source.row_name(row) for row in (1, 5, 6, 8)]

    assert found == [
        "row 1 of a.csv",
        "row 5 of a.csv",
        "row 1 of more/c.csv",
        "row 3 of more/c.csv",
    ]


def test_rows_without_an_identifier_are_called_by_their_own_file(tmp_path: Path) -> None:
    schema = SchemaParams(row_numbers=("transaction_id",))
    for name in ("a.csv", "day=1/part.csv", "day=2/part.csv"):
        found = [{k: v for k, v in row.items() if k != "transaction_id"} for row in rows(0, 2)]
        write(tmp_path / name, found)

    found_ids = ids(transactions_in(tmp_path, schema))

    assert found_ids == [
        *("a-1", "a-2", "day=1/part-1", "day=1/part-2", "day=2/part-1", "day=2/part-2")
    ]
    write(tmp_path / "a.tsv", rows(0, 1))
    assert "the names ['a'] differ by their endings alone" in refusal(tmp_path, schema)


def test_which_hour_is_meant_is_told_over_the_border_of_files(tmp_path: Path) -> None:
    schema = SchemaParams(event_time_zone="Europe/Berlin")
    for i, time in enumerate(["2026-10-25T02:50:00", "2026-10-25T02:10:00"]):
        write(tmp_path / f"{i}.csv", [row | {"event_time": time} for row in rows(i, 1)])
    source = transactions_in(tmp_path, schema)

    times = [json.loads(v)["event_time"] for chunk in source.chunks() for v in chunk.values]

    assert times == ["2026-10-25T02:50:00", "2026-10-25T02:10:00+01:00"]
    assert source.undecided_count == 0


def without(name: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != name} for row in rows(5, 3)]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ["account", "age"])
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, ending: str, name: str) -> None:
    write(tmp_path / f"a.{ending}", rows(0, 3))
    strange = write(tmp_path / f"b.{ending}", without(name))

    with pytest.raises(ConfigError) as caught:
        seen_rows(tmp_path)

    assert str(caught.value).startswith(f"{strange}: does not fit: ")
    assert f"['{name}']" in str(caught.value)
    if ending != "jsonl" or name == "account":  # of JSON lines a field may be missing
        assert refusal(tmp_path).startswith(f"{strange}: ")
        assert f"['{name}']" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.parquet", b"PAR1", "b.parquet: is parquet, but a.csv is csv: the files of a folder"),
        ("b.xlsx", b"PK", "b.xlsx: must end in .parquet, .csv, .csv.gz"),
        ("mine.toml", b"", "of a folder every file is read"),
        ("b.csv", b"", "b.csv: is empty"),
        ("b.csv", b"PK\x03\x04", "b.csv: its name says csv, but it is a zip archive"),
    ],
)
def test_what_else_lies_in_a_folder_is_refused_by_its_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    write(tmp_path / "a.csv", rows(0, 3))
    (tmp_path / name).write_bytes(content)

    assert message in refusal(tmp_path)
    with pytest.raises(ConfigError, match=name):
        seen_rows(tmp_path)


def test_a_damaged_file_is_named_wherever_it_lies(tmp_path: Path) -> None:
    write(tmp_path / "a.csv.gz", rows(0, 3))
    damaged = write(tmp_path / "b.csv.gz", rows(3, 300))
    damaged.write_bytes(damaged.read_bytes()[:-20])

    assert refusal(tmp_path).startswith(f"{damaged}: cannot be read: ")


def test_of_a_folder_with_everything_not_all_is_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.adapters.files.folders._FILES_MAX", 3)
    for i in range(4):
        write(tmp_path / f"{i}.csv", rows(i, 1))

    assert refusal(tmp_path) == f"{tmp_path}: holds more than 3 files"


def test_a_folder_of_nothing_but_folders_has_no_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)

    assert refusal(tmp_path) == f"{tmp_path}: is a folder without files"


def test_a_link_to_the_folder_itself_is_not_walked_for_ever(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", rows(0, 3))
    os.symlink(tmp_path, tmp_path / "again")

    assert len(files_of(tmp_path)) == 1


def texts(found: SeenRows) -> dict[str, list[str | None]]:
    return {column.name: column.values for column in found.columns}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("count", [30, 24_000])
def test_a_folder_is_looked_at_as_one_file_of_its_rows_would_be(
    tmp_path: Path, ending: str, count: int
) -> None:
    found = rows(0, 30) * (count // 30)
    whole = write(tmp_path / f"whole.{ending}", found)
    for i, begin in enumerate(range(0, count, count // 3)):
        write(tmp_path / "parts" / f"{i}.{ending}", found[begin : begin + count // 3])

    of_folder, of_file = seen_rows(tmp_path / "parts"), seen_rows(whole)

    assert of_folder.row_count == of_file.row_count == count
    assert texts(of_folder) == texts(of_file)
    assert len(texts(of_folder)["account"]) <= 10_000
