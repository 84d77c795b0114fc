"""Rows of features that several sets of examples hold, each row once.

The newest examples are in the window and in the memory, and what is held out is there twice: to
store all of them would take half as much again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints

# An odd number whose powers differ in all their bits: the golden ratio's, of Knuth's hashing.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def pooled(sets: Sequence[Floats]) -> tuple[Floats, list[Ints]]:
    """Every different row of the sets, and for each set where in the pool its rows are.

    Rows are the same if all their bits are. If two that are not have one hash, all rows are kept.

    Parameters
    ----------
    sets
        float64 (n, f) each, with the same f.

    Returns
    -------
    pool, places
        float64 (p, f), and int64 (n,) of each set: `pool[places[i]]` is set i.
    """
    rows = np.concatenate(sets)
    bits = np.ascontiguousarray(rows.view(np.uint64).T)
    _, first, place = np.unique(_hashed(bits), return_index=True, return_inverse=True)
    if not all(np.array_equal(column[first[place]], column) for column in bits):
        first = place = np.arange(len(rows))
    ends = np.cumsum([len(one) for one in sets])[:-1]
    return rows[first], np.split(place.astype(np.int64, copy=False), ends)


def _hashed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of each row, uint64 (n,), of the rows' columns (f, n)."""
    found = np.zeros(bits.shape[1], dtype=np.uint64)
    for column in bits:
        found = (found ^ (found >> np.uint64(29)) ^ column) * _FACTOR
    return found
