"""The plan of experiments comes to be routed by on this instance.

A record on `experiments` has every instance look at once, and all look now and then without one.
What is stopped is stopped with the models that are here already; what has to be loaded takes part
as soon as it is, and its arm is decided by the champion until then.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sentinel.core.experiments.assignment import assigning
from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.engine.patience import Patience
from sentinel.engine.scoring.arms.routing_table import RoutingTable
from sentinel.engine.scoring.serving import Serving
from sentinel.engine.tasks import end
from sentinel.errors import TransientError
from sentinel.ports import ExperimentStore, Tail
from sentinel.serving_model import ServingModel
from sentinel.stored.routing import RoutingPlan

log = logging.getLogger(__name__)

_LOOK_S = 5.0
_LOOK_ROUTING_S = 0.4  # while anything runs: what harms is to end within a second, word or no word
_BELL_COUNT_MAX = 1_000
_RETRY_S, _RETRY_S_MAX = 0.5, 5.0


class HeldModels(Protocol):
    """Who brings versions into memory."""

    async def hold(self, versions: Sequence[str]) -> Mapping[str, ServingModel]: ...

    def held(self, versions: Sequence[str]) -> Mapping[str, ServingModel]: ...


class Routing:
    """Follows the plan.

    Parameters
    ----------
    secret
        Of assignment; where a plan was made with another one, nothing is routed by it.
    """

    def __init__(
        self,
        store: ExperimentStore,
        tail: Tail,
        serving: Serving,
        models: HeldModels,
        *,
        secret: str,
        clock_s: Callable[[], float],
    ) -> None:
        self._store = store
        self._tail = tail
        self._serving = serving
        self._models = models
        self._key = key_of(secret)
        self._clock_s = clock_s
        self._plan: RoutingPlan | None = None
        self._missing: list[str] = []
        self._loading: asyncio.Task[None] | None = None
        self._again_s = 0.0  # when what could not be loaded is tried again
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why a plan is not routed as it says; empty if it is."""
        versions = (
            () if self._serving.routing is None or self._plan is None else self._plan.versions
        )
        failed = [one for one in versions if one in self._serving.failed]
        if self._trouble or not failed:
            return self._trouble
        return f"models {', '.join(failed)} cannot score: the champion decides in their arms"

    async def run(self) -> None:
        """Follow until cancelled; while the store is away, what was routed goes on."""
        patience = Patience(
            "experiments cannot be followed", wait_s=_RETRY_S, wait_s_max=_RETRY_S_MAX
        )
        try:
            while True:
                try:
                    await self.follow()
                    look_s = _LOOK_S if self._serving.routing is None else _LOOK_ROUTING_S
                    await self._tail.poll(timeout_s=look_s, count_max=_BELL_COUNT_MAX)
                    patience.over()
                except TransientError as error:
                    await patience.failed(error)
        finally:
            if self._loading is not None:
                await end([self._loading])

    async def begin(self) -> None:
        """Route by the plan from the first record on, with all models that can be loaded."""
        await self.follow()
        if self._loading is not None:
            await self._loading

    async def follow(self) -> None:
        """Route by what the store says now; models that are not here yet are loaded beside."""
        plan = await self._store.plan()
        if plan.experiments and self._serving.routing is None:
            await asyncio.to_thread(assigning.warm)  # not while a batch waits
        is_new = plan != self._plan
        if is_new:
            self._plan = plan
            self._route(plan, self._models.held(plan.versions), is_loading=True)
        is_due = bool(self._missing) and self._clock_s() >= self._again_s
        if (is_new or is_due) and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load(), name="arms")

    async def _load(self) -> None:
        """Bring what the plan names into memory, and route by it; again if it changes meanwhile."""
        plan = None
        while plan != self._plan and self._plan is not None:
            plan = self._plan
            models, is_away = await self._hold(plan.versions)
            if plan == self._plan:
                self._route(plan, models, is_loading=is_away)
        self._again_s = self._clock_s() + _LOOK_S

    async def _hold(self, versions: Sequence[str]) -> tuple[Mapping[str, ServingModel], bool]:
        """What can be loaded, and whether that says nothing of the rest: the store is away."""
        try:
            return await self._models.hold(versions), False
        except TransientError as error:
            log.warning("models of experiments cannot be loaded: %s", error)
            return self._models.held(versions), True

    def _route(
        self, plan: RoutingPlan, models: Mapping[str, ServingModel], *, is_loading: bool = False
    ) -> None:
        """Have batches from now on decided by a plan, of which models may be on their way."""
        self._trouble = ""
        running = [one for one in plan.experiments if not one.is_paused]
        if running and plan.key_check != key_check(self._key):
            self._trouble = (
                "[experiments] secret is not the one with which the experiments were started: "
                "the champion decides in all of them"
            )
            log.error(self._trouble)
            running = []
        if not running:
            self._serving.routing, self._missing = None, []
            return
        self._missing = missing = [one for one in plan.versions if one not in models]
        if missing:
            self._trouble = (
                f"models {', '.join(missing)} are not loaded: the champion decides in their arms"
            )
        loading = missing if is_loading else ()
        self._serving.routing = RoutingTable(plan, self._key, models, loading)
        log.info("routed by plan %d: %s", plan.number, ", ".join(one.tag for one in running))
