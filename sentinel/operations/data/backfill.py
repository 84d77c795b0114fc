"""Entity state from history into the store, so that the first live record finds a past."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from sentinel.codec.times import date_text
from sentinel.config import Config
from sentinel.core.features.state import FeatureState
from sentinel.engine.scoring.checkpoint import blobs_of
from sentinel.engine.store.history import (
    StoredHistory,
    forget_state,
    note_history,
    noted_history,
)
from sentinel.errors import ConfigError
from sentinel.operations.data.history import History
from sentinel.ports import PartitionState, StateStore
from sentinel.records import Feedback, TopicPartition

_ROWS_A_SAVE = 10_000

# No log has this name, so a live instance keeps the state and forgets the offsets.
_NO_LOG = "history"

OnSaved = Callable[[int], None]
Tell = Callable[[Sequence[Feedback]], Awaitable[None]]


async def store_history(
    history: History,
    store: StateStore,
    config: Config,
    source: str,
    *,
    on_saved: OnSaved,
    tell: Tell | None = None,
) -> StoredHistory:
    """Store all that a history says of entities, in the place of an earlier one.

    `source` is what it was read from, for a person; `on_saved` hears how many entities were stored;
    `tell` passes on the labels that fall due behind its end. No instance may run, and none starts
    before all of that is done: who is killed in between does it once more, from the beginning.
    Raises ConfigError when the store holds what live records have said, and when nothing of the
    history could be used.
    """
    topic = config.topics.full(config.topics.transactions)
    count = config.topics.partition_count
    if history.newest_ms is None:
        raise ConfigError(f"{source}: there is not one usable row")
    if await is_live(store, topic, count):
        raise ConfigError(
            "the store holds what live records have said of entities, and keeps it: to begin with "
            f"the history of {source}, forget that with `sentinel state reset` first"
        )
    if await noted_history(store) is not None:
        await forget_state(store)
    counts = {entity: len(table) for entity, table in history.state.tables.items()}
    layout, ends_ms = history.state.fingerprint, (history.newest_ms,)
    found = StoredHistory(layout, ends_ms, counts, source, is_whole=False)
    await note_history(store, found)
    for number in range(count):
        await _save(history.state, store, TopicPartition(topic, number), on_saved)
    if tell is not None:
        await tell(history.waiting_labels())
    whole = replace(found, is_whole=True)
    await note_history(store, whole)
    return whole


async def is_live(store: StateStore, topic: str, partition_count: int) -> bool:
    """Whether the store holds more than a history, of these features."""
    for number in range(partition_count):
        state = await store.partition_state(TopicPartition(topic, number))
        if state is not None and state.log != _NO_LOG:
            return True
    return False


async def _save(
    state: FeatureState, store: StateStore, at: TopicPartition, on_saved: OnSaved
) -> None:
    fence = await store.claim(at)
    while True:
        cuts = state.cut(at.partition, count_max=_ROWS_A_SAVE)
        blobs = blobs_of(state, at.partition, [cuts])
        if not blobs:
            return
        fence = await store.save(at, fence, blobs, PartitionState(_NO_LOG, 0, _NO_LOG, 0))
        state.confirm(cuts)
        on_saved(len(blobs))


def backfilled_line(found: StoredHistory) -> str:
    """What was stored, for a person."""
    counts = ", ".join(f"{kind} {n:,}" for kind, n in found.entity_counts.items())
    return (
        f"the entities of {found.source} are stored ({counts}), up to "
        f"{date_text(max(found.ends_ms))} UTC: live records that are no later are decided, "
        "not counted; its labels are known when their delay has passed"
    )
