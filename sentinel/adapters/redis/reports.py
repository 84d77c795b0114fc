"""What instances say that they serve, in the registry database.

{prefix}:serves:{instance}   ServingReport, JSON; expires when it is not said again
{prefix}:instances           sorted set: names of instances by their last word; the newest 1,000
{prefix}:served              sorted set: reports that hold no more, JSON, by their end; the same
"""

import logging
from typing import Any, Self

from redis.asyncio import Redis

from sentinel.adapters.redis.client import RedisParams, connect, translated
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import RecordError
from sentinel.versions import REPORT_COUNT_MAX, ServingReport

log = logging.getLogger(__name__)


class RedisReportStore:
    """`ports.ReportStore` on Redis or Valkey."""

    def __init__(self, params: RedisParams) -> None:
        self._params = params

    async def __aenter__(self) -> Self:
        self._redis: Redis = connect(self._params, db=self._params.registry_db)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def report(self, report: ServingReport, *, ttl_s: float) -> None:
        name = report.instance
        with translated("tell what serves"):
            # The report itself first: a name without one is skipped, a report without one is not
            # found.
            async with self._redis.pipeline(transaction=False) as calls:
                calls.set(self._key("serves", name), encode_stored(report), px=round(ttl_s * 1000))
                self._add(calls, "instances", name, report.until_ms)
                await calls.execute()

    async def end(self, report: ServingReport) -> None:
        with translated("tell what served"):
            async with self._redis.pipeline(transaction=False) as calls:
                self._add(calls, "served", encode_stored(report), report.until_ms)
                calls.zrem(self._key("instances"), report.instance)
                await calls.execute()

    def _add(self, calls: Any, index: str, member: bytes | str, at_ms: int) -> None:
        """Into a sorted set that keeps the newest."""
        key = self._key(index)
        calls.zadd(key, {member: at_ms})
        calls.zremrangebyrank(key, 0, -1 - REPORT_COUNT_MAX)

    async def reports(self) -> list[ServingReport]:
        with translated("read what serves"):
            names: list[Any] = await self._redis.zrevrange(
                self._key("instances"), 0, REPORT_COUNT_MAX - 1
            )
            keys = [self._key("serves", name.decode()) for name in names]
            found: list[Any] = await self._redis.mget(keys) if keys else []
        return sorted(_readable(found), key=lambda report: report.instance)

    async def ended(self) -> list[ServingReport]:
        with translated("read what served"):
            found: list[Any] = await self._redis.zrevrange(
                self._key("served"), 0, REPORT_COUNT_MAX - 1
            )
        return _readable(found)

    def _key(self, kind: str, name: str | None = None) -> str:
        tail = "" if name is None else f":{name}"
        return f"{self._params.key_prefix}:{kind}{tail}"


def _readable(found: list[bytes | None]) -> list[ServingReport]:
    """What has not expired; what somebody else has damaged is as if it were not."""
    readable = []
    for data in found:
        if data is None:
            continue
        try:
            readable.append(decode_stored(ServingReport, data))
        except RecordError as error:
            log.warning("what an instance serves: %s", error.detail)
    return readable
