"""From a probability to an action, a severity and the reasons for both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats

ACTIONS = ("approve", "review", "block")
APPROVE, REVIEW, BLOCK = range(3)
SEVERITIES = ("low", "medium", "high", "critical")

EXPLORE_SHARE_MAX = 0.1  # more is no longer a small share of what the policy wants to stop

Codes = NDArray[np.int64]


def _recommended() -> dict[str, tuple[str, ...]]:
    return {
        "low": (),
        "medium": ("ask for strong authentication",),
        "high": ("hold the payment", "call the customer"),
        "critical": ("block the card", "call the customer"),
    }


@dataclass(frozen=True, slots=True)
class PolicyParams:
    """Thresholds on the calibrated probability of fraud, each inclusive; and what is explored.

    Attributes
    ----------
    explore_share
        How many of the would-be blocks go to review instead, at random; 0 turns this off.
    explore_amount_minor_max
        A would-be block of a larger amount, in minor units, always stays one.
    """

    review_min: float = 0.20
    block_min: float = 0.80
    medium_min: float = 0.20
    high_min: float = 0.50
    critical_min: float = 0.90
    reason_count_max: int = 3
    explore_share: float = 0.0
    explore_amount_minor_max: int = 0
    recommended: dict[str, tuple[str, ...]] = field(default_factory=_recommended)

    def __post_init__(self) -> None:
        if not 0 < self.review_min <= self.block_min <= 1:
            raise ValueError("expected 0 < review_min <= block_min <= 1")
        if not 0 < self.medium_min <= self.high_min <= self.critical_min <= 1:
            raise ValueError("expected 0 < medium_min <= high_min <= critical_min <= 1")
        if not 0 <= self.reason_count_max <= 10:
            raise ValueError(f"reason_count_max must be in 0..10, got {self.reason_count_max}")
        if not 0 <= self.explore_share <= EXPLORE_SHARE_MAX:
            raise ValueError(
                f"explore_share must be in 0..{EXPLORE_SHARE_MAX}, got {self.explore_share}"
            )
        if self.explore_amount_minor_max < 0:
            raise ValueError("explore_amount_minor_max must not be negative")
        if self.explore_share > 0 and self.explore_amount_minor_max == 0:
            raise ValueError(
                "explore_share needs explore_amount_minor_max: the largest amount to risk, in "
                "minor units"
            )
        if unknown := sorted(set(self.recommended) - set(SEVERITIES)):
            raise ValueError(f"recommended has unknown severities {unknown}; known: {SEVERITIES}")


def actions(probability: Floats, policy: PolicyParams) -> Codes:
    """Code of the action for each probability in [0, 1], shape (n,): APPROVE, REVIEW or BLOCK."""
    return np.searchsorted([policy.review_min, policy.block_min], probability, side="right")


def severities(probability: Floats, policy: PolicyParams) -> Codes:
    """Index into SEVERITIES for each probability in [0, 1], shape (n,)."""
    limits = [policy.medium_min, policy.high_min, policy.critical_min]
    return np.searchsorted(limits, probability, side="right")


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual: for each feature its 5th and 95th percentile among genuine transactions."""

    low: Floats
    high: Floats


def usual_ranges(genuine: Floats) -> Usual:
    """The 5th and 95th percentile of each column; NaN where a column never has a value."""
    ranges = np.full((2, genuine.shape[1]), np.nan)
    for j, column in enumerate(genuine.T):
        known = column[~np.isnan(column)]
        if known.size:
            ranges[:, j] = np.quantile(known, [0.05, 0.95])
    return Usual(low=ranges[0], high=ranges[1])


def reasons(
    names: Sequence[str],
    features: Floats,
    contributions: Floats,
    usual: Usual,
    account_usual: dict[int, tuple[float, float]],
    *,
    count_max: int,
) -> list[dict[str, Any]]:
    """The features that pushed one score up the most.

    Parameters
    ----------
    names, features, contributions
        Each (n_features,): what they are called, their values, and how much of the raw score
        (log-odds) each one adds.
    usual
        Of the population.
    account_usual
        For the features where the account's own past says better what is usual: its range.

    Returns
    -------
    list
        At most `count_max` reasons, strongest first, only those that raise the score: feature,
        value, contribution, the usual range, and whose it is.
    """
    assert len(names) == features.size == contributions.size
    strongest = np.argsort(-contributions, kind="stable")[:count_max]
    found = []
    for i in strongest.tolist():
        if contributions[i] <= 0:
            break
        own = account_usual.get(i)
        low, high = own if own is not None else (usual.low[i], usual.high[i])
        found.append(
            {
                "feature": names[i],
                "value": float(features[i]),
                "contribution": round(float(contributions[i]), 6),
                "usual_low": float(low),
                "usual_high": float(high),
                "usual_of": "population" if own is None else "account",
            }
        )
    return found


def account_range(mean: float, std: float) -> tuple[float, float] | None:
    """Two standard deviations around an account's mean amount, not below 0; None if unknown."""
    if not np.isfinite(mean) or not np.isfinite(std):
        return None
    return (max(mean - 2 * std, 0.0), mean + 2 * std)
