"""Changes of the registry, told to everybody: on `model-updates` and in the audit."""

import logging
from collections.abc import Callable
from typing import Protocol

from sentinel.codec.records import keyed
from sentinel.core.registry.audit import audit_entry
from sentinel.core.registry.transitions import Change, next_version, replayed_registry, rolled_back
from sentinel.engine.audit import AuditLog
from sentinel.errors import FencedError, TransientError
from sentinel.ports import Broker, ModelStore
from sentinel.records import AuditEntry
from sentinel.stored.versions import ModelEvent, RegistryState

log = logging.getLogger(__name__)

_TRY_COUNT = 5


class Step(Protocol):
    """One of `core.registry.transitions`; raises ValueError if it cannot be."""

    def __call__(
        self, registry_state: RegistryState, version: str, /, *, who: str, why: str, at_ms: int
    ) -> tuple[RegistryState, ModelEvent]: ...


class Registrar:
    """Changes the registry first and says so then: an instance that misses the word looks itself.

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
        audit: AuditLog,
        who: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._broker = broker
        self._update_topic = update_topic
        self._audit = audit
        self.who = who
        self.clock_ms = clock_ms

    async def change(self, step: Step, version: str, *, why: str) -> ModelEvent:
        """Take a step; against whatever the registry is by then, if somebody else was faster.

        TransientError when it cannot be taken there: look again how things stand.
        """
        for _ in range(_TRY_COUNT):
            registry_state = await self._store.registry_state()
            try:
                after, event = step(
                    registry_state, version, who=self.who, why=why, at_ms=self.clock_ms()
                )
            except ValueError as error:
                raise TransientError(str(error)) from error
            try:
                await self._store.change(registry_state, after, [event])
            except FencedError:
                continue
            await self._say(event, audit_entry(registry_state, after, event))
            return event
        raise TransientError("the registry changes all the time")

    async def repeat(self, version: str) -> None:
        """Say again what was done to a version here, in the same words: perhaps nobody heard it."""
        try:
            changes = list(replayed_registry(await self._store.history()))
        except ValueError as error:
            log.warning("what was done to %s cannot be said again: %s", version, error)
            return
        for before, after, event in changes:
            if event.version == version and event.who == self.who:
                await self._say(event, audit_entry(before, after, event))

    async def free_version(self, parent: str, change: Change) -> str:
        """The next version of which nothing is kept, not even from an update that was lost."""
        taken = list((await self._store.registry_state()).stages)
        while True:
            version = next_version(taken, parent, change)
            if version not in await self._store.manifests([version]):
                return version
            taken.append(version)

    async def last_event(self, version: str) -> ModelEvent | None:
        """The last that was done to a version; None where the history does not tell."""
        found = [event for event in await self._store.history() if event.version == version]
        return found[-1] if found else None

    async def why_rolled_back(self, version: str) -> str | None:
        """What the history says of it; None if that was not the last that was done to it."""
        last = await self.last_event(version)
        return last.why if last is not None and last.kind == "rolled_back" else None

    async def tell(self, entry: AuditEntry) -> None:
        """Write something else into the audit."""
        await self._audit.write([entry])
        await self._broker.flush()

    async def _say(self, event: ModelEvent, entry: AuditEntry) -> None:
        await self._broker.publish(self._update_topic, 0, [keyed(event.version, event)])
        await self.tell(entry)


def back_to(former: str) -> Step:
    """The step by which a former champion serves in the place of the version it is taken on."""

    def step(
        registry_state: RegistryState, version: str, /, *, who: str, why: str, at_ms: int
    ) -> tuple[RegistryState, ModelEvent]:
        if registry_state.champion != version:
            raise ValueError(f"version {version} cannot be rolled back: it does not serve")
        return rolled_back(registry_state, who=who, why=why, at_ms=at_ms, to=former)

    return step
