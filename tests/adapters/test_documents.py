"""Runs the contracts of document stores on the twin always, on real ones as integration tests."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.adapters.memory import Faults, MemoryDatabase, MemoryDocuments
from sentinel.adapters.redis import RedisDocuments, RedisParams, connect
from sentinel.documents import Change, Documents
from sentinel.errors import TransientError
from tests.adapters.document_contracts import CONTRACTS, Space, entries, get, make, newest

Contract = Callable[[Space], Awaitable[None]]

EVERYTHING = Change(
    expected={"a": b"old"},
    present=["b"],
    puts={"a": b"new", "c": b"new"},
    lifetimes={"b": None, "d": 60.0},
    removed=["e"],
    indexed={"i": {b"new": 9}, "j": {b"new": 9}},
    unindexed={"i": [b"old"]},
    newest={"i": 5},
    appended={"l": [b"new"], "m": [b"new"]},
)
BEFORE = Change(
    puts=dict.fromkeys("abcde", b"old"),
    lifetimes={"b": 600.0},
    indexed={"i": {b"old": 1}},
    appended={"l": [b"old"]},
)
DB = 4


@pytest.fixture
def params(store_params: RedisParams) -> RedisParams:
    """Keys of their own for each test."""
    return replace(store_params, key_prefix=uuid.uuid4().hex)


@pytest.fixture
async def client(params: RedisParams) -> AsyncIterator[Any]:
    async with connect(params, db=DB) as client:
        yield client


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_documents_in_memory(contract: Contract) -> None:
    now_s = 0.0
    kept = MemoryDatabase(clock_s=lambda: now_s)

    async def pass_s(duration_s: float) -> None:
        nonlocal now_s
        now_s += duration_s

    await contract(Space(lambda: nullcontext(MemoryDocuments(kept)), pass_s))


@pytest.mark.integration
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_documents_on_redis(contract: Contract, params: RedisParams) -> None:
    await contract(Space(lambda: RedisDocuments(params, db=DB), asyncio.sleep))


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.binary(max_size=3)
MEMBERS = st.sampled_from([b"", b"m", b"\x00", b"\xff\xfe"])
SOME = st.sampled_from(["x", "y"])


@st.composite
def changes(draw: st.DrawFn) -> Change:
    removed = draw(st.sets(NAMES, max_size=1))
    others = NAMES.filter(lambda name: name not in removed)
    return Change(
        expected=draw(st.dictionaries(NAMES, st.none() | st.just(b"") | VALUES, max_size=1)),
        present=draw(st.sets(NAMES, max_size=1)),
        puts=draw(st.dictionaries(others, st.just(b"") | VALUES, max_size=3)),
        lifetimes=draw(st.dictionaries(others, st.none() | st.just(3_600.0), max_size=2)),
        removed=list(removed),
        indexed=draw(
            st.dictionaries(SOME, st.dictionaries(MEMBERS, st.integers(-3, 3), max_size=4))
        ),
        unindexed=draw(st.dictionaries(SOME, st.sets(MEMBERS, max_size=2))),
        newest=draw(st.dictionaries(SOME, st.integers(1, 4))),
        appended=draw(st.dictionaries(SOME.map(str.upper), st.lists(VALUES, max_size=3))),
    )


async def everything(store: Documents) -> list[Any]:
    return [
        await get(store, "a", "b", "c"),
        *[await newest(store, name) for name in ("x", "y")],
        *[await entries(store, name) for name in ("X", "Y")],
    ]


@pytest.mark.integration
@given(history=st.lists(changes(), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_any_changes_give_the_same_on_both(
    history: list[Change], store_params: RedisParams
) -> None:
    params = replace(store_params, key_prefix=uuid.uuid4().hex)
    kept = MemoryDatabase()
    twin = MemoryDocuments(kept)
    async with RedisDocuments(params, db=DB) as store, connect(params, db=DB) as client:
        for change in history:
            made = await store.change(change, doing="write")
            assert made == await twin.change(change, doing="write")
            assert await everything(store) == await everything(twin)
            for name in kept.documents:
                expires = await client.ttl(f"{params.key_prefix}:{name}") > 0
                assert expires == (name in kept.until_s)


@pytest.mark.integration
async def test_each_database_and_each_prefix_is_a_space_of_its_own(params: RedisParams) -> None:
    other = replace(params, key_prefix=uuid.uuid4().hex)
    async with (
        RedisDocuments(params, db=DB) as store,
        RedisDocuments(params, db=DB + 1) as beside,
        RedisDocuments(other, db=DB) as others,
    ):
        assert await make(store, puts={"a": b"x"}, indexed={"i": {b"m": 1}}, appended={"l": [b"e"]})
        for one in (beside, others):
            assert await get(one, "a") == [None]
            assert await newest(one, "i") == await entries(one, "l") == []


COMMANDS = (
    *("get", "exists", "zrevrange", "lrange"),
    *("zrem", "zadd", "zremrangebyrank", "rpush", "persist", "pexpire", "del", "set"),
)


@pytest.mark.integration
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_user_who_may_not_do_all_of_it_changes_nothing(
    command: str, params: RedisParams, client: Any
) -> None:
    await client.execute_command(
        "ACL", "SETUSER", params.key_prefix, "reset", "on", ">secret", "~*", "+@all", f"-{command}"
    )
    limited = replace(params, username=params.key_prefix, password="secret")
    async with RedisDocuments(params, db=DB) as store, RedisDocuments(limited, db=DB) as narrow:
        assert await store.change(BEFORE, doing="write")
        with pytest.raises(TransientError, match=r"redis, write: .*(permissions|can't run)"):
            await narrow.change(EVERYTHING, doing="write")

        await check_untouched(store, params, client)
        assert await store.change(EVERYTHING, doing="write"), "who may does all of it"
        assert await get(store, *"abce") == [b"new", b"old", b"new", None]


async def check_untouched(store: Documents, params: RedisParams, client: Any) -> None:
    assert await get(store, *"abcde") == [b"old"] * 5
    assert await newest(store, "i") == await entries(store, "l") == [b"old"]
    assert await newest(store, "j") == await entries(store, "m") == []
    assert 500 < await client.ttl(f"{params.key_prefix}:b") <= 600
    assert await client.ttl(f"{params.key_prefix}:d") == -1


@pytest.mark.integration
async def test_keys_out_of_a_users_reach_keep_all_of_it_from_being_done(
    params: RedisParams, client: Any
) -> None:
    prefix = params.key_prefix
    reach = [f"~{prefix}:{name}" for name in "abdeijlm"]  # not c, which is the last to be put
    await client.execute_command(
        "ACL", "SETUSER", prefix, "reset", "on", ">secret", *reach, "+@all"
    )
    limited = replace(params, username=prefix, password="secret")
    async with RedisDocuments(params, db=DB) as store, RedisDocuments(limited, db=DB) as narrow:
        assert await store.change(BEFORE, doing="write")
        with pytest.raises(TransientError):
            await narrow.change(EVERYTHING, doing="write")

        await check_untouched(store, params, client)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["a", "j", "m"])
async def test_a_key_that_somebody_else_has_taken_keeps_all_of_it_from_being_done(
    name: str, params: RedisParams, client: Any
) -> None:
    async with RedisDocuments(params, db=DB) as store:
        assert await store.change(BEFORE, doing="write")
        await client.delete(f"{params.key_prefix}:{name}")
        await client.hset(f"{params.key_prefix}:{name}", "foreign", "value")
        with pytest.raises(TransientError, match="WRONGTYPE"):
            await store.change(EVERYTHING, doing="write")

        await client.delete(f"{params.key_prefix}:{name}")
        assert await make(store, puts={"a": b"old"})
        await check_untouched(store, params, client)


@pytest.mark.integration
async def test_a_full_server_changes_nothing_or_all(params: RedisParams, client: Any) -> None:
    """It takes what needs room behind something that needs none, so that nothing is half done."""
    growing = replace(EVERYTHING, unindexed={}, lifetimes={}, removed=())
    async with RedisDocuments(params, db=DB) as store:
        assert await store.change(BEFORE, doing="write")
        await client.config_set("maxmemory", 1)
        try:
            with pytest.raises(TransientError, match="maxmemory"):
                await store.change(growing, doing="write")
            await check_untouched(store, params, client)
            assert await store.change(EVERYTHING, doing="write")
        finally:
            await client.config_set("maxmemory", 0)
        assert await get(store, *"ace") == [b"new", b"new", None]
        assert await entries(store, "m") == [b"new"]


async def test_a_server_that_is_away_is_a_transient_error() -> None:
    async with RedisDocuments(RedisParams(url="redis://127.0.0.1:1"), db=DB) as store:
        for call in (get(store, "a"), get(store, *"ab"), newest(store, "i"), entries(store, "l")):
            with pytest.raises(TransientError, match=r"redis, (read|list)"):
                await call
        with pytest.raises(TransientError, match="redis, write"):
            await make(store)


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_fault_comes_before_or_after_a_change(after_effect: bool) -> None:
    kept, faults = MemoryDatabase(), Faults(fail_at=1, after_effect=after_effect)
    with pytest.raises(TransientError, match="as planned"):
        await make(MemoryDocuments(kept, faults=faults), puts={"a": b"x"})

    assert faults.failed == "write"
    assert (kept.find("a") == b"x") == after_effect


async def test_the_twin_can_be_put_back_to_what_it_was() -> None:
    kept = MemoryDatabase()
    store = MemoryDocuments(kept)
    assert await store.change(BEFORE, doing="write")
    snapshot = kept.snapshot()
    assert await store.change(EVERYTHING, doing="write")
    assert kept != snapshot

    kept.restore(snapshot)

    assert kept == snapshot
    assert await store.change(EVERYTHING, doing="write")
    assert snapshot.documents["a"] == b"old", "a snapshot does not change with it"


@pytest.mark.parametrize(
    "wrong",
    [
        {"puts": {"a": b""}, "removed": ["a"]},
        {"lifetimes": {"a": 1.0}, "removed": ["a"]},
        {"lifetimes": {"a": 0.0}},
        {"newest": {"i": 0}},
        {"indexed": {"i": {b"m": 2**53 + 1}}},
    ],
)
def test_what_contradicts_itself_is_no_change(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        Change(**wrong)
    assert {one.name for one in fields(Change)} >= wrong.keys()
