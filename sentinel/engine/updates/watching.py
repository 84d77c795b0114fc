"""A new champion is watched: by what this instance sees of it, and on newer examples."""

import logging
from collections.abc import Mapping

from sentinel.core.decision import PolicyParams
from sentinel.core.learning.watch import VersionCounts, WatchParams, harm
from sentinel.engine.registry.lifecycle import Update
from sentinel.errors import ModelError, TrainingError
from sentinel.metrics import Metrics
from sentinel.ports import ModelStore, Trainer

log = logging.getLogger(__name__)

Counts = Mapping[str, VersionCounts]  # by version
_NOTHING = VersionCounts()


class Watching:
    """What is counted for the watch, and what it finds.

    Parameters
    ----------
    compare_after_count
        So many new examples, and again and again, before the two champions are compared.
    """

    def __init__(
        self,
        store: ModelStore,
        trainer: Trainer,
        metrics: Metrics,
        params: WatchParams,
        *,
        compare_after_count: int,
    ) -> None:
        self._store = store
        self._trainer = trainer
        self._metrics = metrics
        self.params = params
        self._compare_after_count = compare_after_count
        self._new_count = 0  # examples since the last comparison
        self._before: Counts | None = None
        self._is_said = False
        self.policy: PolicyParams | None = None  # as of `Making`

    def counts(self) -> Counts:
        """What this instance has counted by now, by version."""
        metrics = self._metrics
        return {
            version: VersionCounts(
                decision_count=metrics.version_decisions[version],
                alert_count=metrics.version_alerts[version],
                probability_sum=metrics.version_probability_sum[version],
                score_s=metrics.version_score_s[version],
                failure_count=metrics.version_failures[version],
            )
            for version in {**metrics.version_decisions, **metrics.version_failures}
        }

    def begin(self, before: Counts) -> None:
        """A champion has just taken over; `before` was counted right before that."""
        self._before, self._new_count, self._is_said = before, 0, False

    def end(self) -> None:
        """What was counted says nothing any more: others may promote meanwhile."""
        self._before = None

    def take(self, count: int) -> None:
        """So many new examples have come."""
        self._new_count += count

    def forget_examples(self) -> None:
        """All examples come once more."""
        self._new_count = 0

    async def harm(self, update: Update) -> str | None:
        """What is wrong with the champion that the update has made; None while nothing is."""
        found = None
        if (counted := self._counted(update)) is not None:
            found = harm(*counted, self.params)
        if found is None and self._new_count >= self._compare_after_count:
            self._new_count = 0
            found = await self._compared(update)
        if found is not None and not self._is_said:
            log.warning("%s hurts: %s", update.version, found)
            self._is_said = True
        return found

    def is_judging(self, update: Update) -> bool:
        """Whether so little of the champion is counted that nothing can be said of it yet.

        Not where nothing ever can be: too little was counted of what served before.
        """
        counted = self._counted(update)
        if counted is None:
            return False
        former, champion = counted
        enough = self.params.decision_count_min
        return former.decision_count >= enough > champion.decision_count

    def _counted(self, update: Update) -> tuple[VersionCounts, VersionCounts] | None:
        """Of what served before, up to the take-over, and of the champion, from there on; None
        where that was counted elsewhere.
        """
        if self._before is None:
            return None
        former = self._before.get(update.champion, _NOTHING)
        champion = self.counts().get(update.version, _NOTHING)
        return former, champion - self._before.get(update.version, _NOTHING)

    async def _compared(self, update: Update) -> str | None:
        """Whether what served before would do better on what has happened since."""
        try:
            former = await self._store.load(update.champion)
            champion = await self._store.load(update.version)
            verdict = await self._trainer.compare(
                former, champion, since_ms=update.updated_ms + 1, policy=self.policy
            )
        except (ModelError, TrainingError) as error:
            log.warning("%s and %s are not compared: %r", update.champion, update.version, error)
            return None
        if verdict is None or verdict.outcome != "promote":
            return None
        return f"on newer examples {update.champion}, which served before, is better"
