"""Examples on their way into the trainer's process, but for those at which it fails."""

import logging
from collections.abc import Sequence

from sentinel.errors import TrainingError, WorkerLostError
from sentinel.metrics import Metrics
from sentinel.ports import Trainer
from sentinel.records import InputRecord

log = logging.getLogger(__name__)

_Rows = Sequence[tuple[int, int, bytes | None]]  # offset, when it was appended, value


class Intake:
    """Hands records over, and leaves out those that a learner cannot take."""

    def __init__(self, trainer: Trainer, metrics: Metrics) -> None:
        self._trainer = trainer
        self._metrics = metrics
        self._quarantine = Quarantine()

    async def take(self, records: Sequence[InputRecord]) -> int:
        """Event time of the newest example so far, epoch milliseconds; -1 where nothing is known.

        Raises WorkerLostError, and knows then which records were under way.
        """
        rows = [
            (record.offset, record.timestamp, record.value)
            for record in records
            if not self._quarantine.is_left_out(record.offset)
        ]
        self._metrics.examples_refused += len(records) - len(rows)
        return await self._take(rows) if rows else -1

    async def forget(self) -> None:
        """The trainer is to hold nothing, as in the beginning."""
        await self._trainer.forget()

    async def _take(self, rows: _Rows) -> int:
        """All but what the learner fails at, which is found by halving.

        It may be a mistake of ours that some record brings out. Without that the learner is as
        before; to end the instance would end it at the same record for ever.
        """
        try:
            taken = await self._trainer.take(rows)
        except TrainingError as error:
            if len(rows) == 1:
                self._leave_out(rows[0][0], error)
                return -1
            half = len(rows) // 2
            return max(await self._take(rows[:half]), await self._take(rows[half:]))
        except WorkerLostError:
            if out := self._quarantine.lost(rows[0][0], rows[-1][0]):
                log.error("the trainer's process is lost at them: %s are left out", out)
            raise
        self._metrics.examples += taken.count
        self._metrics.examples_refused += taken.refused_count
        return taken.newest_ms

    def _leave_out(self, offset: int, error: TrainingError) -> None:
        if not self._metrics.examples_stumbled:
            log.error("examples are left out, the first at offset %d: %r", offset, error)
        self._metrics.examples_refused += 1
        self._metrics.examples_stumbled += 1


class Quarantine:
    """What lies in two lost batches that follow each other is left out from then on.

    A process may be lost for many reasons, so once is not enough; and the batches are others when
    the examples are read again, so what they have in common is what counts.
    """

    def __init__(self) -> None:
        self._suspect = range(0)
        self._left_out: list[range] = []

    def lost(self, first: int, last: int) -> range:
        """The process was lost while it took these; which are left out from now on, perhaps none.

        Parameters
        ----------
        first, last
            Offsets of the batch, both included.
        """
        batch = range(first, last + 1)
        before = self._suspect
        common = range(max(batch.start, before.start), min(batch.stop, before.stop))
        if common:
            self._left_out.append(common)
        self._suspect = range(0) if common else batch
        return common

    def is_left_out(self, offset: int) -> bool:
        """Whether a record is taken no more."""
        return any(offset in one for one in self._left_out)
