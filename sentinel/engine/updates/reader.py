"""What training reads: examples on their way to the trainer, and commands."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sentinel.codec.records import decode_command
from sentinel.engine.registry.lifecycle import Update
from sentinel.engine.updates.intake import Intake
from sentinel.engine.updates.savepoints import Savepoints
from sentinel.engine.updates.watching import Watching
from sentinel.errors import RecordError, TransientError
from sentinel.ports import Broker, Tail
from sentinel.records import InputRecord

log = logging.getLogger(__name__)

_POLL_S = 0.5
_POLL_COUNT_MAX = 500  # more would hold the loop for too long at once
# Polls before what was asked for is begun: examples of before may be under way.
_PATIENCE_COUNT = 6


@dataclass(frozen=True, slots=True)
class ReaderPosition:
    """How far the topics are read, and what has come since the newest update was begun.

    Attributes
    ----------
    newest_ms
        Event time of the newest example so far, -1 where there is none.
    next_offset, control_next
        What comes next of the examples and of the commands.
    new_count
        Examples since the newest update was begun.
    asked_by
        Who has asked for the next one; None if nobody has.
    """

    newest_ms: int = -1
    next_offset: int = 0
    control_next: int = 0
    new_count: int = 0
    asked_by: str | None = None


class Reader:
    """Reads examples into the trainer, from what a savepoint holds on, and listens to commands.

    Parameters
    ----------
    watching
        Counts examples as this does.
    """

    def __init__(
        self,
        broker: Broker,
        tail: Tail,
        intake: Intake,
        savepoints: Savepoints,
        watching: Watching,
        *,
        example_topic: str,
        control_topic: str,
    ) -> None:
        self._broker = broker
        self._tail = tail
        self._intake = intake
        self._savepoints = savepoints
        self._watching = watching
        self._example_topic = example_topic
        self._control_topic = control_topic
        self._control_next = self._patience_count = 0
        self._asked_by: str | None = None
        self.forget()

    def forget(self) -> None:
        """The trainer holds nothing: it is given what was saved, and the examples since."""
        self._is_empty = True
        self._next_offset, self._newest_ms = 0, -1
        self._new_count = 0
        self._watching.forget_examples()

    @property
    def position(self) -> ReaderPosition:
        """How far it is."""
        return ReaderPosition(
            self._newest_ms, self._next_offset, self._control_next, self._new_count, self._asked_by
        )

    @property
    def logs(self) -> tuple[str, str]:
        """Name the logs of the examples and of the commands."""
        return self._broker.log_of(self._example_topic), self._broker.log_of(self._control_topic)

    @property
    def is_near_the_end(self) -> bool:
        """Whether little of the examples is unread, and what was asked for need not wait."""
        lag = self._tail.lag(self._example_topic)
        return lag is not None and lag < _POLL_COUNT_MAX and self._patience_count == 0

    async def go_on(self, update: Update) -> None:
        """Take up reading where the trainer stands; the update says since when examples are new."""
        self._control_next = max(self._control_next, update.control_to)
        if self._is_empty:
            await self._restore(update)
        self._new_count = min(self._new_count, max(self._next_offset - update.examples_to, 0))
        self._tail.seek(self._control_topic, self._control_next)
        self._tail.seek(self._example_topic, self._next_offset)

    async def read(self, update: Update) -> None:
        """Some of what there is to read. WorkerLostError when the trainer is lost at it."""
        polled = await self._tail.poll(timeout_s=_POLL_S, count_max=_POLL_COUNT_MAX)
        for record in polled.get(self._control_topic, ()):
            self._obey(record)
        if examples := polled.get(self._example_topic):
            await self._take(examples, update)
        self._patience_count = max(self._patience_count - 1, 0) if examples else 0

    def ask_again(self, who: str) -> None:
        """An update is to be made again, unless somebody has asked for one anyway."""
        self._asked_by = self._asked_by or who

    def begun(self) -> None:
        """An update was begun: what has come so far is not new for the next one."""
        self._asked_by, self._new_count = None, 0

    def ended(self) -> None:
        """An update has ended: what the trainer holds is to be saved."""
        self._savepoints.ask()

    async def save(self) -> None:
        """Save what the trainer holds, if that is due."""
        await self._savepoints.save(self._broker.log_of(self._example_topic))

    async def _restore(self, update: Update) -> None:
        """What was saved is as if it had been read."""
        saved = await self._savepoints.restore(self._broker.log_of(self._example_topic))
        if saved is not None:
            self._next_offset, self._newest_ms = saved.next_offset, saved.newest_ms
            self._count(max(saved.next_offset - update.examples_to, 0))
        self._is_empty = False

    def _count(self, new_count: int) -> None:
        self._new_count += new_count
        self._watching.take(new_count)

    def _obey(self, record: InputRecord) -> None:
        self._control_next = record.offset + 1
        try:
            command = decode_command(record.value)
        except RecordError as error:
            log.warning("command at offset %d: %s", record.offset, error.unquoted)
            return
        if command.kind == "update":
            self._asked_by = command.who
            self._patience_count = _PATIENCE_COUNT

    async def _take(self, records: Sequence[InputRecord], update: Update) -> None:
        if records[0].offset < self._next_offset:
            await self._begin_anew(records[0].offset)
        self._newest_ms = max(self._newest_ms, await self._intake.take(records))
        new_count = sum(record.offset >= update.examples_to for record in records)
        self._next_offset = records[-1].offset + 1
        self._savepoints.take(len(records))
        self._count(new_count)

    async def _begin_anew(self, offset: int) -> None:
        """The topic is not the one that was read: what is held is of another log."""
        await self._savepoints.refuse()
        await self._intake.forget()
        self.forget()
        raise TransientError(f"the examples begin anew at {offset}: what was held is forgotten")
