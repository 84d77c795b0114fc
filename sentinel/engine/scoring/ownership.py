"""Taking partitions over and giving them up, around each rebalance."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from sentinel.core.features.state import FeatureState
from sentinel.core.logs import cluster_of
from sentinel.engine.dispatcher import Dispatcher, Inbox
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions.input_partition import InputPartition, Position, position_of
from sentinel.engine.partitions.labels import LabelTail
from sentinel.engine.scoring.checkpoint import Checkpoints
from sentinel.engine.scoring.pipeline import Pipeline
from sentinel.engine.store.owner import StoreOwner, check_log, replace_owner
from sentinel.engine.store.watch import StoreWatch
from sentinel.errors import ConfigError, StateLostError, TransientError
from sentinel.ports import Broker, PartitionState, StateStore
from sentinel.records import Commit, TopicPartition

log = logging.getLogger(__name__)

_WATCH_S = 2.0
_NOTHING_MORE_S = 30.0


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
        owner: StoreOwner,
        watch: StoreWatch,
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
        self._owner = owner
        self._watch = watch
        self._params = params
        self._held: set[TopicPartition] = set()  # added partitions that wait for the others
        self._reached: tuple[int, ...] = ()
        self._reached_s = 0.0
        self.assigned = asyncio.Event()
        self.assigned_s = 0.0  # when that was, by the loop's clock

    async def on_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Make each partition ready to read from where it was left."""
        for at in assigned:
            if at.topic != self._input_topic:
                await self._go_on(at)
            elif at.partition >= self._owner.partition_count:
                raise TransientError(
                    f"{at.topic} has more than the {self._owner.partition_count} partitions that it"
                    " had at the start: starting again with all of them"
                )
            else:
                await self._take_over(at)
                if self._owner.waits(at.partition):
                    self._held.add(at)
                    continue
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
        loss = "what it said is lost"
        if counted_to is None and committed is not None and first > 0:
            start = min(start, first - 1)  # all of it was counted, and none of that is known
        if start > (end := await self._broker.end_offset(at)):
            seen = await self._broker.look(at.topic)
            if seen is not None and seen.name != self._broker.log_of(at.topic):
                raise TransientError(f"{at.topic} was made anew: starting again")
            start = self._checked_end(at, start, end, first)
        self._broker.seek(at, self._checked_start(at, start, first, loss))

    async def _take_over(self, at: TopicPartition) -> None:
        fence = await self._store.claim(at)
        name = self._owner.log_of(at.partition)
        committed, position = await self._committed(at, name)
        is_copy = position is not None and position.log not in ("", name)
        first = await self._broker.start_offset(at)
        stored = await self._store.partition_state(at)
        is_unknown = stored is None and fence.saved == 0
        if is_unknown and committed is not None and 0 < first <= committed.offset:
            loss = "the store knows nothing of what was decided before: entity state is lost"
            self._checked_start(at, 0, first, loss)
        is_same = stored is not None and stored.log == name
        wanted = await self._wanted(at, stored if is_same else None, committed, first)
        live_from = committed.offset if committed else wanted
        if is_copy and stored is not None and not is_same:
            wanted = live_from  # what the log held before was counted from the other one
        await self._check_end(at, max(wanted, live_from), first)
        loss = "decisions are lost" if live_from < first else "entity state is incomplete"
        start = self._checked_start(at, min(wanted, live_from), first, loss)
        partition = InputPartition(
            at, fence, next_offset=start, live_from=max(live_from, first), log=name
        )
        if position is not None and not is_copy:
            partition.go_on(position)
        labels_from = await self._labels_from(partition, stored)
        await self._labels.rewind(labels_from)
        self._partitions[at.partition] = partition
        self._broker.seek(at, start)
        log.info("%s-%d: from offset %d, live from %d", at.topic, at.partition, start, live_from)

    async def _committed(
        self, at: TopicPartition, name: str
    ) -> tuple[Commit | None, Position | None]:
        """What the group has committed, and the position beside it, as far as they are of this log.

        A topic that was made anew has nothing committed; one whose predecessor was read to its end
        by whoever had not heard of it may have, and would be read from the middle.
        """
        committed = await self._broker.committed(at)
        position = None if committed is None else position_of(committed)
        if position is not None and position.log not in ("", name):
            # The log may be a copy of one in another cluster, with the group's offsets.
            if cluster_of(position.log) != cluster_of(name):
                return committed, position
            return None, None
        return committed, position

    async def _wanted(
        self,
        at: TopicPartition,
        stored: PartitionState | None,
        committed: Commit | None,
        first: int,
    ) -> int:
        """From where on the log must be read for the state to be whole."""
        if stored is None:  # all that the log still holds is folded
            beginning = self._owner.beginnings.get(at.partition)
            return first if beginning is None else max(first, beginning.offset)
        if lost_count := self._watch.lost_since(stored):
            if first > 0:
                self._watch.doubt(lost_count)
            return first
        # A group that was idle for a week has lost its commits. All before `replay_from` was
        # decided.
        if committed is not None and committed.offset < stored.replay_from:
            # State is written behind its commit. A coordinator that has just taken over may give
            # an old answer for a moment: by it, decisions would follow from their own future.
            raise TransientError(
                f"{at.topic}-{at.partition}: the group's offset, {committed.offset}, is older than "
                f"the stored state, {stored.replay_from}; to decide again from there, set another "
                "redis.key_prefix"
            )
        return stored.replay_from

    async def _check_end(self, at: TopicPartition, known: int, first: int) -> None:
        """Whether the log still holds what was read of it."""
        end = await self._broker.end_offset(at)
        if known <= end:
            return
        await check_log(self._broker, self._owner)  # it may have been made anew a moment ago
        self._checked_end(at, known, end, first)
        # A topic with an id is the same one, and shorter: all that is left in it was read.
        is_same = not self._owner.log.endswith(f"/{at.topic}")
        anew = self._owner.begun_anew(at.partition, end if is_same else first)
        await replace_owner(self._store, self._owner, anew)
        raise TransientError(f"{at.topic}-{at.partition}: starting again with what the log holds")

    async def _labels_from(self, partition: InputPartition, stored: PartitionState | None) -> int:
        """From which label on a partition goes on; without stored positions, from the oldest."""
        at, gate = TopicPartition(self._labels.topic, 0), partition.gate
        first = await self._broker.start_offset(at)
        gate.old_to = await self._broker.end_offset(at)
        found = first
        if stored is not None and stored.labels_log == self._labels.log:
            found = self._checked_start(at, stored.labels_from, first, "labels are lost")
        if gate.promised.offset > gate.old_to or found > gate.old_to:
            # The labels that were open then are of a topic that is no more.
            gate.close()
            found = first
        gate.read_to = found
        return found

    def _checked_start(self, at: TopicPartition, start: int, first: int, loss: str) -> int:
        """Where to start, unless the log has lost records that must be read."""
        if start >= first:
            return start
        self._gap(f"{at.topic}-{at.partition} should be read from offset {start}, "
                  f"the log begins at {first}: {loss}")  # fmt: skip
        return first

    def _checked_end(self, at: TopicPartition, start: int, end: int, first: int) -> int:
        """Where to start in a log that has ended before."""
        self._gap(f"{at.topic}-{at.partition} should be read from offset {start}, the log ends at "
                  f"{end}: it was made anew, or has lost records")  # fmt: skip
        return first

    def _gap(self, lost: str) -> None:
        if self._params.on_gap == "fail":
            raise ConfigError(
                f'{lost}; with --on-gap earliest, or engine.on_gap = "earliest", '
                "it goes on with what is left"
            )
        log.warning("%s; going on with what is left", lost)

    @property
    def trouble(self) -> str:
        """Why some partitions are not read; empty if all are."""
        if not self._held:
            return ""
        names = ", ".join(str(at.partition) for at in sorted(self._held))
        return (
            f"partitions {names} of {self._input_topic} were added: they wait until all that the "
            "others held then is stored"
        )

    async def watch(self) -> None:
        """Look every few seconds, until cancelled, whether topic and store are what they were."""
        while True:
            await asyncio.sleep(_WATCH_S)
            seen = await self._checkpoints.check_log()
            if seen is not None and seen.partition_count != self._owner.partition_count:
                raise TransientError(
                    f"{self._input_topic} has {seen.partition_count} partitions now, it had "
                    f"{self._owner.partition_count}: starting again with all of them"
                )
            try:
                await self._look()
            except StateLostError:
                raise
            except TransientError as error:
                # Who cannot be asked is away: whoever needs them says so.
                log.debug("%s", error)

    async def _look(self) -> None:
        if self._held:
            await self._admit_held()
        await self._watch.check()

    async def _admit_held(self) -> None:
        """Read added partitions, once the others are stored up to where they ended then.

        An account may have moved from any of those to any of these, with its whole history.
        """
        ends = self._owner.ends
        states = [
            await self._store.partition_state(TopicPartition(self._input_topic, number))
            for number in range(len(ends))
        ]
        reached = tuple(0 if state is None else state.replay_from for state in states)
        is_done = all(now >= end for now, end in zip(reached, ends, strict=True))
        clock_s = asyncio.get_running_loop().time()
        if reached != self._reached:
            self._reached, self._reached_s = reached, clock_s
        # A log may end with marks of transactions, which nobody reads.
        if not is_done and clock_s - self._reached_s < _NOTHING_MORE_S:
            return
        log.info("%s: the partitions that were added are read from now on", self._input_topic)
        for at in sorted(self._held):
            self._dispatcher.admit(at)
        self._held.clear()
        if is_done:
            after = replace(self._owner, ends=())
            await replace_owner(self._store, self._owner, after)
            self._owner = after

    async def on_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Finish what was read, store everything, and forget the partitions."""
        for at in revoked:
            self._dispatcher.withhold(at)
            self._held.discard(at)
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
