"""When silence means "genuine": how long labels take, and which of the silent are learnt from.

A transaction without a label is not genuine; it is one whose label has not come. How long labels
take is seen only for those that have come: a fraud of yesterday whose chargeback takes a month is
not among them (right truncation), so that the plain distribution of delays looks too short.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features.hashing import uniform
from sentinel.records import Floats, Ints

# On simulated chargebacks of up to 60 days, of which 99 % come within 48, the first 41 days alone
# gave 35: too short, and near to what had been looked at.
_SPAN_MIN = 1.5


@dataclass(frozen=True, slots=True)
class MaturityParams:
    """When a transaction is presumed genuine.

    Attributes
    ----------
    coverage
        The share of the labels "fraud" that must have come by then, of each source.
    horizon_min_s, horizon_max_s
        The horizon is never shorter, nor longer, whatever was estimated.
    label_count_min
        With fewer labels of a source nothing is estimated: `horizon_max_s` holds.
    genuine_share
        The share of the presumed genuine that is learnt from, each with the weight 1 / share.
    """

    coverage: float = 0.99
    horizon_min_s: float = 14 * 86_400.0
    horizon_max_s: float = 120 * 86_400.0
    label_count_min: int = 100
    genuine_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0.5 <= self.coverage < 1:
            raise ValueError("coverage must be in [0.5, 1)")
        if not 0 < self.horizon_min_s <= self.horizon_max_s:
            raise ValueError("expected 0 < horizon_min_s <= horizon_max_s")
        if self.label_count_min < 1 or not 0 < self.genuine_share <= 1:
            raise ValueError("label_count_min must be at least 1, genuine_share in (0, 1]")


def delay_distribution(delay_ms: Ints, age_ms: Ints) -> tuple[Ints, Floats]:
    """How many labels have come by each delay, corrected for those that are yet to come.

    The estimator for right-truncated data of Lagakos, Barraj and De Gruttola (Nonparametric
    analysis of truncated survival data, with application to AIDS, Biometrika 75, 1988): in reversed
    time it is Kaplan and Meier's. It speaks of delays up to the largest age only.

    Parameters
    ----------
    delay_ms
        int64 (n,): from the transaction to its label.
    age_ms
        int64 (n,): from the transaction to now; no delay exceeds its age.

    Returns
    -------
    times, share
        int64 and float64 (m,): the different delays, ascending, and the share of labels that come
        within each; the last share is 1.
    """
    assert delay_ms.shape == age_ms.shape
    assert np.all((delay_ms >= 0) & (delay_ms <= age_ms))
    times, count = np.unique(delay_ms, return_counts=True)
    within = np.cumsum(count)  # labels with at most this delay
    # Of those, the ones whose transaction is old enough that this delay could have been seen.
    too_young = np.searchsorted(np.sort(age_ms), times, side="left")
    at_risk = within - too_young
    left = 1.0 - count / at_risk  # came earlier, given that it came by then
    share = np.append(np.cumprod(left[:0:-1])[::-1], 1.0)
    return times, share


def horizon_ms(delay_ms: Ints, age_ms: Ints, params: MaturityParams) -> int:
    """How old a transaction must be for its silence to mean "genuine", for labels of one source.

    While the oldest transaction is not `_SPAN_MIN` times as old as the estimate, longer delays may
    only not have been seen: then the longest holds, too.
    """
    longest = round(params.horizon_max_s * 1000)
    if delay_ms.size < params.label_count_min:
        return longest
    times, share = delay_distribution(delay_ms, age_ms)
    enough = int(times[np.searchsorted(share, params.coverage, side="left")])
    if age_ms.max() < _SPAN_MIN * enough:
        return longest
    return min(max(enough, round(params.horizon_min_s * 1000)), longest)


def is_sampled(hashes: Ints, share: float) -> NDArray[np.bool_]:
    """Which of the presumed genuine are learnt from, bool (n,): the same ones each time.

    Parameters
    ----------
    hashes
        int64 (n,): `hash64` of the transactions' identifiers.
    """
    found: NDArray[np.bool_] = uniform(hashes) < share
    return found
