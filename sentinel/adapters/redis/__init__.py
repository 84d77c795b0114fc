"""Redis (or Valkey) through redis-py: connections, and a store for each kind of thing.

A package, so that several stores can share connection settings and error translation without one
adapter knowing another. It is the only home of the `redis` library.
"""

from sentinel.adapters.redis.cases import RedisCaseStore
from sentinel.adapters.redis.client import EMBEDDED, RedisParams, connect, translated
from sentinel.adapters.redis.format_1 import Format1
from sentinel.adapters.redis.models import RedisModelStore
from sentinel.adapters.redis.reports import RedisReportStore
from sentinel.adapters.redis.savepoints import RedisSavepointStore
from sentinel.adapters.redis.state import RedisStateStore

__all__ = [
    "EMBEDDED",
    "Format1",
    "RedisCaseStore",
    "RedisModelStore",
    "RedisParams",
    "RedisReportStore",
    "RedisSavepointStore",
    "RedisStateStore",
    "connect",
    "translated",
]
