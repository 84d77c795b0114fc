"""The files of one log, as the archiver writes them and goes on behind them.

The files say how far the archive has come: nothing else remembers it, so that a crash between a
file and a commit neither loses a row nor writes it twice.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from sentinel import archive
from sentinel.adapters.archive.writing import PARTIAL, write_frame, writing
from sentinel.archive import Segment
from sentinel.archive.files import day_of
from sentinel.archive.reading import schema_of
from sentinel.codec.archive import FIELD_TYPES, ArchiveRows, Kind
from sentinel.errors import ConfigError

log = logging.getLogger(__name__)

_TYPES: dict[type, pl.DataType] = {
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
}
_UNREADABLE = ".unreadable"


class LogFiles:
    """The files of one kind that came of one log. Reads and writes files: call it off the loop.

    Parameters
    ----------
    log
        Stands in the names of its files.
    former
        What stands there in those that an older version has written; empty if there are none.
    """

    def __init__(self, root: Path, kind: Kind, log: str, former: str = "") -> None:
        self._root = root
        self._kind = kind
        self.log = log
        self._logs = [log, former] if former else [log]

    def segments(self, partition: int | None = None, *, with_parts: bool = False) -> list[Segment]:
        """What there is, by partition and offset.

        A crash may leave files beside what was made of them: `with_parts` these, too.
        """
        found = [
            segment
            for name in self._logs
            for segment in archive.segments(self._root, self._kind, log=name)
            if partition in (None, segment.partition)
        ]
        return sorted(found if with_parts else archive.whole(found))

    def settle(self, partition: int) -> Segment | None:
        """Remove what a crash has left twice, and return the newest file of a partition.

        A larger file that was made of smaller ones may have come to stand beside them. A newest
        file that cannot be read is set aside: what it held is archived again.
        """
        for segment in reversed(self.segments(partition, with_parts=True)):
            if _is_readable(segment):
                break
            aside = segment.path.with_name(segment.path.name + _UNREADABLE)
            segment.path.rename(aside)
            log.warning(
                "%s is no whole Parquet file: it was set aside as %s, and what it held is "
                "archived again where the log still has it", segment.path, aside.name,
            )  # fmt: skip
        folder = self._root / self._kind
        for name in self._logs:
            for partial in folder.glob(f"date=*/{name}-p{partition:05}-*{PARTIAL}"):
                partial.unlink(missing_ok=True)  # of one who was killed
        kept = self.segments(partition)
        for part in self.segments(partition, with_parts=True):
            if part not in kept and all(_is_readable(one) for one in kept if one.holds(part)):
                part.path.unlink(missing_ok=True)
        return self.newest(partition)

    def newest(self, partition: int) -> Segment | None:
        """The file that goes furthest of a partition."""
        found = self.segments(partition)
        return max(found, key=lambda segment: segment.last, default=None)

    def reach(self, partition: int) -> dict[str, int]:
        """Up to which transaction (or feedback) a partition is archived, of each source."""
        found: dict[str, int] = {}
        for one in self.segments(partition):
            found[one.source] = max(one.position, found.get(one.source, -1))
        return found

    def write(
        self,
        partition: int,
        span: tuple[int, int],
        reached: tuple[str, int],
        rows: ArchiveRows,
        feature_names: Sequence[str],
    ) -> Segment:
        """Write rows that were appended on one day, whole or not at all.

        `span` are the first and the last offset that were looked at, with those of repetitions,
        `reached` the source that all rows have and the position of the last one. Raises ConfigError
        when the directory cannot be written, TransientError when it is full.
        """
        assert len(rows)
        day = day_of(int(rows.appended_ms[0]))
        folder = self._root / self._kind / f"date={day}"
        source, position = reached

        def at(path: Path) -> Segment:
            return Segment(partition, *span, position, day, path, self.log, source)

        path = folder / at(folder).name
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            write_frame(_frame(rows, partition, feature_names), path)
        return at(path)


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
