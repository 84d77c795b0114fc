"""Rows of state to stored bytes and back: a version byte, then little-endian 64-bit words.

A blob holds only what is in use: the events of a ring, oldest first, or the tiles that are not
empty. So equal states have equal bytes, wherever in memory their rings happen to begin.
"""

import numba
import numpy as np

from sentinel.core.features.plan import (
    BITMAP_WORDS,
    EVENT_COUNT,
    HEAD,
    HEADER_WORDS,
    L_CAPACITY,
    L_COLUMN_COUNT,
    L_COLUMNS,
    LABELS_NEXT,
    LAST_MS,
    NEWEST_TILE,
    NEXT_OFFSET,
    EntityPlan,
)
from sentinel.records import Ints

VERSION = 1

# Words of a blob before its body: version, log, next offset, next label, then two of its kind.
_VERSION, _LOG, _NEXT_OFFSET, _LABELS_NEXT, _FIRST, _SECOND = range(6)
_HEAD_WORDS = 6


@numba.njit(cache=True, nogil=True)
def _tile_in_use(row: Ints, layout: Ints, tile: int) -> bool:
    """Whether a tile holds anything: every record counts, so the count tells."""
    return row[HEADER_WORDS + tile % layout[L_CAPACITY]] != 0


@numba.njit(cache=True, nogil=True)
def _size(row: Ints, layout: Ints, is_events: bool) -> int:
    """Words that the packed row takes."""
    capacity = layout[L_CAPACITY]
    plain = (layout[L_COLUMNS] - HEADER_WORDS) // capacity
    if is_events:
        return _HEAD_WORDS + row[EVENT_COUNT] * (plain + layout[L_COLUMN_COUNT])
    tile_words = 1 + plain + layout[L_COLUMN_COUNT] * BITMAP_WORDS
    used = 0
    for tile in range(max(row[NEWEST_TILE] - capacity, 0), row[NEWEST_TILE]):
        used += _tile_in_use(row, layout, tile)
    return _HEAD_WORDS + used * tile_words


@numba.njit(cache=True, nogil=True)
def _pack_events(row: Ints, layout: Ints, out: Ints) -> None:
    capacity = layout[L_CAPACITY]
    n = row[EVENT_COUNT]
    out[_FIRST] = n
    out[_SECOND] = 0
    at = _HEAD_WORDS
    end = layout[L_COLUMNS] + layout[L_COLUMN_COUNT] * capacity
    for base in range(HEADER_WORDS, end, capacity):
        for i in range(n):
            out[at] = row[base + (row[HEAD] + i) % capacity]
            at += 1


@numba.njit(cache=True, nogil=True)
def _pack_tiles(row: Ints, layout: Ints, out: Ints) -> None:
    capacity = layout[L_CAPACITY]
    out[_FIRST] = row[NEWEST_TILE]
    out[_SECOND] = row[LAST_MS]
    at = _HEAD_WORDS
    for tile in range(max(row[NEWEST_TILE] - capacity, 0), row[NEWEST_TILE]):
        if not _tile_in_use(row, layout, tile):
            continue
        out[at] = tile
        at += 1
        j = tile % capacity
        for base in range(HEADER_WORDS, layout[L_COLUMNS], capacity):
            out[at] = row[base + j]
            at += 1
        for column in range(layout[L_COLUMN_COUNT]):
            begin = layout[L_COLUMNS] + (column * capacity + j) * BITMAP_WORDS
            for word in range(begin, begin + BITMAP_WORDS):
                out[at] = row[word]
                at += 1


@numba.njit(cache=True, nogil=True)
def _pack(
    rows: Ints, slots: Ints, layout: Ints, is_events: bool, log: int, ends: Ints, out: Ints
) -> None:
    """Write each row behind the other; ends[i] is where the blob of row i ends."""
    begin = 0
    for i in range(slots.size):
        row = rows[slots[i]]
        blob = out[begin : ends[i]]
        blob[_VERSION] = VERSION
        blob[_LOG] = log
        blob[_NEXT_OFFSET] = row[NEXT_OFFSET]
        blob[_LABELS_NEXT] = row[LABELS_NEXT]
        if is_events:
            _pack_events(row, layout, blob)
        else:
            _pack_tiles(row, layout, blob)
        begin = ends[i]


@numba.njit(cache=True, nogil=True)
def _ends(rows: Ints, slots: Ints, layout: Ints, is_events: bool) -> Ints:
    ends = np.zeros(slots.size, dtype=np.int64)
    end = 0
    for i in range(slots.size):
        end += _size(rows[slots[i]], layout, is_events)
        ends[i] = end
    return ends


def pack(plan: EntityPlan, rows: Ints, slots: Ints, *, log: int) -> list[bytes]:
    """The blobs of the rows at `slots`; `log` names the log that their offsets belong to."""
    ends = _ends(rows, slots, plan.layout, plan.is_events)
    out = np.empty(int(ends[-1]) if ends.size else 0, dtype=np.int64)
    _pack(rows, slots, plan.layout, plan.is_events, log, ends, out)
    data = out.astype("<i8", copy=False).tobytes()
    bounds = [0, *(ends * 8).tolist()]
    return [data[begin:end] for begin, end in zip(bounds, bounds[1:], strict=False)]


@numba.njit(cache=True, nogil=True)
def _unpack(blob: Ints, layout: Ints, is_events: bool, row: Ints) -> bool:
    """Fill a zeroed row from the body of a blob; False when the blob does not fit the layout."""
    capacity = layout[L_CAPACITY]
    plain = (layout[L_COLUMNS] - HEADER_WORDS) // capacity
    if is_events:
        n = blob[_FIRST]
        column_count = plain + layout[L_COLUMN_COUNT]
        if not 0 <= n <= capacity or blob.size != _HEAD_WORDS + n * column_count:
            return False
        for column in range(column_count):
            for i in range(n):
                row[HEADER_WORDS + column * capacity + i] = blob[_HEAD_WORDS + column * n + i]
        row[EVENT_COUNT] = n
        return True
    tile_words = 1 + plain + layout[L_COLUMN_COUNT] * BITMAP_WORDS
    if (blob.size - _HEAD_WORDS) % tile_words != 0:
        return False
    for begin in range(_HEAD_WORDS, blob.size, tile_words):
        tile = blob[begin]
        if not max(blob[_FIRST] - capacity, 0) <= tile < blob[_FIRST]:
            return False
        j = tile % capacity
        for i in range(plain):
            row[HEADER_WORDS + i * capacity + j] = blob[begin + 1 + i]
        for column in range(layout[L_COLUMN_COUNT]):
            to = layout[L_COLUMNS] + (column * capacity + j) * BITMAP_WORDS
            at = begin + 1 + plain + column * BITMAP_WORDS
            row[to : to + BITMAP_WORDS] = blob[at : at + BITMAP_WORDS]
    row[NEWEST_TILE] = blob[_FIRST]
    row[LAST_MS] = blob[_SECOND]
    return True


def unpack(plan: EntityPlan, data: bytes, row: Ints, *, log: int) -> bool:
    """Fill a zeroed row from a blob; False, and the row zeroed, when the bytes are not usable.

    Offsets of another log mean nothing here, so they are forgotten and the state is kept.
    """
    if len(data) % 8 != 0 or len(data) < 8 * _HEAD_WORDS:
        return False
    blob = np.frombuffer(data, dtype="<i8").astype(np.int64, copy=False)
    if blob[_VERSION] != VERSION or not _unpack(blob, plan.layout, plan.is_events, row):
        row[:] = 0
        return False
    if blob[_LOG] == log:
        row[NEXT_OFFSET] = blob[_NEXT_OFFSET]
        row[LABELS_NEXT] = blob[_LABELS_NEXT]
    return True


def blob_sizes(plan: EntityPlan, rows: Ints, slots: Ints) -> Ints:
    """Bytes of the blob of each row, int64 (n,)."""
    ends = _ends(rows, slots, plan.layout, plan.is_events)
    return np.diff(ends, prepend=0) * 8
