"""Entity state in Redis: packed blobs, and of each input partition its owner and its progress.

{prefix}:s:{layout}:{entity}:{key}         an owned entity: its blob, a string; expires
                                           a shared one: a hash from input partition to blob
{prefix}:p:{layout}:{topic}:{partition}    hash of a PartitionState; expires
{prefix}:e:{topic}:{partition}             fencing epoch, a number; kept, one a partition
"""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from sentinel.adapters.redis.client import RedisParams, connect, translated
from sentinel.adapters.redis.resp import Command, arguments, bulk
from sentinel.blobs import BlobBlock
from sentinel.errors import FencedError
from sentinel.ports import Blob, Epochs, PartitionState
from sentinel.records import TopicPartition
from sentinel.texts import Texts, packed

# Of one script call and one round trip. While it writes, the server answers nobody: at 10,000
# transactions a second a call of 400 blobs took 7 ms, one of 100 takes 3.
SAVE_COUNT_MAX = 100
LOAD_COUNT_MAX = 400

# The clock keeps epochs growing even if the server lost its memory, where a mere counter would
# begin again and give the same number to two owners.
CLAIM = """
local now = redis.call('TIME')
local epoch = now[1] * 1000 + math.floor(now[2] / 1000)
local newest = tonumber(redis.call('GET', KEYS[1]) or '0')
if epoch <= newest then epoch = newest + 1 end
redis.call('SET', KEYS[1], string.format('%.0f', epoch))
return epoch
"""

# KEYS: epoch, partition state, one for each blob. ARGV: epoch, lifetime in ms, the three fields of
# the state (all empty: do not write it), then for each blob its part and its bytes.
# The state goes last: it may only speak of blobs that were written.
SAVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 3, #KEYS do
  local part, data = ARGV[2 * i], ARGV[2 * i + 1]
  if part == '-1' then
    redis.call('SET', KEYS[i], data, 'PX', ARGV[2])
  else
    redis.call('HSET', KEYS[i], part, data)
    redis.call('PEXPIRE', KEYS[i], ARGV[2])
  end
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], 'cluster_id', ARGV[3], 'replay_from', ARGV[4], 'labels_from', ARGV[5])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
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
NO_STATE = ("", "", "")


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
            with translated("connect"):
                await _answer(self._redis.ping())
                self._save_sha = await self._redis.script_load(SAVE)
            await asyncio.to_thread(arguments, Texts.of(["compiles or loads the kernels"]))
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def claim(self, partition: TopicPartition) -> int:
        with translated(f"claim {partition}"):
            epoch = await _answer(self._redis.eval(CLAIM, 1, self._epoch_key(partition)))
        return int(epoch)

    async def load_owned(
        self, entity: str, keys: Sequence[str | None], epochs: Epochs
    ) -> list[bytes | None]:
        """As the port says; one command, so that the epochs are of the same instant."""
        if not keys:
            return []
        asked = self._blob_keys(entity, keys) + [self._epoch_key(at) for at in epochs]
        with translated("load owned entities"):
            found: list[bytes | None] = await _answer(self._redis.mget(asked))
        _check(epochs, found[len(keys) :])
        return found[: len(keys)]

    async def load_shared(
        self, entity: str, keys: Sequence[str | None], epochs: Epochs
    ) -> list[dict[int, bytes]]:
        found: list[list[bytes]] = []
        names = self._blob_keys(entity, keys)
        owned = [self._epoch_key(at) for at in epochs]
        with translated("load shared entities"):
            for begin in range(0, len(names), LOAD_COUNT_MAX):
                asked = owned + names[begin : begin + LOAD_COUNT_MAX]
                answer = await _answer(self._redis.eval(LOAD, len(asked), *asked, len(owned)))
                _check(epochs, answer[: len(owned)])
                found += answer[len(owned) :]
        return [dict(zip(map(int, flat[::2]), flat[1::2], strict=True)) for flat in found]

    async def save(
        self, partition: TopicPartition, epoch: int, blobs: Sequence[Blob], state: PartitionState
    ) -> None:
        """As the port says; the state goes with the last call."""
        assert state.cluster_id
        block = blobs if isinstance(blobs, BlobBlock) else BlobBlock.of(blobs)
        for command in self._save_commands(partition, epoch, block, state):
            await self._run(partition, epoch, command)

    def _save_commands(
        self, partition: TopicPartition, epoch: int, blobs: BlobBlock, state: PartitionState
    ) -> Iterator[Command]:
        """Each is made when the one before is answered: all at once would hold the loop."""
        fixed_keys = bulk(self._epoch_key(partition)) + bulk(self._state_key(partition).encode())
        rest = len(blobs)
        for piece in blobs.pieces(SAVE_COUNT_MAX):
            count, rest = len(piece), rest - len(piece)
            fields = NO_STATE
            if rest == 0:
                fields = (state.cluster_id, str(state.replay_from), str(state.labels_from))
            keys = (arguments(c.keys, prefix=self._blob_prefix(c.entity)) for c in piece.columns)
            data = (arguments(c.data, head=bulk(b"%d" % c.part)) for c in piece.columns)
            fixed = (bulk(x.encode()) for x in (str(epoch), self._lifetime_ms, *fields))
            head = b"*%d\r\n%s" % (3 + 2 + 5 + 3 * count, bulk(b"EVALSHA"))
            head += bulk(self._save_sha.encode()) + bulk(b"%d" % (2 + count)) + fixed_keys
            yield Command(b"".join((head, *keys, *fixed, *data)))

    async def _run(self, partition: TopicPartition, epoch: int, command: Command) -> None:
        redis: Any = self._redis  # its most general method is the one without types
        with translated(f"save {partition}"):
            try:
                reply = await redis.execute_command("EVALSHA", command)
            except NoScriptError:
                # The server was restarted. To write a blob twice is harmless.
                await self._redis.script_load(SAVE)
                reply = await redis.execute_command("EVALSHA", command)
        if reply != 1:
            raise _fenced(partition, epoch)

    async def partition_state(self, partition: TopicPartition) -> PartitionState | None:
        with translated(f"load the state of {partition}"):
            fields = await _answer(self._redis.hgetall(self._state_key(partition)))
        if not fields:
            return None
        return PartitionState(
            cluster_id=fields[b"cluster_id"].decode(),
            replay_from=int(fields[b"replay_from"]),
            labels_from=int(fields[b"labels_from"]),
        )

    def _blob_prefix(self, entity: str) -> bytes:
        return f"{self._params.key_prefix}:s:{self._layout}:{entity}:".encode()

    def _blob_keys(self, entity: str, keys: Sequence[str | None]) -> list[bytes]:
        prefix = self._blob_prefix(entity)
        return [prefix + (key or b"") for key in packed(keys).values()]

    def _state_key(self, partition: TopicPartition) -> str:
        name = f"{partition.topic}:{partition.partition}"
        return f"{self._params.key_prefix}:p:{self._layout}:{name}"

    def _epoch_key(self, partition: TopicPartition) -> bytes:
        return f"{self._params.key_prefix}:e:{partition.topic}:{partition.partition}".encode()


def _check(epochs: Epochs, newest: Sequence[bytes | None]) -> None:
    """Raises FencedError if another owner has come."""
    for (partition, epoch), found in zip(epochs.items(), newest, strict=True):
        if found is None or int(found) != epoch:
            raise _fenced(partition, epoch)


def _fenced(partition: TopicPartition, epoch: int) -> FencedError:
    return FencedError(f"{partition}: epoch {epoch} is not the newest any more")


async def _answer(answer: Any) -> Any:
    """redis-py types its commands for the blocking client and this one at once."""
    return await cast("Awaitable[Any]", answer)
