"""What is asked of a file of outcomes, and what became of it."""

import math
from dataclasses import dataclass, field
from typing import Literal

from sentinel.core.experiments.inference.comparison import ArmComparison
from sentinel.core.experiments.inference.planned import LOOK_COUNT_MAX, ArmLook
from sentinel.core.experiments.inference.sample_ratio import SampleRatio
from sentinel.core.experiments.inference.verdicts import WORTH, Better, ExperimentVerdict
from sentinel.errors import ConfigError
from sentinel.operations.experiments.files.rows import OutcomeRows

MetricName = Literal["outcome", "amount"]


@dataclass(frozen=True, slots=True)
class AnalyseOptions:
    """How a file is analysed. Raises ConfigError for what cannot be.

    Attributes
    ----------
    looks
        How often it is looked at until the planned end, which is that of the file.
    control, shares
        As a person wrote them; None for what is usual.
    better
        Which outcome is the better one.
    primary
        The metric that decides.
    alpha
        Two-sided: how often equal arms are told apart, all challengers together.
    worth
        The least gain worth a change, relative to the control.
    """

    looks: int = 20
    control: str | None = None
    shares: str | None = None
    better: Better = "higher"
    primary: MetricName = "outcome"
    alpha: float = 0.05
    worth: float = WORTH

    def __post_init__(self) -> None:
        if not 1 <= self.looks <= LOOK_COUNT_MAX:
            raise ConfigError(f"--looks {self.looks}: must be in 1..{LOOK_COUNT_MAX}")
        if not 0 < self.alpha < 1:
            raise ConfigError(f"--alpha {self.alpha}: must lie between 0 and 1")
        if not 0 < self.worth < math.inf:
            raise ConfigError(f"--worth {self.worth}: must be above 0")


@dataclass(frozen=True, slots=True)
class AnalysedLook:
    """A look as a person sees it.

    Attributes
    ----------
    time
        Of the newest row in it.
    any_time
        The confidence sequence.
    naive_p
        What a test that takes rows as independent and looks as the only one says; None without.
    """

    look: ArmLook
    row_count: int
    time: float
    comparison: ArmComparison | None
    any_time: tuple[float, float] | None
    naive_p: float | None


@dataclass(frozen=True, slots=True)
class AnalysedArm:
    """A challenger: its looks, its verdict, and the other metric at the end with its p-value."""

    name: str
    looks: list[AnalysedLook]
    verdict: ExperimentVerdict
    other: ArmComparison | None = None
    other_p: float | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What became of a file.

    Attributes
    ----------
    deciding
        The challenger that the verdict is about.
    other_metric
        The metric that does not decide; None where there is one alone.
    """

    verdict: ExperimentVerdict
    deciding: AnalysedArm
    control: str
    arms: list[AnalysedArm]
    primary: MetricName
    other_metric: MetricName | None
    better: Better
    alpha: float
    sample_ratio: SampleRatio
    rows: OutcomeRows
    notes: list[str] = field(default_factory=list)
