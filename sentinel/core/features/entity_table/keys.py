"""Which slot holds which key: a hash table over the bytes of the keys, looked up a batch at a time.

A dictionary of strings takes 160 bytes a key and half a microsecond a look-up, string included;
this takes 60 bytes and a tenth of the time, and the kernels find a batch of keys in one call.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.features.entity_table.memory import zeroed, zeroed_rows
from sentinel.core.features.hashing import hash_span
from sentinel.records import Ints
from sentinel.texts import Bytes, Spans, Texts

MISSING = -1  # not in memory
ABSENT = -2  # the transaction names no such entity

_ARENA_BYTES = 4096  # to begin with

_TAG_SHIFT = 32
_SLOT_MASK = (1 << _TAG_SHIFT) - 1

# Words that a slot's head has: where its key's bytes begin, how many they are, and their hash.
_START, _LENGTH, _HASH, _HEAD_WORDS = 0, 1, 2, 4


@numba.njit(cache=True, nogil=True, inline="always")
def _is_key(arena: Bytes, at: int, data: Bytes, begin: int, length: int) -> bool:
    for i in range(length):  # noqa: SIM110 -- numba compiles a loop, not a generator
        if arena[at + i] != data[begin + i]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _place(
    table: Ints, heads: Ints, arena: Bytes, h: int, data: Bytes, begin: int, length: int
) -> int:
    """Where in the table the key stands, or the free place where it would."""
    mask = table.size - 1
    at = h & mask
    while table[at] != 0:
        slot = (table[at] & _SLOT_MASK) - 1
        if (
            table[at] >> _TAG_SHIFT == h >> _TAG_SHIFT
            and heads[slot, _LENGTH] == length
            and _is_key(arena, heads[slot, _START], data, begin, length)
        ):
            return at
        at = (at + 1) & mask
    return at


@numba.njit(cache=True, nogil=True)
def _find(
    table: Ints, heads: Ints, arena: Bytes, data: Bytes, start: Spans, length: Spans, found: Ints
) -> None:
    """Slot of each key, or MISSING, or ABSENT for one that is not given.

    In three passes, so that the memory of many keys is waited for at once and not one by one.
    """
    mask = table.size - 1
    hashes = np.empty(start.size, dtype=np.int64)
    for i in range(start.size):
        hashes[i] = hash_span(data, start[i], length[i])
    for i in range(start.size):
        at = hashes[i] & mask
        while table[at] != 0 and table[at] >> _TAG_SHIFT != hashes[i] >> _TAG_SHIFT:
            at = (at + 1) & mask
        found[i] = (table[at] & _SLOT_MASK) - 1  # an empty place is MISSING
    for i in range(start.size):
        if length[i] < 0:
            found[i] = ABSENT
            continue
        slot = found[i]
        if slot >= 0 and not (
            heads[slot, _LENGTH] == length[i]
            and _is_key(arena, heads[slot, _START], data, start[i], length[i])
        ):
            at = _place(table, heads, arena, hashes[i], data, start[i], length[i])
            found[i] = (table[at] & _SLOT_MASK) - 1


@numba.njit(cache=True, nogil=True)
def _put(
    table: Ints,
    heads: Ints,
    arena: Bytes,
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
        at = _place(table, heads, arena, h, data, start[i], length[i])
        table[at] = h & ~_SLOT_MASK | (slot + 1)
        heads[slot, _START] = arena_end
        heads[slot, _LENGTH] = length[i]
        heads[slot, _HASH] = h
        for k in range(length[i]):
            arena[arena_end + k] = data[start[i] + k]
        arena_end += length[i]


@numba.njit(cache=True, nogil=True)
def _remove(table: Ints, heads: Ints, slots: Ints) -> None:
    """Take the keys of slots out."""
    for i in range(slots.size):
        _remove_one(table, heads, slots[i])


@numba.njit(cache=True, nogil=True)
def _remove_one(table: Ints, heads: Ints, slot: int) -> None:
    """Take a slot's key out, and move up those behind it, so that no gap cuts them off."""
    mask = table.size - 1
    at = heads[slot, _HASH] & mask
    while table[at] & _SLOT_MASK != slot + 1:
        at = (at + 1) & mask
    gap = at
    while True:
        at = (at + 1) & mask
        if table[at] == 0:
            break
        home = heads[(table[at] & _SLOT_MASK) - 1, _HASH] & mask
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
        # A place holds the upper half of the hash, and the slot plus one; 0 is a free place.
        self._table: Ints = zeroed(size, np.int64)
        self._heads: Ints = zeroed_rows(slot_count_max, _HEAD_WORDS)
        self._arena: Bytes = np.zeros(_ARENA_BYTES, dtype=np.uint8)
        self._arena_end = 0
        self._wasted = 0  # bytes of the arena that belong to keys taken out
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, keys: Texts) -> Ints:
        """Slot of each key, or MISSING, or ABSENT for a key that is None."""
        found = np.empty(len(keys), dtype=np.int64)
        where = (self._table, self._heads, self._arena)
        _find(*where, keys.data, keys.start, keys.length, found)
        return found

    def put(self, slots: Ints, keys: Texts) -> None:
        """Enter keys, all different and none there yet, for slots that have none."""
        size = int(keys.length.sum())
        self._make_room(size)
        where = (self._table, self._heads, self._arena)
        _put(*where, slots, keys.data, keys.start, keys.length, self._arena_end)
        self._arena_end += size
        self._count += slots.size

    def remove(self, slots: Ints) -> None:
        """Take out the keys of slots."""
        _remove(self._table, self._heads, slots)
        self._wasted += int(self._heads[slots, _LENGTH].sum())
        self._heads[slots] = 0
        self._count -= slots.size

    def names(self, slots: Ints) -> Texts:
        """The keys of these slots, in bytes of their own."""
        lengths = self._heads[slots, _LENGTH]
        ends = np.cumsum(lengths)
        data = np.empty(int(ends[-1]) if ends.size else 0, dtype=np.uint8)
        starts = ends - lengths
        _copy(self._arena, self._heads[slots, _START], lengths, data, starts)
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
        used = np.flatnonzero(self._heads[:, _LENGTH])
        lengths = self._heads[used, _LENGTH]
        starts = np.cumsum(lengths) - lengths
        _copy(self._arena, self._heads[used, _START], lengths, arena, starts)
        self._heads[used, _START] = starts
        self._arena, self._arena_end, self._wasted = arena, kept, 0


@numba.njit(cache=True, nogil=True)
def _copy(source: Bytes, starts: Ints, lengths: Ints, target: Bytes, to: Ints) -> None:
    for i in range(starts.size):
        for k in range(lengths[i]):
            target[to[i] + k] = source[starts[i] + k]
