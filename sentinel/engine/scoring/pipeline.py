"""One turn after another: score a batch, and about once a second take a cut."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from sentinel.core.features.entity_table.table import TableFullError
from sentinel.engine.dispatcher import Inbox
from sentinel.engine.machine.relief import Relief
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.partitions.labels import LabelTail
from sentinel.engine.scoring.checkpoint import EVERYTHING, Checkpoints
from sentinel.engine.scoring.entities import EntityLoader
from sentinel.engine.scoring.scorer import PreparedBatch, Scoring
from sentinel.engine.tasks import end
from sentinel.errors import TransientError
from sentinel.records import Batch

# After a restart the labels that were applied before must come again before going live.
_LABELS_TIMEOUT_S = 30.0
# An answer of the store comes after one or two turns: so many batches wait for theirs.
_PREPARED_COUNT_MAX = 3

Preparing = asyncio.Task[PreparedBatch]
T = TypeVar("T")
_PACK_ROW_COUNT = 400  # rows packed at once: about two milliseconds
_PACKS_MAX = 2  # one behind the other, when a turn has taken long
_PACK_S = 0.02
_LOOK_AGAIN_S = 0.005  # whether a checkpoint under way is complete


class Pipeline:
    """Owns the state's turns: nothing else changes it while a batch is being scored."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        scoring: Scoring,
        checkpoints: Checkpoints,
        labels: LabelTail,
        loader: EntityLoader,
        relief: Relief,
        params: EngineParams,
        clock_s: Callable[[], float],
    ) -> None:
        self._inbox = inbox
        self._scoring = scoring
        self._checkpoints = checkpoints
        self._labels = labels
        self._loader = loader
        self._relief = relief
        self._params = params
        self._clock_s = clock_s
        self._prepared: asyncio.Queue[tuple[Batch, Preparing]] = asyncio.Queue(_PREPARED_COUNT_MAX)
        self._preparing: set[Preparing] = set()
        self._is_small = False  # the batch that was prepared last
        self._turn = asyncio.Lock()
        self._completing: asyncio.Task[None] | None = None
        self._due_s = clock_s() + params.commit_interval_s
        self._packed_s = clock_s()

    async def prepare(self) -> None:
        """Decode batches and ask for their entities, ahead of their turn, until cancelled."""
        while True:
            if self._is_small:
                await self._prepared.join()  # more will have come by then, to be decided together
            batch = await self._inbox.take(timeout_s=60.0)
            if batch is not None:
                self._is_small = batch.count < self._params.batch_count_max // 2
                preparing = asyncio.create_task(self._scoring.prepare(batch), name="preparing")
                self._preparing.add(preparing)
                await self._prepared.put((batch, preparing))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            ready = await self._take(self._patience_s())
            async with self._turn:
                if ready is not None:
                    await self._work(*ready)
                    await asyncio.sleep(0)  # to pack is a long computation, too
                await self._pack_some()
                await self._checkpoint_if_due()
                await self._relief.shed()

    async def _work(self, batch: Batch, preparing: "Preparing") -> None:
        prepared = await preparing
        self._preparing.discard(preparing)
        await self._begin(batch)
        parted = self._scoring.part(prepared)
        for partition in await self._with_room(partial(self._scoring.replay, parted)):
            await self._catch_up(partition)
        await self._with_room(partial(self._scoring.decide, parted, batch.received_s))
        self._inbox.done()

    async def _with_room(self, step: Callable[[], Awaitable[T]]) -> T:
        """Take a step that needs entities in memory; where there is no room, write and try again.

        Such a step folds nothing before it has its room, so only state before it may be written.
        """
        try:
            return await step()
        except TableFullError:
            await self._finish()
            await self._checkpoints.complete(self._checkpoints.cut(row_count_max=EVERYTHING))
        try:
            return await step()
        except TableFullError as error:
            raise TransientError(
                f"{error}: every row in memory is in use or waits to be written; "
                "is the store away, or entities_max below a few batches?"
            ) from error

    def _patience_s(self) -> float:
        """How long there is nothing to do but wait for a batch."""
        due_s = max(self._due_s - self._clock_s(), _LOOK_AGAIN_S)
        return min(due_s, _PACK_S) if self._checkpoints.is_behind else due_s

    async def _pack_some(self) -> None:
        """Pack rows at the rate at which they may be written, a few hundred at a time."""
        now_s = self._clock_s()
        if now_s > self._due_s + 2 * self._params.commit_interval_s:
            return  # the store is slow: what is packed waits in memory
        row_count = int((now_s - self._packed_s) * self._params.snapshot_rate_max)
        if row_count < min(_PACK_ROW_COUNT, self._params.snapshot_rate_max * _PACK_S):
            return
        self._packed_s = now_s
        for _ in range(_PACKS_MAX):
            self._checkpoints.pack(row_count_max=min(row_count, _PACK_ROW_COUNT))
            row_count -= _PACK_ROW_COUNT
            if row_count <= 0:
                break
            await asyncio.sleep(0)

    async def _take(self, timeout_s: float) -> "tuple[Batch, Preparing] | None":
        """The next batch that is being prepared, or None when none is in time."""
        try:
            async with asyncio.timeout(timeout_s):
                ready = await self._prepared.get()
        except TimeoutError:
            return None
        self._prepared.task_done()
        return ready

    async def _begin(self, batch: Batch) -> None:
        if not await self._checkpoints.begin(batch):
            await self._finish()
            raise TransientError("the commit before has failed")

    async def _checkpoint_if_due(self) -> None:
        if self._clock_s() < self._due_s:
            return
        if self._completing is not None:
            if not self._completing.done():
                return  # the one before is slow; scoring goes on, the next cut waits
            await self._finish()
        self._due_s = self._clock_s() + self._params.commit_interval_s
        self._completing = asyncio.create_task(
            self._checkpoints.complete(self._checkpoints.cut()), name="checkpoint"
        )
        await self._loader.settle()
        if self._params.delivery == "exactly_once":
            # What comes after the cut must not get into its transaction.
            await self._finish()

    async def _catch_up(self, partition: InputPartition) -> None:
        """Apply the labels that had been applied before the commit this partition goes on from.

        Those that were open then must have been read, too, before the first decision.
        """
        needed = partition.gate.needed_to
        try:
            async with asyncio.timeout(_LABELS_TIMEOUT_S):
                while partition.gate.read_to < needed:
                    await self._labels.poll(timeout_s=0.1)
        except TimeoutError as error:
            raise TransientError(
                f"labels up to offset {needed} were known before, "
                f"and only {self._labels.read_to} can be read"
            ) from error
        for labels in self._scoring.owed(partition, count_max=self._params.batch_count_max):
            await self._with_room(partial(self._scoring.apply_owed, labels))
        await self._checkpoints.announce(partition)
        partition.is_caught_up = True

    async def _finish(self) -> None:
        """Wait for the checkpoint under way, and raise what went wrong with it."""
        if self._completing is not None:
            try:
                # Whoever waits may be cancelled; the rows in hand are written or given back.
                await asyncio.shield(self._completing)
            finally:
                if self._completing.done():
                    self._completing = None

    async def write_everything(self) -> None:
        """Between turns: commit and store all there is, before giving partitions up."""
        await self._inbox.join()
        async with self._turn:
            await self._finish()
            await self._checkpoints.complete(
                self._checkpoints.cut(row_count_max=EVERYTHING, is_last=True)
            )

    async def aclose(self) -> None:
        """Drop the checkpoint under way, if any; what it had not stored is replayed."""
        await end(self._preparing)
        if self._completing is not None:
            await end([self._completing])
            self._completing = None
