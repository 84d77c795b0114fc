"""Honest in-memory twins of the broker, the tail and the stores, for tests and simulation.

They keep the contracts of the real ones (`tests/adapters/contracts.py` runs on both), and can fail:
any call, once or from then on, before or after its effect.
"""

from sentinel.adapters.memory.broker import MemoryBroker
from sentinel.adapters.memory.cluster import MemoryCluster, MemoryRecord
from sentinel.adapters.memory.documents import MemoryDatabase, MemoryDocuments
from sentinel.adapters.memory.faults import Faults
from sentinel.adapters.memory.store import MemoryStateStore, MemoryStore
from sentinel.adapters.memory.tail import MemoryTail

__all__ = [
    "Faults",
    "MemoryBroker",
    "MemoryCluster",
    "MemoryDatabase",
    "MemoryDocuments",
    "MemoryRecord",
    "MemoryStateStore",
    "MemoryStore",
    "MemoryTail",
]
