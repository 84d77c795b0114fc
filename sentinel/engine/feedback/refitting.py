"""Now and then the newest cases are judged anew; what was settled too early is counted again.

The fit itself runs in a thread. What it finds goes the way of everything else: who copies whom is
saved with the others' records, and a doubtful case gets feedback of its own in the log of feedback,
which says nothing, so that whoever counts it weighs the votes there by what is known by now.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from sentinel.codec.records import keyed
from sentinel.core.consensus.batch.refit import Refit, refit
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.logs import feedback_name, log_id
from sentinel.engine.audit import AuditLog
from sentinel.ports import Broker, CaseStore
from sentinel.records import AuditEntry, Feedback
from sentinel.stored.votes import (
    CONSENSUS,
    RECENT_COUNT_MAX,
    Annotator,
    Case,
    CaseBatch,
    FeedbackProgress,
)

T = TypeVar("T")


class AskPatiently(Protocol):
    """Asks the store again while it is away."""

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T: ...


class Refitting:
    """Counts votes until it is time again.

    Parameters
    ----------
    patiently
        How the store is asked.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        store: CaseStore,
        feedback_topic: str,
        audit: AuditLog,
        trusted_sources: Collection[str],
        params: ConsensusParams,
        patiently: AskPatiently,
    ) -> None:
        self._broker = broker
        self._store = store
        self._feedback_topic = feedback_topic
        self._audit = audit
        self._trusted_sources = trusted_sources
        self._params = params
        self._patiently = patiently
        self._count = 0

    async def counted(self, vote_count: int, progress: FeedbackProgress) -> bool:
        """So many more votes were counted, up to this progress, which is saved.

        Returns whether cases were judged anew, which may have put annotators into other groups.
        """
        self._count += vote_count
        if not 0 < self._params.refit_after_votes <= self._count:
            return False
        self._count = 0
        await self._refit(progress)
        return True

    async def _refit(self, progress: FeedbackProgress) -> None:
        cases = await self._patiently(lambda: self._store.recent(RECENT_COUNT_MAX))
        found = await asyncio.to_thread(
            refit, cases, self._trusted_sources, self._params, progress.base_rate
        )
        names = list(found.groups)
        people = await self._patiently(lambda: self._store.annotators(names))
        moved = {
            name: replace(one, group=found.groups[name])
            for name, one in people.items()
            if one.group != found.groups[name]
        }
        await self._publish(progress, cases, found, [people[name] for name in moved])
        if moved:
            work = CaseBatch(progress, annotators=moved)
            await self._patiently(lambda: self._store.save(progress, work))

    async def _publish(
        self,
        progress: FeedbackProgress,
        cases: Sequence[Case],
        found: Refit,
        moved: Sequence[Annotator],
    ) -> None:
        doubtful = set(found.doubtful)
        again = [
            recounting(case, progress.next_offset)
            for case in cases
            if case.transaction_id in doubtful and not was_recounted(case)
        ]
        entries = [_entry(one, found.groups[one.name], progress) for one in moved]
        if again:
            records = [keyed(feedback.transaction_id, feedback) for feedback in again]
            await self._broker.publish(self._feedback_topic, 0, records)
        await self._audit.write(entries)
        if again or entries:
            await self._broker.flush()


def was_recounted(case: Case) -> bool:
    """Whether its newest vote is a recounting: nobody has said anything since."""
    return max(case.votes, key=lambda vote: vote.offset).source == CONSENSUS


def recounting(case: Case, revision: int) -> Feedback:
    """Feedback that says nothing, and has the case counted again."""
    return Feedback(
        transaction_id=case.transaction_id,
        label="unsure",
        source=CONSENSUS,
        who="refit",
        observed_ms=case.newest_ms,
        event_time_ms=case.event_time_ms,
        entities=case.entities,
        revision=revision,
    )


def _entry(before: Annotator, group: str, progress: FeedbackProgress) -> AuditEntry:
    return AuditEntry(
        id=f"{feedback_name(log_id(progress.log), progress.next_offset)}-group-{before.name}",
        kind="standing",
        subject=before.name,
        who=CONSENSUS,
        at_ms=before.last_ms,
        before={"group": before.group},
        after={"group": group},
    )
