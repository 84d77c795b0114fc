"""Cases and annotators in the feedback database, with how far feedback has been counted.

{prefix}:case:{transaction}       a case, JSON; expires
{prefix}:annotator:{source/who}   what is known of one who votes, JSON; expires
{prefix}:annotators               sorted set: their names by the time of their last vote
{prefix}:recent                   sorted set: the newest cases by their newest vote
{prefix}:unsettled                the same of those that are open or contested
{prefix}:feedback                 FeedbackProgress, JSON; kept
"""

import logging
from collections.abc import Awaitable, Sequence
from typing import Any, Self, TypeVar, cast

from redis.asyncio import Redis

from sentinel.adapters.redis.client import DAY_S, RedisParams, connect, translated
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import FencedError, RecordError
from sentinel.votes import (
    RECENT_COUNT_MAX,
    UNSETTLED_COUNT_MAX,
    Annotator,
    Case,
    Casework,
    FeedbackProgress,
)

log = logging.getLogger(__name__)

Stored = TypeVar("Stored", Case, Annotator)

# The longest a chargeback takes, with a margin: after it a label can no longer change.
CASE_TTL_S = 180 * DAY_S
ANNOTATOR_TTL_S = 730 * DAY_S
LISTED_COUNT_MAX = 10_000
_PAGE_COUNT = 1_000  # cases read at once: a few hundred kB

# All or nothing, and only by whoever knows what was saved last: two instances that believe that
# feedback is theirs cannot both count a vote.
# KEYS: progress, the indexes of annotators, of unsettled and of recent cases, then cases and
# annotators. ARGV: progress as it must be, and as it will be, how many cases, their lifetime in ms,
# that of annotators, how many unsettled and recent ones are kept, the values, then (time of the
# newest vote, whether it is unsettled, name) of each case, and (time, name) of each annotator.
# Indexes come first: if the user may not write them, the script ends there, and no vote is half
# counted.
SAVE = """
local now = redis.call('GET', KEYS[1])
if (now or '') ~= ARGV[1] then return 0 end
local count, case_count = #KEYS - 4, tonumber(ARGV[3])
local people = 8 + count + 3 * case_count
for i = 8 + count, people - 1, 3 do
  if ARGV[i + 1] == '1' then redis.call('ZADD', KEYS[3], ARGV[i], ARGV[i + 2])
  else redis.call('ZREM', KEYS[3], ARGV[i + 2]) end
  redis.call('ZADD', KEYS[4], ARGV[i], ARGV[i + 2])
end
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - ARGV[6])
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - ARGV[7])
for i = people, #ARGV, 2 do redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1]) end
for i = 1, count do
  local lifetime = i <= case_count and ARGV[4] or ARGV[5]
  redis.call('SET', KEYS[i + 4], ARGV[7 + i], 'PX', lifetime)
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class RedisCaseStore:
    """`ports.CaseStore` on Redis or Valkey."""

    def __init__(self, params: RedisParams) -> None:
        self._params = params
        # What was read last, and its bytes: another version of Sentinel may have written others.
        self._read: tuple[FeedbackProgress | None, bytes] = None, b""

    async def __aenter__(self) -> Self:
        self._redis: Redis = connect(self._params, db=self._params.feedback_db)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def progress(self) -> FeedbackProgress | None:
        with translated("read how far feedback was counted"):
            found: Any = await self._redis.get(self._key("feedback"))
        if found is None:
            return None
        progress = decode_stored(FeedbackProgress, found)
        self._read = progress, found
        return progress

    async def cases(self, transaction_ids: Sequence[str]) -> dict[str, Case]:
        if not transaction_ids:
            return {}
        with translated("read cases"):
            keys = [self._key("case", name) for name in transaction_ids]
            found: list[Any] = await self._redis.mget(keys)
        return _readable(Case, transaction_ids, found)

    async def annotators(self, names: Sequence[str]) -> dict[str, Annotator]:
        if not names:
            return {}
        with translated("read annotators"):
            found: list[Any] = await self._redis.mget([self._key("annotator", n) for n in names])
        return _readable(Annotator, names, found)

    async def latest_annotators(self) -> list[Annotator]:
        with translated("list annotators"):
            key = self._key("annotators")
            names: list[Any] = await self._redis.zrevrange(key, 0, LISTED_COUNT_MAX - 1)
        return list((await self.annotators([name.decode() for name in names])).values())

    async def unsettled(self, count: int) -> list[Case]:
        return await self._newest("unsettled", count)

    async def recent(self, count: int) -> list[Case]:
        return await self._newest("recent", count)

    async def _newest(self, index: str, count: int) -> list[Case]:
        found: list[Case] = []
        begin = 0
        while len(found) < count:
            with translated(f"list {index} cases"):
                key, end = self._key(index), begin + _PAGE_COUNT - 1
                names: list[Any] = await self._redis.zrevrange(key, begin, end)
            cases = await self.cases([name.decode() for name in names])  # less what has expired
            found += cases.values()
            if len(names) < _PAGE_COUNT:
                break
            begin += _PAGE_COUNT
        return found[:count]

    async def save(self, before: FeedbackProgress | None, work: Casework) -> None:
        cases, annotators = work.cases, work.annotators
        keys = [self._key(name) for name in ("feedback", "annotators", "unsettled", "recent")]
        keys += [self._key("case", name) for name in cases]
        keys += [self._key("annotator", name) for name in annotators]
        arguments: list[bytes | str | int] = [
            self._read[1] if before == self._read[0] else encode_stored(before),
            encode_stored(work.progress),
            len(cases),
            round(CASE_TTL_S * 1000),
            round(ANNOTATOR_TTL_S * 1000),
            UNSETTLED_COUNT_MAX,
            RECENT_COUNT_MAX,
            *map(encode_stored, cases.values()),
            *map(encode_stored, annotators.values()),
        ]
        for name, case in cases.items():
            arguments += [case.newest_ms, int(case.is_unsettled), name]
        for name, annotator in annotators.items():
            arguments += [annotator.last_ms, name]
        with translated("save cases"):
            redis = cast("Any", self._redis)
            reply = await cast("Awaitable[int]", redis.eval(SAVE, len(keys), *keys, *arguments))
        if reply != 1:
            raise FencedError("another instance has counted feedback meanwhile")

    def _key(self, kind: str, name: str | None = None) -> str:
        tail = "" if name is None else f":{name}"
        return f"{self._params.key_prefix}:{kind}{tail}"


def _readable(
    kind: type[Stored], names: Sequence[str], found: Sequence[bytes | None]
) -> dict[str, Stored]:
    """What is there; what somebody else has damaged is as if it were not."""
    readable = {}
    for name, data in zip(names, found, strict=True):
        if data is None:
            continue
        try:
            readable[name] = decode_stored(kind, data)
        except RecordError as error:
            log.warning("%s: %s", name, error.args[-1])
    return readable
