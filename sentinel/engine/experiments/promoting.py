"""What comes of an experiment that a challenger has won.

One path leads to production, that of the registry: a version that nobody may promote yet waits for
its approval. A policy, and whatever may not go on by itself, waits for a person.
"""

import logging
from collections.abc import Callable
from functools import partial

from sentinel.core.experiments.transitions import settle
from sentinel.core.registry import transitions
from sentinel.engine.experiments.desk import ExperimentDesk
from sentinel.engine.registry.registrar import Registrar
from sentinel.errors import TransientError
from sentinel.ports import ModelStore
from sentinel.stored.experiments import ArmSpec, StoredExperiment

log = logging.getLogger(__name__)


class Promoter:
    """Promotes winners."""

    def __init__(
        self,
        models: ModelStore,
        registrar: Registrar,
        desk: ExperimentDesk,
        *,
        needs_approval: bool,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._models = models
        self._registrar = registrar
        self._desk = desk
        self._needs_approval = needs_approval
        self._is_paused = is_paused
        self._said: dict[str, str] = {}

    async def go_on(self, one: StoredExperiment) -> None:
        """Do what its verdict calls for, as far as that may be done now; again and again."""
        arm = _winner(one)
        if arm is None or not one.definition.may_promote or not arm.version or arm.policy:
            return
        stage = (await self._models.registry_state()).stages.get(arm.version)
        if stage != "production" and self._is_paused():
            return  # it is promoted when that is over
        assert one.verdict is not None
        try:
            if stage != "production":
                step = partial(transitions.promoted, approval_needed=self._needs_approval)
                why = f"experiment {one.definition.id}: {one.verdict.why}"
                await self._registrar.change(step, arm.version, why=why)
        except TransientError as error:
            if self._said.get(one.definition.id) != str(error):
                log.warning("experiment %s waits: %s", one.definition.id, error)
                self._said[one.definition.id] = str(error)
            return
        try:
            await self._desk.change(one.definition.name, settle, f"{arm.version} serves")
        except ValueError as error:
            log.info("experiment %s: %s", one.definition.id, error)


def _winner(one: StoredExperiment) -> ArmSpec | None:
    name = "" if one.verdict is None else one.verdict.arm
    found = [arm for arm in one.definition.challengers if arm.name == name]
    return found[0] if found else None
