"""The commit order, numbered.

Between two batches, again and again, a few hundred of the oldest dirty rows are packed, once they
have waited a while: each includes exactly what lies before. At a cut, between two batches:
  1. note how far each partition has come; what was packed since the last cut goes with this one;
then, while scoring goes on:
  2. wait for what its participants had under way then, as alerts that wait for their reasons;
  3. flush the producer and check every delivery;
  4. commit the offsets of the cut to Kafka; the same commit opens the labels read by then;
  5. write the packed state, each partition under its fencing epoch, with the offset to replay from.

State never runs ahead of committed offsets, so what is replayed after a crash is decided from the
state that it was decided from before. A crash between any two lines repeats work, never loses it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sentinel.core.features.entity_table.table import Cut
from sentinel.core.features.state import FeatureState
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions.input_partition import UNKNOWN, InputPartition, Position
from sentinel.engine.store.owner import StoreOwner, check_log
from sentinel.engine.store.watch import StoreWatch
from sentinel.errors import FencedError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, PartitionState, StateStore, TopicLog
from sentinel.records import Batch, Commit, TopicPartition
from sentinel.stored.blobs import OWNED, BlobBlock, BlobColumn

log = logging.getLogger(__name__)

EVERYTHING = 1 << 40  # rows


Settle = Callable[[], Awaitable[None]]


class Participant(Protocol):
    """Puts something out beside the decisions, which a cut must not leave behind."""

    def at_cut(self) -> Settle:
        """What lies before the cut: call it to wait until that is handed to the producer.

        Raises what went wrong, when it is called. What comes of a cut that is never completed is
        replayed.
        """
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """One partition at a cut: what to write, under the fence that is its owner's then."""

    partition: InputPartition
    cuts: list[dict[str, Cut]]
    state: PartitionState


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that was so at one cut."""

    progress: dict[TopicPartition, int]
    positions: dict[TopicPartition, Position]
    snapshots: list[Snapshot]
    settles: tuple[Settle, ...]


def blobs_of(state: FeatureState, partition: int, cuts: Sequence[Mapping[str, Cut]]) -> BlobBlock:
    """What to store of the rows that were cut for a partition, each with its one writer."""
    parts = {e: partition if t.plan.shared else OWNED for e, t in state.tables.items()}
    return BlobBlock(
        BlobColumn(entity, parts[entity], cut.names, cut.data, cut.labels)
        for by_entity in cuts
        for entity, cut in by_entity.items()
    )


class Checkpoints:
    """Takes cuts and completes them, one at a time."""

    def __init__(
        self,
        broker: Broker,
        store: StateStore,
        state: FeatureState,
        participants: Sequence[Participant],
        partitions: Mapping[int, InputPartition],
        progress: dict[TopicPartition, int],
        metrics: Metrics,
        params: EngineParams,
        *,
        labels_log: str,
        owner: StoreOwner,
        watch: StoreWatch,
        clock_s: Callable[[], float],
    ) -> None:
        self._broker = broker
        self._labels_log = labels_log
        self._owner = owner
        self._watch = watch
        self._store = store
        self._state = state
        self._participants = participants
        self._partitions = partitions
        self._progress = progress  # of the other topics of the group, kept by their tasks
        self._committed: dict[TopicPartition, Commit] = {}
        self._metrics = metrics
        self._params = params
        self._clock_s = clock_s
        self._committing = asyncio.Lock()
        self._storing_all = asyncio.Lock()
        self._refused_since_s: float | None = None  # that the store has taken nothing
        self._seen_at: dict[int, int] = {}  # where the partitions stood when the topic was seen
        self._packed: dict[int, list[dict[str, Cut]]] = {}  # by partition, since the last cut
        self._unsaved: list[Snapshot] = []  # of cuts that are not completed
        self._turn = 0
        # When outputs and offsets were last known to be safe.
        self.confirmed_s = clock_s()

    @property
    def is_behind(self) -> bool:
        """Whether any row waits to be packed."""
        return any(self._state.dirty_count(number) for number in self._partitions)

    def pack(self, *, row_count_max: int) -> None:
        """Pack some of the oldest dirty rows of one partition, the next in turn that has any due.

        They are written when what lies before them is committed. Packed all at once at the cut they
        would hold the loop for as long as a hundred transactions take.
        """
        clock_s = time.perf_counter()
        now_s = self._clock_s()
        for _ in range(len(self._partitions)):
            self._turn += 1
            number = sorted(self._partitions)[self._turn % len(self._partitions)]
            offset_history = self._partitions[number].offset_history
            cuts = self._state.cut(
                number,
                count_max=row_count_max,
                before=offset_history.at(now_s - self._params.snapshot_after_s),
                shared_before=offset_history.at(now_s - self._params.shared_snapshot_after_s),
            )
            if any(cut.parts.size for cut in cuts.values()):
                self._packed.setdefault(number, []).append(cuts)
                break
        self._metrics.lap("pack", clock_s)

    def _pack(self, number: int, row_count_max: int) -> None:
        cuts = self._state.cut(number, count_max=row_count_max)
        self._packed.setdefault(number, []).append(cuts)

    def cut(self, *, row_count_max: int = 0, is_last: bool = False) -> Checkpoint:
        """Step 1, of each partition with so many more rows. `is_last`: nothing more is decided.

        All rows that labels have changed are packed, since the position says which were applied.
        """
        positions = {}
        snapshots = []
        for number, partition in self._partitions.items():
            self._pack(number, row_count_max)
            partition.offset_history.note(
                self._clock_s(), partition.next_offset, kept_s=self._params.snapshot_after_s
            )
            if partition.is_live:
                positions[partition.at] = partition.cut(is_last=is_last)
            position = PartitionState(
                log=partition.log,
                replay_from=self._replay_from(number, partition.next_offset),
                labels_log=self._labels_log,
                labels_from=partition.gate.first_unapplied,
                watermark_ms=partition.watermark_ms,
                **self._watch.stamp(),
            )
            snapshots.append(Snapshot(partition, self._packed.pop(number, []), position))
        self._unsaved += snapshots
        settles = tuple(one.at_cut() for one in self._participants)
        return Checkpoint(dict(self._progress), positions, snapshots, settles)

    def _replay_from(self, number: int, next_offset: int) -> int:
        """What a stored row may lack once this cut is saved, whatever becomes of those before."""
        unsaved = [one for one in self._unsaved if one.partition.at.partition == number]
        earlier = [cut.oldest for one in unsaved for cuts in one.cuts for cut in cuts.values()]
        known = [offset for offset in earlier if offset is not None]
        return min([self._state.replay_from(number, next_offset), *known])

    async def complete(self, checkpoint: Checkpoint) -> None:
        """Steps 2 to 5. Raises TransientError when outputs cannot be confirmed, FencedError when
        a newer owner has taken over; state that is not written waits for the next cut.
        """
        try:
            for settle in checkpoint.settles:
                await settle()
            await self._broker.flush()
            await self.check_log(checkpoint.snapshots)
            await self._commit(checkpoint)
            for snapshot in checkpoint.snapshots:
                await self._save(snapshot)
        finally:
            for snapshot in checkpoint.snapshots:
                self._give_back(snapshot)

    def _give_back(self, snapshot: Snapshot) -> None:
        """What a cut had taken waits again, unless it is saved."""
        if snapshot not in self._unsaved:
            return
        self._unsaved.remove(snapshot)
        number = snapshot.partition.at.partition
        if self._partitions.get(number) is snapshot.partition:
            for cuts in snapshot.cuts:
                self._state.restore(cuts, number)

    async def check_log(self, under_way: Sequence[Snapshot] = ()) -> TopicLog | None:
        """What the input topic is now; None when that cannot be asked.

        What had been read before the look is of the topic that was seen. Raises TransientError when
        that is another one than at the start; where nothing was read since it was the same, all
        that its entities have of it is stored first, for nobody can read it again.
        """
        reached = {n: partition.next_offset for n, partition in self._partitions.items()}
        try:
            seen = await check_log(self._broker, self._owner)
        except TransientError:
            is_idle = all(p.busy_to <= p.next_offset for p in self._partitions.values())
            if is_idle and reached == self._seen_at:
                # Whoever hears of it first stores all; the other waits, since its error ends both.
                async with self._storing_all:
                    for snapshot in under_way:
                        self._give_back(snapshot)
                    for snapshot in self.cut(row_count_max=EVERYTHING).snapshots:
                        await self._save(snapshot)
            raise
        if seen is not None:
            self._seen_at = reached
        return seen

    async def _commit(self, checkpoint: Checkpoint) -> None:
        """Step 4. The same commit opens the labels that have been read by now."""
        commits = {at: Commit(offset) for at, offset in checkpoint.progress.items()}
        async with self._committing:
            for at, position in checkpoint.positions.items():
                partition = self._partitions[at.partition]
                promised = partition.promise(position, count_max=self._params.batch_count_max)
                commits[at] = promised.commit()
            changed = {at: c for at, c in commits.items() if self._committed.get(at) != c}
            if changed:
                await self._broker.commit(changed)
                self._committed.update(changed)
                self._metrics.commits += 1
            for at in checkpoint.positions:
                self._partitions[at.partition].gate.confirm()
        self.confirmed_s = self._clock_s()

    async def begin(self, batch: Batch) -> bool:
        """A batch is about to be worked on: labels that open later, open behind it.

        While the commit that opens labels is under way nothing is decided, for whether they were
        known is not settled. False when that commit has failed.
        """
        owned = self._partitions.keys()
        partitions = [
            self._partitions[at.partition] for at in batch.records if at.partition in owned
        ]
        if any(partition.gate.is_opening for partition in partitions):
            async with self._committing:
                pass
        if any(partition.gate.is_opening for partition in partitions):
            return False
        for partition in partitions:
            partition.busy_to = batch.records[partition.at][-1].offset + 1
            if partition.decided_to == UNKNOWN:
                partition.decided_to = batch.ends[partition.at]
        return True

    async def announce(self, partition: InputPartition) -> None:
        """Commit that decisions go on from here, so that a successor knows there may be some."""
        if not partition.is_announced:
            await self._broker.commit({partition.at: partition.cut().commit()})
            partition.is_announced = True

    async def _save(self, snapshot: Snapshot) -> None:
        partition = snapshot.partition
        number = partition.at.partition
        blobs = blobs_of(self._state, number, snapshot.cuts)
        try:
            partition.fence = await self._store.save(
                partition.at, partition.fence, blobs, snapshot.state
            )
        except FencedError:
            raise
        except TransientError as error:
            self._give_back(snapshot)
            self._note_refused(error)
            return
        self._refused_since_s = None
        self._unsaved.remove(snapshot)
        for cuts in snapshot.cuts:
            self._state.confirm(cuts)
        self._metrics.blobs_saved += len(blobs)

    @property
    def store_failing(self) -> bool:
        """Whether state waits because the store did not take it."""
        return self._refused_since_s is not None

    def _note_refused(self, error: TransientError) -> None:
        """Wait for a while; a store that answers and takes nothing is away after `outage_s_max`."""
        now_s = self._clock_s()
        if self._refused_since_s is None:
            log.warning("state waits to be written: %s", error)
            self._refused_since_s = now_s
        if (refused_s := now_s - self._refused_since_s) > self._params.outage_s_max:
            raise TransientError(f"no state could be written for {refused_s:.0f} s: {error}")

    def forget(self, partition: TopicPartition) -> None:
        """The partition is given up: what was committed for it is no longer ours to know."""
        self._committed.pop(partition, None)
