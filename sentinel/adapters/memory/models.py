"""The model registry port in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sentinel.adapters.memory.shared import OnShared
from sentinel.codec.artifacts import (
    check_same,
    decode_artifact,
    decode_manifests,
    encode_artifact,
)
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import FencedError
from sentinel.versions import Artifact, ModelEvent, Shelf


@dataclass(slots=True)
class MemoryModels:
    """What a Redis server would keep; it outlives the stores that are opened on it."""

    shelf: bytes | None = None
    texts: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    history: list[bytes] = field(default_factory=list)
    update: bytes | None = None
    outlook: bytes | None = None


class MemoryModelStore(OnShared[MemoryModels]):
    """`ports.ModelStore` on `MemoryModels` that several of them may share."""

    async def shelf(self) -> Shelf:
        with self._faults.call("models.shelf"):
            return self._shelf()

    def _shelf(self) -> Shelf:
        stored = self._kept.shelf
        return Shelf() if stored is None else decode_stored(Shelf, stored)

    async def manifests(self, versions: Sequence[str]) -> dict[str, dict[str, Any]]:
        with self._faults.call("models.manifests"):
            return decode_manifests({one: self._kept.manifests.get(one) for one in versions})

    async def load(self, version: str) -> Artifact:
        with self._faults.call("models.load"):
            return self._load(version)

    def _load(self, version: str) -> Artifact:
        kept = self._kept
        return decode_artifact(version, kept.texts.get(version), kept.manifests.get(version))

    async def add(self, artifact: Artifact) -> None:
        text, manifest = encode_artifact(artifact)
        version = artifact.version
        with self._faults.call("models.add"):
            if version in self._kept.texts or version in self._kept.manifests:
                check_same(version, self._load(version), text, manifest)
            self._kept.texts[version] = text
            self._kept.manifests[version] = manifest

    async def change(self, before: Shelf, after: Shelf, events: Sequence[ModelEvent]) -> None:
        assert after.number > before.number
        with self._faults.call("models.change"):
            if self._shelf() != before:
                raise FencedError("another has changed where the models stand meanwhile")
            self._kept.shelf = encode_stored(after)
            self._kept.history += map(encode_stored, events)

    async def history(self) -> list[ModelEvent]:
        with self._faults.call("models.history"):
            return [decode_stored(ModelEvent, data) for data in self._kept.history]

    async def update(self) -> bytes | None:
        with self._faults.call("models.update"):
            return self._kept.update

    async def note_update(self, before: bytes | None, after: bytes) -> None:
        with self._faults.call("models.note_update"):
            if self._kept.update != before:
                raise FencedError("another has gone on with the update meanwhile")
            self._kept.update = after

    async def outlook(self) -> bytes | None:
        with self._faults.call("models.outlook"):
            return self._kept.outlook

    async def note_outlook(self, outlook: bytes) -> None:
        with self._faults.call("models.note_outlook"):
            self._kept.outlook = outlook
