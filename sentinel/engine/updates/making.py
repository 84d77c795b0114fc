"""The steps of an update up to its candidate's place in the registry."""

import logging
from collections.abc import Callable
from dataclasses import replace

from sentinel.core.decision import PolicyParams
from sentinel.core.learning.triggers import STILL_OPEN, AlarmTimes, Progress, Trigger
from sentinel.core.registry import transitions
from sentinel.core.rollouts.params import RolloutParams
from sentinel.engine.registry.lifecycle import OVERTAKEN, Update, audit_entry_of, judgement_of
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.updates.awaiting import Awaiting
from sentinel.engine.updates.params import UpdateParams
from sentinel.engine.updates.reader import ReaderPosition
from sentinel.errors import ModelError, TrainingError
from sentinel.metrics import Metrics
from sentinel.ports import ModelStore, Trainer, Updated
from sentinel.stored.versions import Artifact

log = logging.getLogger(__name__)


class Making:
    """Begins an update when one is due, has the trainer make a candidate, and registers it.

    Parameters
    ----------
    alarm_times
        When there were alarms of drift, and of performance.
    rollouts
        What a candidate goes through before it serves.
    is_paused
        Whether no update may be begun now; one under way goes on.

    Attributes
    ----------
    config_version
        Stands in the manifests of what is made here, as in those of first models.
    policy
        By which candidates are judged; None for that of the start.
    """

    def __init__(
        self,
        store: ModelStore,
        trainer: Trainer,
        registrar: Registrar,
        awaiting: Awaiting,
        metrics: Metrics,
        params: UpdateParams,
        alarm_times: Callable[[], AlarmTimes],
        rollouts: RolloutParams,
        *,
        config_version: str,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._trainer = trainer
        self._registrar = registrar
        self._awaiting = awaiting
        self._metrics = metrics
        self._params = params
        self._alarm_times = alarm_times
        self._rollouts = rollouts
        self._is_paused = is_paused
        self.config_version = config_version
        self.policy: PolicyParams | None = None
        self._candidate: Artifact | None = None  # on its way into the registry

    async def begin(self, update: Update, position: ReaderPosition) -> tuple[Update, ...]:
        """The next update, if one is due. It takes the place of one that waits or is watched."""
        return await self._begin(update, await self._due(update, position), position)

    async def begin_urgent(self, update: Update, position: ReaderPosition) -> tuple[Update, ...]:
        """The same where one is on its way to serve: only what is urgent or asked for does so."""
        trigger = await self._due(update, position)
        if trigger is not None and trigger.kind != "demand":
            trigger = trigger if self._is_urgent(update, trigger) else None
        return await self._begin(update, trigger, position)

    async def _begin(
        self, update: Update, trigger: Trigger | None, position: ReaderPosition
    ) -> tuple[Update, ...]:
        if trigger is None:
            return ()
        champion = (await self._store.registry_state()).champion
        if champion is None:
            return ()
        ended = update if update.state == "idle" else update.to("idle", outcome=OVERTAKEN)
        begun = ended.next(
            trigger,
            updated_ms=max(position.newest_ms, update.updated_ms),
            examples_to=position.next_offset,
            control_to=position.control_next,
            champion=champion,
            is_urgent=self._is_urgent(update, trigger) or self._is_again(trigger),
        )
        return (begun,) if ended is update else (ended, begun)

    async def _due(self, update: Update, position: ReaderPosition) -> Trigger | None:
        """Why the next update is due; None while it is not."""
        is_asked = position.asked_by is not None
        is_off = not self._params.is_on or self._is_paused()
        if is_off or (position.newest_ms < 0 and not is_asked):
            return None
        alarms = self._alarm_times()
        progress = Progress(
            now_ms=max(position.newest_ms, update.updated_ms),
            updated_ms=update.updated_ms,
            example_count=position.new_count,
            asked_by=position.asked_by,
            is_recalibrated=update.is_recalibrated,
            drift_alarm_ms=alarms.drift,
            performance_alarm_ms=alarms.performance,
            is_alarm_open=await self._is_of_champion(alarms.open_of),
        )
        return await self._awaiting.due(progress, position.next_offset)

    async def _is_of_champion(self, version: str) -> bool:
        """Whether it serves: of one that was replaced an alarm may be open for a moment longer."""
        return bool(version) and (await self._store.registry_state()).champion == version

    def _is_again(self, trigger: Trigger) -> bool:
        """Whether an alarm asks once more: those of performance are critical."""
        return trigger.reason == STILL_OPEN and trigger.kind in self._rollouts.urgent_on

    def _is_urgent(self, update: Update, trigger: Trigger) -> bool:
        """Whether a critical alarm asks for it."""
        may_be = trigger.kind in self._rollouts.urgent_on
        alarms = self._alarm_times()
        return may_be and alarms.is_critical(trigger.kind, since_ms=update.updated_ms)

    async def make(self, update: Update, _: ReaderPosition) -> tuple[Update, ...]:
        """A candidate, if the trainer finds one. WorkerLostError when it is lost at it."""
        try:
            champion = await self._store.load(update.champion)
            updated = await self._trainer.update(
                champion, draw=update.number % 2**32, policy=self.policy
            )
        except (ModelError, TrainingError) as error:
            log.warning("update %d makes no candidate: %r", update.number, error)
            return (update.to("idle", outcome=f"no candidate: {error}"),)
        return (await self._made(update, champion, updated),)

    async def _made(self, update: Update, champion: Artifact, updated: Updated) -> Update:
        """Tell what the trainer has found, and name the candidate."""
        verdict, made = updated.verdict, updated.made
        update = replace(update, judgement=judgement_of(updated))
        self._metrics.updates[updated.outcome] += 1
        await self._registrar.tell(audit_entry_of(update, "judged", updated.facts()))
        if made is None or verdict is None:
            return update.to("idle", outcome=updated.reason)
        facts = {"config_version": self.config_version, **update.origin}
        change = transitions.kind_of_change(champion.manifest, {**made.manifest, **facts})
        version = await self._registrar.free_version(champion.version, change)
        self._candidate = made.artifact(version, **facts)
        return update.to(
            "made",
            strategy=made.strategy,
            version=version,
            verdict=verdict.outcome,
            outcome=updated.reason,
        )

    async def register(self, update: Update, _: ReaderPosition) -> tuple[Update, ...]:
        """Give the candidate its place in the registry. Done twice, it finds it there."""
        version, why = update.version, update.outcome
        if not await self._is_kept(update):
            return (update.to("idle", outcome="the candidate was lost before it was stored"),)
        registry_state = await self._store.registry_state()
        if version not in registry_state.stages:
            await self._registrar.change(transitions.registered, version, why=why)
            registry_state = await self._store.registry_state()
        if registry_state.stages[version] == "development" and update.verdict != "not_yet":
            step = transitions.staged if update.verdict == "promote" else transitions.refused
            await self._registrar.change(step, version, why=why)
        if update.verdict != "promote":
            return (update.to("idle", outcome=why),)
        if self._params.needs_approval:
            return (update.to("waiting"),)
        return (update.to("rolling" if self._rollouts.is_used else "promoting"),)

    async def _is_kept(self, update: Update) -> bool:
        """Whether the candidate is in the registry, and nobody else's; put there if need be."""
        candidate = self._candidate
        if candidate is not None and candidate.manifest["update"] == update.number:
            try:
                await self._store.add(candidate)
            except ModelError as error:
                log.error("%s", error)
            self._candidate = None
        found = await self._store.manifests([update.version])
        return found.get(update.version, {}).get("update") == update.number
