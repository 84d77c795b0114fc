"""Model versions in the registry database, and where each of them stands.

artifact:{version}   LightGBM's text; kept, and never changed
manifest:{version}   what it is, how good, and the SHA-256 of its text, JSON; the same
shelf                RegistryState, JSON; kept
model-history        list: every ModelEvent, JSON, oldest first; kept, it only grows
update               how the update under way stands, in bytes of the engine's; kept
outlook              what the next one waits for, in bytes of the engine's; kept
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from sentinel.codec.models.artifacts import (
    check_same,
    decode_artifact,
    decode_manifests,
    encode_artifact,
)
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.documents import Change, Documents
from sentinel.errors import FencedError, RecordError, TransientError
from sentinel.stored.versions import Artifact, ModelEvent, RegistryState

log = logging.getLogger(__name__)

_PAGE_COUNT = 1_000  # events read at once: a few hundred kB


class StoredModels:
    """`ports.ModelStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def registry_state(self) -> RegistryState:
        _, registry_state = await self._registry_state()
        return registry_state

    async def _registry_state(self) -> tuple[bytes | None, RegistryState]:
        """As it is stored, and what that means."""
        [found] = await self._documents.get(["shelf"], doing="read where the models stand")
        if found is None:
            return None, RegistryState()
        try:
            return found, decode_stored(RegistryState, found)
        except RecordError as error:  # whoever damaged it may put it right
            raise TransientError(f"the registry's state is damaged: {error}") from error

    async def manifests(self, versions: Sequence[str]) -> dict[str, dict[str, Any]]:
        names = [f"manifest:{version}" for version in versions]
        found = await self._documents.get(names, doing="read manifests")
        return decode_manifests(dict(zip(versions, found, strict=True)))

    async def load(self, version: str) -> Artifact:
        names = [f"artifact:{version}", f"manifest:{version}"]
        text, manifest = await self._documents.get(names, doing=f"load model {version}")
        # In a thread: of some megabytes the checksum alone takes longer than a batch.
        return await asyncio.to_thread(decode_artifact, version, text, manifest)

    async def add(self, artifact: Artifact) -> None:
        text, manifest = await asyncio.to_thread(encode_artifact, artifact)
        version = artifact.version
        documents = {f"artifact:{version}": text, f"manifest:{version}": manifest}
        new = Change(expected=dict.fromkeys(documents), puts=documents)
        if not await self._documents.change(new, doing=f"keep model {version}"):
            check_same(version, await self.load(version), text, manifest)

    async def change(
        self, before: RegistryState, after: RegistryState, events: Sequence[ModelEvent]
    ) -> None:
        assert after.number > before.number
        stored, now = await self._registry_state()
        change = Change(
            expected={"shelf": stored},
            puts={"shelf": encode_stored(after)},
            appended={"model-history": [encode_stored(event) for event in events]},
        )
        doing = "change where the models stand"
        if now != before or not await self._documents.change(change, doing=doing):
            raise FencedError("another has changed where the models stand meanwhile")

    async def history(self) -> list[ModelEvent]:
        found: list[ModelEvent] = []
        begin = 0
        while True:
            page = await self._documents.entries(
                "model-history", begin, _PAGE_COUNT, doing="read the history of models"
            )
            found += _readable(page)
            if len(page) < _PAGE_COUNT:
                return found
            begin += _PAGE_COUNT

    async def update(self) -> bytes | None:
        [found] = await self._documents.get(["update"], doing="read how the update stands")
        return found

    async def note_update(self, before: bytes | None, after: bytes) -> None:
        change = Change(expected={"update": before}, puts={"update": after})
        if not await self._documents.change(change, doing="note how the update stands"):
            raise FencedError("another has gone on with the update meanwhile")

    async def outlook(self) -> bytes | None:
        [found] = await self._documents.get(
            ["outlook"], doing="read what the next update waits for"
        )
        return found

    async def note_outlook(self, outlook: bytes) -> None:
        await self._documents.change(
            Change(puts={"outlook": outlook}), doing="note what the next update waits for"
        )


def _readable(page: Sequence[bytes]) -> list[ModelEvent]:
    """The events of a page; what somebody else has damaged is as if it were not."""
    events = []
    for data in page:
        try:
            events.append(decode_stored(ModelEvent, data))
        except RecordError as error:
            log.warning("history of models: %s", error.unquoted)
    return events
