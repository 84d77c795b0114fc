"""Which files an archive has, as their names tell it."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

import polars as pl

from sentinel.codec.archive import Kind
from sentinel.errors import ConfigError, FileGoneError

T = TypeVar("T")

_NAME = re.compile(
    r"([0-9a-f]{8})-p(\d{5})-(\d{15})-(\d{15})-(\d{15})(?:-([0-9a-z]{1,16}))?\.parquet"
)
_FOLDER = re.compile(r"date=(\d{4}-\d{2}-\d{2})")
_LOOK_COUNT_MAX = 5


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file: the offsets from `first` to `last` of one partition of a log, both in it.

    Attributes
    ----------
    position
        Of the newest transaction (or feedback) that anything in it came of.
    source
        Which log that position is of; empty for the first one, and where it is not told.
    """

    partition: int
    first: int
    last: int
    position: int
    day: date
    path: Path
    log: str
    source: str = ""

    @property
    def name(self) -> str:
        """What the file is called."""
        return (
            f"{self.log}-p{self.partition:05}-{self.first:015}-{self.last:015}"
            f"-{self.position:015}{self.source and '-'}{self.source}.parquet"
        )

    def holds(self, other: "Segment") -> bool:
        """Whether all that lies in the other one lies in this."""
        return (self.log, self.partition) == (other.log, other.partition) and (
            self.first <= other.first and other.last <= self.last
        )


def segments(
    directory: Path | str,
    kind: Kind,
    *,
    log: str = "*",
    since: date | None = None,
    until: date | None = None,
) -> list[Segment]:
    """The files of a kind by partition and offset, of days from `since` to `until`, both in it.

    Anything else that lies in the folders is left alone.
    """
    found = []
    for path in (Path(directory) / kind).glob(f"date=*/{log}-*.parquet"):
        match, day = _NAME.fullmatch(path.name), day_of_folder(path.parent)
        if match is None or day is None:
            continue
        if (since is None or since <= day) and (until is None or day <= until):
            partition, first, last, position = (int(text) for text in match.groups()[1:5])
            source = match[6] or ""
            found.append(Segment(partition, first, last, position, day, path, match[1], source))
    return sorted(found)


def whole(found: Iterable[Segment]) -> list[Segment]:
    """Without those that lie in another one: a crash leaves parts beside what was made of them."""
    kept: list[Segment] = []
    for one in sorted(found, key=lambda s: (s.log, s.partition, s.first, -s.last)):
        if not kept or not kept[-1].holds(one):
            kept.append(one)
    return sorted(kept)


def day_of(time_ms: int) -> date:
    """The day in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date()


def day_of_folder(folder: Path) -> date | None:
    """The day whose files a folder has; None if it is no such folder."""
    match = _FOLDER.fullmatch(folder.name)
    try:
        return None if match is None else date.fromisoformat(match[1])
    except ValueError:
        return None


def table(*paths: Path) -> pl.LazyFrame:
    """Files as they are: signs in the names of their folders mean nothing."""
    return pl.scan_parquet(list(paths), glob=False, hive_partitioning=False)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of what cannot be read which file it is, and what to do.

    Raises FileGoneError when it has gone since it was listed, ConfigError when it is damaged or
    not ours to read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FileGoneError(
            f"{path}: was joined with others, or expired, since it was listed: try again"
        ) from error
    except (OSError, pl.exceptions.ComputeError, pl.exceptions.SchemaError) as error:
        raise ConfigError(
            f"{path}: cannot be read as Parquet ({_first_line(error)}): "
            "restore it, or move it out of the archive"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def looked_again(look: Callable[[], T]) -> T:
    """What `look` finds; again when a file has gone between its listing and its reading."""
    for _ in range(_LOOK_COUNT_MAX - 1):
        try:
            return look()
        except FileGoneError:
            continue
    return look()
