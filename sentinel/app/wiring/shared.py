"""What the tasks of an instance share: its outside world, and what several of them write in."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sentinel.config import Config
from sentinel.core.features.state import FeatureState
from sentinel.engine.dispatcher import Inbox
from sentinel.engine.params import TopicParams
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.registry.remembered import Copies
from sentinel.engine.scoring.serving import Serving
from sentinel.engine.store.owner import StoreOwner
from sentinel.engine.store.watch import StoreWatch
from sentinel.metrics import Metrics
from sentinel.ports import (
    Broker,
    CaseStore,
    DriftStore,
    ExperimentStore,
    Explainer,
    Machine,
    ModelStore,
    OperatingStore,
    ReportStore,
    RolloutStore,
    SavepointStore,
    StateStore,
    Tail,
    Trainer,
)
from sentinel.records import TopicPartition


@dataclass(slots=True)
class Ports:
    """The outside world of one instance, and the name by which that knows it."""

    name: str
    broker: Broker
    tail: Tail
    store: StateStore
    cases: CaseStore
    explainer: Explainer
    models: ModelStore
    reports: ReportStore
    model_updates_tail: Tail  # of `model-updates`
    training_tail: Tail  # of `examples` and `control`
    trainer: Trainer
    savepoints: SavepointStore
    drift: DriftStore
    drift_tail: Tail  # of `summaries` and `examples`
    experiments: ExperimentStore
    operating: OperatingStore
    operating_tail: Tail  # of `control`
    routing_tail: Tail  # of `experiments`
    rollouts: RolloutStore
    experiments_tail: Tail  # of `outcomes` and `examples`
    copies: Copies  # of models, on this machine
    machine: Machine


@dataclass(slots=True)
class Shared:
    """One of each for all tasks.

    Attributes
    ----------
    partitions
        The input partitions that this instance owns, by their numbers.
    progress
        What comes next of each partition of other topics that is committed with the cut.
    reloaders
        What hands settings that may change on to their readers; called between two batches.
    """

    config: Config
    ports: Ports
    metrics: Metrics
    state: FeatureState
    serving: Serving
    owner: StoreOwner
    watch: StoreWatch
    inbox: Inbox
    feedback_inbox: Inbox
    partitions: dict[int, InputPartition] = field(default_factory=dict)
    progress: dict[TopicPartition, int] = field(default_factory=dict)
    reloaders: list[Callable[[Config], None]] = field(default_factory=list)

    @property
    def topics(self) -> TopicParams:
        """Of the configuration, by their full names."""
        return self.config.topics.in_full()


def clock_s() -> float:
    """Monotonic seconds, of the running event loop."""
    return asyncio.get_running_loop().time()


def clock_ms() -> int:
    """Epoch milliseconds: what serves when is a matter of the clock."""
    return time.time_ns() // 1_000_000
