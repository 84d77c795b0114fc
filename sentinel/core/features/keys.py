"""Which slot holds which key: a hash table over the bytes of the keys, looked up a batch at a time.

A dictionary of strings takes 160 bytes a key and half a microsecond a look-up, string included;
this takes 60 bytes and a tenth of the time, and the kernels find a batch of keys in one call.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.features.hashing import hash_span
from sentinel.core.features.memory import zeroed
from sentinel.records import Ints
from sentinel.texts import Bytes, Spans, Texts

MISSING = -1  # not in memory
ABSENT = -2  # the transaction names no such entity

_ARENA_BYTES = 4096  # to begin with


@numba.njit(cache=True, nogil=True, inline="always")
def _is_key(arena: Bytes, at: int, data: Bytes, begin: int, length: int) -> bool:
    for i in range(length):  # noqa: SIM110 -- numba compiles a loop, not a generator
        if arena[at + i] != data[begin + i]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _place(
    table: NDArray[np.int32],
    hashes: Ints,
    arena: Bytes,
    starts: Ints,
    lengths: NDArray[np.int32],
    h: int,
    data: Bytes,
    begin: int,
    length: int,
) -> int:
    """Where in the table the key stands, or the free place where it would."""
    mask = table.size - 1
    at = h & mask
    while table[at] != 0:
        slot = table[at] - 1
        if (
            hashes[slot] == h
            and lengths[slot] == length
            and _is_key(arena, starts[slot], data, begin, length)
        ):
            return at
        at = (at + 1) & mask
    return at


@numba.njit(cache=True, nogil=True)
def _find(
    table: NDArray[np.int32],
    hashes: Ints,
    arena: Bytes,
    starts: Ints,
    lengths: NDArray[np.int32],
    data: Bytes,
    start: Spans,
    length: Spans,
    found: Ints,
) -> None:
    """Slot of each key, or MISSING, or ABSENT for one that is not given."""
    for i in range(start.size):
        if length[i] < 0:
            found[i] = ABSENT
            continue
        h = hash_span(data, start[i], length[i])
        at = _place(table, hashes, arena, starts, lengths, h, data, start[i], length[i])
        found[i] = table[at] - 1  # an empty place is MISSING


@numba.njit(cache=True, nogil=True)
def _put(
    table: NDArray[np.int32],
    hashes: Ints,
    arena: Bytes,
    starts: Ints,
    lengths: NDArray[np.int32],
    slots: Ints,
    data: Bytes,
    start: Spans,
    length: Spans,
    arena_end: int,
) -> None:
    """Enter keys that are not there; the arena has room for their bytes."""
    for i in range(slots.size):
        slot = slots[i]
        h = hash_span(data, start[i], length[i])
        at = _place(table, hashes, arena, starts, lengths, h, data, start[i], length[i])
        table[at] = slot + 1
        hashes[slot] = h
        starts[slot] = arena_end
        lengths[slot] = length[i]
        for k in range(length[i]):
            arena[arena_end + k] = data[start[i] + k]
        arena_end += length[i]


@numba.njit(cache=True, nogil=True)
def _remove(table: NDArray[np.int32], hashes: Ints, slots: Ints) -> None:
    """Take the keys of slots out."""
    for i in range(slots.size):
        _remove_one(table, hashes, slots[i])


@numba.njit(cache=True, nogil=True)
def _remove_one(table: NDArray[np.int32], hashes: Ints, slot: int) -> None:
    """Take a slot's key out, and move up those behind it, so that no gap cuts them off."""
    mask = table.size - 1
    at = hashes[slot] & mask
    while table[at] != slot + 1:
        at = (at + 1) & mask
    gap = at
    while True:
        at = (at + 1) & mask
        if table[at] == 0:
            break
        home = hashes[table[at] - 1] & mask
        # It may fill the gap unless its home lies behind the gap, up to where it stands.
        if (at - home) & mask >= (at - gap) & mask:
            table[gap] = table[at]
            gap = at
    table[gap] = 0


@numba.njit(cache=True, nogil=True)
def _distinct(
    table: NDArray[np.int32], data: Bytes, start: Spans, length: Spans, first: Ints
) -> int:
    """Write the places of new keys to `first`; returns how many. The table is twice as large."""
    mask = table.size - 1
    count = 0
    for i in range(start.size):
        at = hash_span(data, start[i], length[i]) & mask
        while table[at] != 0:
            j = table[at] - 1
            if length[i] == length[j] and _is_key(data, start[i], data, start[j], length[j]):
                break
            at = (at + 1) & mask
        if table[at] == 0:
            table[at] = i + 1
            first[count] = i
            count += 1
    return count


def distinct(keys: Texts) -> Ints:
    """Where each key stands for the first time, ascending."""
    first = np.empty(len(keys), dtype=np.int64)
    size = 16
    while size < 2 * len(keys):
        size *= 2
    table = np.zeros(size, dtype=np.int32)
    return first[: _distinct(table, keys.data, keys.start, keys.length, first)]


class KeyIndex:
    """Keys of the slots of one table.

    Parameters
    ----------
    slot_count_max
        Slots are numbered below it. Memory is only taken as keys come.
    """

    def __init__(self, slot_count_max: int) -> None:
        size = 16
        while size < 2 * slot_count_max:
            size *= 2
        self._table = zeroed(size, np.int32)
        self._hashes: Ints = zeroed(slot_count_max, np.int64)
        self._starts: Ints = zeroed(slot_count_max, np.int64)
        self._lengths = zeroed(slot_count_max, np.int32)
        self._arena: Bytes = np.zeros(_ARENA_BYTES, dtype=np.uint8)
        self._arena_end = 0
        self._wasted = 0  # bytes of the arena that belong to keys taken out
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, keys: Texts) -> Ints:
        """Slot of each key, or MISSING, or ABSENT for a key that is None."""
        found = np.empty(len(keys), dtype=np.int64)
        where = (self._table, self._hashes, self._arena, self._starts, self._lengths)
        _find(*where, keys.data, keys.start, keys.length, found)
        return found

    def put(self, slots: Ints, keys: Texts) -> None:
        """Enter keys, all different and none there yet, for slots that have none."""
        size = int(keys.length.sum())
        self._make_room(size)
        where = (self._table, self._hashes, self._arena, self._starts, self._lengths)
        _put(*where, slots, keys.data, keys.start, keys.length, self._arena_end)
        self._arena_end += size
        self._count += slots.size

    def remove(self, slots: Ints) -> None:
        """Take out the keys of slots."""
        _remove(self._table, self._hashes, slots)
        self._wasted += int(self._lengths[slots].sum())
        self._lengths[slots] = 0
        self._count -= slots.size

    def names(self, slots: Ints) -> Texts:
        """The keys of these slots, in bytes of their own."""
        lengths = self._lengths[slots].astype(np.int64)
        ends = np.cumsum(lengths)
        data = np.empty(int(ends[-1]) if ends.size else 0, dtype=np.uint8)
        starts = ends - lengths
        _copy(self._arena, self._starts[slots], lengths, data, starts)
        return Texts(data, starts, lengths)

    def _make_room(self, length: int) -> None:
        """Have so many bytes free in the arena: without those of keys taken out, or larger."""
        if self._arena_end + length <= self._arena.size:
            return
        kept = self._arena_end - self._wasted
        size = _ARENA_BYTES
        while size < 2 * (kept + length):
            size *= 2
        arena = np.empty(size, dtype=np.uint8)
        used = np.flatnonzero(self._lengths)
        lengths = self._lengths[used].astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        _copy(self._arena, self._starts[used], lengths, arena, starts)
        self._starts[used] = starts
        self._arena, self._arena_end, self._wasted = arena, kept, 0


@numba.njit(cache=True, nogil=True)
def _copy(source: Bytes, starts: Ints, lengths: Ints, target: Bytes, to: Ints) -> None:
    for i in range(starts.size):
        for k in range(lengths[i]):
            target[to[i] + k] = source[starts[i] + k]
