"""Numbers as JSON text: integers, and doubles in the fewest digits that read back the same.

The digits come from Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2020),
in the form of Alexander Bolz (https://github.com/abolz/Drachennest, schubfach.cc). They are laid
out as orjson lays them out: plain from 1e-5 up to 1e16, with an exponent beyond.

numba makes a float of an unsigned and a signed integer taken together: what is computed on the
digits is uint64 throughout, and positions in the buffer are int64.
"""

from typing import Any

import numba
import numpy as np

from sentinel.texts import Bytes

INTEGER_BYTES_MAX = 20  # -2**63
FLOAT_BYTES_MAX = 24  # -2.2250738585072014e-308
SPARE_BYTES = 32  # writers store whole words: this much beyond the last byte may be overwritten

_U = np.uint64
_0, _1, _2, _4, _10, _32, _63, _64 = map(_U, (0, 1, 2, 4, 10, 32, 63, 64))
_LOW = _U(0xFFFF_FFFF)
_ALL = _U(0xFFFF_FFFF_FFFF_FFFF)
_BYTE = _U(0xFF)
_EIGHT = _U(10**8)
_SIXTEEN = _U(10**16)

_HIDDEN_BIT = _U(1 << 52)
_FRACTION = _U((1 << 52) - 1)
_EXPONENT = _U(0x7FF)
_WHOLE_MAX = float(1 << 53)  # below it every whole double is the shortest form of itself
_CENTS_MAX = 1e13  # no two decimals of 15 digits are the same double

_DIGITS_MAX = 17
_PLAIN_MIN, _PLAIN_MAX = -4, 16  # digits before the point, less the zeros behind it

_MINUS, _POINT, _ZERO, _E, _PLUS = (np.uint8(ord(c)) for c in "-.0e+")
_NULL = _U(int.from_bytes(b"null", "little"))
_ZEROS = _U(int.from_bytes(b"0.000000", "little"))
_TENS = np.array([10**i for i in range(20)], dtype=np.uint64)

_POWER_MIN, _POWER_MAX = -292, 324


def _power(k: int) -> int:
    """10**k scaled by a power of two into [2**127, 2**128), rounded up."""
    if k < 0:
        tens: int = 10**-k
        return -(-(1 << 127 + tens.bit_length()) // tens)
    tens = 10**k
    shift = tens.bit_length() - 128
    return -(-tens >> shift) if shift > 0 else tens << -shift


_POWERS = [_power(k) for k in range(_POWER_MIN, _POWER_MAX + 1)]
_POWERS_HIGH = np.array([power >> 64 for power in _POWERS], dtype=np.uint64)
_POWERS_LOW = np.array([power & int(_ALL) for power in _POWERS], dtype=np.uint64)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _product(a: Any, b: Any) -> Any:
    """The high and the low word of a product; numba has no integers of 128 bits."""
    a_low, a_high = a & _LOW, a >> _32
    b_low, b_high = b & _LOW, b >> _32
    low = a_low * b_low
    cross = a_low * b_high
    middle = a_high * b_low + (low >> _32) + (cross & _LOW)
    return a_high * b_high + (middle >> _32) + (cross >> _32), (middle << _32) | (low & _LOW)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _interval(high: Any, low: Any, c: Any, h: Any, is_closer_below: Any) -> Any:
    """A double and the ends of what rounds to it, times a power of ten, rounded to odd.

    The ends lie at a known distance from the middle, so one long product serves for all three.
    """
    up, v0 = _product(low, (c << _2) << h)
    v2, v1 = _product(high, (c << _2) << h)
    v1 += up
    v2 += _U(v1 < up)
    value = v2 | _U(v1 > _1)

    s = h + _1
    d0, d1, d2 = low << s, (high << s) | (low >> (_64 - s)), high >> (_64 - s)
    r0 = v0 + d0
    carry = _U(r0 < d0)
    r1 = v1 + d1
    r2 = v2 + d2 + _U(r1 < d1)
    r1 += carry
    r2 += _U(r1 < carry)
    upper = r2 | _U(r1 > _1)

    if is_closer_below:
        d0, d1, d2 = low << h, (high << h) | (low >> (_64 - h)), high >> (_64 - h)
    borrow = _U(v0 < d0)
    r2 = v2 - d2 - _U(v1 < d1)
    r1 = v1 - d1
    r2 -= _U(r1 < borrow)
    r1 -= borrow
    return r2 | _U(r1 > _1), value, upper


@numba.njit(cache=True, nogil=True, forceinline=True)
def _shortest(bits: Any) -> Any:
    """A positive double, given by its bits, as an integer times a power of ten.

    The integer may end in zeros: they are not digits that count.
    """
    fraction, biased = bits & _FRACTION, np.int64((bits >> _U(52)) & _EXPONENT)
    c = fraction | _HIDDEN_BIT if biased != 0 else fraction
    q = (biased if biased > 1 else 1) - 1075
    is_odd = c & _1
    is_closer_below = fraction == _0 and biased > 1
    # floor(log10(2**q)), or of three quarters of it; then floor(log2(10**-k)).
    k = (q * 1262611 - (524031 if is_closer_below else 0)) >> 22
    h = q + ((-k * 1741647) >> 19) + 1
    power = _U(-k - _POWER_MIN)
    high, low = _POWERS_HIGH[power], _POWERS_LOW[power]
    lower, value, upper = _interval(high, low, c, _U(h), is_closer_below)
    lower += is_odd  # the ends themselves round to the even neighbour
    upper -= is_odd

    # Selected, not branched for: which case a double is cannot be foreseen.
    s = value >> _2
    under, over = s << _2, (s << _2) + _4
    low_inside, high_inside = _U(lower <= under), _U(over <= upper)
    middle = under + _2
    nearer = _U(value > middle) | (_U(value == middle) & s & _1)
    number = s + (high_inside if low_inside != high_inside else nearer)
    # One digit less will do if just one of its neighbours lies within; not for the least doubles.
    tens = s // _10
    under, over = _U(40) * tens, _U(40) * tens + _U(40)
    low_inside, high_inside = _U(lower <= under), _U(over <= upper)
    is_short = (low_inside ^ high_inside) & _U(s >= _10)
    return (tens + high_inside) * _10 if is_short != _0 else number, k


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_word(out: Bytes, at: Any, word: Any) -> None:
    """Eight bytes, the lowest first: unsigned indices let LLVM make one store of it."""
    i = _U(at)
    out[i] = word & _BYTE
    out[i + _1] = (word >> _U(8)) & _BYTE
    out[i + _2] = (word >> _U(16)) & _BYTE
    out[i + _U(3)] = (word >> _U(24)) & _BYTE
    out[i + _4] = (word >> _U(32)) & _BYTE
    out[i + _U(5)] = (word >> _U(40)) & _BYTE
    out[i + _U(6)] = (word >> _U(48)) & _BYTE
    out[i + _U(7)] = (word >> _U(56)) & _BYTE


@numba.njit(cache=True, nogil=True, forceinline=True)
def _eight_digits(number: Any) -> Any:
    """A number below 10**8 as eight decimal digits, the first in the lowest byte.

    Halves, then pairs, then single digits are divided side by side in one word; the factors and
    shifts stand for division by 100 and by 10.
    """
    halves = (number // _U(10_000)) | ((number % _U(10_000)) << _32)
    hundreds = ((halves * _U(10486)) >> _U(20)) & _U(0x0000007F_0000007F)
    pairs = hundreds | ((halves - _U(100) * hundreds) << _U(16))
    tens = ((pairs * _U(103)) >> _10) & _U(0x000F000F_000F000F)
    digits = tens | ((pairs - _10 * tens) << _U(8))
    return digits | _U(0x30303030_30303030)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _put_short(out: Bytes, at: Any, number: Any) -> Any:
    """A number below 10**8 without leading zeros."""
    count = _1
    for i in range(1, 8):
        count += _U(number >= _TENS[i])
    put_word(out, at, _eight_digits(number) >> ((_U(8) - count) << _U(3)))
    return at + np.int64(count)


@numba.njit(cache=True, nogil=True)
def put_unsigned(out: Bytes, at: Any, number: Any) -> Any:
    """Write a uint64; returns where it ends."""
    if number < _EIGHT:
        return _put_short(out, at, number)
    if number < _SIXTEEN:
        at = _put_short(out, at, number // _EIGHT)
    else:
        at = _put_short(out, at, number // _SIXTEEN)
        put_word(out, at, _eight_digits(number // _EIGHT % _EIGHT))
        at += 8
    put_word(out, at, _eight_digits(number % _EIGHT))
    return at + 8


@numba.njit(cache=True, nogil=True)
def put_integer(out: Bytes, at: Any, number: Any) -> Any:
    """Write an int64; returns where it ends."""
    if number >= 0:
        return put_unsigned(out, at, _U(number))
    out[at] = _MINUS
    return put_unsigned(out, at + 1, _U(-(number + 1)) + _1)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _put_decimal(out: Bytes, at: Any, number: Any, power: int) -> Any:
    """Write number * 10**power, where the number is not 0 and has at most seventeen digits."""
    count = _DIGITS_MAX - np.int64(number < _SIXTEEN)
    number = number * _10 if number < _SIXTEEN else number
    while number < _SIXTEEN:
        number *= _10
        count -= 1
    point = count + power
    is_plain = _PLAIN_MIN <= point <= _PLAIN_MAX
    begin = at + 1 if point > 0 or point < _PLAIN_MIN else at + 2 - point

    first, rest = number // _SIXTEEN, number % _SIXTEEN
    high = _eight_digits(rest // _EIGHT)
    if begin > at + 1:
        put_word(out, at, _ZEROS)
    out[begin] = _U(0x30) + first
    put_word(out, begin + 1, high)
    put_word(out, begin + 9, _eight_digits(rest % _EIGHT))
    end = begin + _DIGITS_MAX
    while out[end - 1] == _ZERO:
        end -= 1
    if begin > at + 1:
        return end
    if is_plain:
        return _put_point(out, at, end, point, (high << _U(8)) | (_U(0x30) + first))
    return _put_exponent(out, at, end, point - 1)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _put_point(out: Bytes, at: Any, end: int, point: int, head: Any) -> Any:
    """Put a point behind so many of the digits, which begin one byte too late.

    `head` has the first eight of them, so that they can be moved in one word.
    """
    if point < 8:
        shift = _U(8 * point)
        before = (_1 << shift) - _1
        word = (head & before) | (_U(0x2E) << shift) | ((head & ~before) << _U(8))
        put_word(out, at, word)
    else:
        for i in range(at, at + point):
            out[i] = out[i + 1]
        out[at + point] = _POINT
    if end > at + point + 1:
        return end
    out[at + point + 1] = _ZERO
    return at + point + 2


@numba.njit(cache=True, nogil=True, forceinline=True)
def _put_exponent(out: Bytes, at: Any, end: int, exponent: int) -> Any:
    """Put a point behind the first of the digits, which begin one byte too late, and e+16."""
    out[at] = out[at + 1]
    out[at + 1] = _POINT
    if end == at + 2:
        end = at + 1
    out[end] = _E
    out[end + 1] = _PLUS if exponent > 0 else _MINUS
    return _put_short(out, end + 2, _U(abs(exponent)))


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_float(out: Bytes, at: Any, value: Any) -> Any:
    """Write a float64, or null for what is no number; returns where it ends."""
    bits = np.float64(value).view(np.uint64)
    if (bits >> _U(52)) & _EXPONENT == _EXPONENT:
        put_word(out, at, _NULL)
        return at + 4
    out[at] = _MINUS
    at += np.int64(bits >> _63)
    size = abs(value)
    if size < _WHOLE_MAX:
        whole = np.int64(size)
        if np.float64(whole) == size:
            if whole < 10**8:
                at = _put_short(out, at, _U(whole))
            else:
                at = put_unsigned(out, at, _U(whole))
            out[at] = _POINT
            out[at + 1] = _ZERO
            return at + 2
        if size < _CENTS_MAX:
            cents = np.int64(size * 100.0 + 0.5)
            if np.float64(cents) / 100.0 == size:
                return _put_cents(out, at, _U(cents))
    number, power = _shortest(bits & ~(_1 << _63))
    return _put_decimal(out, at, number, power)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _put_cents(out: Bytes, at: Any, cents: Any) -> Any:
    """Write hundredths that are not whole: one digit behind the point, or two."""
    at = put_unsigned(out, at, cents // _U(100))
    rest = cents % _U(100)
    out[at] = _POINT
    out[at + 1] = _U(0x30) + rest // _10
    out[at + 2] = _U(0x30) + rest % _10
    return at + 3 if rest % _10 != _0 else at + 2
