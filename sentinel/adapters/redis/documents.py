"""Documents in one numbered database: strings, sorted sets and lists under {prefix}:{name}."""

import hashlib
from collections.abc import Awaitable, Sequence
from itertools import chain
from typing import Any, Self, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from sentinel.adapters.redis.client import RedisParams, connect, translated, unlink_all
from sentinel.documents import Change

Arguments = list[bytes | int]

# A change, all of it or nothing. What Redis cannot take back it must not begin: first come the
# conditions, then what would end the script in its middle. That is a key of another type, and a
# command that the user may not call; that it may write all of KEYS was checked before the script
# began. A full or a read-only server refuses the first write, and none behind it. A server of
# before 7.0 cannot be asked for rights: there what a narrow user most likely lacks is called first.
#
# KEYS: documents as they must be, documents that must be there, indexes, lists, documents whose
# lifetime changes, that go, that are put. ARGV: how many there are of each; then "1" and the bytes,
# or "0" and nothing, of each document as it must be; for each index how many members leave, how
# many arguments its new ones are, how many are kept (-1 for all), and these; for each list how many
# entries come, and these; a lifetime in ms for each document whose lifetime changes (0 for good);
# and of those that are put for each lifetime how many have it, and their bytes.
CHANGE = """
local key, at = 0, 7
local function take()
  at = at + 1
  return ARGV[at]
end
local function each(count, call)
  local last = key + tonumber(count)
  while key < last do
    key = key + 1
    call(KEYS[key])
  end
end
-- Lua's stack holds some thousands.
local function in_pieces(from, count, call)
  for first = from + 1, from + count, 1000 do
    call(first, math.min(first + 999, from + count))
  end
end

local holds = true
each(ARGV[1], function(name)
  local must_be, wanted, now = take(), take(), redis.call('GET', name)
  if must_be == '1' then holds = holds and now == wanted else holds = holds and not now end
end)
local found, must = 0, tonumber(ARGV[2])
in_pieces(key, must, function(first, last)
  found = found + redis.call('EXISTS', unpack(KEYS, first, last))
end)
if not holds or found ~= must then return 0 end
key = key + must

local function check(count, place, read, ...)
  for i = place + 1, place + count do
    if read then redis.call(read, KEYS[i], '1', '0') end
  end
  for _, call in ipairs({...}) do
    if count > 0 and redis.acl_check_cmd then
      if not redis.acl_check_cmd(call[1], KEYS[place + 1], unpack(call, 2)) then
        return redis.error_reply('NOPERM no permissions to run the ' .. call[1] .. ' command')
      end
    end
  end
end
local place, refused = key, nil
local function plan(number, read, ...)
  local count = tonumber(ARGV[number])
  refused = refused or check(count, place, read, ...)
  place = place + count
end
plan(3, 'ZREVRANGE', {'ZREM', 'm'}, {'ZADD', '0', 'm'}, {'ZREMRANGEBYRANK', '0', '-1'})
plan(4, 'LRANGE', {'RPUSH', 'e'})
plan(5, nil, {'PERSIST'}, {'PEXPIRE', '1'})
plan(6, nil, {'DEL'})
plan(7, nil, {'SET', 'v'})
if refused then return refused end

each(ARGV[3], function(name)
  local gone, new, kept = tonumber(take()), tonumber(take()), take()
  in_pieces(at, gone, function(...) redis.call('ZREM', name, unpack(ARGV, ...)) end)
  in_pieces(at + gone, new, function(...) redis.call('ZADD', name, unpack(ARGV, ...)) end)
  at = at + gone + new
  if kept ~= '-1' then redis.call('ZREMRANGEBYRANK', name, 0, -1 - kept) end
end)
each(ARGV[4], function(name)
  local count = tonumber(take())
  in_pieces(at, count, function(...) redis.call('RPUSH', name, unpack(ARGV, ...)) end)
  at = at + count
end)
each(ARGV[5], function(name)
  local lifetime = take()
  if lifetime == '0' then redis.call('PERSIST', name)
  else redis.call('PEXPIRE', name, lifetime) end
end)
each(ARGV[6], function(name) redis.call('DEL', name) end)
while at < #ARGV do
  local lifetime, count = take(), take()
  each(count, function(name)
    if lifetime == '0' then redis.call('SET', name, take())
    else redis.call('SET', name, take(), 'PX', lifetime) end
  end)
end
return 1
"""

_SHA1 = hashlib.sha1(CHANGE.encode(), usedforsecurity=False).hexdigest()


class RedisDocuments:
    """`documents.Documents` on Redis or Valkey."""

    def __init__(self, params: RedisParams, *, db: int) -> None:
        self._params = params
        self._db = db
        self._prefix = f"{params.key_prefix}:"

    async def __aenter__(self) -> Self:
        self._redis: Redis = connect(self._params, db=self._db)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def get(self, names: Sequence[str], *, doing: str) -> list[bytes | None]:
        keys = self._keys(names)
        if not keys:
            return []
        with translated(doing):
            if len(keys) == 1:  # which does not take a key of another type for none
                return [cast("bytes | None", await self._redis.get(keys[0]))]
            return cast("list[bytes | None]", await self._redis.mget(keys))

    async def newest(self, index: str, begin: int, count: int, *, doing: str) -> list[bytes]:
        if count < 1:
            return []
        with translated(doing):
            [key] = self._keys([index])
            found: Any = await self._redis.zrevrange(key, begin, begin + count - 1)
        return cast("list[bytes]", found)

    async def entries(self, name: str, begin: int, count: int, *, doing: str) -> list[bytes]:
        if count < 1:
            return []
        with translated(doing):
            [key] = self._keys([name])
            asked = self._redis.lrange(cast("str", key), begin, begin + count - 1)
            return await cast("Awaitable[list[bytes]]", asked)

    async def change(self, change: Change, *, doing: str) -> bool:
        names, arguments = _written(change)
        keys = self._keys(names)
        redis = cast("Any", self._redis)
        with translated(doing):
            try:
                reply = await redis.evalsha(_SHA1, len(keys), *keys, *arguments)
            except NoScriptError:  # the first time, and after a restart of the server
                reply = await redis.eval(CHANGE, len(keys), *keys, *arguments)
        return cast("int", reply) == 1

    async def clear(self, *, doing: str) -> int:
        with translated(doing):
            return await unlink_all(self._redis, self._prefix)

    def _keys(self, names: Sequence[str]) -> list[bytes]:
        prefix = self._prefix
        return [(prefix + name).encode() for name in names]


def _written(change: Change) -> tuple[list[str], Arguments]:
    """The names of keys, and the arguments, as the script reads them."""
    expected, present, lists = change.expected, change.present, change.appended
    indexes, kept_otherwise = change.indexes, change.kept_otherwise
    names = [*expected, *present, *indexes, *lists, *kept_otherwise, *change.removed]
    arguments: Arguments = [
        *(len(expected), len(present), len(indexes), len(lists)),
        *(len(kept_otherwise), len(change.removed), len(change.puts)),
    ]
    for wanted in expected.values():
        arguments += (0, b"") if wanted is None else (1, wanted)
    for name in indexes:
        gone, new = change.unindexed.get(name, ()), change.indexed.get(name, {})
        arguments += (len(gone), 2 * len(new), change.newest.get(name, -1), *gone)
        arguments += chain.from_iterable(zip(new.values(), new, strict=True))
    for entries in lists.values():
        arguments += (len(entries), *entries)
    arguments += map(_milliseconds, kept_otherwise.values())
    for lifetime_s, group in _by_lifetime(change).items():
        names += group
        arguments += (_milliseconds(lifetime_s), len(group), *map(change.puts.__getitem__, group))
    return names, arguments


def _by_lifetime(change: Change) -> dict[float | None, list[str]]:
    """The names of what is put."""
    found: dict[float | None, list[str]] = {}
    for name in change.puts:
        found.setdefault(change.lifetimes.get(name), []).append(name)
    return found


def _milliseconds(lifetime_s: float | None) -> int:
    """As the script reads a lifetime."""
    return 0 if lifetime_s is None else round(lifetime_s * 1000)
