"""All rows of a kind, or those of one account."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from sentinel.archive.files import Segment, looked_again, reading, segments, table, whole
from sentinel.archive.union import union, union_of
from sentinel.codec.archive import KINDS, Kind
from sentinel.errors import ConfigError

Day = date | str | None

_HIVE: dict[str, type[pl.DataType]] = {"date": pl.Date}

# Of decisions, those that are none on a transaction which had been counted before.
IS_COUNTED = ~pl.col("degraded").fill_null("").str.contains("duplicate", literal=True)


def scan(
    directory: Path | str, kind: Kind, *, since: Day = None, until: Day = None
) -> pl.LazyFrame:
    """All rows of a kind, in no particular order.

    Columns are those of all files that are read: null in files that have none, of the wider type
    (`union.widened`) where it has changed. `date` is the day on which a row was appended, in UTC,
    `log` names the log that it came of: another one may hold the same transaction once more.
    Days before `since` and after `until` (dates, or "2026-03-01") are not opened, and of days that
    a filter by `date` leaves out no row is read. Raises ConfigError when there is nothing to read.
    """
    groups: dict[tuple[object, ...], _Group] = {}
    for segment in sorted(_found(directory, kind, since, until), key=lambda one: one.day):
        schema = schema_of(segment)
        # polars takes any folder of a path with a "=" for a column; only its own may be one.
        day = segment.day if "=" in str(Path(directory).absolute()) else None
        key = (*schema.items(), day, segment.log)
        group = groups.setdefault(key, _Group(schema, day, segment.log))
        group.paths.append(segment.path)
    frames = [group.frame() for group in groups.values()]
    added = {"log": pl.String(), "date": pl.Date()}
    schemas = [pl.Schema({**group.schema, **added}) for group in groups.values()]
    return union(frames, schemas).select(pl.exclude(*added), *added)


@dataclass(frozen=True, slots=True)
class _Group:
    """Files of one log with the same columns; all of one day, or their folders tell which."""

    schema: pl.Schema
    day: date | None
    log: str
    paths: list[Path] = field(default_factory=list)

    def frame(self) -> pl.LazyFrame:
        if self.day is None:
            frame = pl.scan_parquet(
                self.paths, glob=False, hive_partitioning=True, hive_schema=_HIVE
            )
        else:
            frame = table(*self.paths).with_columns(date=pl.lit(self.day))
        return frame.with_columns(log=pl.lit(self.log))


def history(
    directory: Path | str,
    account: str,
    kind: Kind = "decisions",
    *,
    since: Day = None,
    until: Day = None,
) -> pl.DataFrame:
    """The decisions or labels of one account, by event time, then by when they were appended.

    Of a file that `sentinel archive compact` has sorted, only what may hold the account is read.
    """

    def look() -> pl.DataFrame:
        frames = []
        for segment in _found(directory, kind, since, until):
            with reading(segment.path):
                wanted = pl.col("account") == pl.lit(account)
                rows = table(segment.path).filter(wanted).with_columns(log=pl.lit(segment.log))
                frames.append(rows.collect())
        found = union_of(frames).sort("event_time_ms", "appended_ms", "offset")
        return found.select(pl.exclude("log"), "log")

    if kind == "audit":
        raise ConfigError("the audit is of transactions and of those who vote, not of accounts")
    return looked_again(look)


def schema_of(segment: Segment) -> pl.Schema:
    """The columns of a file."""
    with reading(segment.path):
        return table(segment.path).collect_schema()


def _found(directory: Path | str, kind: Kind, since: Day, until: Day) -> list[Segment]:
    if kind not in KINDS:
        raise ConfigError(f'"{kind}" is not archived, but {", ".join(KINDS)} are')
    found = whole(segments(directory, kind, since=_day(since), until=_day(until)))
    if not found:
        days = "" if since is None and until is None else " of these days"
        raise ConfigError(
            f"{Path(directory) / kind}: there are no archived files{days}; "
            "`sentinel archive run` writes them"
        )
    return found


def _day(day: Day) -> date | None:
    if not isinstance(day, str):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError as error:
        raise ConfigError(f'"{day}" is no day: write it as 2026-03-01') from error
