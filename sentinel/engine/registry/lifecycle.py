"""The life of a model update, as a state machine that is written down before every step.

    idle ──► training ──► made ──► waiting ──► rolling ──► promoting ──► watching ──► idle
               │           │         │            │                         │
               └───────────┴─────────┴────────────┴─────────────────────────┴──────► idle

    training   candidates are made and judged in the trainer's process; a crash begins again
    made       one was chosen and is on its way into the registry, with what the gate said of it
    waiting    it may serve when a named person approves; from `promoting`, too, where somebody has
               meanwhile set that it needs to be
    rolling    its rollout takes it through the steps before it serves (`core/rollouts`)
    promoting  it is on its way to serve
    watching   it serves, and goes back by itself if it hurts; so does what others have promoted

Every step can be done twice: whoever takes over in any state does it again and goes on.
"""

import logging
from dataclasses import dataclass, replace
from typing import Any, Literal

from sentinel.codec.stored import decode_stored
from sentinel.core.learning.triggers import Trigger
from sentinel.core.logs import cluster_of, is_of
from sentinel.errors import RecordError
from sentinel.ports import Updated
from sentinel.records import AuditEntry

log = logging.getLogger(__name__)

WHO = "training"
RESTART = "a restart"  # has an interrupted update made again
OVERTAKEN = "the next update took its place"
SERVES = "it serves"  # how an update ends whose candidate was watched, and did no harm

UpdateState = Literal["idle", "training", "made", "waiting", "rolling", "promoting", "watching"]

_NEXT: dict[UpdateState, frozenset[UpdateState]] = {
    "idle": frozenset({"training", "rolling", "watching"}),
    "training": frozenset({"made", "idle"}),
    "made": frozenset({"waiting", "rolling", "promoting", "idle"}),
    "waiting": frozenset({"rolling", "promoting", "idle"}),
    "rolling": frozenset({"promoting", "idle"}),
    "promoting": frozenset({"waiting", "watching", "idle"}),
    "watching": frozenset({"idle"}),
}
# In the life of one update. From promoting it may go back to waiting.
_PLACES: dict[UpdateState, int] = {
    "training": 1,
    "made": 2,
    "waiting": 3,
    "rolling": 3,
    "promoting": 3,
    "watching": 4,
    "idle": 5,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The gate's answer to one of its questions."""

    name: str
    status: Literal["passed", "failed", "too_little"]
    sentence: str
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Try:
    """What came of one strategy.

    Attributes
    ----------
    reason
        Why there is no candidate; empty if there is one.
    average_precision
        Of the candidate, on examples that no candidate has seen.
    """

    strategy: str
    reason: str
    average_precision: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the trainer has found.

    Attributes
    ----------
    outcome
        The gate's word, or that there was no candidate.
    reason
        In a sentence.
    """

    outcome: str
    reason: str
    tries: tuple[Try, ...] = ()
    answers: tuple[Answer, ...] = ()


def judgement_of(updated: Updated) -> Judgement:
    """What is noted with an update of what the trainer has found."""
    tries = [
        Try(one.strategy, one.reason, one.average_precision, one.seconds)
        for one in updated.attempts
    ]
    checks = () if updated.verdict is None else updated.verdict.checks
    answers = [Answer(one.name, one.status, one.sentence, one.is_required) for one in checks]
    return Judgement(updated.outcome, updated.reason, tuple(tries), tuple(answers))


@dataclass(frozen=True, slots=True)
class Update:
    """How the newest update stands.

    Attributes
    ----------
    log
        Names the log of the examples.
    control_log
        Names the log of the commands; empty where an older version has noted it, which did not say.
    number
        How many updates were begun: it draws what is replayed.
    trigger, reason
        Why it was begun.
    strategy, version
        Of the candidate; empty before there is one.
    verdict
        The gate's word on it; empty before there is one.
    outcome
        A sentence on how it ended, or stands.
    updated_ms
        Event time of the newest example when it was begun: the next one is counted from there.
    examples_to
        Examples below this offset were there when it was begun.
    control_to
        Commands below this offset were obeyed.
    champion
        What served when it was begun.
    watch_until_ms
        Event time up to which it is watched; -1 while none is known.
    judgement
        None before the trainer has found anything.
    former
        What the update before this one came to, in a sentence; empty if there was none.
    is_urgent
        Whether a critical alarm has asked for it.
    seen
        The champion that was looked after last: another one was brought about by somebody else.
    """

    log: str = ""
    state: UpdateState = "idle"
    number: int = 0
    trigger: str = ""
    reason: str = ""
    strategy: str = ""
    version: str = ""
    verdict: Literal["", "promote", "refuse", "not_yet"] = ""
    outcome: str = ""
    updated_ms: int = -1
    examples_to: int = 0
    control_to: int = 0
    champion: str = ""
    watch_until_ms: int = 0
    judgement: Judgement | None = None
    former: str = ""
    control_log: str = ""
    is_urgent: bool = False
    seen: str = ""

    def to(self, state: UpdateState, **changes: object) -> "Update":
        """The update in its next state."""
        assert state in _NEXT[self.state], f"{self.state} does not lead to {state}"
        return replace(self, state=state, **changes)  # type: ignore[arg-type]

    def next(
        self,
        trigger: Trigger,
        *,
        updated_ms: int,
        examples_to: int,
        control_to: int,
        champion: str,
        is_urgent: bool = False,
    ) -> "Update":
        """The update after this one, begun: it knows nothing of this one's candidate."""
        return self._followed_by(
            trigger=trigger.kind,
            reason=trigger.reason,
            updated_ms=updated_ms,
            examples_to=examples_to,
            control_to=control_to,
            champion=champion,
            is_urgent=is_urgent,
        ).to("training")

    def after_others(
        self, state: Literal["rolling", "watching"], version: str, champion: str, reason: str
    ) -> "Update":
        """The update after this one, of a version that others have brought: no candidate is made.

        What the next one is counted from stays as it is.
        """
        return self._followed_by(
            trigger="by_hand",
            reason=reason,
            updated_ms=self.updated_ms,
            examples_to=self.examples_to,
            control_to=self.control_to,
            version=version,
            champion=champion,
        ).to(state)

    def _followed_by(self, **own: Any) -> "Update":
        """The next one, idle: what goes on from one to the next, and its own."""
        assert self.state == "idle"
        return Update(
            log=self.log,
            control_log=self.control_log,
            number=self.number + 1,
            former=self.summary,
            seen=self.seen,
            **own,
        )

    @property
    def summary(self) -> str:
        """What it came to, in a sentence; empty before the first one."""
        if not self.number:
            return ""
        said = self.judgement
        words = f"{said.outcome.replace('_', ' ')}: {said.reason}" if said else self.outcome
        return f"update {self.number} ({self.trigger}): {words}"

    @property
    def origin(self) -> dict[str, Any]:
        """What the manifest of its candidate says of it."""
        return {"update": self.number, "trigger": self.trigger}

    @property
    def is_recalibrated(self) -> bool:
        """Whether it ended with a recalibration that serves, and did not follow one up itself."""
        is_first = self.trigger != "follow_up"
        return is_first and self.strategy == "recalibrate" and self.outcome == SERVES


def begun_entry(update: Update) -> AuditEntry:
    """That an update was begun, why, and against which champion."""
    return _entry(update, "begun", None, {**_cause(update), "champion": update.champion})


def update_of(noted: bytes | None, example_log: str, control_log: str) -> Update:
    """What was noted; the offsets of another log mean nothing in this one."""
    found = Update()
    if noted is not None:
        try:
            found = decode_stored(Update, noted)
        except RecordError as error:
            log.warning("what was noted of updates is not readable: %s", error.unquoted)
    if not is_of(control_log, found.control_log or cluster_of(found.log)):
        found = replace(found, control_to=0)
    if not is_of(example_log, found.log):
        found = replace(found, examples_to=0)
    return replace(found, log=example_log, control_log=control_log)


def is_behind(found: bytes | None, known: bytes) -> bool:
    """Whether what is noted is from before what is known to have been: the store has lost it.

    An update that is not readable, or of which there is none, is before all others.
    """
    return _place(found) < _place(known)


def _place(noted: bytes | None) -> tuple[int, int]:
    try:
        update = Update() if noted is None else decode_stored(Update, noted)
    except RecordError:
        return 0, 0
    if not update.number:
        return 0, 0
    return update.number, _PLACES[update.state]


def interrupted(update: Update) -> tuple[Update, bool]:
    """One that whoever made it did not live to see; whether it is made again: but not for ever."""
    is_made_again = not update.reason.endswith(RESTART)
    if is_made_again:
        log.info("update %d was interrupted, and is made again", update.number)
    else:
        log.warning("update %d was interrupted once more, and is given up", update.number)
    return update.to("idle", outcome="it was interrupted"), is_made_again


def audit_entry_of(update: Update, what: str, after: dict[str, Any]) -> AuditEntry:
    """What is to be remembered of an update; said again, it has the same name."""
    return _entry(update, what, _cause(update), {"version": update.version, **after})


def _cause(update: Update) -> dict[str, Any]:
    return {"trigger": update.trigger, "reason": update.reason}


def _entry(
    update: Update, what: str, before: dict[str, Any] | None, after: dict[str, Any]
) -> AuditEntry:
    return AuditEntry(
        id=f"update-{update.number}-{what}",
        kind="update",
        subject=f"update-{update.number}",
        who=WHO,
        at_ms=update.updated_ms,
        before=before,
        after=after,
    )
