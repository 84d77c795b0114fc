"""What the trainer holds, saved now and then, so that a restart need not read all examples again.

A savepoint is written in pieces, which count for nothing until it is named as the one that is kept:
one that a crash has left unfinished leaves the one before it whole. It is encoded, checked and
decoded in the trainer's process, and comes and goes by the piece, so that none holds the loop.
"""

import logging
from dataclasses import dataclass

from sentinel.codec.savepoints import decode_head
from sentinel.errors import RecordError, TrainingError, TransientError, WorkerLostError
from sentinel.ports import Saved, Savepoint, SavepointStore, Taken, Trainer

log = logging.getLogger(__name__)

# Then the topic is read instead: a store may allow everything but this.
_TRY_COUNT = 5


@dataclass(frozen=True, slots=True)
class SavepointParams:
    """When what the trainer holds is saved.

    Attributes
    ----------
    after_example_count
        After so many new examples, and after each update; 0 for never, and then none is read.
    byte_count_max
        One with more bytes is not kept.
    """

    after_example_count: int = 50_000
    byte_count_max: int = 512 * 2**20

    def __post_init__(self) -> None:
        if self.after_example_count < 0:
            raise ValueError("after_example_count must be at least 0")
        if self.byte_count_max < 1:
            raise ValueError("byte_count_max must be at least 1")


class Savepoints:
    """Saves what a learner holds, and restores it. Nothing that fails here ends the training."""

    def __init__(self, store: SavepointStore, trainer: Trainer, params: SavepointParams) -> None:
        self._store = store
        self._trainer = trainer
        self._params = params
        self._new_count = 0  # examples since the last one
        self._is_asked = False
        self._try_count = 0
        self._refused: Savepoint | None = None  # not to be restored, and not to be respected

    def take(self, count: int) -> None:
        """So many examples have come."""
        self._new_count += count

    def ask(self) -> None:
        """One is due now, if anything has come since the last one."""
        self._is_asked = self._new_count > 0

    @property
    def _is_due(self) -> bool:
        limit = self._params.after_example_count
        return limit > 0 and (self._is_asked or self._new_count >= limit)

    async def restore(self, log_name: str) -> Taken | None:
        """Have the learner hold what was saved of this log; None where it begins with nothing.

        TransientError when it is to be tried again, WorkerLostError when it was lost meanwhile.
        """
        if self._params.after_example_count == 0:
            return None
        found = None
        try:
            found = await self._store.savepoint()
            if found is None or found == self._refused:
                return None
            taken = await self._restored(found, log_name)
        except (RecordError, TrainingError) as error:
            log.warning("the trainer's savepoint is not used, %s; all is read again", error.detail)
        except TransientError as error:
            self._try_count += 1
            if self._try_count < _TRY_COUNT:
                raise
            log.warning("the trainer's savepoint is given up: %s; all is read again", error)
        else:
            self._try_count, self._new_count, self._is_asked = 0, 0, False
            return taken
        self._refused, self._try_count, self._new_count = found, 0, 0
        return None

    async def refuse(self) -> None:
        """The one that is kept is of no use; the next one takes its place."""
        self._refused = await self._store.savepoint()
        self._new_count = 0

    async def _restored(self, found: Savepoint, log_name: str) -> Taken:
        for number in range(found.piece_count):
            piece = await self._store.piece(found, number)
            if piece is None:
                if await self._store.savepoint() != found:
                    raise TransientError("another savepoint was kept meanwhile")
                raise RecordError("savepoint", f"its piece {number} is missing")
            await self._trainer.receive(number, piece)
        taken = await self._trainer.restore(found.head, found.sha256, log=log_name)
        log.info("%d pieces of a savepoint were read: it goes on at offset %d of the examples",
                 found.piece_count, taken.next_offset)  # fmt: skip
        return taken

    async def save(self, log_name: str) -> None:
        """Save what the learner holds, if it is due. WorkerLostError when it was lost meanwhile."""
        if not self._is_due:
            return
        # First of all: what fails is not tried again before as many more have come.
        self._new_count, self._is_asked = 0, False
        try:
            await self._save(log_name)
        except WorkerLostError:
            raise
        except (TransientError, TrainingError) as error:
            log.warning("what the trainer holds is not saved: %s", error)

    async def _save(self, log_name: str) -> None:
        saved = await self._trainer.save(log=log_name)
        if saved.byte_count > self._params.byte_count_max:
            limit = self._params.byte_count_max
            raise TransientError(f"it has {saved.byte_count:,} bytes, {limit:,} are allowed")
        before = await self._store.savepoint()
        if before is not None and before != self._refused and self._has_more(before, saved):
            raise TransientError("another trainer has saved more")
        number = 1 if before is None else before.number + 1
        after = Savepoint(number, saved.piece_count, saved.sha256, saved.head)
        for number in range(saved.piece_count):
            await self._store.add_piece(after, number, await self._trainer.piece(number))
        await self._store.keep(before, after)
        log.info("what the trainer holds is saved: %d bytes", saved.byte_count)

    @staticmethod
    def _has_more(before: Savepoint, saved: Saved) -> bool:
        """Whether one that is kept was made by a trainer that had read more of the same log."""
        try:
            theirs, ours = decode_head(before.head), decode_head(saved.head)
        except RecordError:
            return False
        return theirs.log == ours.log and theirs.next_offset > ours.next_offset
