"""Kernels over rings of past events: exact windows, in the order of event time."""

import math

import numba
import numpy as np

from sentinel.core.borrowed import borrowed
from sentinel.core.features.kernels.progress import advances
from sentinel.core.features.kernels.rows_in_hour import events_in_hour
from sentinel.core.features.kernels.window_values import past_value
from sentinel.core.features.plan import (
    DECAYED_COUNT,
    DECAYED_SUM,
    DISTINCT,
    EVENT_AMOUNT,
    EVENT_COUNT,
    EVENT_MS,
    EVERYTHING_MS,
    FIRST_SEEN,
    FRAUD_MIN,
    HEAD,
    HEADER_WORDS,
    L_CAPACITY,
    L_GRACE_MS,
    L_HASHED,
    L_HASHED_COUNT,
    L_LABEL,
    L_WIDTH,
    ROWS_IN_HOUR,
    STD,
    TIME_SINCE_LAST,
    Z_SCORE,
)
from sentinel.records import Floats, Ints

# The two low bits of an event's key say what is known of it.
MARK_BITS = 2
MARK_GENUINE, MARK_FRAUD, MARK_WITHDRAWN = 1, 2, 3
UNCOUNTED = -1  # of a row that is read, and not counted in
REPEATED = -2  # the same, since it was counted before
_MARK_MASK = 3

# Beyond every amount: of a window without one.
LEAST, MOST = -(2**62), 2**62


@numba.njit(cache=True, nogil=True)
def _at(row: Ints, layout: Ints, i: int) -> int:
    """Where the words of event `i` begin; 0 is the oldest."""
    place = row[HEAD] + i
    if place >= layout[L_CAPACITY]:
        place -= layout[L_CAPACITY]
    return HEADER_WORDS + place * layout[L_WIDTH]


@numba.njit(cache=True, nogil=True)
def _aggregate(row: Ints, layout: Ints, windows: Ints, t: int, found: Ints) -> None:
    """Fill found[w] with what there is in window w.

    That is first and end position, count, sum, maximum, count of known frauds and their least
    amount; without any, LEAST and MOST. One scan from the newest event back serves all windows of
    one delay, since they are ascending.
    """
    label = layout[L_LABEL]
    i = row[EVENT_COUNT] - 1
    n = s = f = end = 0
    m, least = LEAST, MOST
    for w in range(windows.shape[0]):
        if w == 0 or windows[w, 0] != windows[w - 1, 0]:
            n = s = f = 0
            m, least = LEAST, MOST
            i = row[EVENT_COUNT] - 1
            while i >= 0 and row[_at(row, layout, i) + EVENT_MS] > t - windows[w, 0]:
                i -= 1
            end = i + 1
        begin_ms = t - windows[w, 0] - windows[w, 1]
        while i >= 0:
            at = _at(row, layout, i)
            if row[at + EVENT_MS] <= begin_ms:
                break
            amount = row[at + EVENT_AMOUNT]
            n += 1
            s += amount
            m = max(m, amount)
            if label >= 0 and row[at + label] & _MARK_MASK == MARK_FRAUD:
                f += 1
                least = min(least, amount)
            i -= 1
        found[w, 0] = i + 1
        found[w, 1] = end
        found[w, 2] = n
        found[w, 3] = s
        found[w, 4] = m
        found[w, 5] = f
        found[w, 6] = least


@numba.njit(cache=True, nogil=True)
def _std(row: Ints, layout: Ints, begin: int, end: int, n: int, s: int, extra: int) -> float:
    """Sample standard deviation in minor units, with `extra` if not LEAST; NaN for n < 2.

    Deviations are taken from an integer near the mean, so their squares are exact up to 2**53.
    """
    if n < 2:
        return math.nan
    centre = s // n
    squares = 0.0
    for i in range(begin, end):
        deviation = float(row[_at(row, layout, i) + EVENT_AMOUNT] - centre)
        squares += deviation * deviation
    if extra != LEAST:
        deviation = float(extra - centre)
        squares += deviation * deviation
    shift = float(s - centre * n)
    return math.sqrt(max(squares - shift * shift / n, 0.0) / (n - 1))


@numba.njit(cache=True, nogil=True)
def _distinct(
    row: Ints, layout: Ints, column: int, begin: int, end: int, extra: int, seen: Ints
) -> int:
    """How many different hashes stand in [begin, end), and `extra` if it is not 0.

    `seen` is an open-addressing table of a power of two above twice the capacity; it is left clean.
    """
    mask = seen.size - 1
    count = 0
    word = layout[L_HASHED] + column
    for i in range(begin, end + 1):
        h = extra if i == end else row[_at(row, layout, i) + word]
        if h == 0:
            continue
        k = h & mask
        while seen[k] != 0 and seen[k] != h:
            k = (k + 1) & mask
        if seen[k] == 0:
            seen[k] = h
            count += 1
    if count > 0:
        seen[:] = 0
    return count


@numba.njit(cache=True, nogil=True)
def _first_seen(row: Ints, layout: Ints, column: int, begin: int, end: int, h: int) -> float:
    """1 when no event in [begin, end) carries the hash, else 0; NaN when the hash is missing."""
    if h == 0:
        return math.nan
    word = layout[L_HASHED] + column
    for i in range(end - 1, begin - 1, -1):
        if row[_at(row, layout, i) + word] == h:
            return 0.0
    return 1.0


@numba.njit(cache=True, nogil=True)
def _decayed(row: Ints, layout: Ints, t: int, half_life_ms: float, of_amount: bool) -> float:
    """Sum over the kept events up to t of 2**(-age / half-life), times the amount if asked."""
    total = 0.0
    for i in range(row[EVENT_COUNT]):
        at = _at(row, layout, i)
        age = t - row[at + EVENT_MS]
        if age < 0:
            break
        weight = 2.0 ** (-age / half_life_ms)
        total += weight * row[at + EVENT_AMOUNT] if of_amount else weight
    return total


@numba.njit(cache=True, nogil=True)
def _since_last(row: Ints, layout: Ints, t: int) -> float:
    """Seconds since the newest event not after t; NaN when there is none."""
    for i in range(row[EVENT_COUNT] - 1, -1, -1):
        age = t - row[_at(row, layout, i) + EVENT_MS]
        if age >= 0:
            return age / 1000.0
    return math.nan


@numba.njit(cache=True, nogil=True, inline="always")
def _feature(
    row: Ints,
    layout: Ints,
    stat: int,
    w: int,
    column: int,
    with_current: int,
    half_life_ms: float,
    found: Ints,
    t: int,
    amount: int,
    h: int,
    scale: float,
    seen: Ints,
) -> float:
    """The value of one feature, NaN where there is nothing to say."""
    if stat == TIME_SINCE_LAST:
        return _since_last(row, layout, t)
    if stat == ROWS_IN_HOUR:
        return events_in_hour(row, layout, t)
    if stat in (DECAYED_COUNT, DECAYED_SUM):
        of_amount = stat == DECAYED_SUM
        decayed = _decayed(row, layout, t, half_life_ms, of_amount)
        return (decayed + with_current * amount) / scale if of_amount else decayed + with_current
    begin, end, n = found[w, 0], found[w, 1], found[w, 2]
    if stat == DISTINCT:
        return float(_distinct(row, layout, column, begin, end, h if with_current else 0, seen))
    if stat == FIRST_SEEN:
        if column < 0:
            return 1.0 if n == 0 else 0.0
        return _first_seen(row, layout, column, begin, end, h)
    if stat == FRAUD_MIN:
        return found[w, 6] / scale if found[w, 5] > 0 else math.nan
    s, m, f = found[w, 3], found[w, 4], found[w, 5]
    if with_current:
        n, s, m = n + 1, s + amount, max(m, amount)
    std = math.nan
    if stat in (STD, Z_SCORE):
        std = _std(row, layout, begin, end, n, s, amount if with_current else LEAST)
    return past_value(stat, n, s, m, f, std, amount, scale)


@numba.njit(cache=True, nogil=True)
def insert(
    row: Ints, layout: Ints, grace_ms: int, t: int, amount: int, key: int, hashes: Ints
) -> bool:
    """Put an event in its place by time, after equal times; the oldest leaves a full ring.

    Returns False for a late event: older than the newest by more than the grace.
    """
    n = row[EVENT_COUNT]
    if n > 0 and row[_at(row, layout, n - 1) + EVENT_MS] - t > grace_ms:
        return False
    if n == layout[L_CAPACITY]:
        if row[_at(row, layout, 0) + EVENT_MS] > t:
            return True  # older than all that is kept: it is the one that leaves
        row[HEAD] = row[HEAD] + 1 if row[HEAD] + 1 < n else 0
        n -= 1
    i = n
    while i > 0 and row[_at(row, layout, i - 1) + EVENT_MS] > t:
        to, at = _at(row, layout, i), _at(row, layout, i - 1)
        for word in range(layout[L_WIDTH]):
            row[to + word] = row[at + word]
        i -= 1
    to = _at(row, layout, i)
    row[to + EVENT_MS] = t
    row[to + EVENT_AMOUNT] = amount
    if layout[L_LABEL] >= 0:
        row[to + layout[L_LABEL]] = key
    for column in range(layout[L_HASHED_COUNT]):
        row[to + layout[L_HASHED] + column] = hashes[column]
    row[EVENT_COUNT] = n + 1
    return True


@numba.njit(cache=True, nogil=True)
def mark(row: Ints, layout: Ints, t: int, key: int, label_mark: int) -> None:
    """Write what is now known of the event with this time and key; nothing if it has left."""
    label = layout[L_LABEL]
    if label < 0:
        return
    for i in range(row[EVENT_COUNT] - 1, -1, -1):
        at = _at(row, layout, i)
        if row[at + EVENT_MS] < t:
            return
        if row[at + EVENT_MS] == t and row[at + label] >> MARK_BITS == key >> MARK_BITS:
            # Of a label that was withdrawn nothing stays, as if there had been none.
            row[at + label] = key & ~_MARK_MASK | label_mark % MARK_WITHDRAWN
            return


@numba.njit(cache=True, nogil=True)
def merge(total: Ints, part: Ints, layout: Ints) -> None:
    """Add to `total` every event of `part`, after those of equal time."""
    for i in range(part[EVENT_COUNT]):
        at = _at(part, layout, i)
        key = part[at + layout[L_LABEL]] if layout[L_LABEL] >= 0 else 0
        hashes = part[at + layout[L_HASHED] : at + layout[L_WIDTH]]
        # What one partition kept was in time there: no grace is asked again.
        insert(total, layout, EVERYTHING_MS, part[at], part[at + EVENT_AMOUNT], key, hashes)


@numba.njit(cache=True, nogil=True)
def merge_all(totals: Ints, parts: Ints, slots: Ints, part_slots: Ints, layout: Ints) -> None:
    """Add to the total of each slot the part that goes with it."""
    for i in range(slots.size):
        merge(totals[slots[i]], parts[part_slots[i]], layout)


@numba.njit(cache=True, nogil=True)
def _touch(rows: Ints, slots: Ints, layout: Ints) -> int:
    """Read what will be needed of each row, so that memory fetches them side by side.

    Rows lie anywhere: one miss after another took a third of the time of a batch of 512.
    """
    parity = 0
    for i in range(slots.size):
        if slots[i] >= 0:
            row = rows[slots[i]]
            at = _at(row, layout, max(row[EVENT_COUNT] - 1, 0))
            parity ^= row[at] ^ row[max(at - 64, 0)]
    return parity


@numba.njit(cache=True, nogil=True)
def read_and_fold(  # noqa: C901 -- one pass over the rows, and a call costs as much as a step
    totals: Ints,
    parts: Ints,
    slots: Ints,
    part_slots: Ints,
    shared: bool,
    layout: Ints,
    windows: Ints,
    ops: Ints,
    constants: Floats,
    partitions: Ints,
    offsets: Ints,
    times: Ints,
    amounts: Ints,
    keys: Ints,
    hashes: Ints,
    marks: Ints,
    scale: float,
    dirty_from: Ints,
    fresh: Ints,
    late: Ints,
    out: Floats,
) -> int:
    """Row by row: read the features, then count the row in; returns how many parts turned dirty."""
    # Rows are sliced for each step: counting references to them took a third of the time.
    totals, parts, layout = borrowed(totals), borrowed(parts), borrowed(layout)
    windows, hashes = borrowed(windows), borrowed(hashes)
    found = np.zeros((max(windows.shape[0], 1), 7), dtype=np.int64)
    seen_size = 4
    while seen_size <= 2 * layout[L_CAPACITY]:
        seen_size *= 2
    seen = np.zeros(seen_size, dtype=np.int64)
    # The parity is of no use, but stored it cannot be optimised away.
    found[0, 0] = _touch(totals, slots, layout)
    if shared:
        found[0, 0] ^= _touch(parts, part_slots, layout)
    fresh_count = 0
    for i in range(slots.size):
        if slots[i] < 0:
            continue
        total, part = totals[slots[i]], parts[part_slots[i]]
        if marks[i] > 0:
            mark(part, layout, times[i], keys[i], marks[i])
            if shared:
                mark(total, layout, times[i], keys[i], marks[i])
            continue
        _aggregate(total, layout, windows, times[i], found)
        for f in range(ops.shape[0]):
            column = ops[f, 2]
            value = _feature(
                total, layout, ops[f, 0], ops[f, 1], column, ops[f, 3], constants[f, 0], found,
                times[i], amounts[i], hashes[i, column] if column >= 0 else 0, scale, seen,
            )  # fmt: skip
            out[i, ops[f, 4]] = constants[f, 1] if math.isnan(value) else value
        if marks[i] < 0 or not advances(part, partitions[i], offsets[i]):
            continue
        if insert(part, layout, layout[L_GRACE_MS], times[i], amounts[i], keys[i], hashes[i]):
            if shared:
                insert(total, layout, EVERYTHING_MS, times[i], amounts[i], keys[i], hashes[i])
        else:
            late[i] = 1
        if dirty_from[part_slots[i]] == 0:
            dirty_from[part_slots[i]] = offsets[i] + 1
            fresh[fresh_count] = part_slots[i]
            fresh_count += 1
    return fresh_count
