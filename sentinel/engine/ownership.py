"""Taking partitions over and giving them up, around each rebalance."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from sentinel.core.features.state import FeatureState
from sentinel.engine.checkpoint import Checkpoints
from sentinel.engine.dispatcher import Dispatcher, Inbox
from sentinel.engine.labels import LabelTail
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions import InputPartition
from sentinel.engine.pipeline import Pipeline
from sentinel.errors import ConfigError, TransientError
from sentinel.ports import Broker, PartitionState, StateStore
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
        counted_to: Callable[[], Awaitable[int | None]],
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
        self._counted_to = counted_to  # of feedback
        self._params = params
        self.assigned = asyncio.Event()
        self.assigned_s = 0.0  # when that was, by the loop's clock

    async def on_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Make each partition ready to read from where it was left."""
        for at in assigned:
            if at.topic == self._input_topic:
                await self._take_over(at)
            else:
                await self._go_on(at)
            self._dispatcher.admit(at)
        self.assigned.set()
        self.assigned_s = asyncio.get_running_loop().time()

    async def _go_on(self, at: TopicPartition) -> None:
        """Read feedback from where it was left, or from where the store knows no more of it.

        A store that was restored, or that died within a second of a save, may be behind the group.
        """
        committed, first = await self._broker.committed(at), await self._broker.start_offset(at)
        counted_to = await self._counted_to()
        start = min(committed.offset if committed else first, counted_to or first)
        self._broker.seek(at, self._checked_start(at, start, first, "what it said is lost"))

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
        loss = "decisions are lost" if live_from < first else "entity state is incomplete"
        start = self._checked_start(at, min(wanted, live_from), first, loss)
        partition = InputPartition(at, epoch, next_offset=start, live_from=max(live_from, first))
        if committed:
            partition.read_metadata(committed.metadata)
        labels_from = await self._labels_from(stored)
        partition.labels_next = partition.labels_read = labels_from
        await self._labels.rewind(labels_from)
        self._partitions[at.partition] = partition
        self._broker.seek(at, start)
        log.info("%s-%d: from offset %d, live from %d", at.topic, at.partition, start, live_from)

    async def _labels_from(self, stored: PartitionState | None) -> int:
        """From which label on a partition goes on; without stored positions, from the oldest."""
        at = TopicPartition(self._labels.topic, 0)
        first = await self._broker.start_offset(at)
        if stored is None:
            return first
        return self._checked_start(at, stored.labels_from, first, "labels are lost")

    def _checked_start(self, at: TopicPartition, start: int, first: int, loss: str) -> int:
        """Where to start, unless the log has lost records that must be read."""
        if start >= first:
            return start
        lost = f"{at.topic}-{at.partition} should be read from offset {start}, "
        lost += f"the log begins at {first}: {loss}"
        if self._params.on_gap == "fail":
            raise ConfigError(
                f'{lost}; with --on-gap earliest, or engine.on_gap = "earliest", '
                "it goes on with what is left"
            )
        log.warning("%s; going on from there", lost)
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
