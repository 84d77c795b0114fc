"""The state store port in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from sentinel.adapters.memory.faults import Faults
from sentinel.blobs import OWNED
from sentinel.errors import FencedError
from sentinel.ports import Blob, Epochs, PartitionState
from sentinel.records import TopicPartition


@dataclass(slots=True)
class MemoryStore:
    """What a Redis server would keep; it outlives the stores that are opened on it."""

    epochs: dict[TopicPartition, int] = field(default_factory=dict)
    # By layout, entity and key: blobs by part.
    blobs: dict[tuple[str, str, str], dict[int, bytes]] = field(default_factory=dict)
    states: dict[tuple[str, TopicPartition], PartitionState] = field(default_factory=dict)


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

    async def claim(self, partition: TopicPartition) -> int:
        with self._faults.call("claim"):
            epoch = self._store.epochs.get(partition, 0) + 1
            self._store.epochs[partition] = epoch
        return epoch

    def _check(self, epochs: Epochs) -> None:
        for partition, epoch in epochs.items():
            newest = self._store.epochs.get(partition)
            if newest != epoch:
                raise FencedError(f"{partition}: epoch {epoch} is not the newest, {newest}")

    async def load_owned(
        self, entity: str, keys: Sequence[str | None], epochs: Epochs
    ) -> list[bytes | None]:
        with self._faults.call("load_owned"):
            self._check(epochs)
            return [self._find(entity, key).get(OWNED) for key in keys]

    async def load_shared(
        self, entity: str, keys: Sequence[str | None], epochs: Epochs
    ) -> list[dict[int, bytes]]:
        with self._faults.call("load_shared"):
            self._check(epochs)
            return [dict(self._find(entity, key)) for key in keys]

    def _find(self, entity: str, key: str | None) -> dict[int, bytes]:
        return self._store.blobs.get((self._layout, entity, key or ""), {})

    async def save(
        self, partition: TopicPartition, epoch: int, blobs: Sequence[Blob], state: PartitionState
    ) -> None:
        with self._faults.call("save"):
            self._check({partition: epoch})
            for blob in blobs:
                address = (self._layout, blob.entity, blob.key)
                self._store.blobs.setdefault(address, {})[blob.part] = bytes(blob.data)
            self._store.states[self._layout, partition] = state

    async def partition_state(self, partition: TopicPartition) -> PartitionState | None:
        with self._faults.call("partition_state"):
            return self._store.states.get((self._layout, partition))
