"""Redis (or Valkey) through redis-py: connections, entity state, and documents.

A package, so that several stores can share connection settings and error translation without one
adapter knowing another. It is the only home of the `redis` library.
"""

from sentinel.adapters.redis.client import EMBEDDED, RedisParams, connect, translated
from sentinel.adapters.redis.documents import RedisDocuments
from sentinel.adapters.redis.format_1 import Format1
from sentinel.adapters.redis.state import RedisStateStore

__all__ = [
    "EMBEDDED",
    "Format1",
    "RedisDocuments",
    "RedisParams",
    "RedisStateStore",
    "connect",
    "translated",
]
