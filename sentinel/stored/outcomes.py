"""What is published of the arms of experiments: counts as they decide, and sums as they mature."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ArmPart:
    """What one arm has decided from one commit to the next, on one instance.

    Attributes
    ----------
    experiment, step
        Names the definition ("fast@1"), and the step of its ramp.
    alerted, blocked
        Hashes of the accounts of which a transaction was reviewed or blocked, and blocked; each
        once; of more than one record takes, a share of all arms alike.
    batches, failed, slow
        Its parts of batches; those that its model failed to score; those that took too long.
    """

    experiment: str
    step: int
    arm: str
    alerted: list[int]
    blocked: list[int]
    batches: int = 0
    failed: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True)
class CountReport:
    """Of all arms, of one input partition, and the newest event time of these decisions.

    An account that is told twice was there before: a replay repeats nothing but batches.
    """

    partition: int
    newest_ms: int
    parts: list[ArmPart]
    kind: Literal["counts"] = "counts"
    v: int = 1


@dataclass(frozen=True, slots=True)
class ArmAccounts:
    """How many accounts of an arm were seen first in a step, whatever has matured of them."""

    step: int
    arm: str
    accounts: int
    transactions: int


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What the archive knows of an experiment at one look.

    Attributes
    ----------
    experiment
        Names the definition ("fast@1").
    look
        Its number, from 1, and of how many.
    share
        Of the planned duration, matured; 1 at the planned end.
    first_ms
        By step, the event time of the first decision.
    counted_to_ms
        What happened by then has matured.
    metrics
        By name `core.experiments.outcomes.cells.MetricSums` as plain values.
    shadow
        Of a shadow experiment: `core.experiments.shadow.comparison.PairedComparison`, as plain
        values.
    technical
        By arm how its scores told frauds from others: `auc`, `average_precision`, and `frauds` with
        `frauds_expected` by its probabilities; of transactions whose truth is known.
    notes
        What a reader has to know of these outcomes, in sentences.
    """

    experiment: str
    look: int
    looks: int
    share: float
    first_ms: dict[str, int]
    counted_to_ms: int
    accounts: list[ArmAccounts]
    metrics: dict[str, Any] = field(default_factory=dict)
    shadow: dict[str, Any] = field(default_factory=dict)
    technical: dict[str, dict[str, float | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    kind: Literal["look"] = "look"
    v: int = 1
