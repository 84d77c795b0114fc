"""Opens what is kept in Redis: the one place that knows which database holds what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sentinel.adapters.redis import RedisDocuments, RedisParams
from sentinel.stores import StoredCases, StoredModels, StoredReports, StoredSavepoints


def feedback_documents(params: RedisParams) -> RedisDocuments:
    """Of cases."""
    return RedisDocuments(params, db=params.feedback_db)


def registry_documents(params: RedisParams) -> RedisDocuments:
    """Of models, updates, reports and savepoints."""
    return RedisDocuments(params, db=params.registry_db)


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
