"""Runs the contracts of model stores on the twin always, on Valkey as integration tests."""

import uuid
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest

from sentinel.adapters.memory import Faults, MemoryDocuments
from sentinel.adapters.redis import RedisParams, connect
from sentinel.codec.models import artifacts
from sentinel.errors import ModelError, TransientError
from sentinel.operations.stores import open_models
from sentinel.stored.versions import RegistryState
from sentinel.stores import StoredModels
from tests.adapters.model_contracts import ARTIFACT, CONTRACTS, Registry, on_registry_state
from tests.kept import KeptModels

Contract = Callable[[Registry], Awaitable[None]]


@pytest.fixture
def params(redis_params: RedisParams) -> RedisParams:
    """Keys of their own for each test."""
    return replace(redis_params, key_prefix=uuid.uuid4().hex)


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_model_store_in_memory(contract: Contract) -> None:
    kept = KeptModels()

    async def put(kind: str, version: str, data: bytes | None) -> None:
        place = kept.texts if kind == "artifact" else kept.manifests
        place.pop(version, None)
        if data is not None:
            place[version] = data

    await contract(Registry(lambda: nullcontext(StoredModels(MemoryDocuments(kept))), put))


@pytest.mark.integration
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_a_model_store_on_redis(contract: Contract, store_params: RedisParams) -> None:
    params = replace(store_params, key_prefix=uuid.uuid4().hex)
    async with connect(params, db=params.registry_db) as client:

        async def put(kind: str, version: str, data: bytes | None) -> None:
            key = f"{params.key_prefix}:{kind}:{version}"
            await client.delete(key) if data is None else await client.set(key, data)

        await contract(Registry(lambda: open_models(params), put))


@pytest.mark.integration
async def test_the_registry_has_a_database_of_its_own_and_forgets_nothing(
    params: RedisParams,
) -> None:
    async with (
        open_models(params) as store,
        connect(params, db=3) as client,
    ):
        await store.add(ARTIFACT)
        await store.change(RegistryState(), *on_registry_state(RegistryState(), "1.0.0"))
        await store.note_update(None, b"under way")

        names = ("artifact:1.0.0", "manifest:1.0.0", "shelf", "model-history", "update")
        for name in names:
            assert await client.ttl(f"{params.key_prefix}:{name}") == -1, name
        assert await client.get(f"{params.key_prefix}:artifact:1.0.0") == ARTIFACT.text.encode()


@pytest.mark.integration
async def test_a_registry_state_written_by_an_older_sentinel_can_be_changed(
    params: RedisParams,
) -> None:
    """Before there were shadows and approvals: other bytes, the same meaning."""
    old = b'{"number": 3, "stages": {"1.0.0": "production"}, "champion": "1.0.0"}'
    async with (
        open_models(params) as store,
        connect(params, db=params.registry_db) as client,
    ):
        await client.set(f"{params.key_prefix}:shelf", old)
        before = await store.registry_state()
        assert before == RegistryState(3, {"1.0.0": "production"}, "1.0.0")

        after, events = on_registry_state(before, "1.1.0")
        await store.change(before, after, events)

        assert await store.registry_state() == after


@pytest.mark.integration
async def test_a_damaged_registry_state_or_event_is_no_crash(params: RedisParams) -> None:
    after, events = on_registry_state(RegistryState(), "1.0.0")
    async with (
        open_models(params) as store,
        connect(params, db=params.registry_db) as client,
    ):
        await store.change(RegistryState(), after, events)
        await client.lset(f"{params.key_prefix}:model-history", 0, "{")
        assert await store.history() == events[1:]

        await client.set(f"{params.key_prefix}:shelf", b"{")
        with pytest.raises(TransientError, match="registry's state"):
            await store.registry_state()
        with pytest.raises(TransientError, match="registry's state"):
            await store.change(after, replace(after, number=9), events)


@pytest.mark.integration
async def test_a_user_who_may_not_write_the_history_changes_nothing(params: RedisParams) -> None:
    after, events = on_registry_state(RegistryState(), "1.0.0")
    async with connect(params, db=params.registry_db) as client:
        await client.execute_command(  # type: ignore[no-untyped-call]
            "ACL", "SETUSER", params.key_prefix, "reset", "on", ">secret", "~*", "+@all", "-rpush"
        )
        limited = replace(params, username=params.key_prefix, password="secret")
        async with open_models(limited) as store:
            with pytest.raises(TransientError, match="permissions"):
                await store.change(RegistryState(), after, events)

            assert await store.registry_state() == RegistryState()
            assert await store.history() == []


async def test_a_registry_that_is_away_is_a_transient_error() -> None:
    async with open_models(RedisParams(url="redis://127.0.0.1:1")) as store:
        for call in (
            store.registry_state(),
            store.load("1.0.0"),
            store.manifests(["1.0.0"]),
            store.add(ARTIFACT),
            store.change(RegistryState(), RegistryState(number=1), []),
            store.history(),
            store.update(),
            store.note_update(None, b""),
        ):
            with pytest.raises(TransientError, match="redis"):
                await call


async def test_a_text_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptModels()
    monkeypatch.setattr(artifacts, "TEXT_BYTES_MAX", 10)

    with pytest.raises(ModelError, match=r"30 bytes, more than the 10 that are kept"):
        await StoredModels(MemoryDocuments(kept)).add(ARTIFACT)

    assert kept == KeptModels()


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_fault_comes_before_or_after_a_change(after_effect: bool) -> None:
    kept = KeptModels()
    store = StoredModels(MemoryDocuments(kept, faults=Faults(fail_at=2, after_effect=after_effect)))

    with pytest.raises(TransientError, match="as planned"):
        await store.change(RegistryState(), *on_registry_state(RegistryState(), "1.0.0"))

    assert (await store.registry_state() != RegistryState()) == after_effect
    assert len(await store.history()) == (2 if after_effect else 0)
