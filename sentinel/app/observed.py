"""What can be seen of an instance from outside, by views, pages and reports."""

import asyncio

from sentinel.app.wiring.assembly import Parts
from sentinel.app.wiring.shared import Ports
from sentinel.core.drift.telling import DriftView
from sentinel.engine.health import total_lag
from sentinel.engine.partitions.labels import LabelsWaiting
from sentinel.engine.registry.lifecycle import Update
from sentinel.engine.updates.awaiting import Outlook
from sentinel.serving_model import ServingModel
from sentinel.stored.experiments import StoredExperiment
from sentinel.stored.rollouts import StoredRollout


class ObservedInstance:
    """Knows nothing, or its beginning, until it has been assembled."""

    def __init__(self, serving: ServingModel) -> None:
        self._serving = serving
        self._ports: Ports | None = None
        self._parts: Parts | None = None

    @property
    def version(self) -> str:
        """Of the model that serves."""
        return (self._serving if self._parts is None else self._parts.serving.champion).version

    @property
    def is_assigned(self) -> bool:
        """Whether it has partitions."""
        return self._parts is not None and self._parts.ownership.assigned.is_set()

    @property
    def parts(self) -> Parts | None:
        """What it is made of, once it is."""
        return self._parts

    def lag(self) -> int | None:
        """Transactions that wait to be read."""
        if self._parts is None or self._ports is None:
            return None
        return total_lag(self._ports.broker, [p.at for p in self._parts.partitions.values()])

    def idle_s(self) -> float:
        """Seconds since the last record was handed to a task, or since there were partitions."""
        if self._parts is None or not self.is_assigned:
            return 0.0
        return asyncio.get_running_loop().time() - self._parts.dispatcher.last_progress_s

    def learning(self) -> tuple[Update | None, Outlook | None]:
        """The newest update, and what the next one waits for, as far as this instance knows.

        Another one may train, or none: then it knows nothing.
        """
        if self._parts is None:
            return None, None
        training = self._parts.training
        return training.update, None if training.update is None else training.outlook

    def drift(self) -> DriftView | None:
        """How the watch for drift stands; None where this instance does not watch."""
        return None if self._parts is None else self._parts.drift.view()

    def rollout(self) -> StoredRollout | None:
        """The newest, as this instance has seen it; None where it does not lead any."""
        if self._parts is None or self._parts.training.update is None:
            return None
        return self._parts.rollouts.newest

    def experiments(self) -> list[StoredExperiment] | None:
        """What runs; None where this instance does not look after experiments."""
        return None if self._parts is None else self._parts.experiments.running

    def labels_waiting(self) -> LabelsWaiting:
        """The labels that wait for their time."""
        return LabelsWaiting(0, None) if self._parts is None else self._parts.labels.waiting()

    def last_alerts(self) -> list[bytes]:
        """The newest few alerts as published."""
        return [] if self._parts is None else self._parts.alerts.last

    def entity_counts(self) -> dict[str, int]:
        """Entities in memory, by kind."""
        if self._parts is None:
            return {}
        return {name: len(table) for name, table in self._parts.state.tables.items()}
