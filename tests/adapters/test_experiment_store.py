"""Runs the contracts of experiment stores on the twin always, on Valkey as integration tests."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace

import pytest

from sentinel.adapters.memory import Faults, MemoryDatabase, MemoryDocuments
from sentinel.adapters.redis import RedisParams
from sentinel.codec.stored import encode_stored
from sentinel.documents import Change
from sentinel.errors import TransientError
from sentinel.operations.stores import open_experiments
from sentinel.ports import ExperimentStore
from sentinel.stored.experiments import ArmSpec, Definition, StoredExperiment
from sentinel.stored.looks import LookReport
from sentinel.stored.routing import RoutedArm, RoutedExperiment, RoutingPlan
from sentinel.stores import StoredExperiments

Opened = Callable[[], AbstractAsyncContextManager[ExperimentStore]]
Contract = Callable[[Opened], Awaitable[None]]

FAST = StoredExperiment(
    Definition("fast", "split", (ArmSpec("control", 0.5), ArmSpec("challenger", 0.5, "1.1.0"))),
    changed_ms=1_000,
)
RUNNING = replace(FAST, status="running", changed_ms=2_000)
PLAN = RoutingPlan(
    1,
    "key",
    0.1,
    (
        RoutedExperiment(
            "fast@1",
            "main",
            0,
            (0, 10_000),
            (
                RoutedArm("control", "1.0.0", {}, 0.0, 0.5),
                RoutedArm("challenger", "1.1.0", {}, 0.0, 0.5),
            ),
        ),
    ),
)
LOOK = LookReport("fast@1", 1, 0.05, 500, {"control": 3}, {"control": 4}, [], [])


async def what_is_put_is_read_by_whoever_comes_next(opened: Opened) -> None:
    async with opened() as store:
        assert await store.experiment("fast") is None
        assert await store.plan() == RoutingPlan()
        assert await store.put(None, FAST)
        assert await store.put(FAST, RUNNING, (RoutingPlan(), PLAN))
    async with opened() as store:
        assert await store.experiment("fast") == RUNNING
        assert await store.experiment("fast@1") == RUNNING
        assert await store.experiment("fast@2") is None
        assert await store.plan() == PLAN
        assert await store.experiments(10) == [RUNNING]


async def of_two_who_change_the_same_one_is_refused(opened: Opened) -> None:
    async with opened() as store, opened() as other:
        assert await store.put(None, FAST)
        assert not await other.put(None, FAST)
        assert await other.put(FAST, RUNNING, (RoutingPlan(), PLAN))
        assert not await store.put(FAST, replace(FAST, step=1))
        assert not await store.put(RUNNING, FAST, (RoutingPlan(), PLAN)), "of another plan"
        assert await store.experiment("fast") == RUNNING
        assert await store.plan() == PLAN


async def a_look_comes_with_the_change_that_it_makes(opened: Opened) -> None:
    async with opened() as store:
        assert await store.put(None, FAST)
        looked = replace(FAST, look=1)
        assert not await store.put(looked, FAST, look=LOOK)
        assert await store.looks("fast@1") == []
        assert await store.put(FAST, looked, look=LOOK)
        second = replace(LOOK, number=2, share=0.1)
        assert await store.put(looked, replace(looked, look=2), look=second)
        assert await store.looks("fast@1") == [LOOK, second]


async def the_definition_before_is_kept(opened: Opened) -> None:
    async with opened() as store:
        ended = replace(FAST, status="ended")
        assert await store.put(None, ended)
        next_one = replace(FAST, definition=replace(FAST.definition, number=2), changed_ms=9_000)
        assert await store.put(ended, next_one)
        assert await store.experiment("fast") == next_one
        assert await store.experiment("fast@1") == ended
        assert await store.experiments(10) == [next_one]


async def guardrails_are_kept_with_how_far_they_are(opened: Opened) -> None:
    async with opened() as store:
        assert await store.guards("fast@1") is None
        assert await store.progress() is None
        await store.keep_guards({"fast@1": b"packed"}, b"{}")
        await store.keep_guards({"cuts@1": b"more"}, b'{"a":1}')
        assert await store.guards("fast@1") == b"packed"
        assert await store.guards("cuts@1") == b"more"
        assert await store.progress() == b'{"a":1}'


CONTRACTS = [
    what_is_put_is_read_by_whoever_comes_next,
    of_two_who_change_the_same_one_is_refused,
    a_look_comes_with_the_change_that_it_makes,
    the_definition_before_is_kept,
    guardrails_are_kept_with_how_far_they_are,
]


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_an_experiment_store_in_memory(contract: Contract) -> None:
    kept = MemoryDatabase()
    await contract(lambda: nullcontext(StoredExperiments(MemoryDocuments(kept))))


@pytest.mark.integration
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_an_experiment_store_on_redis(contract: Contract, store_params: RedisParams) -> None:
    params = replace(store_params, key_prefix=uuid.uuid4().hex)
    await contract(lambda: open_experiments(params))


async def test_what_an_older_version_wrote_is_changed_all_the_same() -> None:
    kept = MemoryDatabase()
    documents = MemoryDocuments(kept)
    older = encode_stored(FAST).replace(b'"guards":{},', b"").replace(b'"why":"",', b"")
    assert older != encode_stored(FAST)
    await documents.change(Change(puts={"experiment:fast": older}), doing="write")
    store = StoredExperiments(documents)
    found = await store.experiment("fast")
    assert found == FAST
    assert await store.put(found, RUNNING)


async def test_what_is_damaged_is_said_and_in_lists_it_is_as_if_it_were_not_there() -> None:
    kept = MemoryDatabase()
    documents = MemoryDocuments(kept)
    store = StoredExperiments(documents)
    other = replace(FAST, definition=replace(FAST.definition, name="other"), changed_ms=5)
    assert await store.put(None, FAST)
    assert await store.put(None, other)
    for name in ("experiment:fast", "routing"):
        await documents.change(Change(puts={name: b"{"}), doing="damage")
    with pytest.raises(TransientError, match="experiment:fast is damaged"):
        await store.experiment("fast")
    with pytest.raises(TransientError, match="routing is damaged"):
        await store.plan()
    assert await store.experiments(10) == [other]


async def test_a_store_that_is_away_says_so() -> None:
    class Away(Faults):
        def call(self, name: str) -> AbstractAsyncContextManager[None]:  # type: ignore[override]
            raise TransientError(f"{name}: away")

    store = StoredExperiments(MemoryDocuments(MemoryDatabase(), faults=Away()))
    for call in (store.plan, store.progress):
        with pytest.raises(TransientError):
            await call()
    await asyncio.sleep(0)
