"""Where entity state is between restarts: the port, and what an owner knows of its place in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sentinel.records import TopicPartition
from sentinel.stored.blobs import Blob


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What the store knows of one input partition.

    Attributes
    ----------
    log
        Names the log of the partition.
    replay_from
        The oldest offset that some blob may lack.
    labels_log
        Names the log of the labels topic.
    labels_from
        The oldest label that some blob may lack.
    store_run, evicted_count
        How many entries the store had dropped in that run of its server, when all was there.
    rebuilt_ms
        When the log was last read from its beginning, because some were gone.
    watermark_ms
        The newest event time that was counted, or nearly.
    """

    log: str
    replay_from: int
    labels_log: str
    labels_from: int
    store_run: str = ""
    evicted_count: int = 0
    rebuilt_ms: int = 0
    watermark_ms: int = 0


class Fence(NamedTuple):
    """What the owner of an input partition knows of its place in the store.

    Attributes
    ----------
    epoch
        It only grows with each owner.
    saved
        How many saves of the partition the store has acknowledged, over all owners. It must know
        of so many at least: a store that came back from an older copy of itself does not.
    """

    epoch: int
    saved: int


Fences = Mapping[TopicPartition, Fence]


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What a store says of itself, as far as it tells.

    Attributes
    ----------
    unfit
        Why it cannot be used; empty if it can.
    run
        Names the run of the server: another one after each start.
    evicted_count
        Entries that it has dropped for want of memory, in this run.
    may_evict
        Why it may drop more of them; empty if it never does.
    may_forget
        Why a restart of it may lose what it acknowledged long ago; empty if it keeps all.
    """

    unfit: str = ""
    run: str = ""
    evicted_count: int = 0
    may_evict: str = ""
    may_forget: str = ""


class StateStore(Protocol):
    """Entity state between restarts. Every write is refused to all but the newest owner.

    Every method raises TransientError when the store cannot be reached or refuses.
    """

    async def facts(self) -> StoreFacts | None:
        """What the store says of itself; None where we are not allowed to ask."""
        ...

    async def owner(self) -> bytes | None:
        """What was last noted of whom the store belongs to."""
        ...

    async def note_owner(self, before: bytes | None, after: bytes) -> None:
        """Note whom it belongs to. FencedError if `before` is not what is noted."""
        ...

    async def history(self) -> bytes | None:
        """What was last noted of the history that the state began with."""
        ...

    async def note_history(self, before: bytes | None, after: bytes) -> None:
        """Note another one. FencedError if `before` is not what is noted."""
        ...

    async def clear(self) -> int:
        """Forget all entities, their labels, partitions' states and the history; how many keys.

        Who owns which partition stays known. No instance may run.
        """
        ...

    async def is_of_format_1(self, topic: str, partition_count: int) -> bool:
        """Whether a version that knew no owners has written state of this topic."""
        ...

    async def claim(self, partition: TopicPartition) -> Fence:
        """Become the newest owner of a partition."""
        ...

    async def load_owned(
        self, entity: str, keys: Sequence[str | None], fences: Fences
    ) -> list[bytes | None]:
        """The blobs of owned entities, in one round trip.

        FencedError if one of the epochs is not its partition's newest any more: whoever was still
        the owner when it was answered has loaded nothing of a newer owner's. StateLostError if the
        store has forgotten a save.
        """
        ...

    async def load_shared(
        self, entity: str, keys: Sequence[str | None], fences: Fences
    ) -> list[dict[int, bytes]]:
        """For each shared entity its blobs by input partition; otherwise as `load_owned`."""
        ...

    async def save(
        self, partition: TopicPartition, fence: Fence, blobs: Sequence[Blob], state: PartitionState
    ) -> Fence:
        """Write blobs, then the partition's state; returns the fence from now on.

        Each blob is written together with the word that its labels came in. FencedError and
        StateLostError as of `load_owned`.
        """
        ...

    async def partition_state(self, partition: TopicPartition) -> PartitionState | None:
        """What was last saved for the partition."""
        ...

    async def applied_labels(self, entity: str, log: str, offsets: Sequence[int]) -> Sequence[bool]:
        """Which labels of a log, ascending, are in what was saved of entities of this kind."""
        ...
