"""Entity state in Redis: packed blobs, and of each input partition its owner and its progress.

{prefix}:s:{layout}:{entity}:{key}         an owned entity: its blob, a string; expires
                                           a shared one: a hash from input partition to blob
{prefix}:p:{layout}:{topic}:{partition}    PartitionState, JSON; expires
{prefix}:l:{layout}:{log}:{entity}:{n}     bitmap: which of the labels n * 2**17 and following are
                                           in the blobs of that kind; expires
{prefix}:e:{topic}:{partition}             fencing epoch, and how many saves there were; kept
{prefix}:owner                             whose the prefix is, in bytes of the engine's; kept
{prefix}:history                           what the state began with, in the same way
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import groupby
from typing import Any, Self, cast

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, NoScriptError

from sentinel.adapters.redis.client import RedisParams, connect, translated, unlink_all
from sentinel.adapters.redis.documents import RedisDocuments
from sentinel.adapters.redis.facts import facts_of
from sentinel.adapters.redis.resp import RespCommand, arguments, bulk
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.documents import Change
from sentinel.errors import FencedError, RecordError, StateLostError, TransientError
from sentinel.ports import Blob, Fence, Fences, PartitionState, StoreFacts
from sentinel.records import TopicPartition
from sentinel.stored.blobs import BlobBlock
from sentinel.texts import Texts, packed

# Of one script call and one round trip. While it writes, the server answers nobody: at 10,000
# transactions a second a call of 400 blobs took 7 ms, one of 100 takes 3.
SAVE_COUNT_MAX = 100
LOAD_COUNT_MAX = 400

# Labels in one bitmap: 16 kB, so that the bitmaps of old ones can expire.
LABEL_BITS = 17
_OWNER, _HISTORY = "owner", "history"  # documents
_LABEL_MASK = (1 << LABEL_BITS) - 1

# The clock keeps epochs growing even if the server lost its memory, where a mere counter would
# begin again and give the same number to two owners.
CLAIM = """
local now = redis.call('TIME')
local epoch = now[1] * 1000 + math.floor(now[2] / 1000)
local before = redis.call('GET', KEYS[1]) or '0:0'
local newest, saved = string.match(before, '^(%d+):(%d+)$')
if newest and epoch <= tonumber(newest) then epoch = newest + 1 end
redis.call('SET', KEYS[1], string.format('%.0f:%s', epoch, saved or '0'))
return {epoch, tonumber(saved or '0')}
"""

# KEYS: epoch, partition state, one for each blob, one for each bitmap. ARGV: epoch, how many saves
# must be known, how many there are then, lifetime in ms, the state (empty: do not write it), how
# many blobs, then for each blob its part and its bytes, for each bitmap how many bits, and which.
# The state goes last: it may only speak of blobs that were written. A save that the owner does not
# know to have succeeded is known here: more saves than must be are no loss.
SAVE = """
local now = redis.call('GET', KEYS[1])
if not now then return -1 end
local epoch, saved = string.match(now, '^(%d+):(%d+)$')
if epoch ~= ARGV[1] then return 0 end
if tonumber(saved) < tonumber(ARGV[2]) then return -1 end
local count = tonumber(ARGV[6])
for i = 1, count do
  local key, part, data = KEYS[2 + i], ARGV[5 + 2 * i], ARGV[6 + 2 * i]
  if part == '-1' then
    redis.call('SET', key, data, 'PX', ARGV[4])
  else
    redis.call('HSET', key, part, data)
    redis.call('PEXPIRE', key, ARGV[4])
  end
end
local at = 7 + 2 * count
for i = 3 + count, #KEYS do
  local last = at + tonumber(ARGV[at])
  for j = at + 1, last do redis.call('SETBIT', KEYS[i], ARGV[j], 1) end
  redis.call('PEXPIRE', KEYS[i], ARGV[4])
  at = last + 1
end
if ARGV[5] ~= '' then
  redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[4])
  redis.call('SET', KEYS[1], epoch .. ':' .. ARGV[3])
end
return 1
"""
# KEYS: epochs, then hashes. ARGV: how many are epochs.
# One call for many hashes: as many HGETALL in a pipeline took the client ten times as long.
LOAD = """
local found = {}
local epochs = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  found[i] = redis.call(i <= epochs and 'GET' or 'HGETALL', key)
end
return found
"""


class RedisStateStore:
    """`ports.StateStore` on Redis or Valkey.

    `layout` is a fingerprint of what the blobs hold: after a change of the features, the state of
    before is not read, and expires.
    """

    def __init__(self, params: RedisParams, *, layout: str) -> None:
        assert layout
        assert ":" not in layout
        self._params = params
        self._layout = layout
        self._lifetime_ms = str(round(params.state_ttl_s * 1000))
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._redis: Redis = connect(self._params, db=self._params.state_db)
            stack.push_async_callback(self._redis.aclose)
            documents = RedisDocuments(self._params, db=self._params.state_db)
            self._documents = await stack.enter_async_context(documents)
            with translated("connect"):
                await _answer(self._redis.ping())
                self._save_sha = await self._redis.script_load(SAVE)
            await asyncio.to_thread(arguments, Texts.of(["compiles or loads the kernels"]))
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def facts(self) -> StoreFacts | None:
        with translated("ask the server about itself"):
            try:
                return facts_of(await self._redis.info())
            except NoPermissionError:
                return None

    async def owner(self) -> bytes | None:
        (found,) = await self._documents.get([_OWNER], doing="read whose the store is")
        return found

    async def note_owner(self, before: bytes | None, after: bytes) -> None:
        change = Change(expected={_OWNER: before}, puts={_OWNER: after})
        if not await self._documents.change(change, doing="note whose the store is"):
            raise FencedError("another instance has noted meanwhile whose the store is")

    async def history(self) -> bytes | None:
        (found,) = await self._documents.get([_HISTORY], doing="read what the state began with")
        return found

    async def note_history(self, before: bytes | None, after: bytes) -> None:
        change = Change(expected={_HISTORY: before}, puts={_HISTORY: after})
        if not await self._documents.change(change, doing="note what the state began with"):
            raise FencedError("somebody has noted another history meanwhile")

    async def clear(self) -> int:
        """As the port says, of every layout.

        Partitions' states go first: without them the whole log is read, whatever else is left. The
        note of a history goes last: what it says holds of whatever else is left.
        """
        prefix = self._params.key_prefix
        with translated("forget entity state"):
            count = 0
            for kind in ("p", "s", "l"):
                count += await unlink_all(self._redis, f"{prefix}:{kind}:")
            count += int(await self._redis.unlink(f"{prefix}:{_HISTORY}"))
        return count

    async def is_of_format_1(self, topic: str, partition_count: int) -> bool:
        keys = [self._epoch_key(TopicPartition(topic, n)) for n in range(partition_count)]
        with translated("look for state of an older version"):
            return any(found and found.isdigit() for found in await self._redis.mget(keys))

    async def claim(self, partition: TopicPartition) -> Fence:
        with translated(f"claim {partition}"):
            found = await _answer(self._redis.eval(CLAIM, 1, self._epoch_key(partition)))
        return Fence(*map(int, found))

    async def load_owned(
        self, entity: str, keys: Sequence[str | None], fences: Fences
    ) -> list[bytes | None]:
        """As the port says; one command, so that the epochs are of the same instant."""
        if not keys:
            return []
        asked = self._blob_keys(entity, keys) + [self._epoch_key(at) for at in fences]
        with translated("load owned entities"):
            found: list[bytes | None] = await _answer(self._redis.mget(asked))
        _check(fences, found[len(keys) :])
        return found[: len(keys)]

    async def load_shared(
        self, entity: str, keys: Sequence[str | None], fences: Fences
    ) -> list[dict[int, bytes]]:
        found: list[list[bytes]] = []
        names = self._blob_keys(entity, keys)
        owned = [self._epoch_key(at) for at in fences]
        with translated("load shared entities"):
            for begin in range(0, len(names), LOAD_COUNT_MAX):
                asked = owned + names[begin : begin + LOAD_COUNT_MAX]
                answer = await _answer(self._redis.eval(LOAD, len(asked), *asked, len(owned)))
                _check(fences, answer[: len(owned)])
                found += answer[len(owned) :]
        return [dict(zip(map(int, flat[::2]), flat[1::2], strict=True)) for flat in found]

    async def save(
        self, partition: TopicPartition, fence: Fence, blobs: Sequence[Blob], state: PartitionState
    ) -> Fence:
        """As the port says; the state goes with the last call."""
        assert state.log
        block = blobs if isinstance(blobs, BlobBlock) else BlobBlock.of(blobs)
        for command in self._save_commands(partition, fence, block, state):
            await self._run(partition, fence, command)
        return fence._replace(saved=fence.saved + 1)

    def _save_commands(
        self, partition: TopicPartition, fence: Fence, blobs: BlobBlock, state: PartitionState
    ) -> Iterator[RespCommand]:
        """Each is made when the one before is answered: all at once would hold the loop."""
        fixed_keys = bulk(self._epoch_key(partition)) + bulk(self._state_key(partition).encode())
        rest = len(blobs)
        for piece in blobs.pieces(SAVE_COUNT_MAX):
            count, rest = len(piece), rest - len(piece)
            counts = (b"%d" % x for x in (fence.epoch, fence.saved, fence.saved + 1))
            bitmaps = self._bitmaps(piece, state.labels_log)
            bits = [b"%d" % x for places in bitmaps.values() for x in (len(places), *places)]
            keys = (arguments(c.keys, prefix=self._blob_prefix(c.entity)) for c in piece.columns)
            data = (arguments(c.data, head=bulk(b"%d" % c.part)) for c in piece.columns)
            last = encode_stored(state) if rest == 0 else b""
            fixed = (*counts, self._lifetime_ms.encode(), last, b"%d" % count)
            head = b"*%d\r\n%s" % (
                3 + 2 + len(fixed) + 3 * count + len(bitmaps) + len(bits),
                bulk(b"EVALSHA"),
            )
            head += bulk(self._save_sha.encode()) + bulk(b"%d" % (2 + count + len(bitmaps)))
            parts = (head, fixed_keys, *keys, *map(bulk, bitmaps))
            parts = (*parts, *map(bulk, fixed), *data, *map(bulk, bits))
            yield RespCommand(b"".join(parts))

    def _bitmaps(self, piece: BlobBlock, log: str) -> dict[bytes, list[int]]:
        """The bits to set, by the key of their bitmap."""
        found: dict[bytes, list[int]] = defaultdict(list)
        for column in piece.columns:
            for offset in {offset for labels in column.labels for offset in labels}:
                key = self._bitmap_key(column.entity, log, offset >> LABEL_BITS)
                found[key].append(offset & _LABEL_MASK)
        return found

    async def _run(self, partition: TopicPartition, fence: Fence, command: RespCommand) -> None:
        redis: Any = self._redis  # its most general method is the one without types
        with translated(f"save {partition}"):
            try:
                reply = await redis.execute_command("EVALSHA", command)
            except NoScriptError:
                # The server was restarted. To write a blob twice is harmless.
                await self._redis.script_load(SAVE)
                reply = await redis.execute_command("EVALSHA", command)
        if reply == 0:
            raise _fenced(partition, fence)
        if reply != 1:
            raise _lost(partition)

    async def partition_state(self, partition: TopicPartition) -> PartitionState | None:
        with translated(f"load the state of {partition}"):
            found: Any = await self._redis.get(self._state_key(partition))
        if found is None:
            return None
        try:
            return decode_stored(PartitionState, found)
        except RecordError as error:
            raise TransientError(f"redis, {self._state_key(partition)}: {error.detail}") from error

    async def applied_labels(self, entity: str, log: str, offsets: Sequence[int]) -> Sequence[bool]:
        found: list[bool] = []
        for chunk, group in groupby(offsets, key=lambda offset: offset >> LABEL_BITS):
            with translated("read which labels were applied"):
                bitmap: Any = await self._redis.get(self._bitmap_key(entity, log, chunk))
            bitmap = bitmap or b""
            for offset in group:
                byte, bit = divmod(offset & _LABEL_MASK, 8)
                found.append(byte < len(bitmap) and bool(bitmap[byte] >> (7 - bit) & 1))
        return found

    def _blob_prefix(self, entity: str) -> bytes:
        return f"{self._params.key_prefix}:s:{self._layout}:{entity}:".encode()

    def _blob_keys(self, entity: str, keys: Sequence[str | None]) -> list[bytes]:
        prefix = self._blob_prefix(entity)
        return [prefix + (key or b"") for key in packed(keys).values()]

    def _state_key(self, partition: TopicPartition) -> str:
        name = f"{partition.topic}:{partition.partition}"
        return f"{self._params.key_prefix}:p:{self._layout}:{name}"

    def _bitmap_key(self, entity: str, log: str, chunk: int) -> bytes:
        return bitmap_key(self._params.key_prefix, self._layout, entity, log, chunk)

    def _epoch_key(self, partition: TopicPartition) -> bytes:
        return f"{self._params.key_prefix}:e:{partition.topic}:{partition.partition}".encode()


def bitmap_key(prefix: str, layout: str, entity: str, log: str, chunk: int) -> bytes:
    """Of the labels `chunk` * 2**LABEL_BITS and following."""
    name = hashlib.sha256(log.encode()).hexdigest()[:12]
    return f"{prefix}:l:{layout}:{name}:{entity}:{chunk}".encode()


def _check(fences: Fences, newest: Sequence[bytes | None]) -> None:
    """Raises FencedError if another owner has come, StateLostError if saves are forgotten."""
    for (partition, fence), found in zip(fences.items(), newest, strict=True):
        epoch, _, saved = (found or b"").partition(b":")
        if found is not None and epoch != b"%d" % fence.epoch:
            raise _fenced(partition, fence)
        if not saved.isdigit() or int(saved) < fence.saved:
            raise _lost(partition)


def _fenced(partition: TopicPartition, fence: Fence) -> FencedError:
    return FencedError(f"{partition}: epoch {fence.epoch} is not the newest any more")


def _lost(partition: TopicPartition) -> StateLostError:
    name = f"{partition.topic}-{partition.partition}"
    return StateLostError(
        f"redis, {name}: the server does not know any more what it has acknowledged: it was "
        "flushed, drops keys, or came back from an older copy; what it lacks is read from the log "
        "again"
    )


async def _answer(answer: Any) -> Any:
    """redis-py types its commands for the blocking client and this one at once."""
    return await cast("Awaitable[Any]", answer)
