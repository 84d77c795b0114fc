"""State that an older version has written, in the form in which it did.

{prefix}:s:{layout}:{entity}:{key}         blobs of version 1
{prefix}:p:{layout}:{topic}:{partition}    hash: cluster_id, replay_from, labels_from
{prefix}:e:{topic}:{partition}             fencing epoch, a number

What is found in the present form already is left as it is, so that a migration that was broken off
can be done again.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from redis.asyncio import Redis

from sentinel.adapters.redis.client import RedisParams, connect, keys_of, translated
from sentinel.adapters.redis.state import LABEL_BITS, bitmap_key
from sentinel.codec.stored import encode_stored
from sentinel.ports import PartitionState
from sentinel.records import TopicPartition

# A blob, of which entity kind and key, and by which partition: None of one that is owned.
Convert = Callable[[str, str, int | None, bytes], bytes | None]


class OldState(NamedTuple):
    """What format 1 knew of an input partition."""

    cluster_id: str
    replay_from: int
    labels_from: int


class Format1:
    """The keys of format 1 under a prefix, for the layout of today's features."""

    def __init__(self, params: RedisParams, *, layout: str) -> None:
        self._params = params
        self._prefix = params.key_prefix
        self._layout = layout

    async def __aenter__(self) -> Self:
        self._redis: Redis = connect(self._params, db=self._params.state_db)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def state(self, at: TopicPartition) -> OldState | None:
        """What was last saved for a partition; None of one that is not of format 1."""
        redis: Any = self._redis
        with translated(f"read the state of {at}"):
            key = self._state_key(at)
            if await redis.type(key) != b"hash":
                return None
            found = await redis.hgetall(key)
        numbers = int(found[b"replay_from"]), int(found[b"labels_from"])
        return OldState(found[b"cluster_id"].decode(), *numbers)

    async def convert_blobs(self, convert: Convert) -> int:
        """Write each blob anew as `convert` gives it; returns how many.

        What it gives None for is left: it is of the present form, or damaged.
        """
        count = 0
        async for keys in keys_of(self._redis, f"{self._prefix}:s:{self._layout}:"):
            for key in keys:
                count += await self._convert(key, convert)
        return count

    async def _convert(self, key: bytes, convert: Convert) -> int:
        redis: Any = self._redis
        head = f"{self._prefix}:s:{self._layout}:".encode()
        entity, name = key[len(head) :].decode(errors="surrogateescape").split(":", 1)
        with translated("convert state"):
            if await redis.type(key) == b"hash":
                parts = await redis.hgetall(key)
                found = {p: convert(entity, name, int(p), data) for p, data in parts.items()}
                after = {part: data for part, data in found.items() if data is not None}
                if after:
                    await redis.hset(key, mapping=after)
                return len(after)
            data = await redis.get(key)
            blob = None if data is None else convert(entity, name, None, data)
            if blob is None:
                return 0
            await redis.set(key, blob, keepttl=True)
        return 1

    async def write_state(self, at: TopicPartition, state: PartitionState) -> None:
        """Put a state in its present form in the place of the old one."""
        redis: Any = self._redis
        lifetime_ms = round(self._params.state_ttl_s * 1000)
        with translated(f"write the state of {at}"):
            await redis.set(self._state_key(at), encode_stored(state), px=lifetime_ms)

    async def note_applied(self, entity: str, log: str, offsets: Sequence[int]) -> None:
        """Note that the state of a kind of entity includes these labels."""
        redis: Any = self._redis
        bitmaps: dict[int, bytearray] = {}
        for offset in offsets:
            bitmap = bitmaps.setdefault(offset >> LABEL_BITS, bytearray(1 << LABEL_BITS - 3))
            byte, bit = divmod(offset & ((1 << LABEL_BITS) - 1), 8)
            bitmap[byte] |= 1 << (7 - bit)
        lifetime_ms = round(self._params.state_ttl_s * 1000)
        for chunk, bitmap in bitmaps.items():
            key = bitmap_key(self._prefix, self._layout, entity, log, chunk)
            with translated("write which labels were applied"):
                await redis.set(key, bytes(bitmap), px=lifetime_ms)

    async def count_saves(self, at: TopicPartition) -> None:
        """Give the epoch of a partition its present form."""
        redis: Any = self._redis
        key = f"{self._prefix}:e:{at.topic}:{at.partition}"
        with translated(f"write the epoch of {at}"):
            epoch = await redis.get(key)
            if epoch is not None and epoch.isdigit():
                await redis.set(key, epoch + b":1")

    def _state_key(self, at: TopicPartition) -> str:
        return f"{self._prefix}:p:{self._layout}:{at.topic}:{at.partition}"
