"""JSON objects straight from bytes into columns, when they are plainly right.

What is accepted here is what nobody could read otherwise: strict JSON without escapes, flat values
of the wanted type, numbers that one multiplication or division rounds correctly, times in their
usual forms, values in their limits. Any other row is left to a decoder that knows all of the
language and can say what is wrong, so this one need not: it must only never take what that one
refuses, nor read it differently.
"""

import numba
import numpy as np

from sentinel.codec.kernels.clocks import other_time
from sentinel.codec.kernels.converting import converted
from sentinel.codec.kernels.lexing import (
    BRACE,
    BRACE_END,
    BRACKET,
    COMMA,
    FALSE,
    NULL,
    STRING,
    TRUE,
    after_blanks,
    after_key,
    after_nested,
    exact,
    flat,
    is_blank,
    is_same,
    number,
    text_end,
)
from sentinel.codec.kernels.rfc3339 import time_s
from sentinel.records import Floats, Ints
from sentinel.texts import NONE, Bytes

# Rows of the table of integers; from TEXTS on a start and a length for each column of texts.
IS_READ, PARTITION, OFFSET, TIME, AMOUNT, TEXTS = 0, 1, 2, 3, 4, 5

# Rows of the table of doubles: the time and the amount as they were written, then other numbers.
RAW_TIME, RAW_AMOUNT, NUMBERS = 0, 1, 2

# Columns of the table of fields: where its name lies, what it accepts, how it is kept and where.
NAME_START, NAME_LENGTH, ACCEPTS, KEPT_AS, SLOT = 0, 1, 2, 3, 4
FIELD_WIDTH = 5
AS_TEXT, AS_NUMBER, AS_TIME = 0, 1, 2  # AS_TIME: a number, too, of which a string is RFC 3339

# Texts that must not be missing come first, then those that are identifiers as well.
REQUIRED_TEXT_COUNT = 2

# Places of the limits.
TIME_SCALE, TIME_MIN_MS, TIME_MAX_MS, FUTURE_MS_MAX, AMOUNT_SCALE, AMOUNT_MAX = 0, 1, 2, 3, 4, 5
ID_COUNT, ID_BYTES_MAX, RECORD_BYTES_MAX = 6, 7, 8
AMOUNT_MIN, AMOUNT_LEAST = 9, 10  # what is accepted; what is less than the second becomes it
CURRENCY_TEXT = 11  # the row of its start
LIMIT_COUNT = 12

_TOKENS_MAX = 64  # keys of a row that the next row is expected to repeat


@numba.njit(cache=True, nogil=True)
def _field_named(data: Bytes, begin: int, length: int, names: Bytes, fields: Ints) -> int:
    for field in range(fields.shape[0]):
        if fields[field, NAME_LENGTH] == length and is_same(
            data, begin, names, fields[field, NAME_START], length
        ):
            return field
    return -1


@numba.njit(cache=True, nogil=True, forceinline=True)
def _next_key(
    data: Bytes, at: int, end: int, place: int, names: Bytes, fields: Ints, tokens: Ints
) -> tuple[int, int]:
    """Where the value of the next key begins, -1 for nowhere, and its field, -1 for an unknown one.

    Most rows repeat, from the end of one value to the start of the next, what the row before had at
    this place: then one comparison answers for comma, quotes, name and colon.
    """
    if place < _TOKENS_MAX:
        length = tokens[place, 1]
        if 0 < length < end - at and is_same(data, at, data, tokens[place, 0], length):
            return after_blanks(data, at + length), tokens[place, 2]
    if data[at] != (BRACE if place == 0 else COMMA):
        return -1, -1
    key = after_blanks(data, at + 1)
    value = after_key(data, key, end)
    if value < 0:
        return -1, -1
    field = _field_named(data, key + 1, text_end(data, key + 1, end) - key - 1, names, fields)
    if place < _TOKENS_MAX:
        tokens[place, 0] = at
        tokens[place, 1] = value - at
        tokens[place, 2] = field
    return value, field


@numba.njit(cache=True, nogil=True, forceinline=True)
def _value_of(
    data: Bytes, shape: int, begin: int, stop: int, mantissa: int, power: int, kept_as: int
) -> float:
    """A number, a time or a truth as a double; NaN if it cannot be told exactly."""
    if shape == TRUE:
        return 1.0
    if shape == FALSE:
        return 0.0
    if shape != STRING:
        return exact(mantissa, power)
    if kept_as == AS_TIME:
        return time_s(data, begin, stop)
    shape, after, mantissa, power = number(data, begin)
    return exact(mantissa, power) if shape > 0 and after == stop else np.nan


@numba.njit(cache=True, nogil=True, forceinline=True)
def _keep_text(
    data: Bytes, begin: int, stop: int, arena: Bytes, used: int, ints: Ints, slot: int, row: int
) -> int:
    """Copy a text; one that is empty counts as missing. How far the arena is used then."""
    length = stop - begin
    for i in range(length):
        arena[used + i] = data[begin + i]
    ints[TEXTS + 2 * slot, row] = used
    ints[TEXTS + 2 * slot + 1, row] = length if length > 0 else NONE
    return used + length


@numba.njit(cache=True, nogil=True, forceinline=True)
def keep(
    data: Bytes,
    begin: int,
    after: int,
    value: tuple[int, int, int],
    fields: Ints,
    field: int,
    clock: Ints | None,
    arena: Bytes,
    used: int,
    ints: Ints,
    floats: Floats,
    row: int,
) -> int:
    """Put a value where it belongs; how far the arena is used then, -1 if it does not fit."""
    shape, mantissa, power = value
    slot = fields[field, SLOT]
    if shape & fields[field, ACCEPTS] == 0:
        if clock is None:  # then numba leaves the rest out
            return -1
        found = other_time(data, begin, after, value, fields[field, KEPT_AS], clock)
        if np.isnan(found):
            return -1  # a text, perhaps, whose slot is none of these
        floats[slot, row] = found
        return used
    if shape == STRING:
        begin, after = begin + 1, after - 1
    if fields[field, KEPT_AS] == AS_TEXT:
        stop = begin if shape == NULL else after
        return _keep_text(data, begin, stop, arena, used, ints, slot, row)
    if shape == NULL:
        floats[slot, row] = np.nan
        return used
    found = _value_of(data, shape, begin, after, mantissa, power, fields[field, KEPT_AS])
    floats[slot, row] = found
    return -1 if np.isnan(found) else used


@numba.njit(cache=True, nogil=True, forceinline=True)
def _scan_row(
    data: Bytes,
    begin: int,
    end: int,
    names: Bytes,
    fields: Ints,
    clock: Ints | None,
    tokens: Ints,
    arena: Bytes,
    used: int,
    ints: Ints,
    floats: Floats,
    row: int,
) -> int:
    """Read one object; how far the arena is used then, or -1 if the object is not plain."""
    while end > begin and is_blank(data[end - 1]):
        end -= 1
    if end <= begin or data[end - 1] != BRACE_END:
        return -1
    at = after_blanks(data, begin)
    place = 0
    while place == 0 or data[at] != BRACE_END:
        begin, name = _next_key(data, at, end, place, names, fields, tokens)
        if begin < 0:
            return -1
        if name < 0 and (data[begin] == BRACE or data[begin] == BRACKET):
            at = after_nested(data, begin, end)
            if at < 0:
                return -1
        else:
            shape, at, mantissa, power = flat(data, begin, end)
            if shape == 0:
                return -1
            if name >= 0:
                value = (shape, mantissa, power)
                used = keep(
                    data, begin, at, value, fields, name, clock, arena, used, ints, floats, row
                )
                if used < 0:
                    return -1
        at = after_blanks(data, at)
        place += 1
    return used if at + 1 == end else -1


@numba.njit(cache=True, nogil=True, forceinline=True)
def is_usable(
    stamp_ms: int,
    limits: Floats,
    currencies: Floats | None,
    arena: Bytes,
    ints: Ints,
    floats: Floats,
    row: int,
) -> bool:
    """Whether the values are within their limits, and time and amount as whole numbers."""
    time_ms = np.rint(floats[RAW_TIME, row] * limits[TIME_SCALE])
    amount = np.rint(floats[RAW_AMOUNT, row] * limits[AMOUNT_SCALE])
    if currencies is not None:
        at = int(limits[CURRENCY_TEXT])
        begin, length = ints[at, row], ints[at + 1, row]
        amount = converted(floats[RAW_AMOUNT, row], arena, begin, length, currencies)
    if not (limits[TIME_MIN_MS] <= time_ms <= limits[TIME_MAX_MS]):
        return False
    if stamp_ms > 0 and time_ms > stamp_ms + limits[FUTURE_MS_MAX]:
        return False
    if not (limits[AMOUNT_MIN] <= amount <= limits[AMOUNT_MAX]):
        return False
    for slot in range(int(limits[ID_COUNT])):
        length = ints[TEXTS + 2 * slot + 1, row]
        if length > limits[ID_BYTES_MAX] or (length == NONE and slot < REQUIRED_TEXT_COUNT):
            return False
    ints[TIME, row] = np.int64(time_ms)
    ints[AMOUNT, row] = np.int64(max(amount, limits[AMOUNT_LEAST]))
    return True


@numba.njit(cache=True, nogil=True)
def scan_rows(
    data: Bytes,
    start: Ints,
    length: Ints,
    stamps_ms: Ints,
    names: Bytes,
    fields: Ints,
    clock: Ints | None,
    limits: Floats,
    currencies: Floats | None,
    arena: Bytes,
    used: int,
    ints: Ints,
    floats: Floats,
    first: int,
) -> int:
    """Read the objects at these spans into the rows from `first` on.

    A row that is not plain, or not usable, is left with IS_READ 0. Returns how far the arena is
    used.
    """
    tokens = np.zeros((_TOKENS_MAX, 3), np.int64)
    for i in range(start.size):
        row = first + i
        ints[IS_READ, row] = 0
        for slot in range(TEXTS + 1, ints.shape[0], 2):
            ints[slot, row] = NONE
        for slot in range(floats.shape[0]):
            floats[slot, row] = np.nan
        if length[i] > limits[RECORD_BYTES_MAX]:
            continue
        end = start[i] + length[i]
        after = _scan_row(
            data, start[i], end, names, fields, clock, tokens, arena, used, ints, floats, row
        )
        if after >= 0 and is_usable(stamps_ms[i], limits, currencies, arena, ints, floats, row):
            ints[IS_READ, row] = 1
            used = after
    return used
