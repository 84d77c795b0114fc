"""The stores of documents on a server, for tests that need a real one."""

from contextlib import AbstractAsyncContextManager

from sentinel.adapters.redis import RedisCaseStore, RedisModelStore, RedisParams
from sentinel.ports import CaseStore, ModelStore


def case_store(params: RedisParams) -> AbstractAsyncContextManager[CaseStore]:
    return RedisCaseStore(params)


def model_store(params: RedisParams) -> AbstractAsyncContextManager[ModelStore]:
    return RedisModelStore(params)
