"""What a notebook reads of an archive, whatever its files say."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sentinel import archive
from sentinel.errors import ConfigError
from tests.archive.samples import (
    COUNT,
    FIRST_MS,
    archive_at,
    changed_twice,
    decided,
    write,
)

DAYS = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]
WEIRD = [
    "", " ", "a'b", 'a"b', "a\nb", "[red]x[/red]", "ümläut ✓", "日本", "x" * 5_000, "\x00",
    "\U0010ffff", "../../etc/passwd", "%", "date=2026-03-01",
]  # fmt: skip


def test_a_table_has_all_columns_that_any_day_has(tmp_path: Path) -> None:
    changed_twice(tmp_path)

    rows = archive.scan(tmp_path, "decisions").sort("offset").collect()

    assert len(rows) == 3 * COUNT
    assert rows["date"].unique().sort().to_list() == DAYS
    assert rows.columns[-1] == "date"
    assert rows["feature_amount"].to_list() == [float(i) for i in range(3 * COUNT)]
    assert rows["feature_ratio"].is_null().to_list() == [False] * 2 * COUNT + [True] * COUNT
    assert rows["feature_risk"].to_list() == [
        *[None] * COUNT,
        *[i + 0.2 for i in range(COUNT, 2 * COUNT)],
        *[i + 0.1 for i in range(2 * COUNT, 3 * COUNT)],
    ]
    assert rows["entity_terminal"].to_list() == ["m"] * 2 * COUNT + [None] * COUNT
    assert rows["entity_device"].to_list() == [None] * COUNT + ["d"] * COUNT + [None] * COUNT


def test_a_feature_may_be_called_like_a_field_of_the_decision(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    names = ["score", "account", "date", "action"]
    write(files, "decisions", [decided(0, [1.0, 2.0, 3.0, 4.0])], names=names)

    (row,) = archive.scan(tmp_path, "decisions").collect().to_dicts()

    assert [row[f"feature_{name}"] for name in names] == [1.0, 2.0, 3.0, 4.0]
    assert (row["score"], row["account"], row["date"]) == (0.1, "C0", DAYS[0])


def test_a_type_that_changed_is_widened(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    segments = [
        write(files, "decisions", [decided(i, [i + 0.5])], first=i, day=i, names=["mcc"])
        for i in range(3)
    ]
    for segment, dtype in zip(segments[:2], (pl.Int32, pl.Boolean), strict=True):
        frame = pl.read_parquet(segment.path).cast({"feature_mcc": dtype})
        frame.write_parquet(segment.path)

    rows = archive.scan(tmp_path, "decisions").sort("offset").collect()
    assert rows["feature_mcc"].to_list() == [0.0, 1.0, 2.5]

    frame = pl.read_parquet(segments[0].path).with_columns(feature_mcc=pl.lit("5411"))
    frame.write_parquet(segments[0].path)
    rows = archive.scan(tmp_path, "decisions").sort("offset").collect()
    assert rows["feature_mcc"].to_list() == ["5411", "true", "2.5"]
    assert archive.history(tmp_path, "C0")["feature_mcc"].to_list()[0] == "5411"


def test_days_that_are_not_wanted_are_not_opened(tmp_path: Path) -> None:
    """Also below folders that look like Hive's, and beside folders of anybody else."""
    folder = tmp_path / "env=prod [a-z]*"
    files = changed_twice(folder)
    (folder / "decisions" / "date=soon").mkdir()
    files.segments("decisions")[2].path.write_bytes(b"damaged")

    early = archive.scan(folder, "decisions", until="2026-03-02").collect()
    assert early["date"].unique().sort().to_list() == DAYS[:2]
    assert "feature_score" not in early.columns
    one_day = archive.scan(folder, "decisions", since=DAYS[1], until=DAYS[1])
    assert one_day.collect()["offset"].sort().to_list() == list(range(COUNT, 2 * COUNT))


def test_a_filter_by_day_reads_only_that_day(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    segments = [
        write(files, "decisions", [decided(i, [1.0])], first=i, day=i, names=["a"])
        for i in range(3)
    ]
    table = archive.scan(tmp_path, "decisions")
    segments[1].path.unlink()  # whoever reads it would fail

    found = table.filter(pl.col("date") == DAYS[2]).collect()

    assert found["offset"].to_list() == [2]


def test_what_a_crash_left_beside_its_union_is_read_once(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    parts = [write(files, "decisions", [decided(i, [1.0])], first=i, names=["a"]) for i in range(3)]
    kept = [segment.path.read_bytes() for segment in parts]
    files.compact("decisions", 10)
    for segment, data in zip(parts, kept, strict=True):
        segment.path.write_bytes(data)

    assert len(archive.scan(tmp_path, "decisions").collect()) == 3
    assert len(files.find("decisions", "t1")) == 1
    assert {one.file_count for one in archive.columns(tmp_path, "decisions")} == {1}


@pytest.mark.parametrize("is_compacted", [False, True])
def test_a_history_has_the_rows_of_one_account_in_order(tmp_path: Path, is_compacted: bool) -> None:
    files = changed_twice(tmp_path)
    if is_compacted:
        files.compact("decisions", 100)
    everything = archive.scan(tmp_path, "decisions").drop("date").collect()

    for account in ("C0", "C1", "C2"):
        found = archive.history(tmp_path, account)
        expected = everything.filter(pl.col("account") == account).sort("event_time_ms")
        assert found.equals(expected)
    late = archive.history(tmp_path, "C1", since="2026-03-03")
    assert late["offset"].to_list() == [13, 16]
    assert archive.history(tmp_path, "nobody").is_empty()
    assert archive.history(tmp_path, "C0", "labels")["label"].to_list() == ["fraud"] * 3


@pytest.mark.parametrize("is_compacted", [False, True])
def test_an_account_may_be_called_anything(tmp_path: Path, is_compacted: bool) -> None:
    """Long names are cut in the statistics of some writers: what begins alike is told apart."""
    files = archive_at(tmp_path)
    names = [*WEIRD, "x" * 5_000 + "y", "x" * 4_999]
    values = [decided(i, [float(i)], account=name) for i, name in enumerate(names)]
    write(files, "decisions", values, names=["a"])
    if is_compacted:
        files.compact("decisions", 1_000)

    for number, name in enumerate(names):
        found = archive.history(tmp_path, name)
        assert found["offset"].to_list() == [number], repr(name[:20])


def damaged(data: bytes) -> list[bytes]:
    """A file without its end, without its beginning, empty, and of another kind."""
    return [data[: len(data) // 2], data[:-4], b"", b"PAR1", b"not Parquet at all " * 10]


def test_a_damaged_file_is_named_in_one_sentence(tmp_path: Path) -> None:
    files = changed_twice(tmp_path)
    path = files.segments("decisions")[1].path
    reads: list[Callable[[], object]] = [
        lambda: archive.scan(tmp_path, "decisions"),
        lambda: archive.history(tmp_path, "C0"),
        lambda: archive.columns(tmp_path, "decisions"),
        lambda: files.find("decisions", "t1"),
        lambda: files.compact("decisions", 10),
        lambda: files.read(files.segments("decisions")[1], ["offset"]),
    ]
    for data in damaged(path.read_bytes()):
        path.write_bytes(data)
        for read in reads:
            with pytest.raises(ConfigError, match="move it out of the archive") as caught:
                read()
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("directory", "options", "words"),
    [
        ("nowhere", {}, "there are no archived files; `sentinel archive run` writes them"),
        (".", {"since": "2027-01-01"}, "there are no archived files of these days"),
        (".", {"until": "yesterday"}, '"yesterday" is no day: write it as 2026-03-01'),
    ],
)
def test_nothing_to_read_is_one_sentence(
    tmp_path: Path, directory: str, options: Any, words: str
) -> None:
    changed_twice(tmp_path)
    with pytest.raises(ConfigError, match=words):
        archive.scan(tmp_path / directory, "decisions", **options)
    with pytest.raises(ConfigError, match=words):
        archive.history(tmp_path / directory, "C0", **options)


def test_a_kind_that_is_not_archived_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='"alerts" is not archived, but decisions, labels, audit'):
        archive.scan(tmp_path, "alerts")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not of accounts"):
        archive.history(tmp_path, "C0", "audit")


def test_the_columns_say_since_when_and_in_how_many_files(tmp_path: Path) -> None:
    files = changed_twice(tmp_path)
    (first, *_) = files.segments("decisions")
    frame = pl.read_parquet(first.path).cast({"feature_amount": pl.Int64})
    frame.write_parquet(first.path)

    found = {one.name: one for one in archive.columns(tmp_path, "decisions")}

    amount, risk, ratio = (found[f"feature_{name}"] for name in ("amount", "risk", "ratio"))
    assert (amount.type, amount.types) == ("Float64", {"Int64": 1, "Float64": 2})
    assert (amount.has_come, amount.has_gone, amount.file_count) == (False, False, 3)
    assert (risk.since, risk.has_come, risk.has_gone, risk.file_count) == (DAYS[1], True, False, 2)
    assert (ratio.last, ratio.has_come, ratio.has_gone) == (DAYS[1], False, True)
    assert found["decision_id"].total_count == 3
    assert found["account"].file == first.path
    assert archive.columns(tmp_path, "audit") == []


def test_archives_of_several_logs_are_one_table(tmp_path: Path) -> None:
    """Another log has its own offsets; when each was appended tells which came first."""
    files = changed_twice(tmp_path)
    write(files, "decisions", [decided(0, [7.0])], day=3, names=["other"], log="another/1")

    rows = archive.scan(tmp_path, "decisions").sort("appended_ms").collect()

    assert len(rows) == 3 * COUNT + 1
    assert rows["feature_other"].to_list() == [None] * 3 * COUNT + [7.0]
    assert rows["appended_ms"][0] == FIRST_MS
