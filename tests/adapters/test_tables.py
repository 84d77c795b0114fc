"""Files of any columns as numbers, codes and accounts."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentinel.adapters.files import tables
from sentinel.adapters.files.tables import NO_NUMBER, Coding, TableFile
from sentinel.errors import ConfigError

ENDINGS = ["parquet", "csv", "jsonl"]


def written(folder: Path, ending: str, **columns: object) -> TableFile:
    """A file; a row of nothing alone would be none, in a CSV."""
    frame = pl.DataFrame(columns, strict=False).with_columns(filled=1)
    path = folder / f"file.{ending}"
    if ending == "csv":
        frame.write_csv(path)
    elif ending == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_parquet(path)
    return TableFile(path, frame.columns)


def numbers(file: TableFile, *names: str) -> list[list[float]]:
    found = [rows.numbers for rows in file.rows(names, (), {})]
    return [column.tolist() for column in np.concatenate(found).T]


@pytest.mark.parametrize("ending", ENDINGS)
def test_numbers_are_read_however_they_are_typed(tmp_path: Path, ending: str) -> None:
    file = written(
        tmp_path,
        ending,
        x=[1.5, None, -2.0],
        t=[" 1.5", "nan", "-2"],
        i=[1, None, 3],
        b=[True, None, False],
    )

    x, t, _ = numbers(file, "x", "t", "i")

    assert x[0] == t[0] == 1.5
    assert x[2] == t[2] == -2
    assert math.isnan(x[1])
    assert math.isnan(t[1])


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_no_number_is_none_and_not_missing(tmp_path: Path, ending: str) -> None:
    file = written(tmp_path, ending, x=["1", "abc", None], d=["2026-01-01", "", "5"])

    x, d = numbers(file, "x", "d")

    assert x[:2] == [1.0, NO_NUMBER]
    assert math.isnan(x[2])
    assert d[0] == NO_NUMBER
    assert math.isnan(d[1])


def test_an_infinite_number_is_the_largest_one(tmp_path: Path) -> None:
    (x,) = numbers(written(tmp_path, "parquet", x=[math.inf, -math.inf, math.nan]), "x")

    assert math.isfinite(x[0])
    assert x[0] == -x[1] > 1e308
    assert math.isnan(x[2])


def test_digits_of_a_long_number_are_all_read(tmp_path: Path) -> None:
    (x,) = numbers(written(tmp_path, "csv", x=["1" + "0" * 305]), "x")

    assert x == [1e305]


@pytest.mark.parametrize("ending", ENDINGS)
def test_booleans_are_ones_and_zeros(tmp_path: Path, ending: str) -> None:
    file = written(tmp_path, ending, a=["Y", "no", "maybe", None], b=[True, False, True, None])

    (rows,) = file.rows((), ("a", "b"), {})

    assert rows.numbers[:3].tolist() == [[1, 1], [0, 0], [NO_NUMBER, 1]]
    assert np.isnan(rows.numbers[3]).all()


@pytest.mark.parametrize("ending", ENDINGS)
def test_texts_are_counted_and_coded(tmp_path: Path, ending: str) -> None:
    file = written(tmp_path, ending, c=["a", "b", "a", None, "c", "b"], x=[1] * 6)
    accounts = np.array([1, 2, 1, 3, 4, 5])

    counts = file.text_counts(["c"], accounts, count_max=10)["c"]

    assert counts is not None
    assert counts.rows == {"a": 2, "b": 2, "c": 1}
    assert counts.of_one == {"a", "c"}
    (rows,) = file.rows((), (), {"c": Coding({"a": 0, "b": 1}, 33, 32)})
    assert rows.codes[:, 0].tolist() == [0, 1, 0, 32, 33, 1]
    assert rows.numbers.shape == (6, 0)


def test_one_identifier_is_one_account_in_every_format(tmp_path: Path) -> None:
    typed = written(tmp_path, "parquet", a=[42.0, 7.0, None]).accounts("a")
    text = written(tmp_path, "csv", a=["42", "7", ""]).accounts("a")

    assert typed.tolist() == text.tolist()
    assert typed[2] == 0
    assert (typed[:2] % 2 == 1).all()


def test_too_many_texts_are_none_of_categories(tmp_path: Path) -> None:
    file = written(tmp_path, "csv", c=[f"v{i}" for i in range(50)], d=["a", "b"] * 25)

    found = file.text_counts(["c", "d"], np.arange(50), count_max=10)

    assert found["c"] is None
    assert found["d"] is not None
    assert found["d"].rows == {"a": 25, "b": 25}


@pytest.mark.parametrize("ending", ENDINGS)
def test_pieces_are_the_whole(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_ROW_COUNT_MAX", 7)
    x = [float(i) for i in range(40)]
    file = written(tmp_path, ending, x=x, c=[f"v{i % 3}" for i in range(40)])

    assert numbers(file, "x") == [x]
    assert file.accounts("c").size == 40
    counts = file.text_counts(["c"], np.zeros(40, dtype=np.int64), count_max=5)["c"]
    assert counts is not None
    assert sorted(counts.rows.values()) == [13, 13, 14]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_that_the_file_lacks_is_missing_in_every_row(tmp_path: Path, ending: str) -> None:
    file = written(tmp_path, ending, x=[1.0, 2.0])

    ((_, gone), alone) = numbers(file, "x", "gone"), numbers(file, "gone")

    assert np.isnan(gone).all()
    assert np.isnan(alone).all()
    assert len(alone[0]) == 2


def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text('{"x": 1}\n\n{"x": NaN}\n')

    with pytest.raises(ConfigError, match="line 2"):
        numbers(TableFile(path, ["x"]), "x")
    (tmp_path / "file.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigError, match="cannot be read"):
        numbers(TableFile(tmp_path / "file.parquet", ["x"]), "x")
