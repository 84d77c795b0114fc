"""The rows of one entity kind in memory: which slot is whose, what is dirty, what may leave.

An owned entity (the account) has one row. A shared entity has a total, which features read, and one
part for each input partition that touched it: a part is what that partition alone folded, so it has
one writer, its own offset, and can be stored like the row of an account.
"""

from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features import events, packing, tiles
from sentinel.core.features.memory import zeroed_rows
from sentinel.core.features.plan import LABELS_NEXT, NEXT_OFFSET, EntityPlan
from sentinel.core.features.unwritten import Cut as Cut
from sentinel.core.features.unwritten import Unwritten, ints
from sentinel.records import Ints

MISSING = -1  # not in memory
ABSENT = -2  # the transaction names no such entity

# Slots looked at when room is made: enough to find old ones, few enough not to hold the loop.
_EVICTION_SAMPLE = 65_536
_EVICTION_SHARE = 8


class TableFullError(Exception):
    """Raised when every row in memory waits to be written: take a cut, save it, try again."""


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
        self._owner: Ints = np.zeros(parts_max, dtype=np.int64)  # input partition + 1; 0 is none
        self.unwritten = Unwritten(self._owner)
        self._entity_of: Ints = np.zeros(parts_max, dtype=np.int64)
        self._part_of: NDArray[np.int32] = np.zeros(
            (entities_max, partition_count) if plan.shared else (0, 0), dtype=np.int32
        )
        self._names: list[str] = []
        self._slot_of: dict[str | None, int] = {None: ABSENT}
        self._asked: Sequence[str | None] | None = None  # the keys that `find` last looked up
        self._answer: Ints = np.zeros(0, dtype=np.int64)
        self._last_used: Ints = np.zeros(entities_max, dtype=np.int64)  # 0 is a free slot
        self._free: list[int] = []
        self._free_parts: list[int] = []
        self._parts_used = 0
        self._hand = 0
        self._clock = 1
        self._aside: dict[str, int] = {}  # slots of released entities that wait to be written
        # Taken in without asking the store, with the partitions of which nothing is lacking.
        self.unloaded: dict[str, frozenset[int]] = {}
        self.eviction_count = 0

    def __len__(self) -> int:
        return len(self._slot_of) - 1

    @property
    def entities_max(self) -> int:
        """How many entities fit in memory."""
        return self._last_used.size

    # Finding and admitting

    def begin_turn(self) -> None:
        """From here on, what is found or admitted stays in memory until the next turn."""
        self._clock += 1

    def find(self, keys: Sequence[str | None]) -> Ints:
        """Slot of each key, or MISSING, or ABSENT for a key that is None.

        Asked twice for one list, as a batch is before and after what it lacks is admitted, it only
        looks up again what was missing.
        """
        if keys is self._asked:
            missing = np.flatnonzero(self._answer == MISSING)
            for i in missing.tolist():
                self._answer[i] = self._slot_of.get(keys[i], MISSING)
        else:
            found = map(self._slot_of.get, keys, repeat(MISSING))
            self._asked, self._answer = keys, np.fromiter(found, np.int64, len(keys))
        self._last_used[self._answer[self._answer >= 0]] = self._clock
        return self._answer

    def has_room(self, count: int) -> bool:
        """Whether so many entities can be admitted without making any other leave."""
        part_count = count * self.partition_count if self.plan.shared else 0
        return self._has_free(count, part_count)

    def admit(self, key: str, blobs: Mapping[int, bytes] | None) -> int:
        """Take an entity in with what the store knew of it, by part (-1 for an owned entity).

        None means that the store could not be asked: the entity starts empty, is not written, and
        waits in `unloaded` for `settle`. Returns the count of blobs that could not be read. An
        entity that is here already is left as it is. Raises TableFullError, having changed nothing.
        """
        if key in self._slot_of:
            return 0
        is_aside = key in self._aside
        self._make_room(0 if is_aside else 1, len(blobs or ()) if self.plan.shared else 0)
        slot = self._aside.pop(key) if key in self._aside else self._new_slot(key)
        self._slot_of[key] = slot
        self._last_used[slot] = self._clock
        whole = self._partitions(slot) if is_aside else frozenset()
        if blobs is None:
            self.unloaded[key] = whole
            return 0
        return self._load_all(slot, blobs, whole)

    def settle(self, key: str, blobs: Mapping[int, bytes]) -> int:
        """Join what the store knew with what was folded meanwhile; returns unreadable blobs.

        Raises TableFullError, having changed nothing.
        """
        if key not in self.unloaded:
            return 0
        self._make_room(0, len(blobs) if self.plan.shared else 0)
        return self._load_all(self._slot_of[key], blobs, self.unloaded.pop(key))

    def _load_all(self, slot: int, blobs: Mapping[int, bytes], whole: frozenset[int]) -> int:
        # Each is put before what is here already: in ascending order at the end.
        parts = sorted(blobs.keys() - whole, reverse=True)
        return sum(not self._load(slot, part, blobs[part]) for part in parts)

    def _load(self, slot: int, part: int, data: bytes) -> bool:
        """Put one blob before the part and the total. False when the bytes are not usable."""
        row = np.zeros(self.plan.word_count, dtype=np.int64)
        if not packing.unpack(self.plan, data, row, log=self._log):
            return False
        if self.plan.shared:
            self._put_before(self.totals[slot], row.copy())
            if not 0 <= part < self.partition_count:
                return True
            at = int(self.part_slots(np.array([slot]), np.array([part]))[0])
        else:
            at = slot
        self._put_before(self.parts[at], row)
        return True

    def _put_before(self, row: Ints, older: Ints) -> None:
        """Make `row` the `older` records and then its own; it has come as far as either."""
        kernel = events if self.plan.is_events else tiles
        for word in (NEXT_OFFSET, LABELS_NEXT):
            older[word] = max(older[word], row[word])
        kernel.merge(older, row, self.plan.layout)
        row[:] = older

    def part_slots(self, slots: Ints, partitions: Ints) -> Ints:
        """Slot of the part of each (entity, partition), made where there is none yet.

        Raises TableFullError, having changed nothing.
        """
        present = slots >= 0
        if not self.plan.shared:
            self._owner[slots[present]] = partitions[present] + 1
            return slots
        found = np.where(present, self._part_of[slots, partitions] - 1, MISSING)
        lacking = np.flatnonzero((found < 0) & present)
        if lacking.size == 0:
            return found
        pairs = np.unique(slots[lacking] * self.partition_count + partitions[lacking])
        self._make_room(0, pairs.size)
        for pair in pairs.tolist():
            self._new_part(*divmod(pair, self.partition_count))
        found[lacking] = self._part_of[slots[lacking], partitions[lacking]] - 1
        return found

    def _new_slot(self, key: str) -> int:
        if self._free:
            slot = self._free.pop()
            self._names[slot] = key
        else:
            slot = len(self._names)
            self._names.append(key)
        if not self.plan.shared:
            self._entity_of[slot] = slot
        return slot

    def _new_part(self, slot: int, partition: int) -> None:
        if self._free_parts:
            part = self._free_parts.pop()
        else:
            part = self._parts_used
            self._parts_used += 1
        self._part_of[slot, partition] = part + 1
        self._owner[part] = partition + 1
        self._entity_of[part] = slot

    # Leaving memory

    def _has_free(self, slot_count: int, part_count: int) -> bool:
        slots = len(self._free) + self.entities_max - len(self._names)
        parts = len(self._free_parts) + self.parts.shape[0] - self._parts_used
        return slots >= slot_count and parts >= part_count

    def _make_room(self, slot_count: int, part_count: int) -> None:
        while not self._has_free(slot_count, part_count):
            self._evict()

    def _evict(self) -> None:
        """Free the least recently used of a stretch of slots; what waits to be written stays."""
        waits = self._waits()
        for _ in range(0, self.entities_max, _EVICTION_SAMPLE):
            begin = self._hand
            end = min(begin + _EVICTION_SAMPLE, len(self._names))
            self._hand = end if end < len(self._names) else 0
            used = self._last_used[begin:end]
            old = np.flatnonzero((used > 0) & (used < self._clock) & ~waits[begin:end])
            count = max(used.size // _EVICTION_SHARE, 1)
            if old.size > count:
                old = old[np.argpartition(used[old], count)[:count]]
            for slot in (begin + old).tolist():
                self._drop(slot)
            self.eviction_count += old.size
            if old.size:
                return
        raise TableFullError(self.plan.entity)

    def _waits(self) -> NDArray[np.bool_]:
        """Whether the store lacks something of the entity in each slot, so that it must stay."""
        waits = np.zeros(len(self._names), dtype=np.bool_)
        waits[self._entity_of[self.unwritten.parts(self._used_count)]] = True
        waits[ints([self._slot_of[name] for name in self.unloaded])] = True
        return waits

    @property
    def _used_count(self) -> int:
        return self._parts_used if self.plan.shared else len(self._names)

    def _parts(self, slot: int) -> list[int]:
        if not self.plan.shared:
            return [slot]
        row = self._part_of[slot]
        return [int(part) - 1 for part in row[row > 0]]

    def _partitions(self, slot: int) -> frozenset[int]:
        """The input partitions whose parts of a shared entity are in memory."""
        return frozenset(np.flatnonzero(self._part_of[slot]).tolist())

    def _drop(self, slot: int) -> None:
        for part in self._parts(slot):
            self._drop_part(slot, part)
        self.totals[slot] = 0
        name = self._names[slot]
        self._slot_of.pop(name, None)
        self._aside.pop(name, None)
        self.unloaded.pop(name, None)
        self._names[slot] = ""
        self._last_used[slot] = 0
        self._free.append(slot)
        self._asked = None

    def _drop_part(self, slot: int, part: int) -> None:
        if self.plan.shared:
            self._part_of[slot, self._owner[part] - 1] = 0
            self._free_parts.append(part)
        self.parts[part] = 0
        self._owner[part] = 0
        self.unwritten.drop(part)

    def release(self, partition: int) -> None:
        """Forget what a partition folded, and every shared entity: other instances add to them now.

        Of a shared entity only the parts stay that other partitions must still write. No cut of the
        partition may be under way.
        """
        self.unwritten.forget(partition)
        for slot in np.flatnonzero(self._last_used[: len(self._names)]).tolist():
            if self.plan.shared:
                self._set_aside(slot, partition)
            elif self._owner[slot] in (partition + 1, 0):
                self._drop(slot)

    def _set_aside(self, slot: int, partition: int) -> None:
        """Drop a shared entity but for what waits to be written; it is to be admitted again."""
        for part in self._parts(slot):
            if self._owner[part] == partition + 1 or part not in self.unwritten:
                self._drop_part(slot, part)
        kept = self._parts(slot)
        if not kept:
            self._drop(slot)
            return
        kernel = events if self.plan.is_events else tiles
        self.totals[slot] = 0
        for part in kept:
            kernel.merge(self.totals[slot], self.parts[part], self.plan.layout)
        name = self._names[slot]
        if name in self.unloaded:
            self.unloaded[name] &= self._partitions(slot)
        else:
            self._slot_of.pop(name, None)
            self._aside[name] = slot
        self._asked = None

    # Writing back

    def dirty_count(self, partition: int) -> int:
        """About how many parts of a partition wait to be written."""
        return self.unwritten.count(partition)

    def oldest_dirty(self, partition: int) -> int | None:
        """The first offset of a partition that some stored blob may lack; None if all are whole."""
        return self.unwritten.oldest(partition)

    def cut(self, partition: int, *, count_max: int) -> Cut:
        """Pack all labelled and the oldest `count_max` dirty parts of a partition.

        They count as written from now on; `restore` takes that back, `confirm` makes it true. What
        the store could not be asked about is not written, or the store would lose what it knows.
        """
        may_go = np.ones(self._used_count, dtype=np.bool_)
        for name in self.unloaded:
            may_go[self._parts(self._slot_of[name])] = False
        parts, dirty_from = self.unwritten.take(partition, count_max, may_go)
        names = [self._names[slot] for slot in self._entity_of[parts].tolist()]
        blobs = packing.pack(self.plan, self.parts, parts, log=self._log)
        return Cut(parts=parts, dirty_from=dirty_from, names=names, blobs=blobs)

    def confirm(self, cut: Cut) -> None:
        """The cut is stored: its rows may leave memory."""
        self.unwritten.confirm(cut)

    def restore(self, cut: Cut, partition: int) -> None:
        """The cut was not stored: its rows are as dirty as before, and all go with the next cut."""
        self.unwritten.restore(cut, partition)
