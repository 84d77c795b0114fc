"""Time zones by name: when their clocks change, as a table that compiled functions can read."""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from sentinel.records import Ints

# What the table covers; a time outside is left to zoneinfo itself.
_FIRST, _LAST = datetime(1970, 1, 1), datetime(2100, 1, 1)
_EPOCH = datetime(1970, 1, 1)
_DAY = timedelta(days=1)


def zone_named(name: str) -> tzinfo:
    """The zone of an IANA name. Raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError) as error:  # unknown, a folder, or leaving it
        raise ValueError(f'event_time_zone "{name}" is no time zone known here') from error
