"""A registry behind another one, which changes some of what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sentinel.ports import ModelStore
from sentinel.stored.versions import Artifact, ModelEvent, RegistryState


@dataclass(frozen=True, slots=True)
class WrappedModels:
    """`ports.ModelStore` that hands everything on: whoever differs in something derives from it."""

    store: ModelStore

    async def registry_state(self) -> RegistryState:
        return await self.store.registry_state()

    async def manifests(self, versions: Sequence[str]) -> dict[str, dict[str, Any]]:
        return await self.store.manifests(versions)

    async def load(self, version: str) -> Artifact:
        return await self.store.load(version)

    async def add(self, artifact: Artifact) -> None:
        await self.store.add(artifact)

    async def change(
        self, before: RegistryState, after: RegistryState, events: Sequence[ModelEvent]
    ) -> None:
        await self.store.change(before, after, events)

    async def history(self) -> list[ModelEvent]:
        return await self.store.history()

    async def update(self) -> bytes | None:
        return await self.store.update()

    async def note_update(self, before: bytes | None, after: bytes) -> None:
        await self.store.note_update(before, after)

    async def outlook(self) -> bytes | None:
        return await self.store.outlook()

    async def note_outlook(self, outlook: bytes) -> None:
        await self.store.note_outlook(outlook)
