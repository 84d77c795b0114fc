"""Entity state from history into the store, so that the first live record finds a past."""

from collections.abc import Callable

from sentinel.core.features.state import FeatureState
from sentinel.engine.scoring.checkpoint import blobs_of
from sentinel.ports import PartitionState, StateStore
from sentinel.records import TopicPartition

_ROWS_A_SAVE = 10_000

# No log has this name, so a live instance keeps the state and forgets the offsets.
_NO_LOG = "history"


async def backfill(
    state: FeatureState,
    store: StateStore,
    topic: str,
    partition_count: int,
    *,
    on_saved: Callable[[int], None] | None = None,
) -> int:
    """Write all of a history's state; returns how many blobs. Run it before any instance."""
    saved = 0
    for number in range(partition_count):
        at = TopicPartition(topic, number)
        fence = await store.claim(at)
        while True:
            cuts = state.cut(number, count_max=_ROWS_A_SAVE)
            blobs = blobs_of(state, number, [cuts])
            if not blobs:
                break
            fence = await store.save(at, fence, blobs, PartitionState(_NO_LOG, 0, _NO_LOG, 0))
            state.confirm(cuts)
            saved += len(blobs)
            if on_saved is not None:
                on_saved(len(blobs))
    return saved
