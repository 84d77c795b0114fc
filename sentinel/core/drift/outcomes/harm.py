"""What a change costs at the present thresholds, with an interval, and how grave that is.

The interval is robust against rows of one account that are alike: variances are those between
groups of accounts. It is about chance in the rows; if P(fraud | x) has changed, no interval tells.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from sentinel.core.drift.outcomes.estimated import MEASURES, PerformanceSums
from sentinel.records import Floats

Severity = Literal["info", "warning", "critical"]
HarmName = Literal["precision", "recall", "missed_money"]
_RATIOS: dict[HarmName, tuple[str, str]] = {
    "precision": ("caught", "alerts"),
    "recall": ("caught", "frauds"),
    "missed_money": ("missed_money", "rows"),
}
_EVENTS_MIN = 5.0  # with fewer alerts, or frauds, on a side a ratio says nothing


@dataclass(frozen=True, slots=True)
class HarmParams:
    """How grave a change is.

    Attributes
    ----------
    warning, critical
        Parts of what was before: of the money missed a transaction that is added, of precision and
        recall that are lost.
    level
        Of the intervals: a share `level` of them misses the truth by chance.
    """

    warning: float = 0.05
    critical: float = 0.25
    level: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.warning <= self.critical:
            raise ValueError("expected 0 < warning <= critical")
        if not 0 < self.level < 1:
            raise ValueError("level must be in (0, 1)")


@dataclass(frozen=True, slots=True)
class HarmInterval:
    """The change of one figure.

    Attributes
    ----------
    before, now
        Of the reference and of the window; money in minor units a transaction.
    change
        now - before, and `low` and `high` around it.
    """

    name: HarmName
    before: float
    now: float
    change: float
    low: float
    high: float

    @property
    def worse(self) -> tuple[float, float]:
        """The change for the worse as a part of what was before: at least, and as estimated."""
        base = self.before if self.before > 0 else max(self.now, 1e-12)
        if self.name == "missed_money":
            return self.low / base, self.change / base
        return -self.high / base, -self.change / base


def harms(
    before: PerformanceSums, now: PerformanceSums, params: HarmParams
) -> tuple[HarmInterval, ...]:
    """Changes of precision, recall and missed money; those that can be told."""
    found = [_harm(name, before, now, params) for name in _RATIOS]
    return tuple(one for one in found if one is not None)


def severity(found: tuple[HarmInterval, ...], params: HarmParams) -> Severity:
    """Critical if even the good end of an interval is; a warning if it is worse beyond chance."""
    if any(harm.worse[0] >= params.critical for harm in found):
        return "critical"
    if any(harm.worse[0] > 0 and harm.worse[1] >= params.warning for harm in found):
        return "warning"
    return "info"


def _harm(
    name: HarmName, before: PerformanceSums, now: PerformanceSums, params: HarmParams
) -> HarmInterval | None:
    of, to = _RATIOS[name]
    sides = [_ratio(sums.of_groups, of, to) for sums in (before, now)]
    if sides[0] is None or sides[1] is None:
        return None
    (r0, v0, f0), (r1, v1, f1) = sides[0], sides[1]
    variance = v0 + v1
    # Welch and Satterthwaite's degrees of freedom.
    freedom = variance**2 / (v0**2 / f0 + v1**2 / f1) if variance > 0 else f0 + f1
    half = float(stdtrit(freedom, 1 - params.level / 2)) * float(np.sqrt(variance))
    change = r1 - r0
    return HarmInterval(name, r0, r1, change, change - half, change + half)


def _ratio(groups: Floats, of: str, to: str) -> tuple[float, float, float] | None:
    """A ratio of sums, its variance between groups, and that one's degrees of freedom."""
    above, below = groups[:, MEASURES.index(of)], groups[:, MEASURES.index(to)]
    total = float(below.sum())
    if total < _EVENTS_MIN:
        return None
    ratio = float(above.sum()) / total
    used = float(total**2 / (below**2).sum())  # groups, weighted by what they hold
    if used <= 1.5:
        return None
    residual = above - ratio * below
    variance = used / (used - 1) * float((residual**2).sum()) / total**2
    return ratio, variance, used - 1
