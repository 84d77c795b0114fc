"""The files of all logs, as Sentinel reads them; and what is kept beside them.

{directory}/notes/{log}-{name}.json

What follows the archive keeps how far it has come, of each log that it writes to.
"""

import shutil
from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from sentinel import archive
from sentinel.adapters.archive.compaction import compact
from sentinel.adapters.archive.log_files import LogFiles
from sentinel.adapters.archive.params import ArchiveParams
from sentinel.adapters.archive.writing import write_whole, writing
from sentinel.archive import Segment
from sentinel.archive.files import day_of_folder, looked_again, reading, table
from sentinel.archive.reading import IS_COUNTED, schema_of
from sentinel.archive.union import union_of
from sentinel.codec.archive import Kind

_BATCH_ROW_COUNT = 200_000  # a joined file may have millions, with a column for each feature


class ParquetArchive:
    """All files of a folder, of whatever log. Reads and writes files: call it off the loop.

    Parameters
    ----------
    only
        The logs whose files are looked at; None: all.
    """

    def __init__(self, params: ArchiveParams, *, only: Collection[str] | None = None) -> None:
        self._params = params
        self._root = Path(params.directory)
        self._only = only

    def log(self, kind: Kind, log: str, former: str = "") -> LogFiles:
        """The files of one log, to go on behind them."""
        return LogFiles(self._root, kind, log, former)

    def segments(self, kind: Kind, log: str = "*") -> list[Segment]:
        """What there is of a kind, by partition and offset; each row is in one of them."""
        found = archive.whole(archive.segments(self._root, kind, log=log))
        return [one for one in found if self._only is None or one.log in self._only]

    def logs(self, kind: Kind) -> list[str]:
        """The logs of which there are files of a kind, by when their first row was appended."""
        firsts: dict[str, Segment] = {}
        for one in sorted(self.segments(kind), key=lambda segment: (segment.day, segment.first)):
            firsts.setdefault(one.log, one)
        if len(firsts) < 2:
            return list(firsts)
        begins = {log: self.read(one, ["appended_ms"]).min().item() for log, one in firsts.items()}
        return sorted(begins, key=lambda log: (begins[log], log))

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
        """All rows of a transaction, or of another subject of the audit, oldest first.

        Each with the `log` that it came of.
        """
        wanted = pl.col("subject" if kind == "audit" else "transaction_id") == pl.lit(name)
        found = looked_again(lambda: _filtered(self.segments(kind), wanted))
        rows = found.to_dicts()
        return sorted(rows, key=lambda row: (row["appended_ms"], row["log"], row["offset"]))

    def matching(
        self,
        segments: Sequence[Segment],
        transaction_ids: Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """The decisions of these files on these transactions, the newest of each; no order.

        Of a transaction that came again and was not counted again, the one that was counted.
        Of several logs, too: the one that was appended last. Raises FileGoneError when a file has
        gone meanwhile: small ones are joined.
        """
        wanted = pl.col("transaction_id").is_in(list(transaction_ids)) & IS_COUNTED
        found = _filtered(segments, wanted, columns)
        if not found.width:
            return pl.DataFrame(schema={"transaction_id": pl.String})
        return found.sort("appended_ms", "log", "offset").unique("transaction_id", keep="last")

    def between(
        self, begin_ms: int, end_ms: int, columns: Sequence[str], *, row_count_max: int
    ) -> Iterator[pl.DataFrame]:
        """Decisions of a span of event time, a file at a time, those appended last first.

        Of transactions that had been counted before there are none. Columns are null where a file
        has none; of a file there are so many rows at most. Raises as `read` does.
        """
        wanted = pl.col("event_time_ms").is_between(begin_ms, end_ms, closed="left") & IS_COUNTED
        newest = sorted(self.segments("decisions"), key=lambda one: (one.day, one.last))
        for segment in reversed(newest):
            schema = schema_of(segment)
            named = [
                pl.col(name) if name in schema else pl.lit(None).alias(name) for name in columns
            ]
            with reading(segment.path):
                rows = table(segment.path).filter(wanted).select(named)
                yield rows.head(row_count_max).collect()

    def note(self, log: str, name: str) -> bytes | None:
        """What was kept under a name beside the files of a log; None if nothing was."""
        path = self._note_path(log, name)
        return path.read_bytes() if path.exists() else None

    def notes(self, name: str) -> list[tuple[str, bytes]]:
        """What was kept under a name, of any log, with the names of the files; newest first."""
        paths = [
            path
            for path in (self._root / "notes").glob(f"*-{name}.json")
            if self._only is None or path.name.partition("-")[0] in self._only
        ]
        paths.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [(path.name, path.read_bytes()) for path in paths]

    def keep(self, log: str, name: str, data: bytes) -> None:
        """Keep some bytes under a name, in the place of those before, whole or not at all."""
        path = self._note_path(log, name)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, lambda partial: partial.write_bytes(data))

    def _note_path(self, log: str, name: str) -> Path:
        return self._root / "notes" / f"{log}-{name}.json"


def _filtered(
    segments: Sequence[Segment], wanted: pl.Expr, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """The rows of these files that are wanted, with all columns that any of the files has.

    And with `log`, which the rows came of.
    """
    frames = []
    for segment in segments:
        with reading(segment.path):
            rows = table(segment.path).filter(wanted)
            rows = rows if columns is None else rows.select(columns)
            frames.append(rows.with_columns(log=pl.lit(segment.log)).collect())
    return union_of(frames)
