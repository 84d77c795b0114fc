"""Processes of our own for what would hold up the event loop."""

from sentinel.adapters.pool.explainer import ExplainerPool as ExplainerPool
from sentinel.adapters.pool.explainer import PoolParams as PoolParams
from sentinel.adapters.pool.worker import WorkerParams as WorkerParams
from sentinel.adapters.pool.worker import WorkerProcess as WorkerProcess
