"""The parts of JSON that are plainly right, found in bytes by compiled functions.

A function gives back 0 for a shape or -1 for a place where it finds anything else: what is wrong,
or only unusual, as an escape is.

What they look through must end in a closing brace. Nothing but a text or the end of something
nested can run over one, so nothing else asks where the end is.
"""

import numba
import numpy as np

from sentinel.texts import Bytes

# What a value looks like.
STRING, WHOLE, DECIMAL, TRUE, FALSE, NULL = 1, 2, 4, 8, 16, 32

BRACE, BRACE_END, BRACKET, COMMA = 0x7B, 0x7D, 0x5B, 0x2C
_BRACKET_END, _QUOTE, _COLON = 0x5D, 0x22, 0x3A
_PLUS, _MINUS, _POINT, _ZERO = 0x2B, 0x2D, 0x2E, 0x30
_LOWER_E, _UPPER_E, _LOWER_T, _LOWER_F, _LOWER_N = 0x65, 0x45, 0x74, 0x66, 0x6E
_TRUE, _FALSE, _NULL = (np.frombuffer(bytearray(b), np.uint8) for b in (b"true", b"false", b"null"))

# How a byte within a text is met.
_PLAIN, _ENDS, _REFUSED, _WIDE = 0, 1, 2, 3
_MEETS = np.zeros(256, np.uint8)
_MEETS[:0x20] = _REFUSED
_MEETS[ord("\\")] = _REFUSED
_MEETS[_QUOTE] = _ENDS
_MEETS[0x80:] = _WIDE

# Doubles hold powers of ten up to 22, and whole numbers up to 2**53, exactly: their quotient or
# product is rounded once (W. Clinger, How to read floating point numbers accurately, 1990).
_POWERS = np.array([float(f"1e{i}") for i in range(23)])
_EXACT_MAX = 2**53
_DIGITS_MAX = 18  # fit in an int64
_LAST_DIGIT_MAX = (2**63 - 10) // 10  # up to there one more does, too: nanoseconds have 19

_DEPTH_MAX = 32  # of what is nested in fields that nobody asked for


@numba.njit(cache=True, nogil=True, forceinline=True)
def is_blank(byte: int) -> bool:
    return byte == 0x20 or byte == 0x0A or byte == 0x0D or byte == 0x09


@numba.njit(cache=True, nogil=True, forceinline=True)
def after_blanks(data: Bytes, at: int) -> int:
    while is_blank(data[at]):
        at += 1
    return at


@numba.njit(cache=True, nogil=True, forceinline=True)
def is_same(data: Bytes, at: int, other: Bytes, begin: int, length: int) -> bool:
    for i in range(length):  # noqa: SIM110 - numba knows no generators here
        if data[at + i] != other[begin + i]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _after_wide(data: Bytes, at: int, end: int) -> int:
    """Where the character of several bytes ends; -1 if it is not UTF-8 (RFC 3629, section 4)."""
    lead = data[at]
    low, high = 0x80, 0xBF  # of the second byte
    if 0xC2 <= lead <= 0xDF:
        size = 2
    elif 0xE0 <= lead <= 0xEF:
        size = 3
        low = 0xA0 if lead == 0xE0 else low
        high = 0x9F if lead == 0xED else high
    elif 0xF0 <= lead <= 0xF4:
        size = 4
        low = 0x90 if lead == 0xF0 else low
        high = 0x8F if lead == 0xF4 else high
    else:
        return -1
    if at + size > end or not low <= data[at + 1] <= high:
        return -1
    for i in range(2, size):
        if not 0x80 <= data[at + i] <= 0xBF:
            return -1
    return at + size


@numba.njit(cache=True, nogil=True, forceinline=True)
def text_end(data: Bytes, at: int, end: int) -> int:
    """Where the quote stands that ends the text begun before `at`; -1 if it is not plain."""
    while at < end:
        meets = _MEETS[data[at]]
        if meets == _PLAIN:
            at += 1
        elif meets == _ENDS:
            return at
        elif meets == _REFUSED:
            return -1
        else:
            at = _after_wide(data, at, end)
            if at < 0:
                return -1
    return -1


@numba.njit(cache=True, nogil=True, forceinline=True)
def digits(data: Bytes, at: int, mantissa: int, room: int) -> tuple[int, int]:
    """The end of the digits at `at`, and the number they continue, as far as there is room."""
    while 0x30 <= data[at] <= 0x39:
        if room > 0:
            mantissa = mantissa * 10 + (np.int64(data[at]) - _ZERO)  # type: ignore[assignment]
            room -= 1
        at += 1
    return at, mantissa


@numba.njit(cache=True, nogil=True)
def _exponent(data: Bytes, at: int) -> tuple[int, int]:
    """The end of the exponent behind its E, and its value; -1 for the end if it is none."""
    sign = -1 if data[at] == _MINUS else 1
    if data[at] == _PLUS or data[at] == _MINUS:
        at += 1
    after, value = digits(data, at, 0, 4)
    if after == at or after - at > 4:
        return -1, 0
    return after, sign * value


@numba.njit(cache=True, nogil=True, forceinline=True)
def number(data: Bytes, at: int) -> tuple[int, int, int, int]:
    """Shape, end, mantissa and power of ten of the number at `at`; 0 for what is not plain."""
    is_negative = data[at] == _MINUS
    begin = at + 1 if is_negative else at
    at, mantissa = digits(data, begin, 0, _DIGITS_MAX)
    count = at - begin
    if count == 0 or (count > 1 and data[begin] == _ZERO):
        return 0, 0, 0, 0
    shape = WHOLE
    power = 0
    if data[at] == _POINT:
        point = at
        at, mantissa = digits(data, point + 1, mantissa, _DIGITS_MAX - count)
        power = point + 1 - at
        count -= power
        if power == 0:
            return 0, 0, 0, 0
        shape = DECIMAL
    if data[at] == _LOWER_E or data[at] == _UPPER_E:
        at, more = _exponent(data, at + 1)
        if at < 0:
            return 0, 0, 0, 0
        power += more
        shape = DECIMAL
    if count > _DIGITS_MAX or (is_negative and mantissa == 0):
        if shape != WHOLE or count != _DIGITS_MAX + 1 or mantissa > _LAST_DIGIT_MAX:
            return 0, 0, 0, 0  # minus zero is not for us to judge
        mantissa = mantissa * 10 + (np.int64(data[at - 1]) - _ZERO)
    return shape, at, -mantissa if is_negative else mantissa, power


@numba.njit(cache=True, nogil=True)
def _literal(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Shape and end of true, false or null; 0 for what is none."""
    if data[at] == _LOWER_T:
        shape, word = TRUE, _TRUE
    elif data[at] == _LOWER_F:
        shape, word = FALSE, _FALSE
    elif data[at] == _LOWER_N:
        shape, word = NULL, _NULL
    else:
        return 0, 0
    if at + word.size >= end or not is_same(data, at, word, 0, word.size):
        return 0, 0
    return shape, at + word.size


@numba.njit(cache=True, nogil=True, forceinline=True)
def flat(data: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Shape, end, mantissa and power of ten of a value that is not nested; 0 if it is not plain."""
    if data[at] == _QUOTE:
        quote = text_end(data, at + 1, end)
        return (STRING if quote >= 0 else 0), quote + 1, 0, 0
    if data[at] == _MINUS or 0x30 <= data[at] <= 0x39:
        return number(data, at)
    shape, after = _literal(data, at, end)
    return shape, after, 0, 0


@numba.njit(cache=True, nogil=True)
def after_key(data: Bytes, at: int, end: int) -> int:
    """Where the value begins whose key stands at `at`; -1 if there is none."""
    if data[at] != _QUOTE:
        return -1
    quote = text_end(data, at + 1, end)
    if quote < 0:
        return -1
    at = after_blanks(data, quote + 1)
    return after_blanks(data, at + 1) if data[at] == _COLON else -1


@numba.njit(cache=True, nogil=True)
def _after_item(data: Bytes, at: int, end: int, kinds: int) -> tuple[int, int]:
    """Close what ends at `at`: where the next value begins, or what is nested ends, and its kinds.

    `kinds` has a bit for each level that is open, 1 for an object, under a leading one.
    """
    while kinds > 1:
        at = after_blanks(data, at)
        is_object = kinds & 1 == 1
        if data[at] == COMMA:
            at = after_blanks(data, at + 1)
            return (after_key(data, at, end) if is_object else at), kinds
        if data[at] != (BRACE_END if is_object else _BRACKET_END):
            return -1, kinds
        at += 1
        kinds >>= 1
        if at >= end:
            return -1, kinds
    return at, kinds


@numba.njit(cache=True, nogil=True)
def after_nested(data: Bytes, at: int, end: int) -> int:
    """Where the object or array at `at` ends; -1 if it is not plain."""
    kinds = 1
    while True:
        is_object = data[at] == BRACE
        if is_object or data[at] == BRACKET:
            if kinds >> _DEPTH_MAX > 0:
                return -1
            at = after_blanks(data, at + 1)
            if data[at] != (BRACE_END if is_object else _BRACKET_END):
                kinds = kinds * 2 + is_object
                at = after_key(data, at, end) if is_object else at
                if at < 0:
                    return -1
                continue
            at += 1
            if at >= end:
                return -1
        else:
            shape, at, _, _ = flat(data, at, end)
            if shape == 0:
                return -1
        at, kinds = _after_item(data, at, end, kinds)
        if at < 0 or kinds == 1:
            return at


@numba.njit(cache=True, nogil=True, forceinline=True)
def exact(mantissa: int, power: int) -> float:
    """The double nearest to a decimal number; NaN if that takes more than one rounding."""
    if not (-_EXACT_MAX <= mantissa <= _EXACT_MAX and -22 <= power <= 22):
        return np.nan
    if power < 0:
        return mantissa / _POWERS[-power]
    return mantissa * _POWERS[power]


@numba.njit(cache=True, nogil=True)
def quotient(dividend: int, divisor: int) -> int:
    """A whole quotient, rounded half to even."""
    whole = dividend // divisor
    twice = 2 * (dividend - whole * divisor)
    is_up = twice > divisor or (twice == divisor and whole & 1 == 1)
    return whole + 1 if is_up else whole
