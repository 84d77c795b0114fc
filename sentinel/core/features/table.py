"""The rows of one entity kind in memory: which slot is whose, what is dirty, what may leave.

An owned entity (the account) has one row. A shared entity has a total, which features read, and one
part for each input partition that touched it: a part is what that partition alone folded, so it has
one writer, its own offset, and can be stored like the row of an account.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features import events, packing, tiles
from sentinel.core.features.memory import zeroed_rows
from sentinel.core.features.plan import LABELS_NEXT, NEXT_OFFSET, EntityPlan
from sentinel.records import Ints

MISSING = -1  # not in memory
ABSENT = -2  # the transaction names no such entity

# Slots looked at when room is made: enough to find old ones, few enough not to hold the loop.
_EVICTION_SAMPLE = 65_536
_EVICTION_SHARE = 8


class TableFullError(Exception):
    """Raised when every row in memory waits to be written: take a cut, save it, try again."""


@dataclass(slots=True)
class Cut:
    """Rows packed at one instant, to be saved once the outputs before that instant are out."""

    parts: Ints
    dirty_from: Ints
    names: list[str]
    blobs: list[bytes] = field(default_factory=list)


class EntityTable:
    """Rows of state for one kind of entity.

    Parameters
    ----------
    plan
        Layout and features.
    partition_count
        Input partitions; parts of a shared entity are numbered by them.
    log
        Names the log that offsets belong to.
    entities_max
        Rows in memory; memory is only taken when a row is first used.
    """

    def __init__(
        self, plan: EntityPlan, *, partition_count: int, log: int, entities_max: int
    ) -> None:
        self.plan = plan
        self._log = log
        self.partition_count = partition_count
        parts_max = entities_max * (min(partition_count, 4) if plan.shared else 1)
        self.parts: Ints = zeroed_rows(parts_max, plan.word_count)
        self.totals: Ints = (
            zeroed_rows(entities_max, plan.word_count) if plan.shared else self.parts
        )
        self.dirty_from: Ints = np.zeros(parts_max, dtype=np.int64)  # offset + 1; 0 is clean
        self._pinned: NDArray[np.bool_] = np.zeros(parts_max, dtype=np.bool_)
        self._owner: Ints = np.full(parts_max, -1, dtype=np.int64)  # input partition of a part
        self._entity_of: Ints = np.zeros(parts_max, dtype=np.int64)
        self._part_of: NDArray[np.int32] = np.zeros(
            (entities_max, partition_count) if plan.shared else (0, 0), dtype=np.int32
        )
        self._names: list[str] = []
        self._slot_of: dict[str, int] = {}
        self._last_used: Ints = np.zeros(entities_max, dtype=np.int64)
        self._free: list[int] = []
        self._free_parts: list[int] = []
        self._parts_used = 0
        self._hand = 0
        self._clock = 0
        self._dirty: dict[int, deque[Ints]] = {}
        self._labelled: dict[int, set[int]] = {}
        self.unloaded: dict[str, int] = {}  # taken in without asking the store, with their slot
        self.eviction_count = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def entities_max(self) -> int:
        """How many entities fit in memory."""
        return self._last_used.size

    # Finding and admitting

    def find(self, keys: Sequence[str | None]) -> Ints:
        """Slot of each key, or MISSING, or ABSENT for a key that is None."""
        slot_of = self._slot_of
        found = [slot_of.get(key, MISSING) if key is not None else ABSENT for key in keys]
        slots = np.array(found, dtype=np.int64)
        self._clock += 1
        self._last_used[slots[slots >= 0]] = self._clock
        return slots

    def has_room(self, count: int) -> bool:
        """Whether so many entities can be admitted without making any other leave."""
        slots = len(self._free) + self.entities_max - len(self._names)
        if not self.plan.shared:
            return slots >= count
        parts = len(self._free_parts) + self.parts.shape[0] - self._parts_used
        return slots >= count and parts >= count * self.partition_count

    def admit(self, key: str, blobs: Mapping[int, bytes] | None) -> int:
        """Take an entity in with what the store knew of it, by part (-1 for an owned entity).

        None means that the store could not be asked: the entity starts empty, is not written, and
        waits in `unloaded` for `settle`. Returns the count of blobs that could not be read.
        """
        slot = self._new_slot(key)
        if blobs is None:
            self.unloaded[key] = slot
            return 0
        return sum(not self._load(slot, part, data) for part, data in blobs.items())

    def settle(self, key: str, blobs: Mapping[int, bytes]) -> int:
        """Join what the store knew with what was folded meanwhile; returns unreadable blobs."""
        slot = self.unloaded.pop(key)
        return sum(not self._load(slot, part, data) for part, data in blobs.items())

    def _load(self, slot: int, part: int, data: bytes) -> bool:
        """Merge one blob into the part and the total. False when the bytes are not usable."""
        row = np.zeros(self.plan.word_count, dtype=np.int64)
        if not packing.unpack(self.plan, data, row, log=self._log):
            return False
        kernel = events if self.plan.is_events else tiles
        if not self.plan.shared:
            kernel.merge(self.parts[slot], row, self.plan.layout)
            _take_positions(self.parts[slot], row)
            return True
        kernel.merge(self.totals[slot], row, self.plan.layout)
        if 0 <= part < self.partition_count:
            at = int(self.part_slots(np.array([slot]), np.array([part]))[0])
            kernel.merge(self.parts[at], row, self.plan.layout)
            _take_positions(self.parts[at], row)
        return True

    def part_slots(self, slots: Ints, partitions: Ints) -> Ints:
        """Slot of the part of each (entity, partition), made where there is none yet."""
        if not self.plan.shared:
            present = slots >= 0
            self._owner[slots[present]] = partitions[present]
            return slots
        found = np.where(slots >= 0, self._part_of[slots, partitions] - 1, MISSING)
        for i in np.flatnonzero((found < 0) & (slots >= 0)).tolist():
            slot, partition = int(slots[i]), int(partitions[i])
            if self._part_of[slot, partition] == 0:
                part = self._new_part()
                self._part_of[slot, partition] = part + 1
                self._owner[part] = partition
                self._entity_of[part] = slot
            found[i] = self._part_of[slot, partition] - 1
        return found

    def _new_slot(self, key: str) -> int:
        if not self._free and len(self._names) >= self.entities_max:
            self._evict()
        if self._free:
            slot = self._free.pop()
            self._names[slot] = key
        else:
            slot = len(self._names)
            self._names.append(key)
        self._slot_of[key] = slot
        self._last_used[slot] = self._clock
        if not self.plan.shared:
            self._entity_of[slot] = slot
        return slot

    def _new_part(self) -> int:
        if not self._free_parts and self._parts_used >= self.parts.shape[0]:
            self._evict()
        if self._free_parts:
            return self._free_parts.pop()
        self._parts_used += 1
        return self._parts_used - 1

    # Leaving memory

    def _evict(self) -> None:
        """Free the least recently used of a stretch of slots; what waits to be written stays."""
        for _ in range(0, self.entities_max, _EVICTION_SAMPLE):
            begin = self._hand
            end = min(begin + _EVICTION_SAMPLE, len(self._names))
            self._hand = end if end < len(self._names) else 0
            used = self._last_used[begin:end]
            old = (
                used
                <= np.partition(used, used.size // _EVICTION_SHARE)[used.size // _EVICTION_SHARE]
            )
            candidates = begin + np.flatnonzero(old & (used > 0) & (used < self._clock))
            freed = [slot for slot in candidates.tolist() if self._is_settled(slot)]
            for slot in freed:
                self._drop(slot)
            self.eviction_count += len(freed)
            if freed and (not self.plan.shared or self._free_parts):
                return
        raise TableFullError(self.plan.entity)

    def _parts(self, slot: int) -> list[int]:
        if not self.plan.shared:
            return [slot]
        row = self._part_of[slot]
        return [int(part) - 1 for part in row[row > 0]]

    def _is_settled(self, slot: int) -> bool:
        """Whether the store knows all of this entity, so that it may leave."""
        if self._names[slot] in self.unloaded:
            return False
        return not any(
            self.dirty_from[part] or self._pinned[part] or self._is_labelled(part)
            for part in self._parts(slot)
        )

    def _is_labelled(self, part: int) -> bool:
        return part in self._labelled.get(int(self._owner[part]), ())

    def _drop(self, slot: int) -> None:
        for part in self._parts(slot):
            self.parts[part] = 0
            self.dirty_from[part] = 0
            self._pinned[part] = False
            self._owner[part] = -1
            if self.plan.shared:
                self._free_parts.append(part)
        if self.plan.shared:
            self.totals[slot] = 0
            self._part_of[slot] = 0
        del self._slot_of[self._names[slot]]
        self._names[slot] = ""
        self._last_used[slot] = 0
        self._free.append(slot)

    def release(self, partition: int) -> None:
        """Forget everything that a partition has touched: another instance owns it now."""
        touched = np.flatnonzero(self._owner == partition)
        for slot in set(self._entity_of[touched].tolist()):
            name = self._names[slot]
            if self._slot_of.get(name) == slot:
                self.unloaded.pop(name, None)
                self._drop(slot)
        self._dirty.pop(partition, None)
        self._labelled.pop(partition, None)

    # Writing back

    def note_dirty(self, fresh: Ints) -> None:
        """Remember parts that have just turned dirty, in the order in which they did."""
        owners = self._owner[fresh]
        for partition in np.unique(owners).tolist():
            self._dirty.setdefault(partition, deque()).append(fresh[owners == partition])

    def note_labelled(self, parts: Ints) -> None:
        """Remember parts that a label has changed: the next cut takes them all."""
        for part in parts[parts >= 0].tolist():
            self._labelled.setdefault(int(self._owner[part]), set()).add(part)

    def dirty_count(self, partition: int) -> int:
        """How many parts of a partition wait to be written."""
        return sum(chunk.size for chunk in self._dirty.get(partition, ()))

    def oldest_dirty(self, partition: int) -> int | None:
        """The first offset of a partition that some stored blob may lack; None if all are whole."""
        for chunk in self._dirty.get(partition, ()):
            offsets = self.dirty_from[chunk]
            if offsets.any():
                return int(offsets[offsets > 0].min()) - 1
        return None

    def cut(self, partition: int, *, count_max: int) -> Cut:
        """Pack all labelled and the oldest `count_max` dirty parts of a partition.

        They count as written from now on; `restore` takes that back, `confirm` makes it true.
        """
        labelled = np.array(sorted(self._labelled.pop(partition, ())), dtype=np.int64)
        parts = np.concatenate([labelled, self._take_dirty(partition, count_max)])
        _, first = np.unique(parts, return_index=True)
        parts = parts[np.sort(first)]
        dirty_from = self.dirty_from[parts].copy()
        self.dirty_from[parts] = 0
        self._pinned[parts] = True
        names = [self._names[slot] for slot in self._entity_of[parts].tolist()]
        blobs = packing.pack(self.plan, self.parts, parts, log=self._log)
        return Cut(parts=parts, dirty_from=dirty_from, names=names, blobs=blobs)

    def _take_dirty(self, partition: int, count_max: int) -> Ints:
        queue = self._dirty.get(partition)
        taken: list[Ints] = []
        kept: list[Ints] = []
        count = 0
        waiting = np.array(list(self.unloaded.values()), dtype=np.int64)
        while queue and count < count_max:
            chunk = queue.popleft()
            chunk = chunk[self.dirty_from[chunk] > 0]
            if waiting.size:
                stays = np.isin(self._entity_of[chunk], waiting)
                kept.append(chunk[stays])
                chunk = chunk[~stays]
            if count + chunk.size > count_max:
                queue.appendleft(chunk[count_max - count :])
                chunk = chunk[: count_max - count]
            taken.append(chunk)
            count += chunk.size
        for chunk in reversed(kept):
            if chunk.size and queue is not None:
                queue.appendleft(chunk)
        return np.concatenate(taken) if taken else np.zeros(0, dtype=np.int64)

    def confirm(self, cut: Cut) -> None:
        """The cut is stored: its rows may leave memory."""
        self._pinned[cut.parts] = False

    def restore(self, cut: Cut, partition: int) -> None:
        """The cut was not stored: its rows are as dirty as before, and all go with the next cut."""
        current = self.dirty_from[cut.parts]
        both = (current > 0) & (cut.dirty_from > 0)
        merged = np.where(both, np.minimum(current, cut.dirty_from), current + cut.dirty_from)
        self.dirty_from[cut.parts] = merged
        self._pinned[cut.parts] = False
        # Among the labelled they are sure to be in the next cut, whatever its size.
        self._labelled.setdefault(partition, set()).update(cut.parts.tolist())


def _take_positions(row: Ints, loaded: Ints) -> None:
    """Carry over how far a loaded row had come, unless the row has come further."""
    for word in (NEXT_OFFSET, LABELS_NEXT):
        row[word] = max(row[word], loaded[word])
