"""At most so many rows of an account: one that has a hundredth of all rows is no sample of any."""

import math

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Ints

_ROW_COUNT_MIN = 5


def row_counts_max(row_counts: tuple[int, int], account_counts: tuple[int, int]) -> tuple[int, int]:
    """How many rows of an account count, in a reference and in a window.

    As many as accounts have on average there; on the side where they have fewer at least 5, and as
    many more on the other. With correlations within accounts of 0.1 and of 0.5 a mean is then as
    sure as any cap makes it, within a tenth. One number for both sides would weigh the accounts of
    a month otherwise than those of a day, and that would look like drift.
    """
    a, b = (n / max(m, 1) for n, m in zip(row_counts, account_counts, strict=True))
    times = max(1.0, _ROW_COUNT_MIN / max(min(a, b), 1.0))
    return max(math.ceil(a * times), 1), max(math.ceil(b * times), 1)


def kept_rows(account_hashes: Ints, row_count_max: int) -> NDArray[np.bool_]:
    """Which rows count, bool (n,): all of small accounts, of others as many, evenly spread.

    Parameters
    ----------
    account_hashes
        int64 (n,).
    row_count_max
        Of an account; > 0.
    """
    assert row_count_max > 0
    order = np.argsort(account_hashes, kind="stable")
    _, begins, sizes = np.unique(account_hashes[order], return_index=True, return_counts=True)
    size = np.repeat(sizes, sizes)
    place = np.arange(order.size) - np.repeat(begins, sizes)
    quota = np.minimum(size, row_count_max)
    kept = np.zeros(order.size, dtype=bool)
    kept[order] = (place + 1) * quota // size > place * quota // size
    return kept
