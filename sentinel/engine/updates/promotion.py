"""The steps of an update from its candidate's place in the registry to a champion that stays."""

from collections.abc import Callable
from functools import partial

from sentinel.core.registry import transitions
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
        *,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._registrar = registrar
        self._watching = watching
        self.params = params
        self._is_paused = is_paused

    async def decided(self, update: Update, _: ReaderPosition) -> tuple[Update, ...]:
        """What somebody has said of one that waits; nothing while nobody has."""
        registry_state = await self._store.registry_state()
        stage = registry_state.stages.get(update.version)
        if stage not in ("staging", "production"):
            return (update.to("idle", outcome=_ELSEWHERE),)
        if stage == "production" or update.version in registry_state.approvals:
            return (update.to("promoting"),)
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
        watch_ms = round(self.params.watch.watch_s * 1000)
        until_ms = max(position.newest_ms, update.updated_ms) + watch_ms
        self._watching.begin(before)
        return (update.to("watching", watch_until_ms=until_ms),)

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
            return (update.to("idle", outcome=f"rolled back: {found}"),)
        if position.newest_ms > update.watch_until_ms:
            return (update.to("idle", outcome=SERVES),)
        return ()
