"""Runs the contracts of savepoint stores on the twin always, on real ones as integration tests."""

import uuid
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest

from sentinel.adapters.memory import Faults, MemoryDocuments
from sentinel.adapters.redis import RedisParams, connect
from sentinel.errors import TransientError
from sentinel.operations.stores import open_savepoints
from sentinel.stores import StoredSavepoints
from tests.adapters.savepoint_contracts import CONTRACTS, Place, a_savepoint, written
from tests.kept import KeptSavepoints

Contract = Callable[[Place], Awaitable[None]]


@pytest.fixture
def params(store_params: RedisParams) -> RedisParams:
    """Keys of their own for each test."""
    return replace(store_params, key_prefix=uuid.uuid4().hex)


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_savepoint_store_in_memory(contract: Contract) -> None:
    kept = KeptSavepoints()

    async def put(data: bytes) -> None:
        kept.savepoint = data

    await contract(Place(lambda: nullcontext(StoredSavepoints(MemoryDocuments(kept))), put))


@pytest.mark.integration
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_savepoint_store_on_redis(contract: Contract, params: RedisParams) -> None:
    async with connect(params, db=params.registry_db) as client:

        async def put(data: bytes) -> None:
            await client.set(f"{params.key_prefix}:savepoint", data)

        await contract(Place(lambda: open_savepoints(params), put))


@pytest.mark.integration
async def test_only_the_one_that_is_kept_stays(params: RedisParams) -> None:
    """An unfinished one goes after an hour, the former one after a minute."""
    one, two, three = (a_savepoint(number) for number in (1, 2, 3))
    async with open_savepoints(params) as store, connect(params, db=3) as client:

        async def ttl_s(name: str = "") -> int:
            return int(await client.ttl(f"{params.key_prefix}:savepoint{name}"))

        await written(store, one)
        assert 3_500 < await ttl_s(f":{one.name}:0") <= 3_600
        await store.keep(None, one)
        assert await ttl_s() == await ttl_s(f":{one.name}:0") == await ttl_s(f":{one.name}:1") == -1
        await written(store, two)
        assert 3_500 < await ttl_s(f":{two.name}:1") <= 3_600
        assert await ttl_s(f":{one.name}:0") == -1, "until the other one is whole"
        await store.keep(one, two)
        await store.add_piece(three, 0, b"one")
        assert await ttl_s() == await ttl_s(f":{two.name}:0") == await ttl_s(f":{two.name}:1") == -1
        assert 0 < await ttl_s(f":{one.name}:0") <= 60
        assert 0 < await ttl_s(f":{one.name}:1") <= 60
        assert await store.piece(one, 0) == b"one", "whoever reads it may do so to its end"
        assert 3_500 < await ttl_s(f":{three.name}:0") <= 3_600


@pytest.mark.integration
async def test_a_user_who_may_not_keep_one_for_good_loses_nothing(params: RedisParams) -> None:
    one, two = a_savepoint(1), a_savepoint(2)
    async with open_savepoints(params) as store, connect(params, db=3) as client:
        await written(store, one)
        await store.keep(None, one)
        await client.execute_command(  # type: ignore[no-untyped-call]
            "ACL", "SETUSER", params.key_prefix, "reset", "on", ">secret", "~*", "+@all", "-persist"
        )
        limited = replace(params, username=params.key_prefix, password="secret")
        async with open_savepoints(limited) as another:
            await written(another, two)
            # Valkey and Redis say it in words of their own.
            with pytest.raises(TransientError, match=r"permissions|can't run"):
                await another.keep(one, two)

            assert await another.savepoint() == one
            assert await client.ttl(f"{params.key_prefix}:savepoint:{one.name}:0") == -1


async def test_a_store_that_is_away_is_a_transient_error() -> None:
    one = a_savepoint()
    async with open_savepoints(RedisParams(url="redis://127.0.0.1:1")) as store:
        for call in (
            store.savepoint(),
            store.piece(one, 0),
            store.add_piece(one, 0, b""),
            store.keep(None, one),
        ):
            with pytest.raises(TransientError, match="redis"):
                await call


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_fault_comes_before_or_after_a_change(after_effect: bool) -> None:
    kept, one = KeptSavepoints(), a_savepoint()
    await written(StoredSavepoints(MemoryDocuments(kept)), one)
    store = StoredSavepoints(
        MemoryDocuments(kept, faults=Faults(fail_at=2, after_effect=after_effect))
    )

    with pytest.raises(TransientError, match="as planned"):
        await store.keep(None, one)

    assert (await store.savepoint() == one) == after_effect
