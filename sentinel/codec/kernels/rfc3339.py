"""RFC 3339 times in their plain forms, read from bytes by compiled functions."""

import numba
import numpy as np

from sentinel.codec.kernels.lexing import digits
from sentinel.texts import Bytes

_PLUS, _MINUS, _POINT, _ZERO, _COLON = 0x2B, 0x2D, 0x2E, 0x30, 0x3A
_SPACE, _UPPER_T, _UPPER_Z = 0x20, 0x54, 0x5A

_DAYS_BEFORE = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_YEAR_MIN, _YEAR_MAX = 1970, 2254  # its microseconds are below 2**53


@numba.njit(cache=True, nogil=True)
def _two_digits(data: Bytes, at: int) -> int:
    """A number below 100; far below zero if these are not two digits."""
    tens, ones = np.int64(data[at]) - _ZERO, np.int64(data[at + 1]) - _ZERO
    is_number = 0 <= tens <= 9 and 0 <= ones <= 9
    return tens * 10 + ones if is_number else -100_000  # type: ignore[return-value]


@numba.njit(cache=True, nogil=True)
def _days(data: Bytes, at: int) -> int:
    """Days from 1970 to the date at `at`; -1 if it is none, or of another age."""
    year = _two_digits(data, at) * 100 + _two_digits(data, at + 2)
    month = _two_digits(data, at + 5)
    day = _two_digits(data, at + 8)
    if data[at + 4] != _MINUS or data[at + 7] != _MINUS or not _YEAR_MIN <= year <= _YEAR_MAX:
        return -1
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month] + (is_leap and month == 2):
        return -1
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400 - 477  # 477 until 1970
    days = (year - 1970) * 365 + leap_days + _DAYS_BEFORE[month] + day - 1
    return days + 1 if is_leap and month > 2 else days


@numba.njit(cache=True, nogil=True)
def _second_of_day(data: Bytes, at: int) -> int:
    """Of the time HH:MM:SS at `at`; -1 if it is none."""
    hour, minute, second = (
        _two_digits(data, at),
        _two_digits(data, at + 3),
        _two_digits(data, at + 6),
    )
    if data[at + 2] != _COLON or data[at + 5] != _COLON:
        return -1
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
        return -1
    return hour * 3600 + minute * 60 + second


@numba.njit(cache=True, nogil=True)
def time_s(data: Bytes, begin: int, stop: int) -> float:
    """Seconds since 1970 of an RFC 3339 time, rounded to microseconds; NaN if it is not plain."""
    if stop - begin < 19 or (data[begin + 10] != _UPPER_T and data[begin + 10] != _SPACE):
        return np.nan
    days, second = _days(data, begin), _second_of_day(data, begin + 11)
    if days < 0 or second < 0:
        return np.nan
    at = begin + 19
    micros = 0
    if data[at] == _POINT:
        after, nanos = digits(data, at + 1, 0, 9)
        count = after - at - 1
        if not 1 <= count <= 9:
            return np.nan
        for _ in range(9 - count):
            nanos *= 10
        micros = (nanos + 500) // 1000
        at = after
    offset_s = 0
    if at + 6 == stop and (data[at] == _PLUS or data[at] == _MINUS):
        hour, minute = _two_digits(data, at + 1), _two_digits(data, at + 4)
        if data[at + 3] != _COLON or not (0 <= hour <= 23 and 0 <= minute <= 59):
            return np.nan
        offset_s = (hour * 3600 + minute * 60) * (1 if data[at] == _PLUS else -1)
    elif at + 1 == stop and data[at] == _UPPER_Z:
        pass
    elif at != stop:
        return np.nan
    return ((days * 86_400 + second - offset_s) * 1_000_000 + micros) / 1e6
