"""The state store port in memory."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Self

from sentinel.adapters.memory.faults import Faults
from sentinel.errors import FencedError, StateLostError
from sentinel.ports import Blob, Fence, Fences, PartitionState, StoreFacts
from sentinel.records import TopicPartition
from sentinel.stored.blobs import OWNED


@dataclass(slots=True)
class MemoryStore:
    """What a Redis server would keep; it outlives the stores that are opened on it."""

    fences: dict[TopicPartition, Fence] = field(default_factory=dict)
    # By layout, entity and key: blobs by part.
    blobs: dict[tuple[str, str, str], dict[int, bytes]] = field(default_factory=dict)
    states: dict[tuple[str, TopicPartition], PartitionState] = field(default_factory=dict)
    # By layout, log of labels, and entity: the labels that are in its blobs.
    labels: dict[tuple[str, str, str], set[int]] = field(default_factory=dict)
    owner: bytes | None = None
    history: bytes | None = None
    facts: StoreFacts | None = field(default_factory=StoreFacts)
    _epochs_given: dict[TopicPartition, int] = field(default_factory=dict)

    def copy(self) -> "MemoryStore":
        """As it is now, as a dump of a server is."""
        return deepcopy(self)

    def restore(self, copy: "MemoryStore") -> None:
        """Be as that was, as a server is that comes back from a dump; epochs never come again."""
        newest = {at: fence.epoch for at, fence in self.fences.items()}
        for name in ("fences", "blobs", "states", "labels", "owner", "history"):
            setattr(self, name, deepcopy(getattr(copy, name)))
        self._epochs_given |= newest

    def next_epoch(self, partition: TopicPartition) -> int:
        """One that nobody has had, whatever the store remembers: a real one asks its clock."""
        known = self.fences.get(partition, Fence(0, 0)).epoch
        self._epochs_given[partition] = max(known, self._epochs_given.get(partition, 0)) + 1
        return self._epochs_given[partition]


class MemoryStateStore:
    """`ports.StateStore` on a `MemoryStore` that several of them may share."""

    def __init__(
        self, store: MemoryStore, *, layout: str = "test", faults: Faults | None = None
    ) -> None:
        self._store = store
        self._layout = layout
        self._faults = faults or Faults()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def facts(self) -> StoreFacts | None:
        with self._faults.call("facts"):
            return self._store.facts

    async def owner(self) -> bytes | None:
        with self._faults.call("owner"):
            return self._store.owner

    async def note_owner(self, before: bytes | None, after: bytes) -> None:
        with self._faults.call("note_owner"):
            if self._store.owner != before:
                raise FencedError("another instance has noted meanwhile whose the store is")
            self._store.owner = after

    async def history(self) -> bytes | None:
        with self._faults.call("history"):
            return self._store.history

    async def note_history(self, before: bytes | None, after: bytes) -> None:
        with self._faults.call("note_history"):
            if self._store.history != before:
                raise FencedError("somebody has noted another history meanwhile")
            self._store.history = after

    async def clear(self) -> int:
        with self._faults.call("clear"):
            kept = self._store
            count = len(kept.blobs) + len(kept.states) + len(kept.labels)
            count += kept.history is not None
            kept.blobs, kept.states, kept.labels, kept.history = {}, {}, {}, None
        return count

    async def is_of_format_1(self, topic: str, partition_count: int) -> bool:
        return False

    async def claim(self, partition: TopicPartition) -> Fence:
        with self._faults.call("claim"):
            saved = self._store.fences.get(partition, Fence(0, 0)).saved
            fence = Fence(self._store.next_epoch(partition), saved)
            self._store.fences[partition] = fence
        return fence

    def _check(self, fences: Fences) -> None:
        for partition, fence in fences.items():
            newest = self._store.fences.get(partition)
            if newest is not None and newest.epoch != fence.epoch:
                raise FencedError(f"{partition}: epoch {fence.epoch} is not the newest, {newest}")
            if newest is None or newest.saved < fence.saved:
                raise StateLostError(f"{partition}: {fence.saved} saves are not known, {newest}")

    async def load_owned(
        self, entity: str, keys: Sequence[str | None], fences: Fences
    ) -> list[bytes | None]:
        with self._faults.call("load_owned"):
            self._check(fences)
            return [self._find(entity, key).get(OWNED) for key in keys]

    async def load_shared(
        self, entity: str, keys: Sequence[str | None], fences: Fences
    ) -> list[dict[int, bytes]]:
        with self._faults.call("load_shared"):
            self._check(fences)
            return [dict(self._find(entity, key)) for key in keys]

    def _find(self, entity: str, key: str | None) -> dict[int, bytes]:
        return self._store.blobs.get((self._layout, entity, key or ""), {})

    async def save(
        self, partition: TopicPartition, fence: Fence, blobs: Sequence[Blob], state: PartitionState
    ) -> Fence:
        with self._faults.call("save"):
            self._check({partition: fence})
            for blob in blobs:
                address = (self._layout, blob.entity, blob.key)
                self._store.blobs.setdefault(address, {})[blob.part] = bytes(blob.data)
                known = (self._layout, state.labels_log, blob.entity)
                self._store.labels.setdefault(known, set()).update(blob.labels)
            self._store.states[self._layout, partition] = state
            now = fence._replace(saved=fence.saved + 1)
            self._store.fences[partition] = now
        return now

    async def partition_state(self, partition: TopicPartition) -> PartitionState | None:
        with self._faults.call("partition_state"):
            return self._store.states.get((self._layout, partition))

    async def applied_labels(self, entity: str, log: str, offsets: Sequence[int]) -> Sequence[bool]:
        with self._faults.call("applied_labels"):
            known = self._store.labels.get((self._layout, log, entity), set())
            return [offset in known for offset in offsets]
