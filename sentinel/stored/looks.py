"""What was seen of an experiment at one look."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """A metric of one arm beside the control's, at one look.

    Attributes
    ----------
    value, control
        Of the arm and of the control.
    estimate
        Their difference, ramp steps taken one by one.
    interval
        A confidence sequence for the difference: it may be looked at whenever one likes.
    p
        Of the metric at this look by itself, adjusted for all that are not primary; for people.
    """

    metric: str
    arm: str
    value: float | None
    control: float | None
    estimate: float | None
    interval: tuple[float, float] | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class PlannedLook:
    """The planned test of one arm's primary metric at one look.

    Attributes
    ----------
    share
        Of the planned duration of which outcomes have matured, in (0, 1].
    statistic, boundary
        z, and what it has to reach in either direction; None where there was no look, as too little
        was known.
    is_futile
        Whether going on would hardly change anything.
    why_not
        Why nothing was tested; else empty.
    """

    arm: str
    share: float
    estimate: float | None
    statistic: float | None
    boundary: float | None
    is_futile: bool = False
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class LookReport:
    """What one look has shown.

    Attributes
    ----------
    number
        From 1.
    share
        Of the planned duration, matured.
    accounts, transactions
        By arm, whatever has matured of them.
    sample_ratio
        The e-value against the shares that were planned; None where there is nothing to judge.
    technical
        By arm, of its scores: as in `OutcomeReport`; it decides nothing.
    notes
        What a reader has to know, in sentences.
    """

    experiment: str
    number: int
    share: float
    counted_to_ms: int
    accounts: dict[str, int]
    transactions: dict[str, int]
    planned: list[PlannedLook]
    compared: list[ComparedMetric]
    sample_ratio: float | None = None
    shadow: dict[str, Any] = field(default_factory=dict)
    technical: dict[str, dict[str, float | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    v: int = 1
