"""Rows of state to stored bytes and back: little-endian 64-bit words, a version byte first.

A blob holds only what is in use: the events of a ring, oldest first, or the tiles that are not
empty. So equal states have equal bytes, wherever in memory their rings happen to begin. Behind the
version byte stand seven bytes of checksum, so that a damaged blob is known as one.

An offset belongs to the log of one input partition, which the blob names beside it: 48 bits of the
log, 16 of the partition. Read for another log or partition, it means nothing, and is forgotten.

Behind the body there is room for identifiers of recent transactions, so many words as the head says
(recent.py); a row without room for them leaves them out.
"""

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.features import recent
from sentinel.core.features.hashing import hash64
from sentinel.core.features.plan import (
    EVENT_COUNT,
    FOLDED_BY,
    HEAD,
    HEADER_WORDS,
    L_CAPACITY,
    L_WIDTH,
    LAST_MS,
    NEWEST_TILE,
    NEXT_OFFSET,
    TILE_COUNT,
    EntityPlan,
)
from sentinel.records import Ints
from sentinel.texts import Texts

VERSION = 2

# Words of a blob before its body: version, log and partition, next offset, how many words there are
# behind the body, then two of its kind.
_VERSION, _LOG, _NEXT_OFFSET, _BEHIND, _FIRST, _SECOND = range(6)
_HEAD_WORDS = 6

_PARTITION_BITS = 16
_PARTITION_MASK = (1 << _PARTITION_BITS) - 1

# FNV-1a over words (http://www.isthe.com/chongo/tech/comp/fnv/).
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_SHIFT = np.uint64(32)
_VERSION_MASK = 0xFF


def log_numbers(names: Sequence[str]) -> Ints:
    """48 bits of each log's name, int64 (n,), as blobs hold them."""
    return hash64(names) >> _PARTITION_BITS


@numba.njit(cache=True, nogil=True)
def sealed(blob: NDArray[np.uint64]) -> np.uint64:
    """The first word of a blob: the version, and a checksum of all the words behind it."""
    h = _FNV_OFFSET
    for i in range(1, blob.size):
        h = (h ^ blob[i]) * _FNV_PRIME
        h = h ^ (h >> _SHIFT)
    return (h & ~np.uint64(_VERSION_MASK)) | np.uint64(VERSION)


@numba.njit(cache=True, nogil=True)
def _size(row: Ints, layout: Ints, is_events: bool) -> int:
    """Words that the packed row takes."""
    behind = recent.word_count(row, layout)
    if is_events:
        return _HEAD_WORDS + row[EVENT_COUNT] * layout[L_WIDTH] + behind
    used = 0
    for place in range(layout[L_CAPACITY]):
        used += row[HEADER_WORDS + place * layout[L_WIDTH] + TILE_COUNT] != 0
    return _HEAD_WORDS + used * (1 + layout[L_WIDTH]) + behind


@numba.njit(cache=True, nogil=True)
def _pack_events(row: Ints, layout: Ints, out: Ints) -> None:
    width = layout[L_WIDTH]
    out[_FIRST] = row[EVENT_COUNT]
    out[_SECOND] = 0
    to = _HEAD_WORDS
    for i in range(row[EVENT_COUNT]):
        at = HEADER_WORDS + (row[HEAD] + i) % layout[L_CAPACITY] * width
        out[to : to + width] = row[at : at + width]
        to += width


@numba.njit(cache=True, nogil=True)
def _pack_tiles(row: Ints, layout: Ints, out: Ints) -> None:
    capacity, width = layout[L_CAPACITY], layout[L_WIDTH]
    out[_FIRST] = row[NEWEST_TILE]
    out[_SECOND] = row[LAST_MS]
    to = _HEAD_WORDS
    for tile in range(max(row[NEWEST_TILE] - capacity, 0), row[NEWEST_TILE]):
        at = HEADER_WORDS + tile % capacity * width
        if row[at + TILE_COUNT] != 0:
            out[to] = tile
            out[to + 1 : to + 1 + width] = row[at : at + width]
            to += 1 + width


@numba.njit(cache=True, nogil=True)
def _pack(
    rows: Ints, slots: Ints, layout: Ints, is_events: bool, logs: Ints, ends: Ints, out: Ints
) -> None:
    """Write each row behind the other; ends[i] is where the blob of row i ends."""
    begin = 0
    for i in range(slots.size):
        row = rows[slots[i]]
        blob = out[begin : ends[i]]
        partition = max(row[FOLDED_BY] - 1, 0)
        blob[_LOG] = (logs[partition] << _PARTITION_BITS) | partition
        blob[_NEXT_OFFSET] = row[NEXT_OFFSET]
        blob[_BEHIND] = behind = recent.word_count(row, layout)
        if behind > 0:
            recent.pack(row, layout, blob[blob.size - behind :])
        if is_events:
            _pack_events(row, layout, blob)
        else:
            _pack_tiles(row, layout, blob)
        words = blob.view(np.uint64)
        words[_VERSION] = sealed(words)
        begin = ends[i]


@numba.njit(cache=True, nogil=True)
def _ends(rows: Ints, slots: Ints, layout: Ints, is_events: bool) -> Ints:
    ends = np.zeros(slots.size, dtype=np.int64)
    end = 0
    for i in range(slots.size):
        end += _size(rows[slots[i]], layout, is_events)
        ends[i] = end
    return ends


def pack(plan: EntityPlan, rows: Ints, slots: Ints, *, logs: Ints) -> Texts:
    """The blobs of the rows at `slots`; `logs` names the log of each input partition."""
    ends = _ends(rows, slots, plan.layout, plan.is_events)
    out = np.empty(int(ends[-1]) if ends.size else 0, dtype=np.int64)
    _pack(rows, slots, plan.layout, plan.is_events, logs, ends, out)
    sizes = np.diff(ends, prepend=0) * 8
    return Texts(out.astype("<i8", copy=False).view(np.uint8), ends * 8 - sizes, sizes)


@numba.njit(cache=True, nogil=True)
def _unpack(blob: Ints, layout: Ints, is_events: bool, row: Ints) -> bool:
    """Fill a zeroed row from the body of a blob; False when the blob does not fit the layout."""
    capacity, width = layout[L_CAPACITY], layout[L_WIDTH]
    if not 0 <= blob[_BEHIND] <= blob.size - _HEAD_WORDS:
        return False
    end = blob.size - blob[_BEHIND]
    if is_events:
        n = blob[_FIRST]
        if not 0 <= n <= capacity or end != _HEAD_WORDS + n * width:
            return False
        row[HEADER_WORDS : HEADER_WORDS + n * width] = blob[_HEAD_WORDS:end]
        row[EVENT_COUNT] = n
        recent.unpack(blob[end:], layout, row)
        return True
    if (end - _HEAD_WORDS) % (1 + width) != 0:
        return False
    for begin in range(_HEAD_WORDS, end, 1 + width):
        tile = blob[begin]
        if not max(blob[_FIRST] - capacity, 0) <= tile < blob[_FIRST]:
            return False
        to = HEADER_WORDS + tile % capacity * width
        row[to : to + width] = blob[begin + 1 : begin + 1 + width]
    row[NEWEST_TILE] = blob[_FIRST]
    row[LAST_MS] = blob[_SECOND]
    recent.unpack(blob[end:], layout, row)
    return True


@numba.njit(cache=True, nogil=True)
def _place(blob: Ints, logs: Ints, row: Ints) -> None:
    """How far the row has come, if that is said of a log of these."""
    partition = blob[_LOG] & _PARTITION_MASK
    if partition < logs.size and blob[_LOG] >> _PARTITION_BITS == logs[partition]:
        row[NEXT_OFFSET] = blob[_NEXT_OFFSET]
        row[FOLDED_BY] = partition + 1


def unpack(plan: EntityPlan, data: bytes, row: Ints, *, logs: Ints) -> bool:
    """Fill a zeroed row from a blob; False, and the row zeroed, when the bytes are not usable.

    Offsets of another log mean nothing here, so they are forgotten and the state is kept.
    """
    if len(data) % 8 != 0 or len(data) < 8 * _HEAD_WORDS:
        return False
    words = np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)
    blob = words.view(np.int64)
    if words[_VERSION] != sealed(words) or not _unpack(blob, plan.layout, plan.is_events, row):
        row[:] = 0
        return False
    _place(blob, logs, row)
    return True


@numba.njit(cache=True, nogil=True)
def _unpack_all(
    words: NDArray[np.uint64],
    ends: Ints,
    layout: Ints,
    is_events: bool,
    logs: Ints,
    rows: Ints,
    slots: Ints,
    fits: NDArray[np.bool_],
) -> None:
    begin = 0
    for i in range(slots.size):
        blob = words[begin : ends[i]]
        begin = ends[i]
        row = rows[slots[i]]
        if blob.size < _HEAD_WORDS or blob[_VERSION] != sealed(blob):
            continue
        body = blob.view(np.int64)
        if not _unpack(body, layout, is_events, row):
            row[:] = 0
            continue
        fits[i] = True
        _place(body, logs, row)


def unpack_all(
    plan: EntityPlan, blobs: Sequence[bytes], rows: Ints, slots: Ints, *, logs: Ints
) -> NDArray[np.bool_]:
    """`unpack` of each blob into the zeroed row of its slot; which of them were usable."""
    whole = [blob if len(blob) % 8 == 0 else b"" for blob in blobs]
    ends = np.cumsum([len(blob) // 8 for blob in whole], dtype=np.int64)
    words = np.frombuffer(bytearray(b"".join(whole)), dtype="<u8").astype(np.uint64, copy=False)
    fits = np.zeros(slots.size, dtype=np.bool_)
    _unpack_all(words, ends, plan.layout, plan.is_events, logs, rows, slots, fits)
    return fits


def partition_of_blob(data: bytes, logs: Ints) -> int | None:
    """The input partition that has counted into a blob last; None if that is of no log of these."""
    if len(data) < 8 * _HEAD_WORDS:
        return None
    named = int(np.frombuffer(data, dtype="<i8", count=_LOG + 1)[_LOG])
    partition = named & _PARTITION_MASK
    is_of_these = partition < logs.size and named >> _PARTITION_BITS == logs[partition]
    return partition if is_of_these else None


def from_format_1(data: bytes, *, old_log: int, log: int, partition: int) -> bytes | None:
    """A blob of format 1 in the present one; None if it is not a whole one.

    There an offset belonged to a cluster only, and the place of the words behind the body held how
    far the labels had been applied.

    Parameters
    ----------
    old_log
        Names the cluster, as it was named then.
    log, partition
        Of the log that the blob's offset is of, if it is of that cluster.
    """
    if len(data) % 8 != 0 or len(data) < 8 * _HEAD_WORDS:
        return None
    words = np.frombuffer(data, dtype="<u8").astype(np.uint64)
    if words[_VERSION] != (sealed(words) & ~np.uint64(_VERSION_MASK)) | np.uint64(1):
        return None
    blob = words.view(np.int64)
    if blob[_LOG] == old_log:
        blob[_LOG] = (log << _PARTITION_BITS) | partition
    else:
        blob[_LOG] = blob[_NEXT_OFFSET] = 0
    blob[_BEHIND] = 0
    words[_VERSION] = sealed(words)
    return words.astype("<u8", copy=False).tobytes()


def blob_sizes(plan: EntityPlan, rows: Ints, slots: Ints) -> Ints:
    """Bytes of the blob of each row, int64 (n,)."""
    ends = _ends(rows, slots, plan.layout, plan.is_events)
    return np.diff(ends, prepend=0) * 8
