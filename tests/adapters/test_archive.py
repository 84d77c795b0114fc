"""Archived files: joined and sorted, damaged, on a full disk, beside another at work."""

import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentinel import archive
from sentinel.adapters.archive import LogFiles, ParquetArchive, compaction
from sentinel.core.logs import log_id
from sentinel.errors import ConfigError, FileGoneError, TransientError
from tests.app.test_archive import label
from tests.archive.samples import archive_at, changed_twice, decided, write

NAMES = ["a", "b"]


def filled(
    folder: Path, *, file_count: int = 6, row_count: int = 50, seed: int = 3
) -> ParquetArchive:
    """Neighbouring files of one day, with accounts in random order."""
    files, rng = archive_at(folder), np.random.default_rng(seed)
    for number in range(file_count):
        first = number * row_count
        accounts = rng.integers(0, 20, row_count)
        values = [
            decided(first + i, [float(rng.random()), None], account=f"C{accounts[i]}")
            for i in range(row_count)
        ]
        write(files, "decisions", values, first=first, names=NAMES)
    return files


def log_files(files: ParquetArchive) -> LogFiles:
    return files.log("decisions", log_id("memory/1"))


def rows(folder: Path) -> pl.DataFrame:
    return archive.scan(folder, "decisions").sort("offset").collect()


@pytest.mark.parametrize("value_count", [10**9, 2_000, 1])
def test_a_joined_file_has_the_same_rows_by_account(
    tmp_path: Path, value_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorted at once, in several ranges of accounts, or one account after the other."""
    monkeypatch.setattr(compaction, "SORT_VALUE_COUNT_MAX", value_count)
    files = filled(tmp_path)
    before = rows(tmp_path)

    assert files.compact("decisions", 10_000) == 5

    (segment,) = files.segments("decisions")
    assert rows(tmp_path).equals(before)
    found = pl.read_parquet(segment.path)
    assert found.select("account", "offset").equals(
        before.sort("account", "offset").select("account", "offset")
    )
    assert (segment.first, segment.last, segment.position) == (0, 299, 299)
    assert [path.name for path in (tmp_path / "compacting").iterdir()] == ["lock"]


def test_a_joined_file_has_row_groups_that_a_history_can_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(compaction, "ROW_GROUP_ROW_COUNT", 60)
    files = filled(tmp_path)
    files.compact("decisions", 10_000)

    (segment,) = files.segments("decisions")
    metadata = parquet.read_metadata(segment.path)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [60] * 5
    column = metadata.schema.names.index("account")
    ranges = [(g.column(column).statistics.min, g.column(column).statistics.max) for g in groups]
    assert ranges == sorted(ranges)
    assert all(high <= low for (_, high), (low, _) in pairwise(ranges))


def test_joining_again_changes_nothing_and_a_large_file_alone_is_sorted_once(
    tmp_path: Path,
) -> None:
    files = filled(tmp_path, file_count=1)

    assert files.compact("decisions", 50) == 0

    (segment,) = files.segments("decisions")
    accounts = pl.read_parquet(segment.path)["account"].to_list()
    assert accounts == sorted(accounts)
    written = os.stat(segment.path)
    assert files.compact("decisions", 50) == 0
    assert os.stat(segment.path).st_ino == written.st_ino


def test_labels_without_an_account_are_kept(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    for i, entities in enumerate(({"account": "b"}, {}, {"account": "a"}, {"account": None})):
        write(files, "labels", [{**label(i), "entities": entities}], first=i)

    files.compact("labels", 10)

    (segment,) = files.segments("labels")
    found = pl.read_parquet(segment.path)
    assert found["account"].to_list() == [None, None, "a", "b"]
    assert found["feedback_offset"].to_list() == [1, 3, 2, 0]


def test_the_audit_is_sorted_by_whom_it_is_of(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    for i, subject in enumerate("cab"):
        entry = {"id": str(i), "kind": "vote", "subject": subject, "who": "ann", "at_ms": i}
        write(files, "audit", [{**entry, "before": None, "after": {"label": "fraud"}}], first=i)

    files.compact("audit", 10)

    (segment,) = files.segments("audit")
    assert pl.read_parquet(segment.path)["subject"].to_list() == ["a", "b", "c"]


def test_days_partitions_and_layouts_stay_apart(tmp_path: Path) -> None:
    files = changed_twice(tmp_path)
    for number in range(2):
        write(files, "decisions", [decided(9, [1.0])], first=number, partition=1, names=["x"])
    before = rows(tmp_path)

    assert files.compact("decisions", 1_000) == 1

    assert len(files.segments("decisions")) == 4
    assert (
        rows(tmp_path)
        .drop("date")
        .sort("partition", "offset")
        .equals(before.drop("date").sort("partition", "offset"))
    )


def test_killed_at_any_step_of_joining_each_row_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step that touches a name on the disk is the last one in turn."""

    class KilledError(Exception):
        """The process is gone."""

    steps = {"left": 0}

    def stepped(real: object) -> object:
        def step(*arguments: object, **options: object) -> object:
            steps["left"] -= 1
            if steps["left"] == 0:
                raise KilledError
            return real(*arguments, **options)  # type: ignore[operator]

        return step

    at, killed = 0, True
    while killed:
        at += 1
        folder = tmp_path / str(at)
        files = filled(folder, file_count=4)
        before = rows(folder)
        steps["left"] = at
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", stepped(Path.unlink))
            patch.setattr(Path, "rename", stepped(Path.rename))
            try:
                files.compact("decisions", 1_000)
                killed = False
            except KilledError:
                pass
        assert rows(folder).equals(before), f"killed at step {at}"
        newest = log_files(files).settle(0)
        assert newest is not None
        assert newest.last == 199
        files.compact("decisions", 1_000)
        assert len(list((folder / "decisions").rglob("*.parquet"))) == 1
        assert rows(folder).equals(before), f"killed at step {at}"
    assert at > 4


def test_only_one_joins_at_a_time(tmp_path: Path) -> None:
    files = filled(tmp_path)
    (tmp_path / "compacting").mkdir()
    with (tmp_path / "compacting" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another `sentinel archive compact` is at work"):
            files.compact("decisions", 10_000)
    assert files.compact("decisions", 10_000) == 5


@contextmanager
def full_disk(byte_count: int) -> Iterator[None]:
    """No file may become larger, which a writer is told as it is told of a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte_count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(tmp_path: Path) -> None:
    files = filled(tmp_path)
    before = rows(tmp_path)

    with full_disk(2_000):
        with pytest.raises(TransientError, match=r"File too large\): make room, or set") as caught:
            files.compact("decisions", 10_000)
        with pytest.raises(TransientError, match="make room"):
            write(files, "decisions", [decided(i, [0.1, 0.2]) for i in range(400)], names=NAMES)
        with pytest.raises(TransientError, match="make room"):
            files.keep("log", "note", b"x" * 3_000)

    assert "\n" not in str(caught.value)
    assert rows(tmp_path).equals(before)
    assert not list(tmp_path.rglob("*.partial"))
    assert not list(tmp_path.glob("compacting/*.parquet"))


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "decisions").write_text("a file")

    with pytest.raises(ConfigError, match=r"cannot be written \(Not a directory\)"):
        write(archive_at(tmp_path), "decisions", [decided(0, [1.0])], names=["a"])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_newest_file_without_its_end_is_set_aside_and_archived_again(
    tmp_path: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    files = filled(tmp_path, file_count=3)
    newest = files.segments("decisions")[-1].path
    data = newest.read_bytes()
    newest.write_bytes(data[: int(len(data) * share)])
    newest.with_suffix(".partial").write_bytes(b"of one who was killed")

    found = log_files(files).settle(0)

    assert found is not None
    assert found.last == 99, "the log is read again from 100 on"
    assert f"set aside as {newest.name}.unreadable" in caplog.text
    assert len(rows(tmp_path)) == 100
    assert not list(tmp_path.rglob("*.partial"))


def test_parts_are_kept_as_long_as_their_union_cannot_be_read(tmp_path: Path) -> None:
    files = filled(tmp_path, file_count=2)
    parts = [(s.path, s.path.read_bytes()) for s in files.segments("decisions")]
    files.compact("decisions", 1_000)
    (union,) = files.segments("decisions")
    write(files, "decisions", [decided(100, [0.1, 0.2])], first=100, names=NAMES)
    for path, data in parts:
        path.write_bytes(data)
    union.path.write_bytes(b"damaged")

    log_files(files).settle(0)

    assert all(path.exists() for path, _ in parts)


def test_a_file_is_read_in_batches_and_with_columns_that_it_does_not_have(tmp_path: Path) -> None:
    files = filled(tmp_path, file_count=1)
    (segment,) = files.segments("decisions")

    batches = list(files.batches(segment, ["offset", "selected_by"], row_count_max=20))

    assert [len(batch) for batch in batches] == [20, 20, 10]
    assert pl.concat(batches)["offset"].to_list() == list(range(50))
    assert pl.concat(batches)["selected_by"].is_null().all()
    segment.path.unlink()
    with pytest.raises(FileGoneError, match="try again"):
        files.read(segment, ["offset"])


def test_a_column_without_a_value_has_the_type_of_its_field(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    segment = write(files, "decisions", [decided(0, [None], entities={"x": None})], names=["a"])

    schema = pl.read_parquet_schema(segment.path)

    assert schema["explore_share"] == schema["feature_a"] == pl.Float64
    assert schema["entity_x"] == pl.String
