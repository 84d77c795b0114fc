"""The files of one log, as the archiver writes them and as Sentinel reads them.

The files say how far the archive has come: nothing else remembers it, so that a crash between a
file and a commit neither loses a row nor writes it twice.

{directory}/notes/{log}-{name}.json

What follows the archive keeps how far it has come.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sentinel import archive
from sentinel.adapters.archive.compaction import compact
from sentinel.adapters.archive.params import ArchiveParams
from sentinel.adapters.archive.writing import PARTIAL, write_frame, write_whole, writing
from sentinel.archive import Segment
from sentinel.archive.files import day_of_folder, looked_again, reading, table
from sentinel.archive.reading import schema_of
from sentinel.archive.union import union_of
from sentinel.codec.archive import FIELD_TYPES, ArchiveRows, Kind
from sentinel.errors import ConfigError

log = logging.getLogger(__name__)

_TYPES: dict[type, pl.DataType] = {
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
}
_BATCH_ROW_COUNT = 200_000  # a joined file may have millions, with a column for each feature
_UNREADABLE = ".unreadable"


class ParquetArchive:
    """The files of one log. Reads and writes files: call it off the loop."""

    def __init__(self, params: ArchiveParams, *, cluster_id: str) -> None:
        self._params = params
        self._root = Path(params.directory)
        self.log = hashlib.sha256(cluster_id.encode()).hexdigest()[:8]

    def segments(
        self, kind: Kind, partition: int | None = None, *, with_parts: bool = False
    ) -> list[Segment]:
        """What there is of a kind, by partition and offset.

        A crash may leave files beside what was made of them: `with_parts` these, too.
        """
        found = archive.segments(self._root, kind, log=self.log)
        found = found if with_parts else archive.whole(found)
        return [segment for segment in found if partition in (None, segment.partition)]

    def settle(self, kind: Kind, partition: int) -> Segment | None:
        """Remove what a crash has left twice, and return the newest file of a partition.

        A larger file that was made of smaller ones may have come to stand beside them. A newest
        file that cannot be read is set aside: what it held is archived again.
        """
        for segment in reversed(self.segments(kind, partition, with_parts=True)):
            if _is_readable(segment):
                break
            aside = segment.path.with_name(segment.path.name + _UNREADABLE)
            segment.path.rename(aside)
            log.warning(
                "%s is no whole Parquet file: it was set aside as %s, and what it held is "
                "archived again where the log still has it", segment.path, aside.name,
            )  # fmt: skip
        for partial in (self._root / kind).glob(f"date=*/{self.log}-p{partition:05}-*{PARTIAL}"):
            partial.unlink(missing_ok=True)  # of one who was killed
        kept = self.segments(kind, partition)
        for part in self.segments(kind, partition, with_parts=True):
            if part not in kept and all(_is_readable(one) for one in kept if one.holds(part)):
                part.path.unlink(missing_ok=True)
        return self.newest(kind, partition)

    def newest(self, kind: Kind, partition: int) -> Segment | None:
        """The file that goes furthest of a partition."""
        found = self.segments(kind, partition)
        return max(found, key=lambda segment: segment.last, default=None)

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
        Raises ConfigError when the directory cannot be written, TransientError when it is full.
        """
        assert len(rows)
        day = day_of(int(rows.appended_ms[0]))
        folder = self._root / kind / f"date={day}"
        segment = Segment(partition, *span, position, day, folder, self.log)
        path = folder / segment.name
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            write_frame(_frame(rows, partition, feature_names), path)
        return Segment(partition, *span, position, day, path, self.log)

    def compact(self, kind: Kind, row_count_max: int) -> int:
        """Join neighbouring files of a day; returns how many there are fewer."""
        return compact(self._root, kind, self.segments(kind), row_count_max)

    def expire(self, today: date) -> list[Path]:
        """Delete days that are older than is kept."""
        if self._params.retention_days == 0:
            return []
        oldest = today - timedelta(days=self._params.retention_days)
        gone = [
            folder
            for folder in sorted(self._root.glob("*/date=*"))
            if (day := day_of_folder(folder)) is not None and day < oldest
        ]
        for folder in gone:
            shutil.rmtree(folder)
        return gone

    def read(self, segment: Segment, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Columns of a file (None: all), null where it has none; its rows in any order.

        Raises FileGoneError when it was joined with others meanwhile, ConfigError when it is
        damaged.
        """
        (frame,) = self.batches(segment, columns, row_count_max=None)
        return frame

    def batches(
        self,
        segment: Segment,
        columns: Sequence[str] | None = None,
        *,
        row_count_max: int | None = _BATCH_ROW_COUNT,
    ) -> Iterator[pl.DataFrame]:
        """The rows of a file, so many at once. Raises as `read` does."""
        schema = schema_of(segment)
        wanted = [
            pl.col(name) if name in schema else pl.lit(None).alias(name)
            for name in columns or schema.names()
        ]
        rows = table(segment.path)
        with reading(segment.path):
            count = rows.select(pl.len()).collect().item()
        step = row_count_max or max(count, 1)
        for begin in range(0, max(count, 1), step):
            with reading(segment.path):
                frame = rows.slice(begin, step).select(wanted).collect()
            yield frame

    def find(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        """All rows of a transaction, or of another subject of the audit, oldest first."""
        wanted = pl.col("subject" if kind == "audit" else "transaction_id") == pl.lit(name)
        found = looked_again(lambda: _filtered(self.segments(kind), wanted))
        rows = found.to_dicts()
        return sorted(rows, key=lambda row: (row["appended_ms"], row["offset"]))

    def matching(self, segments: Sequence[Segment], transaction_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these files on these transactions, the newest of each; no order.

        Raises FileGoneError when a file has gone meanwhile: small ones are joined.
        """
        found = _filtered(segments, pl.col("transaction_id").is_in(list(transaction_ids)))
        if not found.width:
            return pl.DataFrame(schema={"transaction_id": pl.String})
        return found.sort("appended_ms", "offset").unique("transaction_id", keep="last")

    def note(self, name: str) -> bytes | None:
        """What was kept under a name beside the files; None if nothing was."""
        path = self._note_path(name)
        return path.read_bytes() if path.exists() else None

    def keep(self, name: str, data: bytes) -> None:
        """Keep some bytes under a name, in the place of those before, whole or not at all."""
        path = self._note_path(name)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, lambda partial: partial.write_bytes(data))

    def _note_path(self, name: str) -> Path:
        return self._root / "notes" / f"{self.log}-{name}.json"


def day_of(time_ms: int) -> date:
    """The day in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date()


def _filtered(segments: Sequence[Segment], wanted: pl.Expr) -> pl.DataFrame:
    """The rows of these files that are wanted, with all columns that any of the files has."""
    frames = []
    for segment in segments:
        with reading(segment.path):
            frames.append(table(segment.path).filter(wanted).collect())
    return union_of(frames)


def _is_readable(segment: Segment) -> bool:
    """Whether its end is there; raises ConfigError when we are not allowed to look."""
    try:
        schema_of(segment)
    except ConfigError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return False
    return True


def _frame(rows: ArchiveRows, partition: int, feature_names: Sequence[str]) -> pl.DataFrame:
    columns = {
        "partition": pl.Series(np.full(len(rows), partition, dtype=np.int32)),
        "offset": pl.Series(rows.offset),
        "appended_ms": pl.Series(rows.appended_ms),
        **{
            name: pl.Series(values, dtype=_TYPES[FIELD_TYPES.get(name, str)], strict=False)
            for name, values in rows.columns.items()
        },
    }
    assert len(feature_names) == rows.features.shape[1]
    for number, name in enumerate(feature_names):
        columns[f"feature_{name}"] = pl.Series(np.ascontiguousarray(rows.features[:, number]))
    return pl.DataFrame(columns)
