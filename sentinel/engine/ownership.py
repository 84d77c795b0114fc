"""Taking partitions over and giving them up, around each rebalance."""

import asyncio
import logging
from collections.abc import Sequence

from sentinel.core.features.state import FeatureState
from sentinel.engine.checkpoint import Checkpoints
from sentinel.engine.dispatcher import Dispatcher, Inbox
from sentinel.engine.labels import LabelTail
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions import InputPartition
from sentinel.engine.pipeline import Pipeline
from sentinel.errors import ConfigError, TransientError
from sentinel.ports import Broker, StateStore
from sentinel.records import TopicPartition

log = logging.getLogger(__name__)


class Ownership:
    """Claims a partition, finds where to start, and hands it over whole when it is revoked."""

    def __init__(
        self,
        *,
        broker: Broker,
        store: StateStore,
        state: FeatureState,
        dispatcher: Dispatcher,
        pipeline: Pipeline,
        checkpoints: Checkpoints,
        labels: LabelTail,
        partitions: dict[int, InputPartition],
        progress: dict[TopicPartition, int],
        other_inboxes: Sequence[Inbox],
        input_topic: str,
        params: EngineParams,
    ) -> None:
        self._broker = broker
        self._store = store
        self._state = state
        self._dispatcher = dispatcher
        self._pipeline = pipeline
        self._checkpoints = checkpoints
        self._labels = labels
        self._partitions = partitions
        self._progress = progress
        self._other_inboxes = other_inboxes
        self._input_topic = input_topic
        self._params = params
        self.assigned = asyncio.Event()

    async def on_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Make each partition ready to read from where it was left."""
        for at in assigned:
            if at.topic == self._input_topic:
                await self._take_over(at)
            else:
                committed = await self._broker.committed(at)
                start = committed.offset if committed else await self._broker.start_offset(at)
                self._broker.seek(at, start)
            self._dispatcher.admit(at)
        self.assigned.set()

    async def _take_over(self, at: TopicPartition) -> None:
        epoch = await self._store.claim(at)
        committed = await self._broker.committed(at)
        first = await self._broker.start_offset(at)
        stored = await self._store.partition_state(at)
        if stored is not None and stored.cluster_id != self._broker.cluster_id:
            stored = None  # another log: its offsets mean nothing here
        # Without stored positions all that the log still holds is folded again.
        wanted = stored.replay_from if stored else first
        # A group that was idle for a week has lost its commits. All before `wanted` was decided.
        live_from = committed.offset if committed else wanted
        if stored and live_from < wanted:
            # State is written behind its commit. A coordinator that has just taken over may give
            # an old answer for a moment: by it, decisions would follow from their own future.
            raise TransientError(
                f"{at.topic}-{at.partition}: the group's offset, {live_from}, is older than the"
                f" stored state, {wanted}; to decide again from there, set another redis.key_prefix"
            )
        start = self._checked_start(at, min(wanted, live_from), live_from, first)
        partition = InputPartition(at, epoch, next_offset=start, live_from=max(live_from, first))
        if committed:
            partition.read_metadata(committed.metadata)
        partition.labels_next = partition.labels_read = stored.labels_from if stored else 0
        await self._labels.rewind(partition.labels_next)
        self._partitions[at.partition] = partition
        self._broker.seek(at, start)
        log.info("%s-%d: from offset %d, live from %d", at.topic, at.partition, start, live_from)

    def _checked_start(self, at: TopicPartition, start: int, live_from: int, first: int) -> int:
        """Where to start, unless the log has lost records that must be read."""
        if start >= first or first == 0:
            return start
        name = f"{at.topic}-{at.partition}"
        lost = f"{name} should be read from offset {start}, the log begins at {first}"
        if self._params.on_gap == "fail":
            raise ConfigError(
                f'{lost}: set engine.on_gap = "earliest" to go on with what is left '
                f"({'decisions are lost' if live_from < first else 'entity state is incomplete'})"
            )
        log.warning("%s: going on from there", lost)
        return first

    async def on_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Finish what was read, store everything, and forget the partitions."""
        for at in revoked:
            self._dispatcher.withhold(at)
        if not revoked:
            return
        for inbox in self._other_inboxes:
            await inbox.join()
        await self._pipeline.write_everything()
        for at in revoked:
            self._checkpoints.forget(at)
            self._progress.pop(at, None)
            if at.topic == self._input_topic and at.partition in self._partitions:
                del self._partitions[at.partition]
                self._state.release(at.partition)
        self.assigned.clear()

    async def hand_over(self) -> None:
        """Read no further, finish what was read, and store everything: the instance stops."""
        self._dispatcher.stop()
        for inbox in self._other_inboxes:
            await inbox.join()
        await self._pipeline.write_everything()
