"""The entities of one kind in memory: which slot is whose, what is dirty, what may leave."""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features.entity_table.dirty_rows import Cut as Cut
from sentinel.core.features.entity_table.dirty_rows import ints
from sentinel.core.features.entity_table.keys import ABSENT as ABSENT
from sentinel.core.features.entity_table.keys import MISSING as MISSING
from sentinel.core.features.entity_table.keys import KeyIndex, distinct
from sentinel.core.features.entity_table.memory import zeroed
from sentinel.core.features.entity_table.recency import Recency
from sentinel.core.features.entity_table.rows import EntityRows
from sentinel.core.features.entity_table.slots import Slots
from sentinel.core.features.plan import FOLDED_BY, EntityPlan
from sentinel.records import Ints
from sentinel.texts import Texts, packed

_AHEAD_COUNT = 4  # batches that are prepared before their turn, and the one whose turn it is

NEWEST = 1 << 62  # an offset that no log reaches


class TableFullError(Exception):
    """Raised when every row in memory waits to be written: take a cut, save it, try again."""


class EntityTable:
    """Rows of state for one kind of entity.

    Parameters
    ----------
    plan
        Layout and features.
    logs
        Names the log of each input partition: int64, 48 bits each. Parts of a shared entity are
        numbered by these partitions.
    entities_max
        Rows in memory; memory is only taken when a row is first used.
    """

    def __init__(self, plan: EntityPlan, *, logs: Ints, entities_max: int) -> None:
        self.plan = plan
        self.partition_count = logs.size
        self.rows = EntityRows(plan, logs=logs, entities_max=entities_max)
        self.dirty_rows = self.rows.dirty_rows
        self._keys = KeyIndex(entities_max)
        # Of released entities that wait to be written: to `find` they are missing.
        self._is_aside: NDArray[np.bool_] = np.zeros(entities_max, dtype=np.bool_)
        # The keys that `lacking` looked up last, their slots, and `departure_count` then.
        self._ahead: deque[tuple[Texts, Ints, int]] = deque(maxlen=_AHEAD_COUNT)
        # Of entities that the store may have known once.
        self._is_doubtful: NDArray[np.bool_] = np.zeros(entities_max, dtype=np.bool_)
        self._asked: Texts | None = None  # the keys that `find` last looked up
        self._answer: Ints = np.zeros(0, dtype=np.int64)
        self._recency = Recency(entities_max)
        self._loaded_ms: Ints = zeroed(entities_max if plan.shared else 0, np.int64)
        self._slots = Slots(entities_max)
        # Taken in without asking the store, with the partitions of which nothing is lacking.
        self.unloaded: dict[str, frozenset[int]] = {}
        self.eviction_count = 0
        self.departure_count = 0  # entities that have left memory, for whatever reason

    def __len__(self) -> int:
        return len(self._keys) - int(np.count_nonzero(self._is_aside[: self._slots.used_count]))

    @property
    def limit(self) -> int:
        """How many may be in memory for now."""
        return self._slots.limit

    @property
    def used_bytes(self) -> int:
        """About what the rows take that were ever in use, and were not given back."""
        row_bytes = 8 * self.plan.word_count
        parts_bytes = row_bytes * self.rows.part_count if self.plan.shared else 0
        return row_bytes * len(self._keys) + parts_bytes

    # Finding and admitting

    def begin_turn(self) -> None:
        """From here on, what is found or admitted stays in memory until the next turn."""
        self._recency.begin_turn()

    def lacking(self, keys: Sequence[str | None]) -> Texts:
        """Each key once that is not in memory; changes nothing."""
        column = packed(keys)
        found = self._look_up(column)
        self._ahead.append((column, found, self.departure_count))
        lacking = column.take(np.flatnonzero(found == MISSING))
        return lacking.take(distinct(lacking))

    def find(self, keys: Sequence[str | None]) -> Ints:
        """Slot of each key, or MISSING, or ABSENT for a key that is None.

        Asked again for one column, as a batch is before and after what it lacks is admitted, it
        looks only once.
        """
        column = packed(keys)
        if column is not self._asked:
            self._asked, self._answer = column, self._look_up_again(column)
        self._recency.touch(self._answer[self._answer >= 0])
        return self._answer

    def _look_up_again(self, column: Texts) -> Ints:
        """While nothing has left memory, only what was lacking need be looked for again."""
        for known, found, departure_count in self._ahead:
            if known is column and departure_count == self.departure_count:
                lacking = np.flatnonzero(found == MISSING)
                if lacking.size:
                    found[lacking] = self._look_up(column.take(lacking))
                return found
        return self._look_up(column)

    def _look_up(self, keys: Texts) -> Ints:
        found = self._keys.find(keys)
        found[self._is_aside[found] & (found >= 0)] = MISSING
        return found

    def has_room(self, count: int) -> bool:
        """Whether so many entities can be admitted without making any other leave."""
        part_count = count * self.partition_count if self.plan.shared else 0
        return self._has_free(count, part_count)

    def admit(self, keys: Sequence[str | None], blobs: Sequence[Mapping[int, bytes]] | None) -> int:
        """Take entities in with what the store knew of each, by part (-1 for an owned entity).

        None means that the store could not be asked: they start empty, are not written, and wait in
        `unloaded` for `settle`. Returns the count of blobs that could not be read. An entity that
        is here already is left as it is; of a key given twice the first counts. Raises
        TableFullError, having changed nothing.
        """
        column = packed(keys)
        found = self._keys.find(column)
        is_back = self._is_aside[found] & (found >= 0)
        new = np.flatnonzero(found == MISSING)
        if new.size:
            new = new[distinct(column.take(new))]
        back = np.flatnonzero(is_back)
        part_count = 0
        if blobs is not None and self.plan.shared:
            part_count = sum(len(blobs[i]) for i in (*new.tolist(), *back.tolist()))
        self._make_room(new.size, part_count)
        self._asked = None
        slots = self._new_slots(column.take(new))
        unreadable = 0
        for i in back.tolist():
            unreadable += self._admit_again(int(found[i]), None if blobs is None else blobs[i])
        if blobs is None:
            self.unloaded |= dict.fromkeys(column.take(new).strings(), frozenset())
            return unreadable
        return unreadable + self.rows.load_new(slots, [blobs[i] for i in new.tolist()])

    def _admit_again(self, slot: int, blobs: Mapping[int, bytes] | None) -> int:
        """Take back an entity that was set aside; of its parts in memory nothing is lacking."""
        if not self._is_aside[slot]:
            return 0
        self._is_aside[slot] = False
        self._recency.touch(ints([slot]))
        whole = self.rows.partitions(slot)
        if blobs is None:
            self.unloaded[self._name(slot)] = whole
            return 0
        return self.rows.load(slot, _without(blobs, whole))

    def stale(self, keys: Sequence[str | None], before_ms: int) -> Texts:
        """Each key once of a shared entity in memory that was last loaded before that time."""
        column = packed(keys)
        slots = self._look_up(column)
        is_old = (slots >= 0) & (self._loaded_ms[slots] < before_ms)
        old = column.take(np.flatnonzero(is_old))
        return old.take(distinct(old))

    def note_loaded(self, keys: Sequence[str | None], now_ms: int) -> None:
        """What the store knew of these shared entities at that time is in memory now."""
        slots = self._look_up(packed(keys))
        self._loaded_ms[slots[slots >= 0]] = now_ms

    def settle(self, key: str, blobs: Mapping[int, bytes]) -> int:
        """Join what the store knew with what was folded meanwhile; returns unreadable blobs.

        Raises TableFullError, having changed nothing.
        """
        if key not in self.unloaded:
            return 0
        self._make_room(0, len(blobs) if self.plan.shared else 0)
        return self.rows.load(self._slot(key), _without(blobs, self.unloaded.pop(key)))

    def refresh(self, key: str, blobs: Mapping[int, bytes], own: frozenset[int]) -> int:
        """Replace the parts of a shared entity that other instances fold; returns unreadable blobs.

        `own` are the input partitions whose parts are folded here. An entity that is not in memory,
        or not whole, is left as it is. Raises TableFullError, having changed nothing.
        """
        assert self.plan.shared
        slot = self._slot(key)
        if slot == MISSING or self._is_aside[slot] or key in self.unloaded:
            return 0
        foreign = {part: data for part, data in blobs.items() if part not in own}
        if not foreign and self.rows.partitions(slot) <= own:
            return 0
        self._make_room(0, len(foreign))
        parts = ints(self.rows.parts_of(slot))
        self.rows.drop_parts(parts[[p not in own for p in (self.rows.owner[parts] - 1).tolist()]])
        self.rows.sum_up(slot)
        return self.rows.load(slot, foreign)

    def folded_by(self, keys: Sequence[str | None]) -> Ints:
        """The partition that has counted into each owned entity last; -1 where none is known."""
        assert not self.plan.shared
        slots = self._look_up(packed(keys))
        found = self.rows.parts[np.maximum(slots, 0), FOLDED_BY] - 1
        found[slots < 0] = -1
        return found

    def doubt(self, keys: Sequence[str | None]) -> None:
        """The store may have forgotten what it knew of these entities."""
        slots = self._look_up(packed(keys))
        self._is_doubtful[slots[slots >= 0]] = True

    def are_doubtful(self, keys: Sequence[str | None]) -> NDArray[np.bool_]:
        """Whether the store may have forgotten what it knew of each, bool (n,)."""
        slots = self.find(keys)
        found: NDArray[np.bool_] = self._is_doubtful[slots] & (slots >= 0)
        return found

    def part_slots(self, slots: Ints, partitions: Ints) -> Ints:
        """Slot of the part of each (entity, partition), made where there is none yet.

        Raises TableFullError, having changed nothing.
        """
        present = slots >= 0
        if not self.plan.shared:
            self.rows.own(slots[present], partitions[present])
            return slots
        found = self.rows.find_parts(slots, partitions)
        lacking = np.flatnonzero((found < 0) & present)
        if lacking.size == 0:
            return found
        pairs = np.unique(slots[lacking] * self.partition_count + partitions[lacking])
        self._make_room(0, pairs.size)
        self.rows.make_parts(*np.divmod(pairs, self.partition_count))
        return self.rows.find_parts(slots, partitions)

    def _new_slots(self, keys: Texts) -> Ints:
        """A slot for each key; there is room, and none has one yet."""
        slots = self._slots.take(len(keys))
        self._keys.put(slots, keys)
        self._recency.touch(slots)
        if not self.plan.shared:
            self.rows.entity_of[slots] = slots
        return slots

    def _slot(self, key: str) -> int:
        return int(self._keys.find(Texts.of([key]))[0])

    def _name(self, slot: int) -> str:
        return self._keys.names(np.array([slot])).strings()[0]

    # Leaving memory

    def _has_free(self, slot_count: int, part_count: int) -> bool:
        return self._slots.free_count >= slot_count and (
            part_count == 0 or self.rows.free_count() >= part_count
        )

    def _make_room(self, slot_count: int, part_count: int) -> None:
        while not self._has_free(slot_count, part_count):
            self._evict()

    def _evict(self) -> None:
        """Free the least recently used of a span of slots; what waits to be written stays."""
        slots = self._recency.oldest(min(self._slots.used_count, self.limit), self._waits())
        if not slots.size:
            raise TableFullError(self.plan.entity)
        self._drop(slots)
        self.eviction_count += slots.size

    def set_limit(self, count: int) -> None:
        """How many entities may be in memory from now on; `shed` makes the others leave."""
        assert 0 < count <= self._is_aside.size
        self._slots.set_limit(count)

    def shed(self, count_max: int) -> int:
        """Let entities beyond the limit leave, the last ones first, and give their memory back.

        Returns how many did: none when what is left waits to be written. Between two turns only.
        """
        beyond = self._recency.taken(self.limit, self._slots.used_count)
        if not beyond.size:
            return 0
        slots = beyond[~self._waits()[beyond]][-count_max:]
        parts = self.rows.all_parts(slots)
        self._drop(slots)
        self.rows.give_back_memory(slots, parts)
        self.eviction_count += slots.size
        return slots.size

    def _waits(self) -> NDArray[np.bool_]:
        """Whether the store lacks something of the entity in each slot, so that it must stay."""
        waits = np.zeros(self._slots.used_count, dtype=np.bool_)
        waits[self.rows.entity_of[self.dirty_rows.parts(self._part_count)]] = True
        waits[ints([self._slot(name) for name in self.unloaded])] = True
        return waits

    @property
    def _part_count(self) -> int:
        return self.rows.used_count if self.plan.shared else self._slots.used_count

    def _drop(self, slots: Ints) -> None:
        """Let entities leave memory with all their parts."""
        if slots.size == 0:
            return
        self.departure_count += slots.size
        if self.unloaded:
            for name in self._keys.names(slots).strings():
                self.unloaded.pop(name, None)
        self.rows.drop(slots)
        self._keys.remove(slots)
        self._is_aside[slots] = False
        self._is_doubtful[slots] = False
        self._recency.forget(slots)
        self._slots.give_back(slots)
        self._asked = None

    def release(self, partition: int) -> None:
        """Forget what a partition folded, and every shared entity: other instances add to them now.

        Of a shared entity only the parts stay that other partitions must still write. No cut of the
        partition may be under way.
        """
        self.dirty_rows.forget(partition)
        slots = self._recency.taken(0, self._slots.used_count)
        if not self.plan.shared:
            owner = self.rows.owner[slots]
            self._drop(slots[(owner == partition + 1) | (owner == 0)])
            return
        parts = self.rows.all_parts(slots)
        waits = np.zeros(self._part_count, dtype=np.bool_)
        waits[self.dirty_rows.parts(self._part_count)] = True
        self.rows.drop_parts(parts[(self.rows.owner[parts] == partition + 1) | ~waits[parts]])
        is_empty = self.rows.are_empty(slots)
        self._drop(slots[is_empty])
        for slot in slots[~is_empty].tolist():
            self._set_aside(slot)
        self._asked = None

    def _set_aside(self, slot: int) -> None:
        """Keep of a shared entity what waits to be written; it is to be admitted again."""
        self.rows.sum_up(slot)
        if self.unloaded and (name := self._name(slot)) in self.unloaded:
            self.unloaded[name] &= self.rows.partitions(slot)
        else:
            self._is_aside[slot] = True
            self.departure_count += 1

    # Writing back

    def dirty_count(self, partition: int) -> int:
        """About how many parts of a partition wait to be written."""
        return self.dirty_rows.count(partition)

    def oldest_dirty(self, partition: int) -> int | None:
        """The first offset of a partition that some stored blob may lack; None if all are whole."""
        return self.dirty_rows.oldest(partition)

    def cut(self, partition: int, *, count_max: int, before: int = NEWEST) -> Cut:
        """Pack all labelled and the oldest `count_max` dirty parts of a partition.

        Those that turned dirty at the offset `before` or later wait, while there is room. What is
        packed counts as written from now on; `restore` takes that back, `confirm` makes it true.
        What the store could not be asked about is not written, or the store would lose what it
        knows.
        """
        if 2 * self.dirty_rows.total_count > self.limit:
            before = NEWEST  # what waits takes the room of what may have to come in
        if not self.dirty_rows.is_due(partition, before):
            return Cut(ints(()), ints(()), [], Texts.of(()), Texts.of(()))
        staying = ints([p for name in self.unloaded for p in self.rows.parts_of(self._slot(name))])
        parts, dirty_from, labels = self.dirty_rows.take(partition, count_max, before, staying)
        names = self._keys.names(self.rows.entity_of[parts])
        return Cut(parts, dirty_from, labels, names, self.rows.pack(parts))

    def confirm(self, cut: Cut) -> None:
        """The cut is stored: its rows may leave memory."""
        self.dirty_rows.confirm(cut)

    def restore(self, cut: Cut, partition: int) -> None:
        """The cut was not stored: its rows are as dirty as before, and all go with the next cut."""
        self.dirty_rows.restore(cut, partition)


def _without(blobs: Mapping[int, bytes], parts: frozenset[int]) -> Mapping[int, bytes]:
    return {part: data for part, data in blobs.items() if part not in parts}
