"""Time zones by name: when their clocks change, as a table that compiled functions can read."""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from sentinel.codec.kernels.clocks import NOT_COVERED
from sentinel.records import Ints

# What the table covers; a time outside is left to zoneinfo itself.
_FIRST, _LAST = datetime(1970, 1, 1), datetime(2100, 1, 1)
_DAY = timedelta(days=1)


def zone_named(name: str) -> tzinfo:
    """The zone of an IANA name. Raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError) as error:  # unknown, a folder, or leaving it
        raise ValueError(f'event_time_zone "{name}" is no time zone known here') from error


def offset_s(zone: tzinfo, local: datetime) -> int:
    """By how many seconds a local time is ahead of UTC, at its first reading if it has two."""
    offset = local.replace(tzinfo=zone).utcoffset()
    assert offset is not None  # a zone always knows
    return round(offset.total_seconds())


@lru_cache(maxsize=8)
def offset_table(name: str) -> Ints:
    """From which local second since 1970 on a zone has which offset: int64 (2, n); UTC has none.

    A local time that clocks show twice, in autumn, is its first reading; one that they leave out,
    in spring, is read as if they had not been put forward yet. The last column ends the table.
    """
    zone = zone_named(name)
    if zone is UTC:
        return np.empty((2, 0), dtype=np.int64)
    day, offset = _FIRST, offset_s(zone, _FIRST)
    found = [(_FIRST, offset)]
    while day < _LAST:
        day += _DAY
        if offset_s(zone, day) != offset:
            offset = offset_s(zone, day)
            found.append((_changed(zone, day - _DAY, day), offset))
    found.append((_LAST, NOT_COVERED))
    seconds = [((when - _FIRST).total_seconds(), offset) for when, offset in found]
    return np.array(seconds, dtype=np.int64).T.copy()


def _changed(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """The first local second of the offset that the zone has at `after`, but not at `before`."""
    offset = offset_s(zone, after)
    low, high = 0, round((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if offset_s(zone, before + timedelta(seconds=middle)) == offset:
            high = middle
        else:
            low = middle
    return before + timedelta(seconds=high)


def repeated_spans(name: str) -> list[tuple[datetime, datetime]]:
    """The local times that clocks of a zone show twice, as spans."""
    seconds, offsets = offset_table(name)
    changes = zip(seconds[1:-1].tolist(), np.diff(offsets)[:-1].tolist(), strict=True)
    ends = [(_FIRST + timedelta(seconds=end), change) for end, change in changes if change < 0]
    return [(end + timedelta(seconds=change), end) for end, change in ends]
