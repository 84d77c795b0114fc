"""The life of a rollout.

    waiting ──► running ──► waiting ──► … ──► promoting ──► watching ──► served
       │           │           │                  │             └──────► rolled back
       └───────────┴───────────┴──────────────────┴──► refused, aborted

    waiting    its next step is kept by something: an approval, quiet hours, another experiment
    running    an experiment judges its step
    promoting  every step is behind it, and it is on its way to serve
    watching   it serves, and goes back by itself if it hurts

Each function gives the rollout as it is to be; ValueError says why that cannot be.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sentinel.core.rollouts.holds import Hold
from sentinel.stored.rollouts import (
    CHAMPION,
    PassedStep,
    RolloutStatus,
    StepName,
    StoredRollout,
)
from sentinel.stored.versions import Approval


@dataclass(frozen=True, slots=True)
class RolloutTransition:
    """From one status to another: what brings it about."""

    before: RolloutStatus | None
    after: RolloutStatus
    when: str


# docs/rollouts.md has a row for each.
ROLLOUT_TRANSITIONS: tuple[RolloutTransition, ...] = (
    RolloutTransition(None, "waiting", "a candidate has passed the gate, or somebody asks for it"),
    RolloutTransition(None, "promoting", "the same, where no step stands before the champion"),
    RolloutTransition(None, "watching", "a version was promoted by a person or an experiment"),
    RolloutTransition("waiting", "waiting", "something else keeps its next step, or no more"),
    RolloutTransition("waiting", "running", "nothing keeps its next step: its experiment starts"),
    RolloutTransition("waiting", "promoting", "no step is left, and nothing keeps it"),
    RolloutTransition("waiting", "refused", "it may not serve any more, or nobody has agreed"),
    RolloutTransition("waiting", "aborted", "a person says so, or the next update takes its place"),
    RolloutTransition("running", "waiting", "its experiment has found no harm"),
    RolloutTransition("running", "refused", "its experiment has found harm, or became invalid"),
    RolloutTransition("running", "aborted", "a person says so, or the next update takes its place"),
    RolloutTransition("promoting", "watching", "the registry has it as the champion"),
    RolloutTransition("promoting", "refused", "the registry does not take it"),
    RolloutTransition("promoting", "aborted", "a person says so, or the next takes its place"),
    RolloutTransition("watching", "served", "the watch is over, or the next takes its place"),
    RolloutTransition("watching", "rolled_back", "it hurts, or somebody has decided otherwise"),
)
_ALLOWED = {(one.before, one.after) for one in ROLLOUT_TRANSITIONS}


def begun(
    number: int,
    version: str,
    champion: str,
    *,
    trigger: str,
    reason: str,
    steps: Sequence[StepName],
    at_ms: int,
    update: int = 0,
    is_urgent: bool = False,
    status: RolloutStatus = "waiting",
) -> StoredRollout:
    """A new one; what is watched from its beginning has no steps."""
    assert (None, status) in _ALLOWED
    return StoredRollout(
        number=number,
        version=version,
        champion=champion,
        trigger=trigger,
        reason=reason,
        steps=tuple(steps),
        update=update,
        is_urgent=is_urgent,
        status=status,
        begun_ms=at_ms,
        since_ms=at_ms,
    )


def led_by(one: StoredRollout, update: int) -> StoredRollout:
    """An update has taken it up."""
    return replace(one, update=update)


def held(one: StoredRollout, hold: Hold) -> StoredRollout:
    """Its next step is kept by something."""
    return replace(
        _in(one, "waiting", one.since_ms),
        waits_for=hold.why,
        waits_until_ms=hold.until_ms,
        needs_person=hold.needs_person,
    )


def approved(one: StoredRollout, place: str, *, who: str, at_ms: int) -> StoredRollout:
    """A person agrees to a step that has not begun, or to "champion"."""
    to_come = (*one.steps[one.place + (one.status == "running") :], CHAMPION)
    if one.status not in ("waiting", "running"):
        raise ValueError(f"rollout {one.number} is {_said(one)}: there is nothing to agree to")
    if place not in to_come:
        raise ValueError(
            f"rollout {one.number} has no step {place} before it; to come: {', '.join(to_come)}"
        )
    return replace(one, approvals={**one.approvals, place: Approval(who, at_ms)})


def entered(one: StoredRollout, experiment: str, *, at_ms: int) -> StoredRollout:
    """The experiment of its next step has started."""
    assert one.place < len(one.steps)
    return replace(_in(one, "running", at_ms), experiment=experiment)


def step_passed(one: StoredRollout, why: str, *, at_ms: int) -> StoredRollout:
    """The step that ran is behind it."""
    done = PassedStep(one.steps[one.place], one.experiment, one.since_ms, at_ms, why)
    after = _in(one, "waiting", at_ms)
    return replace(after, place=one.place + 1, passed=(*one.passed, done), experiment="")


def moved(one: StoredRollout, status: RolloutStatus, *, at_ms: int) -> StoredRollout:
    """In another status: towards the champion's place, or at its end."""
    return _in(one, status, at_ms)


def aborted(one: StoredRollout, *, at_ms: int) -> StoredRollout:
    """A person ends it. Raises ValueError where it serves, or is over."""
    if one.status == "watching":
        raise ValueError(
            f"version {one.version} of rollout {one.number} serves: `sentinel models rollback` "
            "has the one before it serve again"
        )
    if one.is_over:
        raise ValueError(f"rollout {one.number} is {_said(one)}")
    return _in(one, "aborted", at_ms)


def _in(one: StoredRollout, status: RolloutStatus, at_ms: int) -> StoredRollout:
    assert (one.status, status) in _ALLOWED, f"{one.status} does not lead to {status}"
    return replace(
        one, status=status, since_ms=at_ms, waits_for="",
        waits_until_ms=None, needs_person=False,
    )  # fmt: skip


def _said(one: StoredRollout) -> str:
    return {"rolled_back": "rolled back"}.get(one.status, one.status)
