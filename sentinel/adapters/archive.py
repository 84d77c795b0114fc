"""Decisions, labels and the audit as Parquet files, each row once.

{directory}/{kind}/date={day appended, UTC}/{log}-p{partition}-{first}-{last}-{position}.parquet

`kind` is decisions, labels or audit; `log` names the log that the offsets belong to. A file holds
what lies between two offsets of one partition of its topic, without repetitions; `position` is the
offset of the newest transaction (or feedback) that anything up to there came of. The files say how
far the archive has come: nothing else remembers it, so that a crash between a file and a commit
neither loses a row nor writes it twice.

{directory}/notes/{log}-{name}.json

What follows the archive keeps how far it has come.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from sentinel.codec.archive import ArchiveRows, Kind
from sentinel.errors import ConfigError

_KINDS = {"explore_share": pl.Float64}  # of columns that may be all null; others are texts then
_NAME = re.compile(r"([0-9a-f]{8})-p(\d{5})-(\d{15})-(\d{15})-(\d{15})\.parquet")


@dataclass(frozen=True, slots=True)
class ArchiveParams:
    """Where the archive is, and how large its files are.

    Attributes
    ----------
    interval_s
        A file is written when its oldest record has waited for so long,
    row_count_max
        or when it has so many rows.
    retention_days
        Days appended longer ago are deleted; 0 keeps all.
    examples_interval_s
        So often what was archived becomes examples, and feedback on it is placed.
    """

    directory: str = ".sentinel/archive"
    interval_s: float = 60.0
    row_count_max: int = 100_000
    retention_days: int = 0
    examples_interval_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.directory:
            raise ValueError("directory must not be empty")
        if not 0.1 <= self.interval_s <= 86_400:
            raise ValueError("interval_s must be in 0.1..86400")
        if not 0.1 <= self.examples_interval_s <= 86_400:
            raise ValueError("examples_interval_s must be in 0.1..86400")
        if not 1 <= self.row_count_max <= 10_000_000 or self.retention_days < 0:
            raise ValueError("row_count_max must be in 1..10000000, retention_days at least 0")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file: the offsets from `first` to `last` of one partition, both in it."""

    partition: int
    first: int
    last: int
    position: int
    day: date
    path: Path

    def holds(self, other: "Segment") -> bool:
        """Whether all that lies in the other one lies in this."""
        return self.partition == other.partition and (
            self.first <= other.first and other.last <= self.last
        )


class ParquetArchive:
    """The files of one log. Reads and writes files: call it off the loop."""

    def __init__(self, params: ArchiveParams, *, cluster_id: str) -> None:
        self._params = params
        self._root = Path(params.directory)
        self._log = hashlib.sha256(cluster_id.encode()).hexdigest()[:8]

    def segments(self, kind: Kind, partition: int | None = None) -> list[Segment]:
        """What there is of a kind, by partition and offset."""
        found = []
        for path in (self._root / kind).glob(f"date=*/{self._log}-*.parquet"):
            match = _NAME.fullmatch(path.name)
            if match is None:
                continue
            number, first, last, position = (int(text) for text in match.groups()[1:])
            day = date.fromisoformat(path.parent.name.removeprefix("date="))
            if partition in (None, number):
                found.append(Segment(number, first, last, position, day, path))
        return sorted(found)

    def settle(self, kind: Kind, partition: int) -> Segment | None:
        """Remove what a crash has left twice, and return the newest file of a partition.

        A larger file that was made of smaller ones may have come to stand beside them.
        """
        kept: list[Segment] = []
        for segment in sorted(self.segments(kind, partition), key=lambda s: (s.first, -s.last)):
            if kept and kept[-1].holds(segment):
                segment.path.unlink(missing_ok=True)
            else:
                kept.append(segment)
        return max(kept, key=lambda segment: segment.last, default=None)

    def write(
        self,
        kind: Kind,
        partition: int,
        span: tuple[int, int],
        position: int,
        rows: ArchiveRows,
        feature_names: Sequence[str],
    ) -> Segment:
        """Write rows that were appended on one day, whole or not at all.

        `span` are the first and the last offset that were looked at, with those of repetitions.
        Raises ConfigError when the directory cannot be written.
        """
        assert len(rows)
        day = day_of(int(rows.appended_ms[0]))
        folder = self._root / kind / f"date={day}"
        name = f"{self._log}-p{partition:05}-{span[0]:015}-{span[1]:015}-{position:015}.parquet"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(_frame(rows, partition, feature_names), folder / name)
        except OSError as error:
            raise ConfigError(f"[archive] directory: {folder}: {error.strerror}") from error
        return Segment(partition, *span, position, day, folder / name)

    def compact(self, kind: Kind, row_count_max: int) -> int:
        """Join neighbouring small files of a day; returns how many there are fewer."""
        fewer = 0
        for group in _neighbours(self.segments(kind), row_count_max):
            frames = [pl.read_parquet(segment.path) for segment in group]
            first, last = group[0], group[-1]
            name = last.path.name.replace(f"-{last.first:015}-", f"-{first.first:015}-", 1)
            _write(pl.concat(frames, how="vertical"), last.path.parent / name)
            for segment in group:
                segment.path.unlink()
            fewer += len(group) - 1
        return fewer

    def expire(self, today: date) -> list[Path]:
        """Delete days that are older than is kept."""
        if self._params.retention_days == 0:
            return []
        oldest = today - timedelta(days=self._params.retention_days)
        gone = [
            folder
            for folder in sorted(self._root.glob("*/date=*"))
            if date.fromisoformat(folder.name.removeprefix("date=")) < oldest
        ]
        for folder in gone:
            shutil.rmtree(folder)
        return gone

    def read(self, segment: Segment, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of a file."""
        return pl.read_parquet(segment.path, columns=list(columns) if columns else None)

    def find(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        """All rows of a transaction, or of another subject of the audit, oldest first."""
        paths = [segment.path for segment in self.segments(kind)]
        if not paths:
            return []
        wanted = pl.col("subject" if kind == "audit" else "transaction_id") == name
        frames = [pl.scan_parquet(path).filter(wanted).collect() for path in paths]
        rows = [row for frame in frames for row in frame.iter_rows(named=True)]
        return sorted(rows, key=lambda row: (row["appended_ms"], row["offset"]))

    def matching(self, segments: Sequence[Segment], transaction_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these files on these transactions, the newest of each; no order.

        Raises FileNotFoundError when a file has gone meanwhile: small ones are joined.
        """
        wanted = pl.col("transaction_id").is_in(list(transaction_ids))
        frames = [pl.scan_parquet(segment.path).filter(wanted).collect() for segment in segments]
        if not frames:
            return pl.DataFrame(schema={"transaction_id": pl.String})
        return (
            pl.concat(frames, how="diagonal")
            .sort("appended_ms", "offset")
            .unique("transaction_id", keep="last")
        )

    def note(self, name: str) -> bytes | None:
        """What was kept under a name beside the files; None if nothing was."""
        path = self._note_path(name)
        return path.read_bytes() if path.exists() else None

    def keep(self, name: str, data: bytes) -> None:
        """Keep some bytes under a name, in the place of those before, whole or not at all."""
        path = self._note_path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, lambda file: file.write(data))
        except OSError as error:
            raise ConfigError(f"[archive] directory: {path}: {error.strerror}") from error

    def _note_path(self, name: str) -> Path:
        return self._root / "notes" / f"{self._log}-{name}.json"


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody kept beside the files, when, and how many logs have such a note."""

    path: Path
    data: bytes
    at_ms: int
    log_count: int


def newest_note(params: ArchiveParams, name: str) -> Note | None:
    """What was kept last under a name, of any log; None if nothing was. Raises ConfigError."""
    folder = Path(params.directory) / "notes"
    try:
        paths = {path.stat().st_mtime: path for path in folder.glob(f"*-{name}.json")}
        if not paths:
            return None
        at_s = max(paths)
        return Note(paths[at_s], paths[at_s].read_bytes(), round(at_s * 1000), len(paths))
    except OSError as error:
        raise ConfigError(f"[archive] directory: {folder}: {error.strerror}") from error


def day_of(time_ms: int) -> date:
    """The day in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date()


def _neighbours(segments: Sequence[Segment], row_count_max: int) -> Iterator[list[Segment]]:
    """Runs of files of one partition, day and layout that fit in one, two or more each."""
    run: list[Segment] = []
    layout: Any = None
    count = 0
    for segment in segments:
        found = pl.read_parquet_schema(segment.path)
        rows = pl.scan_parquet(segment.path).select(pl.len()).collect().item()
        follows = run and (segment.partition, segment.day, segment.first) == (
            run[-1].partition,
            run[-1].day,
            run[-1].last + 1,
        )
        if follows and found == layout and count + rows <= row_count_max:
            run.append(segment)
            count += rows
            continue
        if len(run) > 1:
            yield run
        run, layout, count = [segment], found, rows
    if len(run) > 1:
        yield run


def _frame(rows: ArchiveRows, partition: int, feature_names: Sequence[str]) -> pl.DataFrame:
    columns = {
        "partition": pl.Series(np.full(len(rows), partition, dtype=np.int32)),
        "offset": pl.Series(rows.offset),
        "appended_ms": pl.Series(rows.appended_ms),
        **{
            name: pl.Series(values, dtype=_KINDS.get(name), strict=False)
            for name, values in rows.columns.items()
        },
    }
    assert len(feature_names) == rows.features.shape[1]
    for number, name in enumerate(feature_names):
        columns[f"feature_{name}"] = pl.Series(np.ascontiguousarray(rows.features[:, number]))
    texts = {name: pl.String for name, s in columns.items() if s.dtype == pl.Null}
    return pl.DataFrame(columns).cast(texts)  # type: ignore[arg-type]  # names to types


def _write(frame: pl.DataFrame, path: Path) -> None:
    _write_whole(path, lambda file: frame.write_parquet(file, compression="zstd"))


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """On the disk before it has its name."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
