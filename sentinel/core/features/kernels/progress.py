"""How far a row of state has come in the log of its input partition."""

import numba

from sentinel.core.features.plan import FOLDED_BY, NEXT_OFFSET
from sentinel.records import Ints


@numba.njit(cache=True, nogil=True, inline="always")
def advances(row: Ints, partition: int, offset: int) -> bool:
    """Whether a record is not in the row yet; then it is to be counted now.

    What the row has of another partition stays; that one's offset means nothing in this one.
    """
    if row[FOLDED_BY] != partition + 1:
        row[FOLDED_BY] = partition + 1
        row[NEXT_OFFSET] = 0
    if offset < row[NEXT_OFFSET]:
        return False
    row[NEXT_OFFSET] = offset + 1
    return True
