"""The store of rollouts: on its twin and on real servers."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace

import pytest

from sentinel.adapters.memory import MemoryDatabase, MemoryDocuments
from sentinel.adapters.redis import RedisParams
from sentinel.core.rollouts import transitions
from sentinel.errors import TransientError
from sentinel.operations.stores import open_rollouts
from sentinel.stored.rollouts import StoredRollout
from sentinel.stores import StoredRollouts

Opened = Callable[[], AbstractAsyncContextManager[StoredRollouts]]


def a_rollout(number: int = 1) -> StoredRollout:
    return transitions.begun(
        number, "1.2.0", "1.1.0",
        trigger="scheduled", reason="every day", steps=("canary",), at_ms=1_000,
    )  # fmt: skip


async def contract(opened: Opened) -> None:
    async with opened() as store:
        assert await store.rollouts(5) == []
        assert await store.rollout(1) is None
        first = a_rollout()
        assert await store.put(None, first)
        assert not await store.put(None, replace(first, version="9.9.9"))  # its number is taken
        running = transitions.entered(first, "rollout-1-canary@1", at_ms=2_000)
        assert await store.put(first, running)
        assert not await store.put(first, replace(first, version="9.9.9"))  # it has moved on
        assert await store.rollout(1) == running
        for number in range(2, 12):
            assert await store.put(None, a_rollout(number))
    async with opened() as store:  # another process
        assert [one.number for one in await store.rollouts(3)] == [11, 10, 9]
        found = await store.rollout(1)
        assert found == running
        assert await store.put(found, transitions.moved(found, "refused", at_ms=3_000))


async def test_on_the_twin() -> None:
    database = MemoryDatabase()
    await contract(lambda: nullcontext(StoredRollouts(MemoryDocuments(database))))


@pytest.mark.integration
async def test_on_redis(store_params: RedisParams) -> None:
    params = replace(store_params, key_prefix=uuid.uuid4().hex)
    await contract(lambda: open_rollouts(params))


def test_a_damaged_one_is_left_out_of_the_list_and_named_where_it_is_needed() -> None:
    async def scenario() -> None:
        database = MemoryDatabase()
        store = StoredRollouts(MemoryDocuments(database))
        assert await store.put(None, a_rollout(1))
        assert await store.put(None, a_rollout(2))
        database.documents["rollout:2"] = b"{"
        assert [one.number for one in await store.rollouts(9)] == [1]
        with pytest.raises(TransientError, match="rollout:2 is damaged"):
            await store.rollout(2)

    asyncio.run(scenario())
