"""What the engine needs from the outside, as Protocols that every adapter and its twin fulfil."""

from sentinel.ports.archive import Archive, LogArchive
from sentinel.ports.broker import Broker, PartitionsCallback, Tail, TopicLog
from sentinel.ports.drift import DriftStore
from sentinel.ports.experiments import ExperimentStore
from sentinel.ports.explainer import Explainer
from sentinel.ports.machine import Machine, MachineLook
from sentinel.ports.operating import OperatingStore
from sentinel.ports.rollouts import RolloutStore
from sentinel.ports.stores import CaseStore, ModelStore, ReportStore, Savepoint, SavepointStore
from sentinel.ports.trainer import Attempt, Made, Saved, Taken, Trainer, Updated, UpdateOutcome
from sentinel.state_store import Fence, Fences, PartitionState, StateStore, StoreFacts
from sentinel.stored.blobs import Blob

__all__ = [
    "Archive",
    "Attempt",
    "Blob",
    "Broker",
    "CaseStore",
    "DriftStore",
    "ExperimentStore",
    "Explainer",
    "Fence",
    "Fences",
    "LogArchive",
    "Machine",
    "MachineLook",
    "Made",
    "ModelStore",
    "OperatingStore",
    "PartitionState",
    "PartitionsCallback",
    "ReportStore",
    "RolloutStore",
    "Saved",
    "Savepoint",
    "SavepointStore",
    "StateStore",
    "StoreFacts",
    "Tail",
    "Taken",
    "TopicLog",
    "Trainer",
    "UpdateOutcome",
    "Updated",
]
