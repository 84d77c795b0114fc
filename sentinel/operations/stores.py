"""Opens what is kept in Redis: the one place that knows which database holds what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sentinel.adapters.redis import RedisDocuments, RedisParams, RedisStateStore
from sentinel.config import Config
from sentinel.core.features.state import layout_of
from sentinel.errors import TransientError
from sentinel.stores import (
    StoredCases,
    StoredDrift,
    StoredExperiments,
    StoredModels,
    StoredOperating,
    StoredReports,
    StoredRollouts,
    StoredSavepoints,
)

_LOADING_S, _LOADING_S_MAX = 0.2, 60.0


@asynccontextmanager
async def open_started_state(config: Config) -> AsyncIterator[RedisStateStore]:
    """Entity state; asked until the server, which has just been started, has loaded what it has."""
    layout = layout_of(config.entities, config.features)
    clock_s = asyncio.get_running_loop().time
    give_up_s = clock_s() + _LOADING_S_MAX
    async with AsyncExitStack() as stack:
        while True:
            store = RedisStateStore(config.redis, layout=layout)
            try:
                await stack.enter_async_context(store)
                break
            except TransientError:
                if clock_s() > give_up_s:
                    raise
            await asyncio.sleep(_LOADING_S)
        yield store


def feedback_documents(params: RedisParams) -> RedisDocuments:
    """Of cases."""
    return RedisDocuments(params, db=params.feedback_db)


def registry_documents(params: RedisParams) -> RedisDocuments:
    """Of models, updates, reports and savepoints, and of what operators have said."""
    return RedisDocuments(params, db=params.registry_db)


def drift_documents(params: RedisParams) -> RedisDocuments:
    """Of references, windows and alarms."""
    return RedisDocuments(params, db=params.drift_db)


def experiment_documents(params: RedisParams) -> RedisDocuments:
    """Of experiments, and of what is routed."""
    return RedisDocuments(params, db=params.experiments_db)


@asynccontextmanager
async def open_cases(params: RedisParams) -> AsyncIterator[StoredCases]:
    """Votes, labels and annotators."""
    async with feedback_documents(params) as documents:
        yield StoredCases(documents)


@asynccontextmanager
async def open_models(params: RedisParams) -> AsyncIterator[StoredModels]:
    """The model registry."""
    async with registry_documents(params) as documents:
        yield StoredModels(documents)


@asynccontextmanager
async def open_reports(params: RedisParams) -> AsyncIterator[StoredReports]:
    """What instances say that they serve."""
    async with registry_documents(params) as documents:
        yield StoredReports(documents)


@asynccontextmanager
async def open_savepoints(params: RedisParams) -> AsyncIterator[StoredSavepoints]:
    """The trainer's savepoint."""
    async with registry_documents(params) as documents:
        yield StoredSavepoints(documents)


@asynccontextmanager
async def open_operating(params: RedisParams) -> AsyncIterator[StoredOperating]:
    """What operators have said."""
    async with registry_documents(params) as documents:
        yield StoredOperating(documents)


@asynccontextmanager
async def open_drift(params: RedisParams) -> AsyncIterator[StoredDrift]:
    """References, windows and alarms."""
    async with drift_documents(params) as documents:
        yield StoredDrift(documents)


@asynccontextmanager
async def open_experiments(params: RedisParams) -> AsyncIterator[StoredExperiments]:
    """Experiments, and what is routed."""
    async with experiment_documents(params) as documents:
        yield StoredExperiments(documents)


@asynccontextmanager
async def open_rollouts(params: RedisParams) -> AsyncIterator[StoredRollouts]:
    """How versions come to serve."""
    async with experiment_documents(params) as documents:
        yield StoredRollouts(documents)
