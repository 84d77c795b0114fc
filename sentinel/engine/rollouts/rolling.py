"""Takes a version through the steps of its rollout, in the life of the update that leads it.

Who trains takes this step, too: there is one at a time, and whoever takes over does what was last
noted again. What a person does meanwhile (approves, aborts) is in the store when the next step is
taken. Each step is judged by an experiment (`engine/experiments`), which ends by itself where it
harms; what is decided of that is stored before it is done.
"""

import logging
from collections.abc import Callable

from sentinel.core.registry import transitions as registry_transitions
from sentinel.core.rollouts import transitions
from sentinel.core.rollouts.holds import Hold, hold_of, is_given_up
from sentinel.core.rollouts.judging import step_judgement
from sentinel.core.rollouts.params import RolloutParams
from sentinel.engine.registry.lifecycle import OVERTAKEN, SERVES, Update
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.rollouts.desk import RolloutChange, RolloutDesk
from sentinel.engine.rollouts.quiet_hours import QuietHours
from sentinel.engine.rollouts.step_experiments import UNASSIGNABLE, StepExperiments
from sentinel.engine.updates.reader import ReaderPosition
from sentinel.errors import TransientError
from sentinel.ports import ModelStore
from sentinel.stored.rollouts import RolloutStatus, StoredRollout
from sentinel.stored.versions import RegistryState

log = logging.getLogger(__name__)

ROLLING_WHO = "rollouts"
_MIRRORED = ("promoting", "watching")


class RolloutSteps:
    """`engine.updates.steps.Rolling`.

    Parameters
    ----------
    is_paused
        Whether somebody has said that nothing is to go on by itself.

    Attributes
    ----------
    newest
        The newest rollout, as it was seen last; None before one was.
    """

    def __init__(
        self,
        desk: RolloutDesk,
        experiments: StepExperiments,
        models: ModelStore,
        registrar: Registrar,
        params: RolloutParams,
        *,
        is_paused: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._experiments = experiments
        self._models = models
        self._registrar = registrar
        self._params = params
        self._is_paused = is_paused
        self.newest: StoredRollout | None = None

    async def take_up(self, update: Update, _: ReaderPosition) -> tuple[Update, ...]:
        """A version that somebody wants rolled out, in the place of what waits or is watched."""
        one = await self._look()
        if one is None or one.update or one.status != "waiting":
            return ()
        ended = update if update.state == "idle" else update.to("idle", outcome=OVERTAKEN)
        taken = ended.after_others("rolling", one.version, one.champion, one.reason)
        await self._change(one, lambda now: transitions.led_by(now, taken.number), "it begins")
        return (taken,) if ended is update else (ended, taken)

    async def roll(self, update: Update, _: ReaderPosition) -> tuple[Update, ...]:
        """The next step of the update's version, as far as nothing keeps it."""
        one = await self._of(update)
        if one is None:
            one = await self._begin(update, "waiting")
        if one.status in _MIRRORED:
            return (update.to("promoting"),)
        if not one.is_over and (why := displaced(one, await self._models.registry_state())):
            one = await self._end(one, "aborted", why)
        elif one.status == "running":
            one = await self._judge(one)
        if one.status == "waiting":
            one = await self._go_on(one)
        if one.status == "promoting":
            return (update.to("promoting"),)
        if not one.is_over:
            return ()
        await self._experiments.end(one, one.why)
        await self._turn_down(one)
        return (update.to("idle", outcome=f"{one.status}: {one.why}"),)

    async def follow(self, update: Update) -> None:
        """Keep how the update stands now with its rollout; to say it again changes nothing."""
        one = await self._of(update) if update.version else None
        if update.state in ("promoting", "watching"):
            status: RolloutStatus = "promoting" if update.state == "promoting" else "watching"
            if one is None:
                await self._begin(update, status)
            elif one.status == "promoting" and status == "watching":
                await self._move(one, "watching", f"{one.version} serves, and is watched")
        elif update.state == "idle" and one is not None and not one.is_over:
            await self._experiments.end(one, update.outcome)
            await self._end(one, _ended(one, update.outcome), update.outcome)

    async def _look(self) -> StoredRollout | None:
        self.newest = await self._desk.newest()
        return self.newest

    async def _of(self, update: Update) -> StoredRollout | None:
        """That which the update leads; None if there is none yet, or its store has lost it."""
        one = await self._look()
        is_its = one is not None and (one.update, one.version) == (update.number, update.version)
        return one if is_its else None

    async def _begin(self, update: Update, status: RolloutStatus) -> StoredRollout:
        is_urgent, at_ms = update.is_urgent, self._desk.clock_ms()
        steps = self._params.steps_for(is_urgent=is_urgent) if status == "waiting" else ()
        self.newest = await self._desk.begin(
            lambda number: transitions.begun(
                *(number, update.version, update.champion),
                trigger=update.trigger,
                reason=update.reason,
                steps=steps,
                update=update.number,
                is_urgent=is_urgent,
                status=status,
                at_ms=at_ms,
            )
        )
        return self.newest

    async def _go_on(self, one: StoredRollout) -> StoredRollout:
        """Enter the next step, or the champion's place; or note what keeps it."""
        now_ms = self._desk.clock_ms()
        hold = hold_of(
            one,
            self._params,
            now_ms=now_ms,
            is_paused=self._is_paused(),
            failed_ms=await self._failed_ms(one),
            quiet_to_ms=self._quiet_to_ms(now_ms),
        )
        if hold is None and one.place == len(one.steps):
            return await self._move(one, "promoting", "every step is behind it")
        if hold is None:
            try:
                found = await self._experiments.begin(one)
            except ValueError as error:
                hold = Hold(str(error), needs_person=str(error) == UNASSIGNABLE)
            else:
                name = found.definition.id
                return await self._change(
                    one,
                    lambda now: transitions.entered(now, name, at_ms=now_ms),
                    f"{one.next_place}, by experiment {name}",
                )
        if is_given_up(one, self._params, now_ms=now_ms):
            return await self._end(one, "refused", "nobody has agreed in time")
        if transitions.held(one, hold) == one:
            return one  # as it was a moment ago
        return await self._change(one, lambda now: transitions.held(now, hold), hold.why)

    def _quiet_to_ms(self, now_ms: int) -> int | None:
        quiet = QuietHours.of(self._params)
        return quiet.end_ms(now_ms) if quiet is not None and quiet.contains(now_ms) else None

    async def _failed_ms(self, one: StoredRollout) -> int | None:
        """When the rollout before it ended, if that was not well."""
        before = await self._desk.before(one.number) if one.place == 0 else None
        is_bad = before is not None and before.status in ("refused", "rolled_back")
        return before.since_ms if before is not None and is_bad else None

    async def _judge(self, one: StoredRollout) -> StoredRollout:
        """What has come of the step that runs."""
        found = await self._experiments.found(one)
        if found is None:
            return await self._end(one, "refused", f"its experiment {one.experiment} is lost")
        outcome, why = step_judgement(found, equal=self._params.equal)
        if outcome == "running":
            return one
        if outcome == "refused":
            return await self._end(one, "refused", f"{one.next_place}: {why}")
        await self._experiments.settle(found)  # or it would wait for a person for good
        at_ms = self._desk.clock_ms()
        return await self._change(
            one, lambda now: transitions.step_passed(now, why, at_ms=at_ms), why
        )

    async def _turn_down(self, one: StoredRollout) -> None:
        """What was refused may not serve; what somebody has aborted may be tried again."""
        if one.status != "refused":
            return
        stages = (await self._models.registry_state()).stages
        if stages.get(one.version) == "staging":
            await self._registrar.change(registry_transitions.refused, one.version, why=one.why)

    async def _move(self, one: StoredRollout, status: RolloutStatus, why: str) -> StoredRollout:
        at_ms = self._desk.clock_ms()
        return await self._change(one, lambda now: transitions.moved(now, status, at_ms=at_ms), why)

    async def _end(self, one: StoredRollout, status: RolloutStatus, why: str) -> StoredRollout:
        log.info("rollout %d of %s is %s: %s", one.number, one.version, status, why)
        return await self._move(one, status, why)

    async def _change(self, one: StoredRollout, change: RolloutChange, why: str) -> StoredRollout:
        """Change it as it is here: what somebody has done meanwhile is seen at the next step."""

        def unless_changed(now: StoredRollout) -> StoredRollout:
            if now.approvals != one.approvals or now.status != one.status:
                raise TransientError(f"rollout {one.number} was changed meanwhile")
            return change(now)

        self.newest = await self._desk.change(one.number, unless_changed, why)
        return self.newest


def displaced(one: StoredRollout, registry_state: RegistryState) -> str:
    """Why it leads nowhere any more, as somebody has decided otherwise; empty if nobody has."""
    stage = registry_state.stages.get(one.version, "gone")
    if stage != "staging":
        return f"version {one.version} is {_STAGES.get(stage, stage)} by now"
    if registry_state.champion != one.champion:
        return f"it was compared with {one.champion}, and {registry_state.champion} serves by now"
    return ""


def _ended(one: StoredRollout, outcome: str) -> RolloutStatus:
    """How it has ended, by what its update came to."""
    if one.status == "watching":
        return "served" if outcome in (SERVES, OVERTAKEN) else "rolled_back"
    return "aborted" if outcome == OVERTAKEN else "refused"


_STAGES = {"production": "in production", "archived": "archived", "development": "in development"}
