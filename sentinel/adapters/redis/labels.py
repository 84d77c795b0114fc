"""The label that each transaction has now, in the feedback database.

{prefix}:label:{transaction}    "fraud" or "genuine"; expires
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self, cast

from redis.asyncio import Redis

from sentinel.adapters.redis.client import DAY_S, RedisParams, connect, translated
from sentinel.records import LabelName

# The longest a chargeback takes, with a margin: after it a label can no longer change.
LABEL_TTL_S = 180 * DAY_S


class RedisLabelStore:
    """`ports.LabelStore` on Redis or Valkey."""

    def __init__(self, params: RedisParams) -> None:
        self._params = params
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._redis: Redis = connect(self._params, db=self._params.feedback_db)
        self._resources.push_async_callback(self._redis.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def current(self, transaction_ids: Sequence[str]) -> list[LabelName | None]:
        if not transaction_ids:
            return []
        with translated("read labels"):
            found: list[Any] = await self._redis.mget([self._key(x) for x in transaction_ids])
        known: dict[bytes, LabelName] = {b"fraud": "fraud", b"genuine": "genuine"}
        return [known.get(value) for value in found]

    async def save(self, labels: Mapping[str, LabelName]) -> None:
        if not labels:
            return
        with translated("write labels"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for transaction_id, label in labels.items():
                    pipe.set(self._key(transaction_id), label, ex=round(LABEL_TTL_S))
                await cast("Any", pipe.execute())

    def _key(self, transaction_id: str) -> str:
        return f"{self._params.key_prefix}:label:{transaction_id}"
