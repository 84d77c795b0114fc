"""Neighbouring files of a day become one, in which the rows of an account lie together.

Row groups are small: by their lowest and highest account a reader of one card knows which of two
hundred to open, and their pages are smaller still. What does not fit into memory at once is sorted
a range of accounts at a time.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl

from sentinel.adapters.archive.writing import put, writing
from sentinel.archive import Segment
from sentinel.archive.files import reading, table
from sentinel.archive.reading import schema_of
from sentinel.codec.archive import Kind
from sentinel.errors import ConfigError

ROW_GROUP_ROW_COUNT = 20_000
_PAGE_BYTES = 32_768  # a column of a row group has several: what has the account is unpacked
# Rows times columns that are sorted at once: about 300 MB of memory, two to three times as much
# while they are gathered.
SORT_VALUE_COUNT_MAX = 20_000_000
_MARK = "sentinel.sorted_by"  # in the file's own metadata: it need not be sorted again
_SORTED_BY: dict[Kind, str] = {"decisions": "account", "labels": "account", "audit": "subject"}
_FOLDER = "compacting"


def compact(directory: Path, kind: Kind, segments: Sequence[Segment], row_count_max: int) -> int:
    """Join neighbours of one log and layout up to so many rows; returns how many files are gone.

    The union is on the disk before its parts are deleted. Raises ConfigError when another one is
    at work, or a file cannot be read or written; TransientError when the disk is full.
    """
    key, fewer = _SORTED_BY[kind], 0
    with _alone(directory) as folder:
        for run in _runs(segments, key, row_count_max):
            first, last = run[0], run[-1]
            union = replace(last, first=first.first)
            path = last.path.with_name(union.name)
            with writing(path):
                _sort(run, key, folder, folder / path.name)
                put(folder / path.name, path)
            for segment in run:
                if segment.path != path:
                    segment.path.unlink(missing_ok=True)
            fewer += len(run) - 1
    return fewer


@contextmanager
def _alone(directory: Path) -> Iterator[Path]:
    """A folder for what is on its way; two who join the same files would delete both unions."""
    folder = directory / _FOLDER
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends
        except OSError as error:
            raise ConfigError(
                f"another `sentinel archive compact` is at work in {directory}"
            ) from error
        _sweep(folder)  # one who was killed may have left something
        try:
            yield folder
        finally:
            _sweep(folder)


def _sweep(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        path.unlink(missing_ok=True)


def _runs(segments: Sequence[Segment], key: str, row_count_max: int) -> Iterator[list[Segment]]:
    """Files of one log and layout that follow each other and fit in one.

    One alone only if it is unsorted.
    """
    run: list[Segment] = []
    layout, count = None, 0
    for segment in sorted(segments, key=lambda one: (one.log, one)):
        found = schema_of(segment)
        with reading(segment.path):
            rows = table(segment.path).select(pl.len()).collect().item()
        if run and _follows(run[-1], segment) and found == layout and count + rows <= row_count_max:
            run.append(segment)
            count += rows
            continue
        if _needs_work(run, key):
            yield run
        run, layout, count = [segment], found, rows
    if _needs_work(run, key):
        yield run


def _follows(before: Segment, segment: Segment) -> bool:
    return segment.first == before.last + 1 and all(
        getattr(segment, name) == getattr(before, name)
        for name in ("log", "partition", "day", "source")
    )


def _needs_work(run: Sequence[Segment], key: str) -> bool:
    if len(run) != 1:
        return bool(run)
    with reading(run[0].path), run[0].path.open("rb") as file:
        return pl.read_parquet_metadata(file).get(_MARK) != key


def _sort(run: Sequence[Segment], key: str, folder: Path, out: Path) -> None:
    """All rows of some files in one, sorted; those without a key come first."""
    parts = []
    for number, (lowest, highest) in enumerate(_ranges(run, key)):
        wanted = pl.col(key).is_between(pl.lit(lowest), pl.lit(highest))
        if number == 0:
            wanted |= pl.col(key).is_null()
        parts.append(folder / f"range-{number:06}.parquet")
        _rows(run, wanted).sort(key, "offset").write_parquet(parts[-1], compression="lz4")
    table(*parts).sink_parquet(
        out,
        compression="zstd",
        row_group_size=ROW_GROUP_ROW_COUNT,
        data_page_size=_PAGE_BYTES,
        maintain_order=True,
        metadata={_MARK: key},
    )


def _ranges(run: Sequence[Segment], key: str) -> list[tuple[str, str]]:
    """The lowest and the highest key of each range that fits into memory."""
    row_count_max = max(1, SORT_VALUE_COUNT_MAX // len(schema_of(run[0])))
    counts = _rows(run, pl.col(key).is_not_null(), key)[key].value_counts().sort(key)
    number = (counts["count"].cum_sum() - 1) // row_count_max
    ranges = counts.group_by(number.alias("range"), maintain_order=True).agg(
        lowest=pl.col(key).first(), highest=pl.col(key).last()
    )
    return ranges.select("lowest", "highest").rows() or [("", "")]


def _rows(run: Sequence[Segment], wanted: pl.Expr, *columns: str) -> pl.DataFrame:
    frames = []
    for segment in run:
        with reading(segment.path):
            rows = table(segment.path).filter(wanted)
            frames.append((rows.select(columns) if columns else rows).collect())
    return pl.concat(frames)
