"""What the next update waits for: looked at now and then, and noted for people to read."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sentinel.codec.stored import encode_stored
from sentinel.core.learning.awaiting import Awaited, Need, Paces
from sentinel.core.learning.triggers import (
    Progress,
    Trigger,
    TriggerParams,
    due_triggers,
    trigger_needs,
)
from sentinel.errors import TrainingError
from sentinel.ports import ModelStore, Trainer
from sentinel.stored.versions import Artifact

log = logging.getLogger(__name__)

# To look costs the trainer a sort of what it holds.
_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the next update waits for.

    Attributes
    ----------
    at_ms
        When it was looked at, in epoch milliseconds of the clock.
    to_judge
        What there is too little of to judge anything by; that which only a promotion needs is last.
    to_begin
        Whatever else is to happen before the next one is due.
    """

    at_ms: int = 0
    to_judge: tuple[Awaited, ...] = ()
    to_begin: tuple[Awaited, ...] = ()

    @property
    def can_judge(self) -> bool:
        """Whether there is enough to judge a candidate by."""
        return not any(one.is_required for one in self.to_judge)


class Awaiting:
    """Looks at what an update needs and what there is of it.

    Parameters
    ----------
    clock_s, clock_ms
        Monotonic, for paces; and the time of day, for people.
    """

    def __init__(
        self,
        store: ModelStore,
        trainer: Trainer,
        params: TriggerParams,
        *,
        clock_s: Callable[[], float],
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._trainer = trainer
        self.params = params
        self._clock_s = clock_s
        self._clock_ms = clock_ms
        self._paces = Paces()
        self._needs: tuple[Need, ...] = ()
        self._manifest: tuple[str, dict[str, Any]] = ("", {})  # of which version
        self._looked_s = float("-inf")
        self._seen: tuple[str, int] | None = None  # champion and offset of the last look
        self.outlook: Outlook | None = None

    async def look(self, progress: Progress, next_offset: int) -> Outlook:
        """As of now, or of some seconds ago.

        Parameters
        ----------
        next_offset
            What comes next of the examples: where it is as it was, what is held is, too.
        """
        if self.outlook is not None and self._clock_s() - self._looked_s < _LOOK_S:
            return self.outlook
        champion = (await self._store.registry_state()).champion
        if champion is not None and (champion, next_offset) != self._seen:
            self._needs = await self._needed(champion)
            self._seen = champion, next_offset
        self._looked_s = now_s = self._clock_s()
        to_begin = self._to_begin(progress, now_s)
        self.outlook = Outlook(self._clock_ms(), self._paces.awaited(self._needs, now_s), to_begin)
        await self._store.note_outlook(encode_stored(self.outlook))
        return self.outlook

    def _to_begin(self, progress: Progress, now_s: float) -> tuple[Awaited, ...]:
        both, either = trigger_needs(progress, self.params)
        required, others = (self._paces.awaited(some, now_s) for some in (both, either))
        if len(others) < len(either):  # one of them is enough
            return required
        return (*required, *sorted(others, key=_wait_s)[:1])  # whichever comes first

    async def due(self, progress: Progress, next_offset: int) -> Trigger | None:
        """Why the next update is due. While there is too little to judge by, none but on demand."""
        outlook = await self.look(progress, next_offset)
        found = due_triggers(progress, self.params)
        if found and (found[0].kind == "demand" or outlook.can_judge):
            return found[0]
        return None

    async def _needed(self, champion: str) -> tuple[Need, ...]:
        version, manifest = self._manifest
        if version != champion:
            manifest = (await self._store.manifests([champion])).get(champion, {})
            self._manifest = champion, manifest
        try:
            return await self._trainer.needs(Artifact(champion, "", manifest))
        except TrainingError as error:
            log.warning("what an update needs is not known: %s", error)
            return ()


def _wait_s(awaited: Awaited) -> float:
    return float("inf") if awaited.wait_s is None else awaited.wait_s
