"""Runs the contracts of report stores on the twin always, on Valkey as integration tests."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest

from sentinel.adapters.memory import Faults, MemoryDocuments
from sentinel.adapters.redis import RedisParams, connect
from sentinel.errors import TransientError
from sentinel.operations.stores import open_reports
from sentinel.stores import StoredReports
from tests.adapters.report_contracts import CONTRACTS, A, B, Reports
from tests.kept import KeptReports

Contract = Callable[[Reports], Awaitable[None]]


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_report_store_in_memory(contract: Contract) -> None:
    now_s = 0.0
    kept = KeptReports(clock_s=lambda: now_s)

    async def pass_s(duration_s: float) -> None:
        nonlocal now_s
        now_s += duration_s

    await contract(Reports(lambda: nullcontext(StoredReports(MemoryDocuments(kept))), pass_s))


@pytest.mark.integration
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_report_store_on_redis(contract: Contract, store_params: RedisParams) -> None:
    params = replace(store_params, key_prefix=uuid.uuid4().hex)
    await contract(Reports(lambda: open_reports(params), asyncio.sleep))


@pytest.mark.integration
async def test_what_is_damaged_is_as_if_it_were_not_there(redis_params: RedisParams) -> None:
    params = replace(redis_params, key_prefix=uuid.uuid4().hex)
    async with (
        open_reports(params) as store,
        connect(params, db=params.registry_db) as client,
    ):
        await store.report(A, ttl_s=60.0)
        await store.report(B, ttl_s=60.0)
        await store.end(A)
        await store.report(A, ttl_s=60.0)
        await client.set(f"{params.key_prefix}:serves:host-1", b"{")
        await client.zadd(f"{params.key_prefix}:served", {b"[]": 9e15})

        assert await store.reports() == [B]
        assert await store.ended() == [A]


@pytest.mark.integration
async def test_a_word_expires_and_the_lists_do_not_grow(redis_params: RedisParams) -> None:
    params = replace(redis_params, key_prefix=uuid.uuid4().hex)
    async with (
        open_reports(params) as store,
        connect(params, db=params.registry_db) as client,
    ):
        await store.report(A, ttl_s=45.0)

        assert 0 < await client.pttl(f"{params.key_prefix}:serves:host-1") <= 45_000
        assert await client.zcard(f"{params.key_prefix}:instances") == 1


async def test_a_store_that_is_away_is_a_transient_error() -> None:
    async with open_reports(RedisParams(url="redis://127.0.0.1:1")) as store:
        for call in (store.report(A, ttl_s=1.0), store.end(A), store.reports(), store.ended()):
            with pytest.raises(TransientError, match="redis"):
                await call


async def test_the_twin_can_fail() -> None:
    faults = Faults(fail_at=1)
    with pytest.raises(TransientError):
        await StoredReports(MemoryDocuments(KeptReports(), faults=faults)).reports()
