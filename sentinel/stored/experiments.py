"""What is kept of experiments: what each compares, how it stands, and what was decided."""

from dataclasses import dataclass, field
from typing import Any, Literal

Design = Literal["split", "canary", "ramp", "shadow"]
Setting = Literal["model", "policy"]
Decider = Literal["metric", "guardrails"]

EXPERIMENT_COUNT_MAX = 1_000  # the newest are listed

ExperimentStatus = Literal["draft", "running", "paused", "waiting", "ended"]
VerdictName = Literal["promote", "keep", "harm", "futility", "invalid", "undecided", "stopped"]


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """One arm: a model version, a policy, or both.

    Attributes
    ----------
    share
        Of the accounts of the experiment, at the last step of a ramp. Of the challenger of a
        shadow experiment: the share that it scores beside the control, which decides all.
    version
        Empty for the champion.
    policy
        What differs from the policy of the configuration.
    """

    name: str
    share: float
    version: str = ""
    policy: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definition:
    """An experiment as somebody wants it; `core.experiments.definition` says what is one.

    Attributes
    ----------
    name, number
        What it is called, and which of the definitions of that name it is, from 1.
    arms
        The first one is the control.
    layer
        Experiments of different layers run on the same accounts, those of one on different ones.
    traffic
        The share of the accounts of its layer that take part.
    steps
        Of a ramp: the share of the accounts that are not the control's, ascending; at the last step
        that of the arms.
    step
        How long a step of a ramp takes at least, event time.
    segments
        By category: only transactions with one of these values take part.
    metric
        The primary one: it alone decides.
    duration, looks
        The planned end, in event time after the start, by which all that matters has matured; and
        how often outcomes are looked at until then.
    maturity
        Outcomes of a transaction count when it is so old; empty for as long as labels take
        (`[maturity]`).
    alpha
        Two-sided: how often two equal arms may be told apart.
    effect
        The least difference that would matter, relative to the control: what the plan is for.
    may_promote
        Whether the winner is proposed to the registry by itself.
    decides
        The metric; or of a canary its guardrails alone: it wins where nothing has tripped within
        `duration`, no label is waited for.
    """

    name: str
    design: Design
    arms: tuple[ArmSpec, ...]
    number: int = 1
    layer: str = "main"
    traffic: float = 1.0
    steps: tuple[float, ...] = ()
    step: str = "1d"
    segments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metric: str = "fraud_loss"
    duration: str = "28d"
    looks: int = 20
    maturity: str = ""
    alpha: float = 0.05
    effect: float = 0.1
    may_promote: bool = False
    decides: Decider = "metric"

    @property
    def control(self) -> ArmSpec:
        """What the others are compared with."""
        return self.arms[0]

    @property
    def challengers(self) -> tuple[ArmSpec, ...]:
        """The others."""
        return self.arms[1:]

    @property
    def id(self) -> str:
        """Names this very definition."""
        return f"{self.name}@{self.number}"

    @property
    def sets(self) -> frozenset[Setting]:
        """What its arms differ in, and nobody else may set for the same accounts."""
        if self.design == "shadow":
            return frozenset()  # it changes nothing for anybody
        found: set[Setting] = set()
        if any(arm.version for arm in self.arms):
            found.add("model")
        if any(arm.policy for arm in self.arms):
            found.add("policy")
        return frozenset(found)

    @property
    def versions(self) -> list[str]:
        """The model versions that its arms name, each once."""
        return list(dict.fromkeys(arm.version for arm in self.arms if arm.version))

    @property
    def step_count(self) -> int:
        """Of the ramp; 1 of everything else."""
        return max(len(self.steps), 1)


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """How an experiment ended.

    Attributes
    ----------
    name
        "stopped" where a person did so before there was a verdict.
    arm
        Of which arm it speaks; empty where it is of all.
    look
        At which look it fell; 0 between two.
    counted_to_ms
        Event time up to which outcomes were counted.
    """

    name: VerdictName
    why: str
    arm: str = ""
    look: int = 0
    counted_to_ms: int = 0


@dataclass(frozen=True, slots=True)
class StoredExperiment:
    """An experiment, and how it stands.

    Attributes
    ----------
    step
        Of its ramp, from 0.
    first_ms
        By step, the event time of its first decision, as far as that is known.
    look
        How many looks there were.
    test
        By challenger and, of a shadow, by test: how the planned tests stand, as plain values.
    guards
        How the guardrails stand, as plain values.
    control
        The version that a control without one stands for; empty for whatever is the champion.
    verdict
        None while there is none.
    started_ms
        When it was started, of the clock; 0 before.
    changed_ms, who, why
        Of the last change: epoch milliseconds of the clock, who made it, and the words for it.
    """

    definition: Definition
    status: ExperimentStatus = "draft"
    step: int = 0
    first_ms: dict[str, int] = field(default_factory=dict)
    look: int = 0
    test: dict[str, Any] = field(default_factory=dict)
    guards: dict[str, Any] = field(default_factory=dict)
    control: str = ""
    verdict: StoredVerdict | None = None
    started_ms: int = 0
    changed_ms: int = 0
    who: str = ""
    why: str = ""
    v: int = 1

    @property
    def is_routed(self) -> bool:
        """Whether its arms decide now."""
        return self.status == "running"

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status == "ended"
