"""The commit order, numbered.

At a cut, between two batches:
  1. note how far each partition has come, and pack the oldest dirty state: it includes exactly
     what lies before the cut;
then, while scoring goes on:
  2. wait for the alerts that were submitted before the cut;
  3. flush the producer and check every delivery;
  4. commit the offsets of the cut to Kafka;
  5. write the packed state, each partition under its fencing epoch, with the offset to replay from.

State never runs ahead of committed offsets, so what is replayed after a crash is decided from the
state that it was decided from before. A crash between any two lines repeats work, never loses it.
"""

import logging
import time
from asyncio import Task
from collections.abc import Mapping
from dataclasses import dataclass

from sentinel.core.features.state import FeatureState
from sentinel.core.features.table import Cut
from sentinel.engine.alerts import Alerts
from sentinel.engine.partitions import InputPartition
from sentinel.errors import FencedError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import Blob, Broker, PartitionState, StateStore
from sentinel.records import Commit, TopicPartition

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One partition at a cut: what to write, under which epoch."""

    at: TopicPartition
    epoch: int
    cuts: dict[str, Cut]
    state: PartitionState


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that was so at one cut."""

    commits: dict[TopicPartition, Commit]
    snapshots: list[Snapshot]
    alerts: frozenset[Task[None]]

    @property
    def row_count(self) -> int:
        """How many entity rows are to be written."""
        return sum(cut.parts.size for s in self.snapshots for cut in s.cuts.values())


class Checkpoints:
    """Takes cuts and completes them, one at a time."""

    def __init__(
        self,
        broker: Broker,
        store: StateStore,
        state: FeatureState,
        alerts: Alerts,
        partitions: Mapping[int, InputPartition],
        progress: dict[TopicPartition, int],
        metrics: Metrics,
    ) -> None:
        self._broker = broker
        self._store = store
        self._state = state
        self._alerts = alerts
        self._partitions = partitions
        self._progress = progress  # of the other topics of the group, kept by their tasks
        self._committed: dict[TopicPartition, Commit] = {}
        self._metrics = metrics
        self.store_failing = False

    def cut(self, *, row_count_max: int) -> Checkpoint:
        """Step 1."""
        clock_s = time.perf_counter()
        commits = {at: Commit(offset) for at, offset in self._progress.items()}
        snapshots = []
        share = max(row_count_max // max(len(self._partitions), 1), 1)
        for number, partition in self._partitions.items():
            if partition.is_live:
                partition.note_cut()
                commits[partition.at] = Commit(partition.next_offset, partition.commit_metadata())
            cuts = self._state.cut(number, count_max=share)
            position = PartitionState(
                cluster_id=self._broker.cluster_id,
                replay_from=self._state.replay_from(number, partition.next_offset),
                labels_from=partition.labels_next,
            )
            snapshots.append(Snapshot(partition.at, partition.epoch, cuts, position))
        changed = {at: c for at, c in commits.items() if self._committed.get(at) != c}
        self._metrics.lap("cut", clock_s)
        return Checkpoint(changed, snapshots, self._alerts.pending())

    async def complete(self, checkpoint: Checkpoint) -> None:
        """Steps 2 to 5. Raises TransientError when outputs cannot be confirmed, FencedError when
        a newer owner has taken over; state that cannot be written waits for the next cut.
        """
        await self._alerts.settle(checkpoint.alerts)
        await self._broker.flush()
        if checkpoint.commits:
            await self._broker.commit(checkpoint.commits)
            self._committed.update(checkpoint.commits)
            self._metrics.commits += 1
        for snapshot in checkpoint.snapshots:
            await self._save(snapshot)

    async def _save(self, snapshot: Snapshot) -> None:
        number = snapshot.at.partition
        blobs = [
            Blob(entity, key, number if self._state.tables[entity].plan.shared else -1, data)
            for entity, cut in snapshot.cuts.items()
            for key, data in zip(cut.names, cut.blobs, strict=True)
        ]
        try:
            await self._store.save(snapshot.at, snapshot.epoch, blobs, snapshot.state)
        except FencedError:
            raise
        except TransientError as error:
            if not self.store_failing:
                log.warning("state waits to be written: %s", error)
            self.store_failing = True
            self._state.restore(snapshot.cuts, number)
            return
        self.store_failing = False
        self._state.confirm(snapshot.cuts)
        self._metrics.blobs_saved += len(blobs)

    def forget(self, partition: TopicPartition) -> None:
        """The partition is given up: what was committed for it is no longer ours to know."""
        self._committed.pop(partition, None)
