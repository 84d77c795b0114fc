"""Model versions in the registry database, and where each of them stands.

{prefix}:artifact:{version}   LightGBM's text; kept, and never changed
{prefix}:manifest:{version}   what it is, how good, and the SHA-256 of its text, JSON; the same
{prefix}:shelf                Shelf, JSON; kept
{prefix}:model-history        list: every ModelEvent, JSON, oldest first; kept, it only grows
{prefix}:update               how the update under way stands, in bytes of the engine's; kept
{prefix}:outlook              what the next one waits for, in bytes of the engine's; kept
"""

import logging
from collections.abc import Awaitable, Sequence
from typing import Any, Self, cast

from redis.asyncio import Redis

from sentinel.adapters.redis.client import RedisParams, connect, translated
from sentinel.codec.artifacts import (
    check_same,
    decode_artifact,
    decode_manifests,
    encode_artifact,
)
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import FencedError, RecordError, TransientError
from sentinel.versions import Artifact, ModelEvent, Shelf

log = logging.getLogger(__name__)

_PAGE_COUNT = 1_000  # events read at once: a few hundred kB

# Replaces a value, by whoever knows which one is there, and appends to a list in the same step.
# KEYS: the value, then the list, if anything is to be appended. ARGV: "1" if there is a value, that
# value, the one to put in its place, what to append. The list comes first: if the user may not
# write it, the script ends there, and nothing is changed.
REPLACE = """
local now = redis.call('GET', KEYS[1])
if now and (ARGV[1] ~= '1' or now ~= ARGV[2]) then return 0 end
if not now and ARGV[1] == '1' then return 0 end
for i = 4, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('SET', KEYS[1], ARGV[3])
return 1
"""


class RedisModelStore:
    """`ports.ModelStore` on Redis or Valkey."""

    def __init__(self, params: RedisParams) -> None:
        self._params = params

    async def __aenter__(self) -> Self:
        self._redis: Redis = connect(self._params, db=self._params.registry_db)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def shelf(self) -> Shelf:
        _, shelf = await self._shelf()
        return shelf

    async def _shelf(self) -> tuple[bytes | None, Shelf]:
        """As it is stored, and what that means."""
        with translated("read where the models stand"):
            found: Any = await self._redis.get(self._key("shelf"))
        if found is None:
            return None, Shelf()
        try:
            return found, decode_stored(Shelf, found)
        except RecordError as error:  # whoever damaged it may put it right
            raise TransientError(f"redis, {self._key('shelf')}: {error}") from error

    async def manifests(self, versions: Sequence[str]) -> dict[str, dict[str, Any]]:
        if not versions:
            return {}
        with translated("read manifests"):
            found: list[Any] = await self._redis.mget([self._key("manifest", v) for v in versions])
        return decode_manifests(dict(zip(versions, found, strict=True)))

    async def load(self, version: str) -> Artifact:
        with translated(f"load model {version}"):
            keys = [self._key("artifact", version), self._key("manifest", version)]
            found: list[Any] = await self._redis.mget(keys)
        return decode_artifact(version, *found)

    async def add(self, artifact: Artifact) -> None:
        text, manifest = encode_artifact(artifact)
        version = artifact.version
        with translated(f"keep model {version}"):
            is_new = await self._redis.msetnx(
                {self._key("artifact", version): text, self._key("manifest", version): manifest}
            )
        if not is_new:
            check_same(version, await self.load(version), text, manifest)

    async def change(self, before: Shelf, after: Shelf, events: Sequence[ModelEvent]) -> None:
        assert after.number > before.number
        stored, now = await self._shelf()
        if now == before:
            replaced = await self._replace(
                "shelf", stored, encode_stored(after), "model-history", events
            )
            if replaced:
                return
        raise FencedError("another has changed where the models stand meanwhile")

    async def history(self) -> list[ModelEvent]:
        found: list[ModelEvent] = []
        begin = 0
        while True:
            with translated("read the history of models"):
                page: list[Any] = await cast(
                    "Awaitable[list[Any]]",
                    self._redis.lrange(self._key("model-history"), begin, begin + _PAGE_COUNT - 1),
                )
            found += _readable(page)
            if len(page) < _PAGE_COUNT:
                return found
            begin += _PAGE_COUNT

    async def update(self) -> bytes | None:
        with translated("read how the update stands"):
            found: Any = await self._redis.get(self._key("update"))
        return cast("bytes | None", found)

    async def note_update(self, before: bytes | None, after: bytes) -> None:
        if not await self._replace("update", before, after):
            raise FencedError("another has gone on with the update meanwhile")

    async def outlook(self) -> bytes | None:
        with translated("read what the next update waits for"):
            found: Any = await self._redis.get(self._key("outlook"))
        return cast("bytes | None", found)

    async def note_outlook(self, outlook: bytes) -> None:
        with translated("note what the next update waits for"):
            await self._redis.set(self._key("outlook"), outlook)

    async def _replace(
        self,
        name: str,
        before: bytes | None,
        after: bytes,
        list_name: str = "",
        events: Sequence[ModelEvent] = (),
    ) -> bool:
        keys = [self._key(name)] + ([self._key(list_name)] if list_name else [])
        arguments = [b"0" if before is None else b"1", before or b"", after]
        arguments += map(encode_stored, events)
        with translated(f"write the {name} of models"):
            redis = cast("Any", self._redis)
            reply = await cast("Awaitable[int]", redis.eval(REPLACE, len(keys), *keys, *arguments))
        return reply == 1

    def _key(self, kind: str, name: str | None = None) -> str:
        tail = "" if name is None else f":{name}"
        return f"{self._params.key_prefix}:{kind}{tail}"


def _readable(page: Sequence[bytes]) -> list[ModelEvent]:
    """The events of a page; what somebody else has damaged is as if it were not."""
    events = []
    for data in page:
        try:
            events.append(decode_stored(ModelEvent, data))
        except RecordError as error:
            log.warning("history of models: %s", error)
    return events
