"""The plan of experiments comes to be routed by on this instance.

A record on `experiments` has every instance look at once, and all look now and then without one.
What is stopped is stopped with the models that are here already; what has to be loaded takes part
as soon as it is, and its arm is decided by the champion until then.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from sentinel.core.decision import PolicyParams
from sentinel.core.experiments.assignment import assigning
from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.engine.patience import Patience
from sentinel.engine.scoring.arms.routing_table import RoutingTable
from sentinel.engine.scoring.serving import Serving
from sentinel.errors import TransientError
from sentinel.ports import ExperimentStore, Tail
from sentinel.serving_model import ServingModel
from sentinel.stored.routing import RoutingPlan

log = logging.getLogger(__name__)

LOOK_S = 5.0
_BELL_COUNT_MAX = 1_000
_RETRY_S, _RETRY_S_MAX = 0.5, 5.0


class Models(Protocol):
    """Who brings versions into memory."""

    async def hold(self, versions: Sequence[str]) -> Mapping[str, ServingModel]: ...

    def held(self, versions: Sequence[str]) -> Mapping[str, ServingModel]: ...


class Routing:
    """Follows the plan.

    Parameters
    ----------
    secret
        Of assignment; where a plan was made with another one, nothing is routed by it.

    Attributes
    ----------
    trouble
        Why a plan is not routed as it says; empty if it is.
    """

    def __init__(
        self,
        store: ExperimentStore,
        tail: Tail,
        serving: Serving,
        models: Models,
        policy: PolicyParams,
        *,
        secret: str,
    ) -> None:
        self._store = store
        self._tail = tail
        self._serving = serving
        self._models = models
        self._policy = policy
        self._key = key_of(secret)
        self._plan: RoutingPlan | None = None
        self._missing: list[str] = []
        self.trouble = ""

    async def run(self) -> None:
        """Follow until cancelled; while the store is away, what was routed goes on."""
        patience = Patience(
            "experiments cannot be followed", wait_s=_RETRY_S, wait_s_max=_RETRY_S_MAX
        )
        while True:
            try:
                await self.follow()
                await self._tail.poll(timeout_s=LOOK_S, count_max=_BELL_COUNT_MAX)
                patience.over()
            except TransientError as error:
                await patience.failed(error)

    async def follow(self) -> None:
        """Route by what the store says now."""
        plan = await self._store.plan()
        if plan == self._plan and not self._missing:
            return
        versions = plan.versions
        if plan.experiments and self._serving.routing is None:
            await asyncio.to_thread(assigning.warm)  # not while a batch waits
        if plan != self._plan:
            self._route(plan, self._models.held(versions))
            self._plan = plan
        models = await self._models.hold(versions)
        missing = [version for version in versions if version not in models]
        if missing != self._missing or models:
            self._route(plan, models)
        if missing and missing != self._missing:
            log.error("models %s cannot be loaded: the champion decides in their arms", missing)
        self._missing = missing

    def _route(self, plan: RoutingPlan, models: Mapping[str, ServingModel]) -> None:
        """Have batches from now on decided by a plan."""
        self.trouble = ""
        running = [one for one in plan.experiments if not one.is_paused]
        if running and plan.key_check != key_check(self._key):
            self.trouble = (
                "[experiments] secret is not the one with which the experiments were started: "
                "the champion decides in all of them"
            )
            log.error(self.trouble)
            running = []
        if not running:
            self._serving.routing = None
            return
        missing = [version for version in plan.versions if version not in models]
        if missing:
            self.trouble = (
                f"models {', '.join(missing)} are not loaded: the champion decides in their arms"
            )
        self._serving.routing = RoutingTable(plan, self._key, models, self._policy)
        log.info("routed by plan %d: %s", plan.number, ", ".join(one.tag for one in running))
