"""Feedback becomes labels: votes are weighed, and what they settle is published."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from sentinel.codec.feedback.checking import (
    FeedbackBounds,
    decode_checked,
    is_placed,
    other_entities,
)
from sentinel.codec.records import keyed
from sentinel.core.consensus.audit import audit_entries
from sentinel.core.consensus.batch.refit import refit
from sentinel.core.consensus.counting import Counted, LabelChange, count_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.logs import log_id
from sentinel.engine.audit import AuditLog
from sentinel.engine.control import ControlPlane
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.dispatcher import Inbox
from sentinel.engine.feedback.refitting import Refitting
from sentinel.errors import FencedError, RecordError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, CaseStore
from sentinel.records import (
    AuditEntry,
    Batch,
    Feedback,
    InputRecord,
    Label,
    TopicPartition,
)
from sentinel.stored.votes import (
    CONSENSUS,
    Annotator,
    Case,
    CaseBatch,
    FeedbackProgress,
    Vote,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_S = 0.25
_IDLE_S = 60.0
# Records counted and saved at once. Beside scoring a piece takes four turns of the loop, however
# large it is, and counting it holds the loop for a tenth of a millisecond a record.
_PIECE_COUNT = 500
_KINDS_SAID_MAX = 20
_PEOPLE_COUNT_MAX = 10_000  # who are remembered from one piece to the next

ReceivedFeedback = tuple[Feedback, InputRecord]
Placed = tuple[Case, Vote]


@dataclass(frozen=True, slots=True)
class FeedbackParams:
    """Whose word is enough."""

    trusted_sources: tuple[str, ...] = ("chargeback", "ground_truth", "gold")

    def __post_init__(self) -> None:
        if not all(self.trusted_sources):
            raise ValueError("trusted_sources must not hold an empty name")


@dataclass(frozen=True, slots=True)
class SavedProgress:
    """What the task itself saved last: as long as that stands, nobody else has saved anything."""

    progress: FeedbackProgress
    annotators: dict[str, Annotator]


class FeedbackTask:
    """Reads feedback, counts every vote once, and publishes the labels that come of it.

    The order: labels, and what the audit says of them, are out before the votes are saved, and
    votes are saved, with how far the log was counted, before the group's offset moves. A crash
    between repeats labels with the same feedback offset, by which readers know them again; nothing
    is lost or counted twice.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        store: CaseStore,
        inbox: Inbox,
        control: ControlPlane,
        feedback_topic: str,
        label_topic: str,
        audit: AuditLog,
        dead_letters: DeadLetters,
        progress: dict[TopicPartition, int],
        metrics: Metrics,
        params: FeedbackParams,
        consensus: ConsensusParams,
        base_rate: Callable[[], float | None],
        bounds: FeedbackBounds,
        outage_s_max: float,
    ) -> None:
        self._broker = broker
        self._store = store
        self._inbox = inbox
        self._feedback_topic = feedback_topic
        self._label_topic = label_topic
        self._audit = audit
        self._dead_letters = dead_letters
        self._progress = progress
        self._metrics = metrics
        self._params = params
        self._consensus = consensus
        self._base_rate = base_rate
        self._bounds = bounds
        self._unknown_kinds: set[str] = set()  # of entities, that were said to be left out
        self._outage_s_max = outage_s_max
        self._refitting = Refitting(
            broker=broker,
            store=store,
            feedback_topic=feedback_topic,
            audit=audit,
            trusted_sources=params.trusted_sources,
            params=consensus,
            patiently=self._patiently,
        )
        self._control = control
        self.trouble = ""  # why feedback is not counted now; empty while it is
        self._saved: SavedProgress | None = None
        self._counted_to = 0  # as it was saved, or read, last

    async def counted_to(self) -> int | None:
        """From which offset on feedback is still to be counted; None: from the start."""
        found = await self._stored_to()
        self._counted_to = found or 0
        return found

    async def _stored_to(self) -> int | None:
        found = await self._store.progress()
        if found is None or found.log != self._broker.log_of(self._feedback_topic):
            return None
        return found.next_offset

    async def run(self) -> None:
        """Work through the inbox until cancelled."""
        while True:
            batch = await self._inbox.take(timeout_s=_IDLE_S)
            if batch is None:
                await self._check_stored()
            else:
                await self.work(batch)
                self._inbox.done()

    async def _check_stored(self) -> None:
        """Raise FencedError when the store has lost what was counted, as an older snapshot has.

        The next vote would show it, too: whoever asks for cases meanwhile is told what was before.
        """
        if not self._control.is_here:
            return  # another counts
        try:
            stored_to = await self._stored_to() or 0
        except TransientError:
            return  # it is away: nobody waits for it
        if stored_to < self._counted_to:
            raise FencedError(
                f"the store came back with feedback counted to offset {stored_to}, it was counted "
                f"to {self._counted_to}: it is counted again from there"
            )

    async def work(self, batch: Batch) -> None:
        """Count the votes of one batch, then note how far it went."""
        for at, records in batch.records.items():
            self._metrics.feedback += len(records)
            for begin in range(0, len(records), _PIECE_COUNT):
                await self._work(at, records[begin : begin + _PIECE_COUNT])
            self._progress[at] = records[-1].offset + 1

    async def _work(self, at: TopicPartition, records: Sequence[InputRecord]) -> None:
        saved, self._saved = self._saved, None  # it is true again when all of this has succeeded
        if saved is None or saved.progress.next_offset != records[0].offset:
            stored = await self._patiently(self._store.progress)
            people: dict[str, Annotator] = {}
        else:
            stored, people = saved.progress, saved.annotators
        current = self._current(stored)
        all_feedback: list[ReceivedFeedback] = []
        refused: list[tuple[TopicPartition, InputRecord, RecordError]] = []
        for record in records:
            if record.offset < current.next_offset:
                continue  # counted before; its labels were out by then
            try:
                all_feedback.append((self._decoded(record), record))
            except RecordError as error:
                refused.append((at, record, error))
        await self._dead_letters.publish(refused)
        end = max(records[-1].offset + 1, current.next_offset)
        counted, entries = await self._weigh(
            replace(current, next_offset=end), all_feedback, people
        )
        await self._publish(counted.changes, entries)
        # From the next record on: what is counted again is counted with the rate of the first time.
        progress = replace(counted.work.progress, base_rate=self._base_rate())
        counted = replace(counted, work=replace(counted.work, progress=progress))
        await self._patiently(lambda: self._store.save(stored, counted.work))
        self._counted_to = progress.next_offset
        people |= counted.work.annotators
        vote_count = sum(one.vote.source != CONSENSUS for one in counted.votes)
        if await self._refitting.counted(vote_count, counted.work.progress):
            return  # it may have put people into groups
        if len(people) <= _PEOPLE_COUNT_MAX:
            self._saved = SavedProgress(counted.work.progress, people)

    def _decoded(self, record: InputRecord) -> Feedback:
        """The feedback, with the entities that the schema has. Raises RecordError."""
        feedback = decode_checked(record, self._bounds)
        for kind in self._bounds.unknown_kinds(feedback):
            if kind not in self._unknown_kinds and len(self._unknown_kinds) < _KINDS_SAID_MAX:
                self._unknown_kinds.add(kind)
                log.warning("feedback names entities that the schema does not have: %.80r", kind)
        return self._bounds.with_known_kinds(feedback)

    def _current(self, stored: FeedbackProgress | None) -> FeedbackProgress:
        """Where counting goes on in the present log."""
        log = self._broker.log_of(self._feedback_topic)
        if stored is None:
            return FeedbackProgress(log, 0, base_rate=self._base_rate())
        return stored if stored.log == log else replace(stored, log=log, next_offset=0)

    async def _weigh(
        self,
        progress: FeedbackProgress,
        all_feedback: Sequence[ReceivedFeedback],
        people: Mapping[str, Annotator],
    ) -> tuple[Counted, list[AuditEntry]]:
        """Count the feedback; between counting and telling of it the loop gets its turn."""
        ids = list(dict.fromkeys(feedback.transaction_id for feedback, _ in all_feedback))
        cases = await self._patiently(lambda: self._store.cases(ids)) if ids else {}
        votes = self._placed(all_feedback, cases)
        if not votes:
            return Counted(CaseBatch(progress)), []
        said = [vote.annotator for case in cases.values() for vote in case.votes]
        names = list(dict.fromkeys([*said, *(vote.annotator for _, vote in votes)]))
        unknown = [name for name in names if name not in people]
        read = await self._patiently(lambda: self._store.annotators(unknown)) if unknown else {}
        annotators = {**people, **read}
        found = CaseBatch(progress, cases, {n: annotators[n] for n in names if n in annotators})
        counted = count_votes(found, votes, self._params.trusted_sources, self._consensus)
        await asyncio.sleep(0)
        return counted, list(audit_entries(found, counted, self._consensus))

    def _placed(
        self, all_feedback: Sequence[ReceivedFeedback], cases: Mapping[str, Case]
    ) -> list[Placed]:
        """The feedback as votes. One whose transaction nobody has placed is left to the archive.

        Where feedback names another entity, or another time, than the case has, the case is right.
        """
        known = {name: (case.event_time_ms, case.entities) for name, case in cases.items()}
        found = []
        for feedback, record in all_feedback:
            name = feedback.transaction_id
            if is_placed(feedback):
                assert feedback.event_time_ms is not None
                known.setdefault(name, (feedback.event_time_ms, feedback.entities or {}))
            elif name not in known or 0 < feedback.observed_ms < known[name][0]:
                self._metrics.unplaced += 1
                continue
            time_ms, entities = known[name]
            self._metrics.contradicted += bool(other_entities(feedback, entities))
            case = Case(
                name,
                time_ms,
                entities,
                prior=feedback.probability,
                channel=feedback.selected_by or "",
            )
            found.append(placed(feedback, case, record))
        return found

    async def _publish(self, changes: Sequence[LabelChange], entries: Sequence[AuditEntry]) -> None:
        if not entries:
            return
        log = log_id(self._broker.log_of(self._feedback_topic))
        labels = [label_of(change, log) for change in changes]
        await self._broker.publish(
            self._label_topic,
            0,
            [keyed(label.transaction_id, label) for label in labels],
        )
        await self._audit.write(entries)
        await self._broker.flush()

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the store again while it is away: labels can wait.

        Its failure would end the instance, and the transactions beside it, which are scored from
        memory meanwhile, cannot wait.
        """
        clock_s = asyncio.get_running_loop().time
        give_up_s = clock_s() + self._outage_s_max
        while True:
            try:
                found = await ask()
                self.trouble = ""
                return found
            except TransientError as error:
                self.trouble = f"feedback waits: {error}"
                if self._inbox.is_awaited or clock_s() >= give_up_s:
                    raise
            await asyncio.sleep(_RETRY_S)


def observed_ms(feedback: Feedback, appended_ms: int, event_time_ms: int) -> int:
    """When it was observed; of feedback that does not say, when it was appended to its log.

    So that its words have an order, and that it is the same vote when the archive sends it again.
    """
    return feedback.observed_ms or max(appended_ms, event_time_ms)


def placed(feedback: Feedback, case: Case, record: InputRecord) -> Placed:
    """The feedback as a vote on a case, where a case as this one is taken if there is none."""
    vote = Vote(
        annotator=f"{feedback.source}/{feedback.who}",
        label=feedback.label,
        revision=feedback.revision,
        confidence=feedback.confidence,
        observed_ms=observed_ms(feedback, record.timestamp, case.event_time_ms),
        offset=record.offset,
        notes=feedback.notes,
    )
    return case, vote


def label_of(change: LabelChange, log: str) -> Label:
    """The label that a vote of a log has brought about or undone, and what it replaces."""
    return Label(
        transaction_id=change.case.transaction_id,
        label=change.label,
        posterior=change.posterior,
        vote_count=change.vote_count,
        source=change.vote.source,
        observed_ms=change.vote.observed_ms,
        event_time_ms=change.case.event_time_ms,
        entities=change.case.entities,
        supersedes=change.supersedes,
        feedback_offset=change.vote.offset,
        feedback_log=log,
    )


def warm() -> None:
    """Compile or load the kernels, by counting one vote and judging it anew."""
    params = ConsensusParams()
    one = (Case("", 0, {}), Vote("/", "fraud", 0, 1.0, 0, 0))
    counted = count_votes(CaseBatch(FeedbackProgress("", 0)), [one], (), params)
    refit(list(counted.work.cases.values()), (), params)
