"""Kernels over rings of tiles: the exact sums of the tiles that cover a window."""

import math

import numba
import numpy as np

from sentinel.core.features.events import past_value
from sentinel.core.features.plan import (
    BITMAP_WORDS,
    DECAYED_COUNT,
    DECAYED_SUM,
    DISTINCT,
    FIRST_SEEN,
    HEADER_WORDS,
    L_AMOUNT,
    L_CAPACITY,
    L_COLUMN_COUNT,
    L_COLUMNS,
    L_FRAUD,
    L_GRACE_MS,
    L_MAX,
    L_SQUARE,
    L_TILE_MS,
    LABELS_NEXT,
    LAST_MS,
    NEWEST_TILE,
    NEXT_OFFSET,
    STD,
    TIME_SINCE_LAST,
    Z_SCORE,
)
from sentinel.records import Floats, Ints

# An amount is at most 10**12 < 2**40, so its square takes two words of 40 bits and some:
# sums of either word cannot overflow within 2**23 records of one tile.
_HALF_BITS = 20
_HALF_MASK = (1 << _HALF_BITS) - 1
_WORD_BITS = 2 * _HALF_BITS
_BITMAP_BITS = 64 * BITMAP_WORDS


@numba.njit(cache=True, nogil=True)
def _aggregate(
    row: Ints, layout: Ints, windows: Ints, t: int, found: Ints, squares: Floats
) -> None:
    """Fill found[w] with first and last tile, count, sum, maximum and frauds of window w."""
    capacity = layout[L_CAPACITY]
    tile_ms = layout[L_TILE_MS]
    newest = row[NEWEST_TILE] - 1
    oldest = max(newest - capacity + 1, 0)
    tile = newest
    n = s = m = f = 0
    sq = 0.0
    last = 0
    for w in range(windows.shape[0]):
        if w == 0 or windows[w, 0] != windows[w - 1, 0]:
            n = s = f = 0
            m = -1
            sq = 0.0
            last = min((t - windows[w, 0]) // tile_ms, newest)
            tile = last
        first = max((t - windows[w, 0] - windows[w, 1] + 1) // tile_ms, oldest)
        while tile >= first:
            j = HEADER_WORDS + tile % capacity
            n += row[j]
            s += row[j + capacity]
            sq += math.ldexp(float(row[j + 2 * capacity]), _WORD_BITS) + row[j + 3 * capacity]
            m = max(m, row[j + 4 * capacity] - 1)
            if layout[L_FRAUD] >= 0:
                f += row[j + 5 * capacity]
            tile -= 1
        found[w, 0] = first
        found[w, 1] = last
        found[w, 2] = n
        found[w, 3] = s
        found[w, 4] = m
        found[w, 5] = f
        squares[w] = sq


@numba.njit(cache=True, nogil=True)
def _std(n: int, s: int, squares: float) -> float:
    """Sample standard deviation from count, sum and sum of squares; NaN for n < 2."""
    if n < 2:
        return math.nan
    return math.sqrt(max(squares - float(s) * (s / n), 0.0) / (n - 1))


@numba.njit(cache=True, nogil=True)
def _popcount(word: int) -> int:
    """Bits that are set in a 64-bit word."""
    x = np.uint64(word)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True, nogil=True)
def _bitmap(layout: Ints, column: int, tile: int) -> int:
    """Where the bitmap of a hashed column of a tile begins."""
    capacity = layout[L_CAPACITY]
    return layout[L_COLUMNS] + (column * capacity + tile % capacity) * BITMAP_WORDS


@numba.njit(cache=True, nogil=True)
def _distinct(row: Ints, layout: Ints, column: int, first: int, last: int, extra: int) -> float:
    """Linear-counting estimate of the distinct hashes in the tiles, and `extra` if not 0."""
    bits = 0
    for word in range(BITMAP_WORDS):
        union = np.int64(0)
        for tile in range(first, last + 1):
            union |= row[_bitmap(layout, column, tile) + word]
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
    for tile in range(first, last + 1):
        word = row[_bitmap(layout, column, tile) + ((h & (_BITMAP_BITS - 1)) >> 6)]
        if word & (np.int64(1) << (h & 63)) != 0:
            return 0.0
    return 1.0


@numba.njit(cache=True, nogil=True)
def _decayed(row: Ints, layout: Ints, t: int, half_life_ms: float, of_amount: bool) -> float:
    """Sum over the kept tiles up to that of t of 2**(-age / half-life); a tile ages from its end."""
    newest = row[NEWEST_TILE] - 1
    total = 0.0
    last = min(t // layout[L_TILE_MS], newest)
    for tile in range(max(newest - layout[L_CAPACITY] + 1, 0), last + 1):
        j = HEADER_WORDS + tile % layout[L_CAPACITY]
        value = row[j + layout[L_CAPACITY]] if of_amount else row[j]
        if value != 0:
            age = max(t - (tile + 1) * layout[L_TILE_MS], 0)
            total += value * 2.0 ** (-age / half_life_ms)
    return total


@numba.njit(cache=True, nogil=True)
def _feature(
    row: Ints,
    layout: Ints,
    op: Ints,
    half_life_ms: float,
    found: Ints,
    squares: Floats,
    t: int,
    amount: int,
    hashes: Ints,
    scale: float,
) -> float:
    """The value of one feature, NaN where there is nothing to say."""
    stat = op[0]
    if stat == TIME_SINCE_LAST:
        return max(t - (row[LAST_MS] - 1), 0) / 1000.0 if row[LAST_MS] > 0 else math.nan
    if stat == DECAYED_COUNT:
        return _decayed(row, layout, t, half_life_ms, False) + op[3]
    if stat == DECAYED_SUM:
        return (_decayed(row, layout, t, half_life_ms, True) + op[3] * amount) / scale
    w = op[1]
    first, last, n, s, m, f = found[w]
    if stat == DISTINCT:
        extra = hashes[op[2]] if op[3] else 0
        return _distinct(row, layout, op[2], first, last, extra)
    if stat == FIRST_SEEN:
        if op[2] < 0:
            return 1.0 if n == 0 else 0.0
        return _first_seen(row, layout, op[2], first, last, hashes[op[2]])
    sq = squares[w]
    if op[3]:
        n, s, m, sq = n + 1, s + amount, max(m, amount), sq + float(amount) * amount
    std = _std(n, s, sq) if stat in (STD, Z_SCORE) else math.nan
    return past_value(stat, n, s, m, f, std, amount, scale)


@numba.njit(cache=True, nogil=True)
def advance(row: Ints, layout: Ints, tile: int) -> None:
    """Make `tile` the newest, clearing the tiles that it pushes out."""
    capacity = layout[L_CAPACITY]
    newest = row[NEWEST_TILE] - 1
    if tile <= newest:
        return
    for cleared in range(max(newest + 1, tile - capacity + 1), tile + 1):
        j = cleared % capacity
        for base in range(HEADER_WORDS, layout[L_COLUMNS], capacity):
            row[base + j] = 0
        for column in range(layout[L_COLUMN_COUNT]):
            at = _bitmap(layout, column, cleared)
            row[at : at + BITMAP_WORDS] = 0
    row[NEWEST_TILE] = tile + 1


@numba.njit(cache=True, nogil=True)
def insert(row: Ints, layout: Ints, grace_ms: int, t: int, amount: int, hashes: Ints) -> bool:
    """Count a record into its tile. Returns False for a late one, beyond the grace."""
    capacity = layout[L_CAPACITY]
    tile = t // layout[L_TILE_MS]
    if row[LAST_MS] > 0 and row[LAST_MS] - 1 - t > grace_ms:
        return False
    advance(row, layout, tile)
    row[LAST_MS] = max(row[LAST_MS], t + 1)
    if tile <= row[NEWEST_TILE] - 1 - capacity:
        return True  # older than all that is kept
    j = tile % capacity
    high, low = amount >> _HALF_BITS, amount & _HALF_MASK
    cross = 2 * high * low
    row[HEADER_WORDS + j] += 1
    row[layout[L_AMOUNT] + j] += amount
    row[layout[L_SQUARE] + j] += high * high + (cross >> _HALF_BITS)
    row[layout[L_SQUARE] + capacity + j] += ((cross & _HALF_MASK) << _HALF_BITS) + low * low
    row[layout[L_MAX] + j] = max(row[layout[L_MAX] + j], amount + 1)
    for column in range(layout[L_COLUMN_COUNT]):
        h = hashes[column]
        if h != 0:
            at = _bitmap(layout, column, tile) + ((h & (_BITMAP_BITS - 1)) >> 6)
            row[at] |= np.int64(1) << (h & 63)
    return True


@numba.njit(cache=True, nogil=True)
def mark(row: Ints, layout: Ints, t: int, fraud_change: int) -> bool:
    """Change the known frauds of the tile of t by -1, 0 or 1; False if the tile is not there."""
    tile = t // layout[L_TILE_MS]
    newest = row[NEWEST_TILE] - 1
    if layout[L_FRAUD] < 0 or not newest - layout[L_CAPACITY] < tile <= newest:
        return False
    j = tile % layout[L_CAPACITY]
    if row[HEADER_WORDS + j] == 0:
        return False
    row[layout[L_FRAUD] + j] += fraud_change
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
        j = tile % capacity
        for base in range(HEADER_WORDS, layout[L_COLUMNS], capacity):
            if base == layout[L_MAX]:
                total[base + j] = max(total[base + j], part[base + j])
            else:
                total[base + j] += part[base + j]
        for column in range(layout[L_COLUMN_COUNT]):
            at = _bitmap(layout, column, tile)
            for word in range(at, at + BITMAP_WORDS):
                total[word] |= part[word]


@numba.njit(cache=True, nogil=True)
def read_and_fold(
    totals: Ints,
    parts: Ints,
    slots: Ints,
    part_slots: Ints,
    shared: bool,
    layout: Ints,
    windows: Ints,
    ops: Ints,
    constants: Floats,
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
    found = np.zeros((max(windows.shape[0], 1), 6), dtype=np.int64)
    squares = np.zeros(max(windows.shape[0], 1))
    fresh_count = 0
    for i in range(slots.size):
        if slots[i] < 0:
            continue
        total, part = totals[slots[i]], parts[part_slots[i]]
        if marks[i] > 0:
            if offsets[i] >= part[LABELS_NEXT]:
                part[LABELS_NEXT] = offsets[i] + 1
                if mark(part, layout, times[i], fraud_changes[i]) and shared:
                    mark(total, layout, times[i], fraud_changes[i])
            continue
        _aggregate(total, layout, windows, times[i], found, squares)
        for f in range(ops.shape[0]):
            value = _feature(
                total, layout, ops[f], constants[f, 0], found, squares,
                times[i], amounts[i], hashes[i], scale,
            )  # fmt: skip
            out[i, ops[f, 4]] = constants[f, 1] if math.isnan(value) else value
        if offsets[i] < part[NEXT_OFFSET]:
            continue
        part[NEXT_OFFSET] = offsets[i] + 1
        if insert(part, layout, layout[L_GRACE_MS], times[i], amounts[i], hashes[i]):
            if shared:
                insert(total, layout, 1 << 60, times[i], amounts[i], hashes[i])
        else:
            late[i] = 1
        if dirty_from[part_slots[i]] == 0:
            dirty_from[part_slots[i]] = offsets[i] + 1
            fresh[fresh_count] = part_slots[i]
            fresh_count += 1
    return fresh_count
