"""The rows of one entity kind in memory, and for shared entities the parts behind them.

An owned entity (the account) has one row. A shared entity has a total, which features read, and one
part for each input partition that touched it: a part is what that partition alone folded, so it has
one writer, its own offset, and can be stored like the row of an account.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features import packing, recent
from sentinel.core.features.entity_table.dirty_rows import DirtyRows, ints
from sentinel.core.features.entity_table.keys import MISSING
from sentinel.core.features.entity_table.memory import give_back, zeroed, zeroed_rows
from sentinel.core.features.entity_table.slots import Slots
from sentinel.core.features.kernels import events, tiles
from sentinel.core.features.plan import FOLDED_BY, NEXT_OFFSET, EntityPlan
from sentinel.records import Ints
from sentinel.texts import Texts


class EntityRows:
    """Totals and parts, by slot.

    Parameters
    ----------
    plan
        Layout and features.
    logs
        Names the log of each input partition: int64, 48 bits each. Parts of a shared entity are
        numbered by these partitions.
    entities_max
        Slots; memory is only taken when a row is first used.
    """

    def __init__(self, plan: EntityPlan, *, logs: Ints, entities_max: int) -> None:
        self.plan = plan
        self._logs = logs
        self.partition_count = partition_count = logs.size
        parts_max = entities_max * (min(partition_count, 4) if plan.shared else 1)
        self.parts: Ints = zeroed_rows(parts_max, plan.word_count)
        self.totals: Ints = (
            zeroed_rows(entities_max, plan.word_count) if plan.shared else self.parts
        )
        self.owner: Ints = zeroed(parts_max, np.int64)  # input partition + 1; 0 is none
        self.dirty_rows = DirtyRows(self.owner)
        self.entity_of: Ints = zeroed(parts_max, np.int64)
        self._part_of: NDArray[np.int32] = zeroed(
            entities_max * partition_count if plan.shared else 0, np.int32
        ).reshape(-1, partition_count)
        self._slots = Slots(parts_max)
        self._kernel: Any = events if plan.is_events else tiles  # modules with the same functions

    # Parts of shared entities

    @property
    def used_count(self) -> int:
        """Parts that were ever in use."""
        return self._slots.used_count

    @property
    def part_count(self) -> int:
        """Parts in use, of shared entities."""
        return self._slots.taken_count

    def free_count(self) -> int:
        """Parts that can still be made."""
        return self._slots.free_count

    def find_parts(self, slots: Ints, partitions: Ints) -> Ints:
        """The part of each (entity, partition); MISSING where there is none."""
        return np.where(slots >= 0, self._part_of[slots, partitions] - 1, MISSING)

    def make_parts(self, slots: Ints, partitions: Ints) -> None:
        """A part for each (entity, partition), all different; there is room, and none is there."""
        parts = self._slots.take(slots.size)
        self._part_of[slots, partitions] = parts + 1
        self.owner[parts] = partitions + 1
        self.entity_of[parts] = slots

    def own(self, slots: Ints, partitions: Ints) -> None:
        """Note who folds these owned entities.

        One that another partition of ours has folded before moves, with what waits to be written.
        """
        before = self.owner[slots]
        self.owner[slots] = partitions + 1
        moved = (before != 0) & (before != partitions + 1)
        if moved.any():
            self.dirty_rows.move(slots[moved], before[moved] - 1)

    def parts_of(self, slot: int) -> list[int]:
        """The parts of one entity, by partition ascending; an owned one is its own part."""
        if not self.plan.shared:
            return [slot]
        row = self._part_of[slot]
        return [int(part) - 1 for part in row[row > 0]]

    def all_parts(self, slots: Ints) -> Ints:
        """The parts of these entities."""
        if not self.plan.shared:
            return slots
        rows = self._part_of[slots]
        return rows[rows > 0].astype(np.int64) - 1

    def partitions(self, slot: int) -> frozenset[int]:
        """The input partitions whose parts of a shared entity are in memory."""
        return frozenset(np.flatnonzero(self._part_of[slot]).tolist())

    def are_empty(self, slots: Ints) -> NDArray[np.bool_]:
        """Whether each shared entity has no part in memory."""
        found: NDArray[np.bool_] = ~np.any(self._part_of[slots], axis=1)
        return found

    def drop(self, slots: Ints) -> None:
        """Forget entities with all their parts."""
        self.drop_parts(self.all_parts(slots))
        self.totals[slots] = 0

    def give_back_memory(self, slots: Ints, parts: Ints) -> None:
        """Of entities that were dropped, and of the parts that they had."""
        give_back(self.parts, np.sort(parts))
        if self.plan.shared:
            give_back(self.totals, np.sort(slots))

    def drop_parts(self, parts: Ints) -> None:
        """Forget parts; their totals still hold them."""
        if self.plan.shared:
            self._part_of[self.entity_of[parts], self.owner[parts] - 1] = 0
            self._slots.give_back(parts)
        self.parts[parts] = 0
        self.owner[parts] = 0
        self.dirty_rows.drop(parts)

    # Joining what was stored

    def sum_up(self, slot: int) -> None:
        """Make the total the sum of the parts in memory."""
        self.totals[slot] = 0
        for part in self.parts_of(slot):
            self._kernel.merge(self.totals[slot], self.parts[part], self.plan.layout)

    def load_new(self, slots: Ints, blobs: Sequence[Mapping[int, bytes]]) -> int:
        """Fill entities that have nothing in memory; returns unreadable blobs. There is room."""
        found = [
            (slot, part, data)
            for slot, parts in zip(slots.tolist(), blobs, strict=True)
            for part, data in sorted(parts.items())
        ]
        if not found:
            return 0
        of = ints([slot for slot, _, _ in found])
        at = of
        if self.plan.shared:
            numbers = ints([part for _, part, _ in found])
            if not np.all((numbers >= 0) & (numbers < self.partition_count)):
                # The topic has had more partitions: what those folded stays in the total.
                return sum(self.load(slot, {part: data}) for slot, part, data in reversed(found))
            self.make_parts(of, numbers)
            at = self.find_parts(of, numbers)
        data = [data for _, _, data in found]
        fits = packing.unpack_all(self.plan, data, self.parts, at, logs=self._logs)
        if self.plan.shared:
            self._kernel.merge_all(self.totals, self.parts, of, at, self.plan.layout)
        return int(np.count_nonzero(~fits))

    def load(self, slot: int, blobs: Mapping[int, bytes]) -> int:
        """Put parts before what is in memory; returns unreadable blobs. There is room."""
        # Each is put before what is here already: in ascending order at the end.
        return sum(not self._load(slot, part, blobs[part]) for part in sorted(blobs, reverse=True))

    def _load(self, slot: int, part: int, data: bytes) -> bool:
        """Put one blob before the part and the total. False when the bytes are not usable."""
        row = np.zeros(self.plan.word_count, dtype=np.int64)
        if not packing.unpack(self.plan, data, row, logs=self._logs):
            return False
        at = slot
        if self.plan.shared:
            self._put_before(self.totals[slot], row.copy())
            if not 0 <= part < self.partition_count:
                return True
            where = np.array([slot]), np.array([part])
            if self.find_parts(*where)[0] == MISSING:
                self.make_parts(*where)
            at = int(self.find_parts(*where)[0])
        self._put_before(self.parts[at], row)
        return True

    def _put_before(self, row: Ints, older: Ints) -> None:
        """Make `row` the `older` records and then its own; it has come as far as either."""
        recent.append(older, self.plan.layout, row)
        if row[FOLDED_BY] in (0, older[FOLDED_BY]):
            row[NEXT_OFFSET] = max(older[NEXT_OFFSET], row[NEXT_OFFSET])
            row[FOLDED_BY] = older[FOLDED_BY]
        older[NEXT_OFFSET], older[FOLDED_BY] = row[NEXT_OFFSET], row[FOLDED_BY]
        self._kernel.merge(older, row, self.plan.layout)
        row[:] = older

    def pack(self, parts: Ints) -> Texts:
        """The blobs of these parts."""
        return packing.pack(self.plan, self.parts, parts, logs=self._logs)
