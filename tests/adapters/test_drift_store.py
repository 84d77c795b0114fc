"""Runs the contracts of drift stores on the twin always, on Valkey as integration tests."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest

from sentinel.adapters.memory import Faults, MemoryDatabase, MemoryDocuments
from sentinel.adapters.redis import RedisParams, connect
from sentinel.errors import TransientError
from sentinel.operations.stores import open_drift
from sentinel.stored.drift import DriftProgress, Suppression
from sentinel.stores import StoredDrift
from tests.adapters.drift_contracts import ALARM, COLUMNS, CONTRACTS, REFERENCE, WINDOW, Drifts

Contract = Callable[[Drifts], Awaitable[None]]


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_drift_store_in_memory(contract: Contract) -> None:
    now_s = 0.0
    kept = MemoryDatabase(clock_s=lambda: now_s)

    async def pass_s(duration_s: float) -> None:
        nonlocal now_s
        now_s += duration_s

    await contract(Drifts(lambda: nullcontext(StoredDrift(MemoryDocuments(kept))), pass_s))


@pytest.mark.integration
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_drift_store_on_redis(contract: Contract, store_params: RedisParams) -> None:
    params = replace(store_params, key_prefix=uuid.uuid4().hex)
    await contract(Drifts(lambda: open_drift(params), asyncio.sleep))


DAMAGED = {
    "columns": lambda store: store.columns(),
    "progress": lambda store: store.progress(),
    "reference:1.0.0": lambda store: store.reference("1.0.0"),
    f"alarm:{ALARM.id}": lambda store: store.alarm(ALARM.id),
}


@pytest.mark.parametrize("name", DAMAGED)
async def test_what_is_damaged_is_said_and_in_lists_it_is_as_if_it_were_not_there(
    name: str,
) -> None:
    kept = MemoryDatabase()
    store = StoredDrift(MemoryDocuments(kept))
    await store.set_columns(None, COLUMNS)
    await store.save(DriftProgress())
    await store.keep_reference("1.0.0", REFERENCE)
    other = replace(ALARM, id="another")
    for alarm in (ALARM, other):
        await store.put_alarm(None, alarm)
    for data in (b"", b"{", b"[]", b'{"v": 1}', b"\xff"):
        if (name, data) == ("progress", b'{"v": 1}'):
            continue  # it has a default for everything
        kept.documents[name] = data

        with pytest.raises(TransientError, match=f"{name} is damaged"):
            await DAMAGED[name](store)

        alarms = await store.alarms(10)
        assert other in alarms
        assert len(alarms) == (1 if name.startswith("alarm") else 2)


async def test_lists_leave_out_what_is_damaged() -> None:
    kept = MemoryDatabase()
    store = StoredDrift(MemoryDocuments(kept))
    await store.keep_window(WINDOW)
    await store.keep_window(replace(WINDOW, scale="day"))
    for column in ("a", "b"):
        await store.suppress(None, Suppression(column, 2_000, "eve"), now_ms=1_000)
    kept.documents[f"window:hour:{WINDOW.end_ms}"] = b"{"
    kept.documents["suppressed:a"] = b"null"
    assert await store.windows(5) == [replace(WINDOW, scale="day")]
    assert [one.column for one in await store.suppressions()] == ["b"]


@pytest.mark.integration
async def test_what_is_kept_expires_and_the_lists_do_not_grow(redis_params: RedisParams) -> None:
    params = replace(redis_params, key_prefix=uuid.uuid4().hex)
    day_ms = 86_400_000
    async with open_drift(params) as store, connect(params, db=params.drift_db) as client:
        await store.put_alarm(None, ALARM)
        await store.keep_window(WINDOW)
        await store.keep_day("abc", 0, b"x")
        await store.keep_reference("1.0.0", REFERENCE)
        await store.set_columns(None, COLUMNS)
        await store.save(DriftProgress())
        quiet = Suppression("amount", 60_000, "eve")
        for before in (None, quiet):
            await store.suppress(before, quiet, now_ms=0)
            await store.keep_window(WINDOW)

        async def lives_ms(name: str) -> int:
            return int(await client.pttl(f"{params.key_prefix}:{name}"))

        assert 399 * day_ms < await lives_ms(f"alarm:{ALARM.id}") <= 400 * day_ms
        assert 399 * day_ms < await lives_ms("reference:1.0.0") <= 400 * day_ms
        assert 59 * day_ms < await lives_ms(f"window:hour:{WINDOW.end_ms}") <= 60 * day_ms
        assert 9 * day_ms < await lives_ms("day:abc:0") <= 10 * day_ms
        assert 50_000 < await lives_ms("suppressed:amount") <= 60_000
        assert await lives_ms("columns") == await lives_ms("progress") == -1
        for index in ("alarms", "windows:hour", "suppressions"):
            assert await client.zcard(f"{params.key_prefix}:{index}") == 1


async def test_a_store_that_is_away_is_a_transient_error() -> None:
    async with open_drift(RedisParams(url="redis://127.0.0.1:1")) as store:
        for call in (
            store.columns(),
            store.set_columns(None, COLUMNS),
            store.progress(),
            store.save(DriftProgress()),
            store.reference("1"),
            store.keep_reference("1", REFERENCE),
            store.forget_reference("1"),
            store.alarms(1),
            store.alarm("x"),
            store.put_alarm(None, ALARM),
            store.keep_window(WINDOW),
            store.windows(1),
            store.keep_day("a", 1, b""),
            store.days("a", [1]),
            store.suppress(None, Suppression("a", 1, "eve"), now_ms=0),
            store.suppressions(),
        ):
            with pytest.raises(TransientError, match="redis"):
                await call


async def test_the_twin_can_fail() -> None:
    with pytest.raises(TransientError):
        await StoredDrift(MemoryDocuments(MemoryDatabase(), faults=Faults(fail_at=1))).windows(1)
