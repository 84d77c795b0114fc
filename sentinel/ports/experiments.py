"""What is kept of experiments."""

from collections.abc import Mapping
from typing import Protocol

from sentinel.stored.experiments import StoredExperiment
from sentinel.stored.looks import LookReport
from sentinel.stored.routing import RoutingPlan


class ExperimentStore(Protocol):
    """Experiments, and the plan by which instances route. TransientError when out of reach."""

    async def plan(self) -> RoutingPlan:
        """What is routed now; an empty plan before the first experiment."""
        ...

    async def experiment(self, name: str) -> StoredExperiment | None:
        """The newest of that name, or with "@" and a number that one; None if there is none."""
        ...

    async def experiments(self, count: int) -> list[StoredExperiment]:
        """The newest of each name, those that changed last first."""
        ...

    async def put(
        self,
        before: StoredExperiment | None,
        after: StoredExperiment,
        plans: tuple[RoutingPlan, RoutingPlan] | None = None,
        look: LookReport | None = None,
    ) -> bool:
        """Put one in the place of another, and with it a plan in the place of another.

        All or nothing; False if one of those before is not there any more.
        """
        ...

    async def guards(self, experiment: str) -> bytes | None:
        """How the guardrails of one definition stood when they were kept; None before that."""
        ...

    async def keep_guards(self, guards: Mapping[str, bytes], progress: bytes) -> None:
        """Keep how those of these definitions stand, with how far they are: all or nothing."""
        ...

    async def progress(self) -> bytes | None:
        """How far guardrails were when they were kept last; None before that."""
        ...

    async def looks(self, experiment: str) -> list[LookReport]:
        """Of one definition ("fast@1"), the first look first."""
        ...
