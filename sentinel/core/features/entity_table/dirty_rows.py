"""Which rows of a table the store does not know yet, and in which order they are to be written."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from sentinel.core.features.entity_table.memory import zeroed
from sentinel.records import Ints
from sentinel.texts import Texts


@dataclass(slots=True)
class Cut:
    """Rows packed at one instant, to be saved once the outputs before that instant are out.

    Attributes
    ----------
    labels
        Of the first rows, the offsets of the labels that came into each since it was packed last;
        none came into the others.
    """

    parts: Ints
    dirty_from: Ints
    labels: list[tuple[int, ...]]
    names: Texts
    data: Texts

    @property
    def oldest(self) -> int | None:
        """The first offset that what is stored of these rows may lack; None if it lacks none."""
        lacking = self.dirty_from[self.dirty_from > 0]
        return int(lacking.min()) - 1 if lacking.size else None

    @property
    def blobs(self) -> list[bytes]:
        """The packed bytes of each row."""
        return [blob or b"" for blob in self.data.values()]


class DirtyRows:
    """The parts of one table that wait to be written, by the input partition that owns them.

    Parameters
    ----------
    owner
        Input partition of each part, plus one; kept up to date by the table.

    Attributes
    ----------
    dirty_from
        For each part the first offset that its blob may lack, plus one; 0 when it lacks none.
    """

    def __init__(self, owner: Ints) -> None:
        self.dirty_from: Ints = zeroed(owner.size, np.int64)
        self._owner = owner
        self._pins = zeroed(owner.size, np.int32)  # cuts under way that hold the part
        self._count: dict[int, int] = {}  # of parts in `_dirty`, by partition
        # Parts in the order in which they turned dirty, with their `dirty_from` then: where that
        # differs now, the part was written since.
        self._dirty: dict[int, deque[Ints]] = {}
        # By partition, the parts that labels have changed, with the offsets of these labels.
        self._labelled: dict[int, dict[int, tuple[int, ...]]] = {}

    def parts(self, used_count: int) -> Ints:
        """All parts that wait, or are being written, of the first `used_count`."""
        dirty = np.flatnonzero((self.dirty_from[:used_count] > 0) | (self._pins[:used_count] > 0))
        return np.concatenate([dirty, *(ints(parts) for parts in self._labelled.values())])

    def note_dirty(self, fresh: Ints) -> None:
        """Remember parts that have just turned dirty, in the order in which they did."""
        if fresh.size == 0:
            return
        chunk = np.stack((fresh, self.dirty_from[fresh]))
        owners = self._owner[fresh]
        if np.all(owners == owners[0]):
            self._note(int(owners[0]) - 1, chunk)
            return
        for owner in np.unique(owners).tolist():
            self._note(owner - 1, chunk[:, owners == owner])

    def _note(self, partition: int, chunk: Ints) -> None:
        self._dirty.setdefault(partition, deque()).append(chunk)
        self._count[partition] = self._count.get(partition, 0) + chunk.shape[1]

    def note_labelled(self, parts: Ints, offsets: Ints) -> None:
        """Remember parts that labels have changed: the next cut takes them all."""
        for part, offset in zip(parts.tolist(), offsets.tolist(), strict=True):
            self._note_labels(int(self._owner[part]) - 1, part, (offset,))

    def _note_labels(self, partition: int, part: int, offsets: tuple[int, ...]) -> None:
        known = self._labelled.setdefault(partition, {})
        known[part] = known.get(part, ()) + offsets

    def move(self, parts: Ints, before: Ints) -> None:
        """These parts have another owner than the partition `before`: what waits, waits for it."""
        for part, partition in zip(parts.tolist(), before.tolist(), strict=True):
            labels = self._labelled.get(partition, {}).pop(part, None)
            if labels is not None or self.dirty_from[part] > 0:
                self._note_labels(int(self._owner[part]) - 1, part, labels or ())

    def count(self, partition: int) -> int:
        """About how many parts of a partition are dirty."""
        return self._count.get(partition, 0) + len(self._labelled.get(partition, ()))

    @property
    def total_count(self) -> int:
        """About how many parts are dirty, of all partitions."""
        return sum(self._count.values()) + sum(map(len, self._labelled.values()))

    def oldest(self, partition: int) -> int | None:
        """The first offset of a partition that some stored blob may lack; None if all are whole."""
        labelled = self.dirty_from[ints(self._labelled.get(partition, {}))]
        oldest = labelled[labelled > 0].tolist()
        for chunk in self._dirty.get(partition, ()):
            waiting = self._still_dirty(partition, chunk)
            if waiting.size:
                oldest.append(int(waiting[1].min()))
                break  # parts turn dirty in the order of their offsets
        return min(oldest) - 1 if oldest else None

    def is_due(self, partition: int, before: int) -> bool:
        """Whether `take` would look at any part."""
        if self._labelled.get(partition):
            return True
        queue = self._dirty.get(partition)
        return _is_older(queue[0], before) if queue else False

    def take(
        self, partition: int, count_max: int, before: int, staying: Ints
    ) -> tuple[Ints, Ints, list[tuple[int, ...]]]:
        """All labelled parts, the oldest `count_max` that turned dirty at an offset below `before`
        or with one that did, and their `dirty_from`; then the labels of the former.

        They count as written from now on: `restore` takes that back, `confirm` makes it true.
        The parts that are `staying` keep waiting.
        """
        labels = self._labelled.pop(partition, {})
        labelled = ints(sorted(labels))
        stays = np.isin(labelled, staying)
        if stays.any():
            self._labelled[partition] = {part: labels[part] for part in labelled[stays].tolist()}
        labelled = labelled[~stays]
        dirty = self._take_dirty(partition, count_max, before, staying)
        parts = np.concatenate([labelled, dirty])
        _, first = np.unique(parts, return_index=True)
        parts = parts[np.sort(first)]
        dirty_from = self.dirty_from[parts]
        self.dirty_from[parts] = 0
        self._pins[parts] += 1
        return parts, dirty_from, [labels[part] for part in labelled.tolist()]

    def _take_dirty(self, partition: int, count_max: int, before: int, staying: Ints) -> Ints:
        queue = self._dirty.get(partition, deque())
        taken: list[Ints] = [ints(())]
        kept: list[Ints] = []
        count = 0
        while queue and count < count_max and _is_older(queue[0], before):
            waiting = queue.popleft()
            self._count[partition] -= waiting.shape[1]
            chunk = self._still_dirty(partition, waiting)
            stays = np.isin(chunk[0], staying)
            if stays.any():
                kept.append(chunk[:, stays])
                chunk = chunk[:, ~stays]
            if count + chunk.shape[1] > count_max:
                queue.appendleft(chunk[:, count_max - count :])
                self._count[partition] += chunk.shape[1] - (count_max - count)
                chunk = chunk[:, : count_max - count]
            taken.append(chunk[0])
            count += chunk.shape[1]
        queue.extendleft(reversed(kept))
        if kept:
            self._count[partition] += sum(chunk.shape[1] for chunk in kept)
        return np.concatenate(taken)

    def _still_dirty(self, partition: int, chunk: Ints) -> Ints:
        """What of a chunk was neither written nor dropped since."""
        parts, dirty_from = chunk
        same = (self.dirty_from[parts] == dirty_from) & (self._owner[parts] == partition + 1)
        return chunk[:, same]

    def confirm(self, cut: Cut) -> None:
        """The cut is stored: its rows may leave memory."""
        self._pins[cut.parts] -= 1

    def restore(self, cut: Cut, partition: int) -> None:
        """The cut was not stored: its rows are as dirty as before, and all go with the next cut."""
        current = self.dirty_from[cut.parts]
        both = (current > 0) & (cut.dirty_from > 0)
        merged = np.where(both, np.minimum(current, cut.dirty_from), current + cut.dirty_from)
        self.dirty_from[cut.parts] = merged
        self._pins[cut.parts] -= 1
        # Among the labelled they are sure to be in the next cut, whatever its size.
        said = chain(cut.labels, repeat(()))
        for part, labels in zip(cut.parts.tolist(), said, strict=False):
            self._note_labels(partition, part, labels)

    def drop(self, parts: Ints) -> None:
        """These parts leave memory."""
        self.dirty_from[parts] = 0
        self._pins[parts] = 0

    def forget(self, partition: int) -> None:
        """Another instance writes the parts of this partition now."""
        self._dirty.pop(partition, None)
        self._count.pop(partition, None)
        self._labelled.pop(partition, None)


def _is_older(chunk: Ints, before: int) -> bool:
    """Whether what turned dirty together did so at an offset below `before`."""
    return chunk.shape[1] == 0 or int(chunk[1, 0]) - 1 < before


def ints(values: Collection[int]) -> Ints:
    """An int64 array of the values, also where there are none."""
    return np.fromiter(values, np.int64, len(values))
