"""What is kept of rollouts: a version on its way to serve, and how far it has come."""

from dataclasses import dataclass, field
from typing import Literal

from sentinel.stored.versions import Approval

ROLLOUT_COUNT_MAX = 1_000  # the newest are kept

StepName = Literal["shadow", "canary", "ramp"]
RolloutStatus = Literal[
    "waiting", "running", "promoting", "watching", "served", "refused", "aborted", "rolled_back"
]

OVER: frozenset[RolloutStatus] = frozenset({"served", "refused", "aborted", "rolled_back"})
CHAMPION = "champion"  # the place behind the last step


@dataclass(frozen=True, slots=True)
class PassedStep:
    """A step that was taken.

    Attributes
    ----------
    experiment
        The definition by which it was judged ("rollout-7-canary@1").
    began_ms, ended_ms
        Epoch milliseconds of the clock.
    why
        What was found, in a sentence.
    """

    step: StepName
    experiment: str
    began_ms: int
    ended_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """A version on its way to serve.

    Attributes
    ----------
    number
        From 1; the next one has the next.
    update
        The number of the update that leads it; 0 where somebody has asked for it and no update has
        taken it up yet.
    champion
        What served when it was begun: what it is compared with.
    trigger, reason
        Why it was begun, and by whom.
    steps
        Those that it takes before it serves: fixed from its beginning.
    is_urgent
        Whether a critical alarm has asked for it.
    place
        Of the step that runs or comes next; behind the last one it is to serve.
    waits_for, waits_until_ms, needs_person
        What keeps the next step, in a sentence; until when by the clock, None where that is not
        known; and whether only a person can change it.
    experiment
        The definition that judges the step that runs; empty while none does.
    approvals
        By step, or "champion": who has agreed to it.
    begun_ms, since_ms, changed_ms
        Epoch milliseconds of the clock: when it was begun, since when it is at this place and in
        this status, and of the last change.
    who, why
        Of the last change.
    """

    number: int
    version: str
    champion: str
    trigger: str
    reason: str
    steps: tuple[StepName, ...] = ()
    update: int = 0
    is_urgent: bool = False
    place: int = 0
    status: RolloutStatus = "waiting"
    waits_for: str = ""
    waits_until_ms: int | None = None
    needs_person: bool = False
    experiment: str = ""
    approvals: dict[str, Approval] = field(default_factory=dict)
    passed: tuple[PassedStep, ...] = ()
    begun_ms: int = 0
    since_ms: int = 0
    changed_ms: int = 0
    who: str = ""
    why: str = ""
    v: int = 1

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in OVER

    @property
    def next_place(self) -> str:
        """The step that runs or comes next, or "champion"."""
        return self.steps[self.place] if self.place < len(self.steps) else CHAMPION
