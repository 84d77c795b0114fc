"""At most so many rows of an account: one that has a hundredth of all rows is no sample of any."""

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Ints

_ROW_COUNT_MIN = 5


def share_max(row_counts: tuple[int, int], account_counts: tuple[int, int]) -> float:
    """Which share of the rows an account may have, in a reference and in a window.

    What an account has on average, or 5 rows if that is more, where there are fewer: with
    correlations within accounts of 0.1 and of 0.5 a mean is then within a tenth of as sure as any
    cap makes it. The same share on both sides, whatever time they cover: a number of rows would
    weigh accounts otherwise in a month than in a day, and that would look like drift.
    """
    rows, accounts = max(min(row_counts), 1), max(min(account_counts), 1)
    return max(_ROW_COUNT_MIN / rows, 1 / accounts)


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
