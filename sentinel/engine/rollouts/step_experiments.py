"""The experiments by which the steps of rollouts are judged: started, looked at, ended."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.core.experiments.transitions import create, settle, start, stop
from sentinel.core.rollouts.judging import definition_of, experiment_name
from sentinel.core.rollouts.params import RolloutParams
from sentinel.engine.experiments.desk import ExperimentDesk
from sentinel.ports import ExperimentStore, ModelStore
from sentinel.stored.experiments import StoredExperiment, StoredVerdict
from sentinel.stored.rollouts import StoredRollout

UNASSIGNABLE = (
    "[experiments] secret is empty, by which a canary and a ramp assign accounts: set "
    "SENTINEL__EXPERIMENTS__SECRET, or leave them out of [rollouts] steps"
)


@dataclass(frozen=True, slots=True)
class Assigning:
    """What experiments need of the configuration to assign accounts."""

    secret: str = field(repr=False)
    holdout: float


class StepExperiments:
    """Starts, finds and ends them, each by the name of its rollout and step."""

    def __init__(
        self,
        store: ExperimentStore,
        models: ModelStore,
        desk: ExperimentDesk,
        params: RolloutParams,
        assigning: Assigning,
        *,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._models = models
        self._desk = desk
        self._params = params
        self._assigning = assigning
        self._clock_ms = clock_ms

    async def begin(self, one: StoredRollout) -> StoredExperiment:
        """The experiment of its next step, which runs from now on. Done twice, it is found.

        Raises ValueError, which says what keeps it from running.
        """
        definition = definition_of(one, self._params)
        if definition.design != "shadow" and not self._assigning.secret:
            raise ValueError(UNASSIGNABLE)
        found = await self._store.experiment(definition.name)
        if found is not None and found.status != "draft":
            return found
        await self._desk.change(definition.name, create(definition), one.reason)
        registry_state = await self._models.registry_state()
        stages = registry_state.stages
        begun = start(
            at_ms=self._clock_ms(),
            champion=registry_state.champion or "",
            key_check=key_check(key_of(self._assigning.secret)),
            holdout=self._assigning.holdout,
            servable=[v for v, stage in stages.items() if stage in ("staging", "production")],
        )
        return await self._desk.change(definition.name, begun, f"rollout {one.number}")

    async def found(self, one: StoredRollout) -> StoredExperiment | None:
        """That of the step that runs; None if somebody has lost it."""
        return await self._store.experiment(experiment_name(one))

    async def settle(self, found: StoredExperiment) -> None:
        """What its verdict called for is done: the next step comes."""
        if found.status == "waiting":
            await self._desk.change(found.definition.name, settle, "the rollout goes on")

    async def end(self, one: StoredRollout, why: str) -> None:
        """Have the champion decide for all again, if its experiment still runs."""
        found = await self.found(one) if one.place < len(one.steps) else None
        if found is not None and not found.is_over:
            verdict = StoredVerdict("stopped", why)
            await self._desk.change(found.definition.name, stop(verdict), why)
