"""Runs the contracts on the in-memory twins always, on Tansu and Valkey as integration tests."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace

import pytest
import pytest_asyncio

from sentinel.adapters.memory import MemoryDocuments, MemoryStateStore, MemoryStore
from sentinel.adapters.redis import RedisParams, RedisStateStore
from sentinel.core.topics import TopicSpec
from sentinel.operations.stores import open_cases
from sentinel.ports import Broker, CaseStore, StateStore
from sentinel.stores import StoredCases
from tests.adapters.contracts import (
    CASE_CONTRACTS,
    GROUP_CONTRACTS,
    MEMBER_CONTRACTS,
    STORE_CONTRACTS,
    Reopen,
    ReopenCases,
    World,
    join,
)
from tests.kept import KeptCases

MemberContract = Callable[[Broker, str], Awaitable[None]]
GroupContract = Callable[[World], Awaitable[None]]
StoreContract = Callable[[Reopen], Awaitable[None]]
CaseContract = Callable[[ReopenCases], Awaitable[None]]


def topic_of(contract: MemberContract) -> str:
    return contract.__name__.replace("_", "-")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def member(world: World) -> AsyncIterator[Broker]:
    """One member that owns the topics of all contracts: joining a group takes 1 s."""
    topics = [topic_of(contract) for contract in MEMBER_CONTRACTS]
    async with world.broker("member") as broker:
        await broker.ensure_topics([TopicSpec(topic, 2) for topic in topics])
        await join(broker, *topics)
        yield broker


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("contract", MEMBER_CONTRACTS)
async def test_a_member_of_a_group(contract: MemberContract, member: Broker) -> None:
    await contract(member, topic_of(contract))


@pytest.mark.parametrize("contract", GROUP_CONTRACTS)
async def test_several_members(contract: GroupContract, world: World) -> None:
    await contract(world)


@pytest.mark.parametrize("contract", STORE_CONTRACTS)
async def test_a_state_store_in_memory(contract: StoreContract) -> None:
    store = MemoryStore()

    def reopen() -> AbstractAsyncContextManager[StateStore]:
        return MemoryStateStore(store)

    await contract(reopen)


@pytest.mark.integration
@pytest.mark.parametrize("contract", STORE_CONTRACTS)
async def test_a_state_store_on_redis(contract: StoreContract, store_params: RedisParams) -> None:
    prefix = uuid.uuid4().hex

    def reopen() -> AbstractAsyncContextManager[StateStore]:
        return RedisStateStore(replace(store_params, key_prefix=prefix), layout="layout")

    await contract(reopen)


@pytest.mark.parametrize("contract", CASE_CONTRACTS)
async def test_a_case_store_in_memory(contract: CaseContract) -> None:
    kept = KeptCases()

    def reopen() -> AbstractAsyncContextManager[CaseStore]:
        return nullcontext(StoredCases(MemoryDocuments(kept)))

    await contract(reopen)


@pytest.mark.integration
@pytest.mark.parametrize("contract", CASE_CONTRACTS)
async def test_a_case_store_on_redis(contract: CaseContract, store_params: RedisParams) -> None:
    prefix = uuid.uuid4().hex

    def reopen() -> AbstractAsyncContextManager[CaseStore]:
        return open_cases(replace(store_params, key_prefix=prefix))

    await contract(reopen)
