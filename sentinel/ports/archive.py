"""The archive: files of what was decided and found out, and notes beside them.

Its methods read and write files: call them off the loop. A row may be looked at as long as nobody
joins its file with others; then FileGoneError says to look again. ConfigError names a file that is
damaged or cannot be read or written, TransientError a disk that is full.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sentinel.archive import Segment
from sentinel.codec.archive import ArchiveRows, Kind

if TYPE_CHECKING:
    import polars as pl


class LogArchive(Protocol):
    """The files of one kind that came of one log."""

    def segments(self, partition: int | None = None, *, with_parts: bool = False) -> list[Segment]:
        """What there is, by partition and offset; `with_parts` what a crash has left twice, too."""
        ...

    def settle(self, partition: int) -> Segment | None:
        """Remove what a crash has left twice; the newest file of a partition."""
        ...

    def newest(self, partition: int) -> Segment | None:
        """The file that goes furthest of a partition."""
        ...

    def reach(self, partition: int) -> dict[str, int]:
        """Up to which transaction (or feedback) a partition is archived, of each source."""
        ...

    def write(
        self,
        partition: int,
        span: tuple[int, int],
        reached: tuple[str, int],
        rows: ArchiveRows,
        feature_names: Sequence[str],
    ) -> Segment:
        """Write rows that were appended on one day, whole or not at all.

        `span` are the first and the last offset that were looked at, `reached` the source that all
        rows have and the position of the last one.
        """
        ...


class Archive(Protocol):
    """All files, of whatever log."""

    def log(self, kind: Kind, log: str, former: str = "") -> LogArchive:
        """The files of one log, to go on behind them; `former` is what an older version called
        it, empty if there are none of that.
        """
        ...

    def segments(self, kind: Kind, log: str = "*") -> list[Segment]:
        """What there is of a kind, by partition and offset; each row is in one of them."""
        ...

    def logs(self, kind: Kind) -> list[str]:
        """The logs of which there are files of a kind, by when their first row was appended."""
        ...

    def expire(self, today: date) -> list[Path]:
        """Delete days that are older than is kept."""
        ...

    def read(self, segment: Segment, columns: Sequence[str] | None = None) -> "pl.DataFrame":
        """Columns of a file (None: all), null where it has none; its rows in any order."""
        ...

    def batches(
        self, segment: Segment, columns: Sequence[str] | None = None
    ) -> "Iterator[pl.DataFrame]":
        """The rows of a file, some hundred thousands at once."""
        ...

    def find(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        """All rows of a transaction, or of another subject of the audit, oldest first."""
        ...

    def matching(
        self,
        segments: Sequence[Segment],
        transaction_ids: Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> "pl.DataFrame":
        """The rows of these files on these transactions, the newest of each; no order."""
        ...

    def note(self, log: str, name: str) -> bytes | None:
        """What was kept under a name beside the files of a log; None if nothing was."""
        ...

    def notes(self, name: str) -> list[tuple[str, bytes]]:
        """What was kept under a name, of any log, with the names of the files; newest first."""
        ...

    def keep(self, log: str, name: str, data: bytes) -> None:
        """Keep some bytes under a name, in the place of those before, whole or not at all."""
        ...
