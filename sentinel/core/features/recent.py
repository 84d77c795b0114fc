"""Identifiers of an account's recent transactions, so that one that comes again is not counted.

They stand behind the ring of the account's row: how many were noted so far, then places of three
words: a hash of the identifier, the event time, and the offset of the record that was counted. They
are stored and folded with the row, so that what was known at a record is known at its replay.
"""

from dataclasses import dataclass

import numba

from sentinel.core.features.plan import (
    FOLDED_BY,
    HEADER_WORDS,
    L_CAPACITY,
    L_WIDTH,
    NEXT_OFFSET,
    RECENT_WORDS,
)
from sentinel.records import Ints

_ID, _MS, _OFFSET = 0, 1, 2

BEFORE = -1  # an offset of another log: whatever it was, it came before


@dataclass(frozen=True, slots=True)
class RecentIds:
    """Of which transactions an account's state knows that they were counted.

    Attributes
    ----------
    window_ms
        How far apart in event time two with one identifier may be, to be the same.
    count_max
        Of each account; beyond, the oldest is forgotten.
    """

    window_ms: int
    count_max: int


@numba.njit(cache=True, nogil=True)
def begin_of(layout: Ints) -> int:
    """Where the identifiers begin, if the row has room for any."""
    return HEADER_WORDS + layout[L_CAPACITY] * layout[L_WIDTH]


@numba.njit(cache=True, nogil=True)
def word_count(row: Ints, layout: Ints) -> int:
    """How many words the identifiers of a row take where they are packed."""
    begin = begin_of(layout)
    if row.size == begin:
        return 0
    return RECENT_WORDS * min(row[begin], (row.size - begin - 1) // RECENT_WORDS)


@numba.njit(cache=True, nogil=True)
def _at(row: Ints, begin: int, number: int) -> int:
    """Where the place of the so many-th identifier is."""
    room = (row.size - begin - 1) // RECENT_WORDS
    return begin + 1 + number % room * RECENT_WORDS


@numba.njit(cache=True, nogil=True)
def _put(row: Ints, begin: int, hashed: int, time_ms: int, offset: int) -> None:
    at = _at(row, begin, row[begin])
    row[at + _ID] = hashed
    row[at + _MS] = time_ms
    row[at + _OFFSET] = offset
    row[begin] += 1


@numba.njit(cache=True, nogil=True)
def pack(row: Ints, layout: Ints, out: Ints) -> None:
    """Write the identifiers, oldest first, into their words."""
    begin = begin_of(layout)
    first = row[begin] - out.size // RECENT_WORDS if out.size else 0
    for i in range(out.size // RECENT_WORDS):
        at = _at(row, begin, first + i)
        out[i * RECENT_WORDS : (i + 1) * RECENT_WORDS] = row[at : at + RECENT_WORDS]


@numba.njit(cache=True, nogil=True)
def unpack(words: Ints, layout: Ints, row: Ints) -> None:
    """Take packed identifiers into a row that has none; the newest ones where there is less room.

    A row without room leaves them out.
    """
    begin = begin_of(layout)
    if row.size > begin:
        for at in range(0, words.size - RECENT_WORDS + 1, RECENT_WORDS):
            _put(row, begin, words[at + _ID], words[at + _MS], words[at + _OFFSET])


@numba.njit(cache=True, nogil=True)
def append(row: Ints, layout: Ints, later: Ints) -> None:
    """Add the identifiers of the same account that another row has noted later."""
    begin = begin_of(layout)
    if row.size == begin:
        return
    if row[FOLDED_BY] != later[FOLDED_BY] and later[FOLDED_BY] != 0:
        _forget_offsets(row, begin)
    count = word_count(later, layout) // RECENT_WORDS
    for number in range(later[begin] - count, later[begin]):
        at = _at(later, begin, number)
        _put(row, begin, later[at + _ID], later[at + _MS], later[at + _OFFSET])


@numba.njit(cache=True, nogil=True)
def _forget_offsets(row: Ints, begin: int) -> None:
    for at in range(begin + 1, row.size, RECENT_WORDS):
        row[at + _OFFSET] = BEFORE


@numba.njit(cache=True, nogil=True)
def _is_known(
    row: Ints, begin: int, hashed: int, time_ms: int, offset: int, window_ms: int
) -> bool:
    """Whether a transaction of this name was counted before this record, not too far off in time.

    A record that is in the row already, at its replay, finds itself: it is no repetition of that.
    """
    room = (row.size - begin - 1) // RECENT_WORDS
    for number in range(max(row[begin] - room, 0), row[begin]):
        at = _at(row, begin, number)
        if (
            row[at + _ID] == hashed
            and row[at + _OFFSET] < offset
            and abs(row[at + _MS] - time_ms) <= window_ms
        ):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def note(
    rows: Ints,
    slots: Ints,
    layout: Ints,
    window_ms: int,
    hashes: Ints,
    partitions: Ints,
    offsets: Ints,
    times: Ints,
    marks: Ints,
    found: Ints,
) -> None:
    """Note each transaction in the row of its account, before it is counted there.

    found[i] becomes 1 for one that was counted before; it is not noted again. Rows with a mark are
    labels, or are not counted.
    """
    begin = begin_of(layout)
    for i in range(slots.size):
        if slots[i] < 0 or marks[i] != 0:
            continue
        row = rows[slots[i]]
        if row[FOLDED_BY] != partitions[i] + 1:  # as `progress.advances` will find it
            row[FOLDED_BY] = partitions[i] + 1
            row[NEXT_OFFSET] = 0
            _forget_offsets(row, begin)
        if _is_known(row, begin, hashes[i], times[i], offsets[i], window_ms):
            found[i] = 1
        elif offsets[i] >= row[NEXT_OFFSET]:
            _put(row, begin, hashes[i], times[i], offsets[i])
