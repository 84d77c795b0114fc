"""What entity state began with: a history that was stored before the first record of the log.

Records of the log that are no later are in it already, so they are decided and not counted.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.codec.times import date_text
from sentinel.errors import ConfigError, RecordError, TransientError
from sentinel.ports import StateStore
from sentinel.records import Ints, TopicPartition


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """The note beside the state.

    Attributes
    ----------
    layout
        Of the state that it speaks of: with other features there is none of it.
    ends_ms
        Up to which event time everything is counted, by input partition; one for all of a file.
    entity_counts
        How many entities of each kind it had; none where nobody has counted them.
    source
        What it was made from, for a person.
    is_whole
        Whether all of it was stored.
    """

    layout: str
    ends_ms: tuple[int, ...]
    entity_counts: dict[str, int]
    source: str
    is_whole: bool = True
    v: int = 1

    def past_ms(self, partition_count: int) -> Ints:
        """Up to which event time each input partition is counted, int64 (partition_count,)."""
        if len(self.ends_ms) == partition_count:
            return np.array(self.ends_ms, dtype=np.int64)
        # What was in one partition then may be in another now.
        return np.full(partition_count, max(self.ends_ms), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known of entities when an instance starts.

    Attributes
    ----------
    history
        What the state began with; None where that was nothing.
    is_cold
        Whether nothing is known of any entity.
    """

    history: StoredHistory | None
    is_cold: bool

    def __str__(self) -> str:
        if self.is_cold:
            return "cold: 0 accounts known"
        if self.history is None:
            return "goes on with the accounts in the store"
        known = f"known up to {date_text(max(self.history.ends_ms))}"
        count = self.history.entity_counts.get("account")
        return f"accounts {known}" if count is None else f"{count:,} accounts {known}"


async def noted_history(store: StateStore) -> StoredHistory | None:
    """The note, of whatever layout it is; None if there is none."""
    noted = await store.history()
    if noted is None:
        return None
    try:
        return decode_stored(StoredHistory, noted)
    except RecordError as error:
        raise TransientError(f"what the state began with cannot be read: {error.detail}") from error


async def note_history(store: StateStore, after: StoredHistory) -> None:
    """Note another one in its place."""
    await store.note_history(await store.history(), encode_stored(after))


async def forget_state(store: StateStore) -> int:
    """Forget all that is stored of entities; returns how many keys there were.

    Whoever is killed in between leaves the note of a history of which a part is gone: no instance
    starts with it.
    """
    noted = await store.history()
    with suppress(RecordError):  # what cannot be read stops a start, too
        if noted is not None and (found := decode_stored(StoredHistory, noted)).is_whole:
            await store.note_history(noted, encode_stored(replace(found, is_whole=False)))
    return await store.clear()


async def beginning_of(
    store: StateStore, topic: str, partition_count: int, layout: str
) -> Beginning:
    """What an instance that starts now finds in the store.

    Raises ConfigError when a history was not stored to its end.
    """
    found = await noted_history(store)
    if found is not None and found.layout == layout:
        if not found.is_whole:
            raise ConfigError(
                f"the history of {found.source} is in the store in part: store it again with "
                "`sentinel backfill`, or forget it with `sentinel state reset`"
            )
        return Beginning(found, is_cold=False)
    for number in range(partition_count):
        if await store.partition_state(TopicPartition(topic, number)) is not None:
            return Beginning(None, is_cold=False)
    return Beginning(None, is_cold=True)


async def carry_over(
    store: StateStore, topic: str, partition_count: int, layout: str
) -> StoredHistory | None:
    """Make a history of what was counted from a log that is gone; None where that is nothing new.

    An embedded broker forgets its log at its end: a file that is played once more is in the state.
    """
    found = await noted_history(store)
    before = found if found is not None and found.layout == layout else None
    ends_ms = [0] * partition_count if before is None else before.past_ms(partition_count).tolist()
    counted_ms = list(ends_ms)
    for number in range(partition_count):
        state = await store.partition_state(TopicPartition(topic, number))
        if state is not None:
            counted_ms[number] = max(counted_ms[number], state.watermark_ms)
    if counted_ms == ends_ms:
        return None
    after = StoredHistory(layout, tuple(counted_ms), {}, "earlier runs")
    await note_history(store, after)
    return after
