"""Times in other forms than UTC and seconds: local ones, whole numbers of small parts, steps.

They are apart from the plain ones, which pay nothing for them.
"""

import numba
import numpy as np

from sentinel.codec.kernels.lexing import DECIMAL, STRING, WHOLE, exact, quotient
from sentinel.codec.kernels.rfc3339 import time_s
from sentinel.records import Ints
from sentinel.texts import Bytes

# How a field is kept that accepts no plain shape. From PARTS_OF_MS on it is a whole number, of
# which so many are a millisecond.
AS_LOCAL_TIME, AS_STEPS, AS_PARTS_OF_MS = 16, 17, 1_000

NOT_COVERED = -1_000_000  # ends the table of a zone

_PLUS, _MINUS, _UPPER_Z = 0x2B, 0x2D, 0x5A


@numba.njit(cache=True, nogil=True)
def _local_time_s(data: Bytes, begin: int, stop: int, zone: Ints) -> float:
    """As `time_s`, but a time without an offset is one of the zone (codec/values/zones.py)."""
    found = time_s(data, begin, stop)
    if np.isnan(found) or data[stop - 1] == _UPPER_Z:
        return found
    if stop - begin > 19 and (data[stop - 6] == _PLUS or data[stop - 6] == _MINUS):
        return found
    at = np.searchsorted(zone[0], np.int64(np.floor(found)), side="right") - 1
    return np.nan if zone[1, at] == NOT_COVERED else found - zone[1, at]


@numba.njit(cache=True, nogil=True)
def other_time(
    data: Bytes,
    begin: int,
    stop: int,
    value: tuple[int, int, int],
    kept_as: int,
    clock: Ints,
) -> float:
    """A time in a form of its own; NaN if it is none, or cannot be told exactly.

    `clock` is the table of a local time's zone, and of steps their width and origin in ms. Local
    times are seconds, others milliseconds.
    """
    shape, mantissa, power = value
    if kept_as >= AS_PARTS_OF_MS and shape == WHOLE:
        return float(quotient(mantissa, kept_as))
    if kept_as == AS_STEPS and shape & (WHOLE | DECIMAL) > 0:
        return float(np.rint(exact(mantissa, power) * clock[0, 0]) + clock[1, 0])
    if kept_as == AS_LOCAL_TIME and shape == STRING:
        return _local_time_s(data, begin + 1, stop - 1, clock)
    return np.nan
