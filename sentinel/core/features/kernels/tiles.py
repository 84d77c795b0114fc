"""Kernels over rings of tiles: the exact sums of the tiles that cover a window."""

import math

import numba
import numpy as np

from sentinel.core.borrowed import borrowed
from sentinel.core.features.kernels.events import LEAST
from sentinel.core.features.kernels.progress import advances
from sentinel.core.features.kernels.rows_in_hour import tiles_in_hour
from sentinel.core.features.kernels.window_values import past_value
from sentinel.core.features.plan import (
    BITMAP_WORDS,
    DECAYED_COUNT,
    DECAYED_SUM,
    DISTINCT,
    EVERYTHING_MS,
    FIRST_SEEN,
    HEADER_WORDS,
    L_CAPACITY,
    L_GRACE_MS,
    L_HASHED,
    L_HASHED_COUNT,
    L_LABEL,
    L_TILE_MS,
    L_WIDTH,
    LAST_MS,
    NEWEST_TILE,
    ROWS_IN_HOUR,
    STD,
    TILE_COUNT,
    TILE_MAX,
    TILE_SQUARE_HIGH,
    TILE_SQUARE_LOW,
    TILE_SUM,
    TIME_SINCE_LAST,
    Z_SCORE,
)
from sentinel.records import Floats, Ints

# An amount's size is at most 10**12 < 2**40, so its square takes two words of 40 bits and some:
# sums of either word cannot overflow within 2**22 records.
_HALF_BITS = 20
_HALF_MASK = (1 << _HALF_BITS) - 1
_WORD_BITS = 2 * _HALF_BITS
_WORD_MASK = (1 << _WORD_BITS) - 1
_BITMAP_BITS = 64 * BITMAP_WORDS


@numba.njit(cache=True, nogil=True)
def _at(layout: Ints, tile: int) -> int:
    """Where the words of a tile begin."""
    return HEADER_WORDS + tile % layout[L_CAPACITY] * layout[L_WIDTH]


@numba.njit(cache=True, nogil=True)
def _square(amount: int) -> tuple[int, int]:
    """High and low word of amount**2: it is high * 2**40 + low."""
    high, low = amount >> _HALF_BITS, amount & _HALF_MASK
    cross = 2 * high * low
    return (
        high * high + (cross >> _HALF_BITS),
        ((cross & _HALF_MASK) << _HALF_BITS) + low * low,
    )


@numba.njit(cache=True, nogil=True)
def _code(amount: int) -> int:
    """An amount as TILE_MAX keeps it: in the order of amounts, where 0 stands for none."""
    return amount + 1 if amount >= 0 else amount


@numba.njit(cache=True, nogil=True)
def _larger(code: int, other: int) -> int:
    """The larger of two such codes."""
    if code == 0 or other == 0:
        return code + other
    return max(code, other)


@numba.njit(cache=True, nogil=True)
def _aggregate(row: Ints, layout: Ints, windows: Ints, t: int, found: Ints) -> None:
    """Fill found[w] with first and last tile, count, sum, maximum, frauds and squares of window w.

    One scan from the newest tile back serves all windows of one delay, since they are ascending.
    """
    capacity, width, label = layout[L_CAPACITY], layout[L_WIDTH], layout[L_LABEL]
    newest = row[NEWEST_TILE] - 1
    oldest = max(newest - capacity + 1, 0)
    tile = last = newest
    at = 0
    n = s = code = f = high = low = 0
    for w in range(windows.shape[0]):
        if w == 0 or windows[w, 0] != windows[w - 1, 0]:
            n = s = code = f = high = low = 0
            tile = last = min((t - windows[w, 0]) // layout[L_TILE_MS], newest)
            at = _at(layout, tile)
        first = max((t - windows[w, 0] - windows[w, 1] + 1) // layout[L_TILE_MS], oldest)
        while tile >= first:
            n += row[at + TILE_COUNT]
            s += row[at + TILE_SUM]
            high += row[at + TILE_SQUARE_HIGH]
            low += row[at + TILE_SQUARE_LOW]
            code = _larger(code, row[at + TILE_MAX])
            if label >= 0:
                f += row[at + label]
            tile -= 1
            at -= width
            if at < HEADER_WORDS:
                at += capacity * width
        found[w, 0] = first
        found[w, 1] = last
        found[w, 2] = n
        found[w, 3] = s
        found[w, 4] = code - 1 if code > 0 else (code if code < 0 else LEAST)
        found[w, 5] = f
        found[w, 6] = high
        found[w, 7] = low


@numba.njit(cache=True, nogil=True)
def _std(n: int, s: int, high: int, low: int) -> float:
    """Sample standard deviation from count, sum and the two words of the sum of squares.

    Squares are moved to an integer near the mean in whole numbers, so that nothing is lost where
    amounts are large and differ little. NaN for n < 2.
    """
    if n < 2:
        return math.nan
    centre = s // n
    rest = s - centre * n
    # sum (x - c)**2 = sum x**2 - n c**2 - 2 c rest
    square_high, square_low = _square(centre)
    cross_high, cross_low = 2 * rest * (centre >> _HALF_BITS), 2 * rest * (centre & _HALF_MASK)
    high -= n * square_high + (cross_high >> _HALF_BITS)
    low -= n * square_low + ((cross_high & _HALF_MASK) << _HALF_BITS) + cross_low
    squares = math.ldexp(float(high + (low >> _WORD_BITS)), _WORD_BITS) + (low & _WORD_MASK)
    return math.sqrt(max(squares - float(rest) * rest / n, 0.0) / (n - 1))


@numba.njit(cache=True, nogil=True)
def _popcount(word: int) -> int:
    """Bits that are set in a 64-bit word."""
    x = np.uint64(word)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True, nogil=True)
def _distinct(row: Ints, layout: Ints, column: int, first: int, last: int, extra: int) -> float:
    """Linear-counting estimate of the distinct hashes in the tiles, and `extra` if not 0."""
    bitmap = layout[L_HASHED] + column * BITMAP_WORDS
    bits = 0
    for word in range(BITMAP_WORDS):
        union = np.int64(0)
        for tile in range(first, last + 1):
            union |= row[_at(layout, tile) + bitmap + word]
        if extra != 0 and (extra & (_BITMAP_BITS - 1)) >> 6 == word:
            union |= np.int64(1) << (extra & 63)
        bits += _popcount(union)
    if bits == _BITMAP_BITS:
        bits -= 1  # full: the largest estimate that the map can give
    return -_BITMAP_BITS * math.log(1.0 - bits / _BITMAP_BITS)


@numba.njit(cache=True, nogil=True)
def _first_seen(row: Ints, layout: Ints, column: int, first: int, last: int, h: int) -> float:
    """1 when the hash's bit is clear in all tiles, so that it was surely never seen; else 0."""
    if h == 0:
        return math.nan
    word = layout[L_HASHED] + column * BITMAP_WORDS + ((h & (_BITMAP_BITS - 1)) >> 6)
    for tile in range(first, last + 1):
        if row[_at(layout, tile) + word] & (np.int64(1) << (h & 63)) != 0:
            return 0.0
    return 1.0


@numba.njit(cache=True, nogil=True)
def _decayed(row: Ints, layout: Ints, t: int, half_life_ms: float, of_amount: bool) -> float:
    """Sum over the kept tiles up to that of t of 2**(-age / half-life), aged from a tile's end."""
    newest = row[NEWEST_TILE] - 1
    word = TILE_SUM if of_amount else TILE_COUNT
    total = 0.0
    last = min(t // layout[L_TILE_MS], newest)
    for tile in range(max(newest - layout[L_CAPACITY] + 1, 0), last + 1):
        value = row[_at(layout, tile) + word]
        if value != 0:
            age = max(t - (tile + 1) * layout[L_TILE_MS], 0)
            total += value * 2.0 ** (-age / half_life_ms)
    return total


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
) -> float:
    """The value of one feature, NaN where there is nothing to say."""
    if stat == TIME_SINCE_LAST:
        return max(t - (row[LAST_MS] - 1), 0) / 1000.0 if row[LAST_MS] > 0 else math.nan
    if stat == ROWS_IN_HOUR:
        return tiles_in_hour(row, layout, t)
    if stat in (DECAYED_COUNT, DECAYED_SUM):
        of_amount = stat == DECAYED_SUM
        decayed = _decayed(row, layout, t, half_life_ms, of_amount)
        return (decayed + with_current * amount) / scale if of_amount else decayed + with_current
    first, last, n = found[w, 0], found[w, 1], found[w, 2]
    if stat == DISTINCT:
        return _distinct(row, layout, column, first, last, h if with_current else 0)
    if stat == FIRST_SEEN:
        if column < 0:
            return 1.0 if n == 0 else 0.0
        return _first_seen(row, layout, column, first, last, h)
    s, m, f, high, low = found[w, 3], found[w, 4], found[w, 5], found[w, 6], found[w, 7]
    if with_current:
        square_high, square_low = _square(amount)
        n, s, m = n + 1, s + amount, max(m, amount)
        high, low = high + square_high, low + square_low
    std = _std(n, s, high, low) if stat in (STD, Z_SCORE) else math.nan
    return past_value(stat, n, s, m, f, std, amount, scale)


@numba.njit(cache=True, nogil=True)
def advance(row: Ints, layout: Ints, tile: int) -> None:
    """Make `tile` the newest, clearing the tiles that it pushes out."""
    newest = row[NEWEST_TILE] - 1
    if tile <= newest:
        return
    for cleared in range(max(newest + 1, tile - layout[L_CAPACITY] + 1), tile + 1):
        at = _at(layout, cleared)
        row[at : at + layout[L_WIDTH]] = 0
    row[NEWEST_TILE] = tile + 1


@numba.njit(cache=True, nogil=True)
def insert(row: Ints, layout: Ints, grace_ms: int, t: int, amount: int, hashes: Ints) -> bool:
    """Count a record into its tile. Returns False for a late one, beyond the grace."""
    tile = t // layout[L_TILE_MS]
    if row[LAST_MS] > 0 and row[LAST_MS] - 1 - t > grace_ms:
        return False
    advance(row, layout, tile)
    row[LAST_MS] = max(row[LAST_MS], t + 1)
    if tile <= row[NEWEST_TILE] - 1 - layout[L_CAPACITY]:
        return True  # older than all that is kept
    at = _at(layout, tile)
    square_high, square_low = _square(amount)
    row[at + TILE_COUNT] += 1
    row[at + TILE_SUM] += amount
    row[at + TILE_SQUARE_HIGH] += square_high
    row[at + TILE_SQUARE_LOW] += square_low
    row[at + TILE_MAX] = _larger(row[at + TILE_MAX], _code(amount))
    for column in range(layout[L_HASHED_COUNT]):
        h = hashes[column]
        if h != 0:
            word = layout[L_HASHED] + column * BITMAP_WORDS + ((h & (_BITMAP_BITS - 1)) >> 6)
            row[at + word] |= np.int64(1) << (h & 63)
    return True


@numba.njit(cache=True, nogil=True)
def mark(row: Ints, layout: Ints, t: int, fraud_change: int) -> bool:
    """Change the known frauds of the tile of t by -1, 0 or 1.

    False if the tile is not there, or counts no fraud that could be taken back: the label was given
    when nothing was in it yet.
    """
    tile = t // layout[L_TILE_MS]
    newest = row[NEWEST_TILE] - 1
    if layout[L_LABEL] < 0 or not newest - layout[L_CAPACITY] < tile <= newest:
        return False
    at = _at(layout, tile)
    if row[at + TILE_COUNT] == 0 or row[at + layout[L_LABEL]] + fraud_change < 0:
        return False
    row[at + layout[L_LABEL]] += fraud_change
    return True


@numba.njit(cache=True, nogil=True)
def merge(total: Ints, part: Ints, layout: Ints) -> None:
    """Add to `total` every tile of `part`: counts and sums add, maxima and bitmaps join."""
    capacity = layout[L_CAPACITY]
    if part[NEWEST_TILE] == 0:
        return
    advance(total, layout, part[NEWEST_TILE] - 1)
    total[LAST_MS] = max(total[LAST_MS], part[LAST_MS])
    oldest_part = max(part[NEWEST_TILE] - capacity, 0)
    for tile in range(max(total[NEWEST_TILE] - capacity, oldest_part), part[NEWEST_TILE]):
        at = _at(layout, tile)
        for word in range(at, at + layout[L_HASHED]):
            if word == at + TILE_MAX:
                total[word] = _larger(total[word], part[word])
            else:
                total[word] += part[word]
        for word in range(at + layout[L_HASHED], at + layout[L_WIDTH]):
            total[word] |= part[word]


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
            at = _at(layout, row[NEWEST_TILE])
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
    hashes: Ints,
    marks: Ints,
    fraud_changes: Ints,
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
    found = np.zeros((max(windows.shape[0], 1), 8), dtype=np.int64)
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
            if mark(part, layout, times[i], fraud_changes[i]) and shared:
                mark(total, layout, times[i], fraud_changes[i])
            continue
        _aggregate(total, layout, windows, times[i], found)
        for f in range(ops.shape[0]):
            column = ops[f, 2]
            value = _feature(
                total, layout, ops[f, 0], ops[f, 1], column, ops[f, 3], constants[f, 0], found,
                times[i], amounts[i], hashes[i, column] if column >= 0 else 0, scale,
            )  # fmt: skip
            out[i, ops[f, 4]] = constants[f, 1] if math.isnan(value) else value
        if marks[i] < 0 or not advances(part, partitions[i], offsets[i]):
            continue
        if insert(part, layout, layout[L_GRACE_MS], times[i], amounts[i], hashes[i]):
            if shared:
                insert(total, layout, EVERYTHING_MS, times[i], amounts[i], hashes[i])
        else:
            late[i] = 1
        if dirty_from[part_slots[i]] == 0:
            dirty_from[part_slots[i]] = offsets[i] + 1
            fresh[fresh_count] = part_slots[i]
            fresh_count += 1
    return fresh_count
