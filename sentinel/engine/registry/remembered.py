"""The registry as a process has seen it, against a store that goes back in time.

A store that comes back from an older snapshot, or a replica that was behind and took over, names a
former champion. What serves then goes on serving. Whoever has seen the later one puts it back by
compare-and-set, with the events that were lost, if all artifacts that it needs are there, or a copy
of them here; the audit tells of it. Where that cannot be done, `trouble` says why until it can, or
until a person says what serves. How the update under way stands is put back in the same way.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sentinel.core.registry.audit import put_back_entry
from sentinel.core.registry.lineage import Relation, is_decided, lost_events, relation
from sentinel.engine.registry.lifecycle import WHO, is_behind
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.registry.wrapping import WrappedModels
from sentinel.errors import FencedError, ModelError
from sentinel.ports import ModelStore
from sentinel.records import AuditEntry
from sentinel.stored.versions import Artifact, ModelEvent, RegistryState

log = logging.getLogger(__name__)

_EVENT_COUNT_MAX = 1_000  # that are remembered: a year's

# What this machine has of a version, wherever the registry is; None if it has nothing.
Copies = Callable[[str], Awaitable[Artifact | None]]


@dataclass(slots=True)
class RegistryMemory:
    """What was seen last. It outlives an instance: what fences one may be the same loss.

    Attributes
    ----------
    events
        The newest of those up to the registry, oldest first.
    manifests
        Of the versions that the registry needs.
    untold
        What the audit is still to be told.
    update
        How the update stands, as noted.
    """

    registry_state: RegistryState | None = None
    events: tuple[ModelEvent, ...] = ()
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    untold: AuditEntry | None = None
    update: bytes | None = None


class RememberedRegistry:
    """The newest state of the registry that was seen here.

    Parameters
    ----------
    registrar
        Tells the audit what was put back, in its name.
    """

    def __init__(
        self, memory: RegistryMemory, store: ModelStore, registrar: Registrar, copies: Copies
    ) -> None:
        self._memory = memory
        self._store = store
        self._registrar = registrar
        self._copies = copies
        self.trouble = ""

    async def look(self) -> RegistryState:
        """What the registry says, or what it said before it went back."""
        await self._tell()
        found, seen, known = (
            await self._store.registry_state(),
            self._memory.registry_state,
            self._memory.events,
        )
        if found == seen:
            self.trouble = ""
            return found
        told = [event for event in await self._store.history() if event.number <= found.number]
        if seen is None:
            return await self._remember(found, told)
        how = relation(seen, known, found, told)
        if how == "apart" and is_decided(known, told, {WHO}):
            log.warning("the model registry has lost changes, and somebody has decided since")
            how = "later"
        if how == "later":
            return await self._remember(found, told)
        await self._put_back(seen, found, how)
        return seen

    def newer(self, found: RegistryState) -> RegistryState:
        """A state that was read elsewhere, or the one seen here as long as that was lost."""
        seen = self._memory.registry_state
        return seen if seen is not None and (self.trouble or found.number < seen.number) else found

    async def _remember(self, found: RegistryState, told: Sequence[ModelEvent]) -> RegistryState:
        memory = self._memory
        memory.manifests = await self._store.manifests(_needed(found))
        memory.registry_state, memory.events = found, tuple(told[-_EVENT_COUNT_MAX:])
        self.trouble = ""
        return found

    async def _put_back(self, seen: RegistryState, found: RegistryState, how: Relation) -> None:
        lost = lost_events(seen, self._memory.events, found)
        if how == "apart":
            why = "it was changed since, and nobody has said what serves"
        elif lost is None:
            why = "the changes between are not known here"
        else:
            why = await self._incomplete()
        if why or lost is None:
            self._note_trouble(seen, found, why)
            return
        try:
            await self._store.change(found, seen, lost)
        except FencedError:
            return  # another was faster: the next look shows what it did
        self.trouble = ""
        log.error("the model registry came back as of change %d: change %d is put back",
                  found.number, seen.number)  # fmt: skip
        self._memory.untold = put_back_entry(
            found, seen, who=self._registrar.who, at_ms=self._registrar.clock_ms()
        )
        await self._tell()

    async def _incomplete(self) -> str:
        """Why what the registry needs is not there; empty once it is, from copies if need be."""
        needed, why = self._memory.manifests, ""
        there = await self._store.manifests(list(needed))
        for version in needed.keys() - there.keys():
            copy = await self._copies(version)
            if copy is None or copy.manifest != needed[version]:
                why = f"it has lost model {version}, of which there is no copy here"
                continue
            try:
                await self._store.add(copy)
            except ModelError as error:
                why = str(error)
        return why

    def _note_trouble(self, seen: RegistryState, found: RegistryState, why: str) -> None:
        trouble = (
            f"the model registry came back as of change {found.number} (champion {found.champion}),"
            f" and change {seen.number} (champion {seen.champion}) holds here: {why}; promote or"
            " roll back what is to serve"
        )
        if trouble != self.trouble:
            log.error("%s", trouble)
        self.trouble = trouble

    async def _tell(self) -> None:
        """Say in the audit what was put back; again, if nobody may have heard it."""
        if self._memory.untold is not None:
            await self._registrar.tell(self._memory.untold)
            self._memory.untold = None


def _needed(registry_state: RegistryState) -> list[str]:
    """The versions of a state of the registry that serve, stand in, score beside or may come to."""
    waiting = [one for one, stage in registry_state.stages.items() if stage != "archived"]
    others = [one for one in (registry_state.challenger, registry_state.shadow) if one is not None]
    return list(dict.fromkeys([*registry_state.to_serve(), *others, *waiting]))


@dataclass(frozen=True, slots=True)
class SteadyModels(WrappedModels):
    """`ports.ModelStore` whose state and update are never older than what is remembered.

    Nothing is to come of an older state, so changes are of the newer one, and refused as long as
    that is not put back.
    """

    memory: RegistryMemory
    remembered: RememberedRegistry

    async def registry_state(self) -> RegistryState:
        return self.remembered.newer(await self.store.registry_state())

    async def update(self) -> bytes | None:
        found, known = await self.store.update(), self.memory.update
        if known is not None and is_behind(found, known):
            log.error("the store came back with an earlier update: the one noted since is put back")
            await self.store.note_update(found, known)
            return known
        self.memory.update = found
        return found

    async def note_update(self, before: bytes | None, after: bytes) -> None:
        await self.store.note_update(before, after)
        self.memory.update = after
