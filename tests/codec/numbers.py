"""Numbers that are hard to write, and the writers for many of them."""

from itertools import pairwise

import numba
import numpy as np

from sentinel.codec.kernels import shortest
from sentinel.codec.kernels.shortest import FLOAT_BYTES_MAX, INTEGER_BYTES_MAX, SPARE_BYTES
from sentinel.core.borrowed import borrowed
from sentinel.records import Floats, Ints
from sentinel.texts import Bytes, Spans


def _put_floats(values: Floats, owned: Bytes, ends: Spans) -> None:
    out = borrowed(owned)
    at = 0
    for i in range(values.size):
        at = shortest.put_float(out, at, values[i])
        ends[i] = at


def _put_integers(values: Ints, owned: Bytes, ends: Spans) -> None:
    out = borrowed(owned)
    at = 0
    for i in range(values.size):
        at = shortest.put_integer(out, at, values[i])
        ends[i] = at


_compiled_floats = numba.njit(_put_floats)
_compiled_integers = numba.njit(_put_integers)


def written(values: Floats | Ints) -> list[bytes]:
    """The text of each."""
    is_float = values.dtype == np.float64
    bytes_max = FLOAT_BYTES_MAX if is_float else INTEGER_BYTES_MAX
    out = np.full(values.size * bytes_max + SPARE_BYTES, ord("#"), dtype=np.uint8)
    ends = np.zeros(values.size, dtype=np.int64)
    (_compiled_floats if is_float else _compiled_integers)(values, out, ends)
    text = out.tobytes()
    return [text[a:b] for a, b in pairwise([0, *ends.tolist()])]


def special_floats() -> Floats:
    """Ends of ranges, and what lies beside the powers of two and of ten."""
    ends = [0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e-5, 1e-6, 1e16, 1e13]
    twos = [2.0**e for e in range(-1074, 1024)]
    tens = [float(f"1e{e}") for e in range(-323, 309)]
    whole = [2.0**53 + d for d in range(-20, 20)] + [1e16 + 2 * d for d in range(-20, 20)]
    cents = [c / 100 for c in range(1000)] + [1e13 + d / 64 for d in range(-100, 100)]
    few = np.array([*ends, *twos, *tens, *whole, *cents])
    inner = few[(few > 0.0) & (few < 1e308)]
    beside = np.concatenate([few, np.nextafter(inner, np.inf), np.nextafter(inner, 0.0)])
    return np.concatenate([beside, -beside, [np.nan, np.inf, -np.inf]])


def special_integers() -> Ints:
    """Around the powers of two and of ten."""
    middles = [0, *(10**e for e in range(19)), *(2**e for e in range(63))]
    near = [middle + d for middle in middles for d in (-1, 0, 1)]
    return np.array([*near, *(-n for n in near), -(2**63), 2**63 - 1], dtype=np.int64)
