"""Changes of the shelf, told to everybody: on `model-updates` and in the audit."""

from collections.abc import Callable
from typing import Protocol

from sentinel.codec.records import keyed
from sentinel.core.learning.trail import audit_entry
from sentinel.errors import FencedError, TransientError
from sentinel.ports import Broker, ModelStore
from sentinel.records import AuditEntry
from sentinel.versions import ModelEvent, Shelf

_TRY_COUNT = 5


class Step(Protocol):
    """One change of the shelf, as in `core.learning.shelf`; raises ValueError if it cannot be."""

    def __call__(
        self, shelf: Shelf, version: str, /, *, who: str, why: str, at_ms: int
    ) -> tuple[Shelf, ModelEvent]: ...


class Registrar:
    """Changes the shelf first and says so then: an instance that misses the word looks itself.

    Parameters
    ----------
    clock_ms
        Epoch milliseconds: what serves when is a matter of the clock.
    """

    def __init__(
        self,
        store: ModelStore,
        broker: Broker,
        *,
        update_topic: str,
        audit_topic: str,
        who: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._broker = broker
        self._update_topic = update_topic
        self._audit_topic = audit_topic
        self._who = who
        self._clock_ms = clock_ms

    async def change(self, step: Step, version: str, *, why: str) -> ModelEvent:
        """Take a step; against whatever the shelf is by then, if somebody else was faster."""
        for _ in range(_TRY_COUNT):
            shelf = await self._store.shelf()
            after, event = step(shelf, version, who=self._who, why=why, at_ms=self._clock_ms())
            try:
                await self._store.change(shelf, after, [event])
            except FencedError:
                continue
            await self._say(event, audit_entry(shelf, after, event))
            return event
        raise TransientError("the shelf of models changes all the time")

    async def repeat(self, version: str) -> None:
        """Say again what was last done to a version: perhaps nobody came to say it."""
        shelf = await self._store.shelf()
        events = [event for event in await self._store.history() if event.version == version]
        for event in events[-1:]:  # how it stood before is not known any more
            await self._say(event, audit_entry(Shelf(), shelf, event))

    async def tell(self, entry: AuditEntry) -> None:
        """Write something else into the audit."""
        await self._broker.publish(self._audit_topic, 0, [keyed(entry.subject, entry)])
        await self._broker.flush()

    async def _say(self, event: ModelEvent, entry: AuditEntry) -> None:
        await self._broker.publish(self._update_topic, 0, [keyed(event.version, event)])
        await self.tell(entry)
