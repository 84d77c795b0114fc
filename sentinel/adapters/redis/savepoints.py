"""The savepoint of the trainer's memory, in the registry database.

{prefix}:savepoint            Savepoint, JSON: which one is kept, with its head; kept
{prefix}:savepoint:{name}     hash: number of a piece to its bytes; kept as long as the line above
                              names it, else gone a while later
"""

import logging
from collections.abc import Awaitable
from typing import Any, Self, cast

from redis.asyncio import Redis

from sentinel.adapters.redis.client import RedisParams, connect, translated
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import FencedError, RecordError
from sentinel.ports import Savepoint

log = logging.getLogger(__name__)

# Of pieces that nothing names yet: longer than writing the next one may take.
_UNNAMED_MS = 3_600_000
# Of those that nothing names any more: readers have them in hand for some seconds.
_FORMER_MS = 60_000

# KEYS: the savepoint, its pieces, the pieces of the one before it, if there was one. ARGV: "1" if
# there is a savepoint, that one, the one to put in its place, how many pieces it has, how long the
# former ones stay. What the user may not do ends the script before anything is lost.
KEEP = """
local now = redis.call('GET', KEYS[1])
if now and (ARGV[1] ~= '1' or now ~= ARGV[2]) then return 0 end
if not now and ARGV[1] == '1' then return 0 end
if redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[4]) then return 0 end
redis.call('PERSIST', KEYS[2])
redis.call('SET', KEYS[1], ARGV[3])
if KEYS[3] then redis.call('PEXPIRE', KEYS[3], ARGV[5]) end
return 1
"""


class RedisSavepointStore:
    """`ports.SavepointStore` on Redis or Valkey."""

    def __init__(self, params: RedisParams) -> None:
        self._params = params

    async def __aenter__(self) -> Self:
        self._redis: Redis = connect(self._params, db=self._params.registry_db)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def savepoint(self) -> Savepoint | None:
        _, found = await self._savepoint()
        return found

    async def _savepoint(self) -> tuple[bytes | None, Savepoint | None]:
        """As it is stored, and what that means."""
        with translated("read which savepoint there is"):
            found: Any = await self._redis.get(self._key())
        if found is None:
            return None, None
        try:
            return found, decode_stored(Savepoint, found)
        except RecordError as error:
            log.warning("redis, %s: %s", self._key(), error)
            return found, None

    async def piece(self, savepoint: Savepoint, number: int) -> bytes | None:
        with translated("read a piece of a savepoint"):
            found: Any = await cast(
                "Awaitable[Any]", self._redis.hget(self._key(savepoint), str(number))
            )
        return cast("bytes | None", found)

    async def add_piece(self, savepoint: Savepoint, number: int, data: bytes) -> None:
        key = self._key(savepoint)
        with translated("write a piece of a savepoint"):
            await cast("Awaitable[Any]", self._redis.hset(key, str(number), cast("str", data)))
            await self._redis.pexpire(key, _UNNAMED_MS)

    async def keep(self, before: Savepoint | None, after: Savepoint) -> None:
        stored, now = await self._savepoint()
        keys = [self._key(), self._key(after)]
        if now is not None and now.name != after.name:
            keys.append(self._key(now))
        flag = b"0" if stored is None else b"1"
        arguments = [flag, stored or b"", encode_stored(after), after.piece_count, _FORMER_MS]
        with translated("write which savepoint there is"):
            redis = cast("Any", self._redis)
            reply = 0
            if now == before:
                reply = await redis.eval(KEEP, len(keys), *keys, *arguments)
        if reply != 1:
            raise FencedError("another has saved meanwhile, or not all pieces are there")

    def _key(self, savepoint: Savepoint | None = None) -> str:
        tail = "" if savepoint is None else f":{savepoint.name}"
        return f"{self._params.key_prefix}:savepoint{tail}"
