"""The planned test: looked at up to a hundred times until a planned end, and right as often as one
that is looked at once.

It has two clocks (Lan and DeMets 1989). What may be spent follows the share of the planned outcomes
that have matured, which is known; how the statistics of different looks hang together follows the
information, 1 / variance, which dependent rows make grow more slowly. With information for both,
an experiment that stops growing would never spend its level.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from scipy.special import ndtr, ndtri

from sentinel.core.experiments.inference.comparison import ArmComparison
from sentinel.core.experiments.inference.spending import Boundaries

LOOK_COUNT_MAX = 100


@dataclass(frozen=True, slots=True)
class PlannedParams:
    """How it is tested.

    Attributes
    ----------
    alpha
        Two-sided: in what share of experiments without a difference one is found.
    positives_min
        Accounts with the rarer outcome that each arm would have if both were alike, before which
        there is no look. What each really has would decide by the outcome: an arm without a single
        fraud could never win.
    futility_from
        The share of the plan from which on it may be futile to go on.
    futility_power
        It is, when a difference will be found with a lower probability than this.
    """

    alpha: float = 0.05
    positives_min: int = 5
    futility_from: float = 0.5
    futility_power: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be in (0, 1), got {self.alpha}")
        if self.positives_min < 1:
            raise ValueError(f"positives_min must be at least 1, got {self.positives_min}")
        if not 0 < self.futility_from <= 1:
            raise ValueError(f"futility_from must be in (0, 1], got {self.futility_from}")
        if not 0 <= self.futility_power < 1:
            raise ValueError(f"futility_power must be in [0, 1), got {self.futility_power}")


@dataclass(frozen=True, slots=True)
class ArmLook:
    """What was seen at a look.

    Attributes
    ----------
    number
        From 1; a look at which nothing could be tested has one, too.
    share
        Of what is planned, matured; 1 at the planned end.
    estimate, variance
        The difference and its pooled variance; None where there is none.
    z, boundary
        The statistic, and beyond which absolute value the arms are told apart; None where nothing
        was tested.
    spent
        Of the two-sided level, so far.
    power
        How probably a difference will be found by the planned end, as things stand.
    why_not
        Why nothing was tested; else empty.
    """

    number: int
    share: float
    estimate: float | None = None
    variance: float | None = None
    z: float | None = None
    boundary: float | None = None
    spent: float = 0.0
    power: float | None = None
    why_not: str = ""

    @property
    def is_beyond(self) -> bool:
        """Whether the arms are told apart."""
        return self.z is not None and self.boundary is not None and abs(self.z) >= self.boundary

    @property
    def interval(self) -> tuple[float, float] | None:
        """The estimate and what the boundary leaves to either side: 0 is outside beyond it."""
        if self.estimate is None or self.variance is None or self.boundary is None:
            return None
        half = self.boundary * math.sqrt(self.variance)
        return self.estimate - half, self.estimate + half


class PlannedTest:
    """One challenger against the control, on the primary metric.

    Looks go on after a decision, for who wants to see them; the first one beyond its boundary is
    the decision.
    """

    def __init__(self, params: PlannedParams, looks: Sequence[ArmLook] = ()) -> None:
        self.params = params
        self._looks: list[ArmLook] = []
        self._boundaries = Boundaries(params.alpha)
        for look in looks:
            if look.boundary is not None:
                assert look.variance is not None
                self._boundaries.add(look.share, 1 / look.variance)
            self._looks.append(look)

    @property
    def looks(self) -> tuple[ArmLook, ...]:
        """All so far."""
        return tuple(self._looks)

    @property
    def decision(self) -> ArmLook | None:
        """The first look that told the arms apart."""
        return next((look for look in self._looks if look.is_beyond), None)

    @property
    def futile(self) -> ArmLook | None:
        """The first look at which it was futile to go on; nobody has to stop there."""
        return next((look for look in self._looks if self._is_futile(look)), None)

    @property
    def is_at_end(self) -> bool:
        """Whether the last look is behind."""
        return bool(self._looks) and self._looks[-1].share >= 1

    def look(self, comparison: ArmComparison | None, share: float) -> ArmLook:
        """ArmLook at what has matured.

        Parameters
        ----------
        share
            Of what is planned; the look at the planned end, and it alone, has 1 or more. After it
            there is no other one.
        """
        share = min(share, 1.0)
        why_not = self._why_not(comparison, share)
        number, estimate = len(self._looks) + 1, None
        if comparison is not None:
            estimate = comparison.estimate
        if why_not or comparison is None:
            found = ArmLook(number, share, estimate, spent=self._spent, why_not=why_not)
        else:
            z = comparison.estimate / math.sqrt(comparison.pooled)
            boundary = self._boundaries.add(share, 1 / comparison.pooled)
            power = predictive_power(z, share, self.params.alpha)
            found = ArmLook(
                number,
                share,
                estimate,
                comparison.pooled,
                z,
                boundary,
                2 * self._boundaries.spent,
                power,
            )
        self._looks.append(found)
        return found

    def to_dict(self) -> dict[str, Any]:
        """To store, in a fixed order."""
        return {"params": asdict(self.params), "looks": [asdict(look) for look in self._looks]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_dict` gave: it goes on as if it had never been stored."""
        return cls(PlannedParams(**stored["params"]), [ArmLook(**look) for look in stored["looks"]])

    @property
    def _spent(self) -> float:
        return self._looks[-1].spent if self._looks else 0.0

    def _why_not(self, comparison: ArmComparison | None, share: float) -> str:
        """Why this look cannot be one."""
        if self.is_at_end:
            return "the planned end was before"
        if share < 1 and len(self._looks) >= LOOK_COUNT_MAX - 1:
            return f"of {LOOK_COUNT_MAX} looks the last one is for the planned end"
        if comparison is None:
            return "there are not yet two accounts with outcomes in each arm"
        if min(expected_positives(comparison)) < self.params.positives_min:
            a, b = comparison.positives
            return (
                f"too few accounts with the rarer outcome: {a:,} of the control, {b:,} of the "
                f"challenger; if both were alike, {self.params.positives_min} would be needed in "
                "each"
            )
        if not comparison.is_known:
            return "the outcomes do not vary"
        tested = [look.share for look in self._looks if look.boundary is not None]
        if tested and share <= tested[-1]:
            return "nothing has matured since the look before"
        return ""

    def _is_futile(self, look: ArmLook) -> bool:
        if look.power is None or look.share >= 1 or look.share < self.params.futility_from:
            return False
        return look.power < self.params.futility_power


def expected_positives(comparison: ArmComparison) -> tuple[float, float]:
    """Accounts with the rarer outcome that control and challenger would have if both were alike."""
    total, accounts = sum(comparison.positives), comparison.accounts
    both = max(sum(accounts), 1)
    return total * accounts[0] / both, total * accounts[1] / both


def predictive_power(z: float, share: float, alpha: float) -> float:
    """How probably a fixed test of both sides finds a difference at the planned end.

    Of all differences that fit what was seen, by a flat prior: z at the end is normal with the mean
    z / sqrt(share) and the variance (1 - share) / share (Spiegelhalter, Freedman and Blackburn
    1986).
    """
    edge = -float(ndtri(alpha / 2))
    if share >= 1:
        return float(abs(z) >= edge)
    mean, sd = z / math.sqrt(share), math.sqrt((1 - share) / share)
    return float(ndtr((-edge - mean) / sd) + ndtr((mean - edge) / sd))
