"""The steps of an update from its candidate's place in the registry to a champion that stays."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sentinel.core.registry import transitions
from sentinel.core.rollouts.params import RolloutParams
from sentinel.engine.registry.lifecycle import SERVES, Update
from sentinel.engine.registry.registrar import Registrar, back_to
from sentinel.engine.updates.params import UpdateParams
from sentinel.engine.updates.reader import ReaderPosition
from sentinel.engine.updates.watching import Watching
from sentinel.ports import ModelStore

_ELSEWHERE = "somebody has decided otherwise"


class Promotion:
    """Waits for an approval where one is needed, promotes, and looks after the new champion.

    Parameters
    ----------
    is_paused
        Whether nothing may be promoted now; what harms is taken back all the same.
    """

    def __init__(
        self,
        store: ModelStore,
        registrar: Registrar,
        watching: Watching,
        params: UpdateParams,
        rollouts: RolloutParams,
        *,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._registrar = registrar
        self._watching = watching
        self.params = params
        self._rollouts = rollouts
        self._is_paused = is_paused

    async def decided(self, update: Update, _: ReaderPosition) -> tuple[Update, ...]:
        """What somebody has said of one that waits; nothing while nobody has."""
        registry_state = await self._store.registry_state()
        stage = registry_state.stages.get(update.version)
        if stage not in ("staging", "production"):
            return (update.to("idle", outcome=_ELSEWHERE),)
        if stage == "production" or update.version in registry_state.approvals:
            return (update.to("rolling" if self._rollouts.is_used else "promoting"),)
        return ()

    async def promote(self, update: Update, position: ReaderPosition) -> tuple[Update, ...]:
        """Have the candidate serve, and begin to watch it; while that is paused, it waits."""
        if self._is_paused():
            return ()
        registry_state = await self._store.registry_state()
        stage = registry_state.stages.get(update.version)
        if stage not in ("staging", "production"):
            return (update.to("idle", outcome=f"it is in {stage}, {_ELSEWHERE}"),)
        needs_approval = self.params.needs_approval
        if stage == "staging" and needs_approval and update.version not in registry_state.approvals:
            return (update.to("waiting"),)
        before = self._watching.counts()
        if stage == "staging":
            step = partial(transitions.promoted, approval_needed=needs_approval)
            await self._registrar.change(step, update.version, why=update.outcome)
        self._watching.begin(before)
        until_ms = self._until_ms(update, position)
        return (update.to("watching", watch_until_ms=until_ms, seen=update.version),)

    def _until_ms(self, update: Update, position: ReaderPosition) -> int:
        """Event time up to which what serves from now on is watched; -1 before any is known."""
        watch_ms = round(self.params.watch.watch_s * 1000)
        newest_ms = max(position.newest_ms, update.updated_ms)
        return newest_ms + watch_ms if newest_ms >= 0 else -1

    async def adopt(self, update: Update, position: ReaderPosition) -> tuple[Update, ...]:
        """Watch what somebody else has promoted, as if an update had; nothing if nobody has.

        Who has gone back to a former champion knows what that is: it is not watched. Where no
        updates are made, nothing goes back by itself.
        """
        if not self.params.is_on:
            return ()
        registry_state = await self._store.registry_state()
        champion, seen = registry_state.champion, update.seen
        if champion is None or champion == seen:
            return ()
        is_promoted = bool(seen) and registry_state.before[-1:] == (seen,)
        if not is_promoted:
            return (replace(update, seen=champion),)
        event = await self._registrar.last_event(champion)
        who = "somebody" if event is None else event.who
        said = f": {event.why}" if event is not None and event.why else ""
        self._watching.begin(self._watching.counts())
        taken = update.after_others("watching", champion, seen, f"promoted by {who}{said}")
        return (replace(taken, watch_until_ms=self._until_ms(update, position), seen=champion),)

    def is_judging(self, update: Update) -> bool:
        """Whether what is counted of the new champion may yet speak against it."""
        return self._watching.is_judging(update)

    async def watch(self, update: Update, position: ReaderPosition) -> tuple[Update, ...]:
        """How the watch over a new champion ends; nothing while it lasts."""
        registry_state = await self._store.registry_state()
        if registry_state.champion != update.version:
            why = await self._registrar.why_rolled_back(update.version)
            outcome = _ELSEWHERE if why is None else f"rolled back: {why}"
            return (update.to("idle", outcome=outcome),)
        found = await self._watching.harm(update)
        may_go_back = self.params.watch.is_automatic and update.champion in registry_state.before
        if found is not None and may_go_back:
            await self._registrar.change(back_to(update.champion), update.version, why=found)
            return (update.to("idle", outcome=f"rolled back: {found}", seen=update.champion),)
        if update.watch_until_ms < 0:
            until_ms = self._until_ms(update, position)
            return () if until_ms < 0 else (replace(update, watch_until_ms=until_ms),)
        if position.newest_ms > update.watch_until_ms:
            return (update.to("idle", outcome=SERVES),)
        return ()
