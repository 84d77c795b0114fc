"""Runs the contracts of what operators say on the twin always, on Valkey as integration tests."""

import uuid
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest

from sentinel.adapters.memory import Faults, MemoryDatabase, MemoryDocuments
from sentinel.adapters.redis import RedisParams
from sentinel.documents import Change
from sentinel.errors import RecordError, TransientError
from sentinel.operations.stores import open_operating
from sentinel.stores import StoredOperating
from tests.adapters.operating_contracts import CONTRACTS, Opening

Contract = Callable[[Opening], Awaitable[None]]


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_what_operators_say_in_memory(contract: Contract) -> None:
    kept = MemoryDatabase()

    await contract(lambda: nullcontext(StoredOperating(MemoryDocuments(kept))))


@pytest.mark.integration
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_what_operators_say_on_redis(contract: Contract, store_params: RedisParams) -> None:
    params = replace(store_params, key_prefix=uuid.uuid4().hex)

    await contract(lambda: open_operating(params))


async def test_what_is_damaged_says_so() -> None:
    documents = MemoryDocuments(MemoryDatabase())
    puts = {"switches": b"{", "applied-config": b'{"values":3}', "config:a": b"[]"}
    await documents.change(Change(puts=puts), doing="damage")
    store = StoredOperating(documents)

    for read in (store.switches, store.applied):
        with pytest.raises(RecordError):
            await read()
    assert await store.config("a") is None


async def test_the_store_can_be_away() -> None:
    store = StoredOperating(MemoryDocuments(MemoryDatabase(), faults=Faults(fail_at=1)))
    with pytest.raises(TransientError):
        await store.switches()
