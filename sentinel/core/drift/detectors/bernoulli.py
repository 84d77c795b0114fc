"""Evidence, example by example, that the rate of something has moved.

As in `mixture`, but for single outcomes, of which the likelihood ratio is known exactly. Of
examples of one account that are alike it is taken to the power 1 / design effect: with 20 examples
an account and an intraclass correlation of 0.1 the false alarms of the plain ratio came every 1,900
examples where they were meant to come every 100,000.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.counting import SIZE_GROUP_COUNT
from sentinel.core.drift.detectors.mixture import softplus
from sentinel.records import Floats, Ints

# Changes of the odds that it is most sensitive to, in either direction.
RATIOS = np.array([1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0])
UNKNOWN = -1  # an outcome that an example does not have
_RENEWED_HORIZONS = 10  # weights grow by e each horizon, and are made small again after so many

Outcomes = NDArray[np.int8]


def gains(nulls: Floats) -> Floats:
    """Logarithms of likelihood ratios; float64 (J, 2, K, 2), the last for outcomes 0 and 1.

    Parameters
    ----------
    nulls
        float64 (J, 2): the rates that count as unchanged, upwards and downwards; NaN where nothing
        is to be found on a side.
    """
    odds = (nulls / (1 - nulls))[:, :, None]
    ratios = np.stack([RATIOS, 1 / RATIOS])[None]
    moved = odds * ratios / (1 + odds * ratios)
    null = nulls[:, :, None]
    return np.stack([np.log((1 - moved) / (1 - null)), np.log(moved / null)], axis=-1)


@numba.njit(cache=True, nogil=True)
def run(
    outcomes: Outcomes,
    groups: Ints,
    times: Ints,
    begin: int,
    seen: int,
    gain: Floats,
    likeness: Floats,
    horizon: float,
    limit: float,
    sizes: Floats,
    totals: Floats,
    evidence: Floats,
    runs: Floats,
    since: Ints,
    is_open: Ints,
    side_count: int,
) -> int:
    """Take examples from `begin` on until something is to be said; how many were taken by then.

    Parameters
    ----------
    outcomes
        int8 (n, J): 0, 1 or UNKNOWN.
    groups
        int64 (n,): of `counting.size_groups`, of each example's account.
    times
        int64 (n,): of each example, for `since`.
    seen
        Examples before `begin`, since the first one of all.
    gain
        Of `gains`.
    likeness
        float64 (J,): intraclass correlation of each outcome.
    limit
        log of the run length.
    sizes, totals
        float64 (SIZE_GROUP_COUNT,) and (4,): weighted examples by group; of the weights the next
        one, the sum, the sum of the groups' squares and that of their own.
    evidence, runs
        float64 (J, 2, K) and (J, 2, K, 3), as of `mixture.look`; runs of examples and of ones.
    since
        int64 (J, 2, K): time of the first example of a run.
    is_open
        int64 (J,): 1 where an alarm is open, whose evidence counts by itself.
    side_count
        How many sides are looked at while no alarm is open, of all outcomes together.
    """
    growth = math.exp(1.0 / horizon)
    renewed = int(_RENEWED_HORIZONS * horizon)
    for i in range(begin, len(outcomes)):
        _weigh(groups[i], growth, sizes, totals)
        if (seen + i - begin + 1) % renewed == 0:
            _renew(sizes, totals)
        extra = _extra(totals)
        for j in range(outcomes.shape[1]):
            outcome = outcomes[i, j]
            if outcome < 0:
                continue
            power = 1.0 / (1.0 + extra * likeness[j])
            for side in range(2):
                if math.isnan(gain[j, side, 0, 0]):
                    continue
                for k in range(gain.shape[2]):
                    step = power * gain[j, side, k, outcome]
                    evidence[j, side, k] = softplus(evidence[j, side, k] + step)
                    page = runs[j, side, k]
                    if page[0] <= 0.0:
                        page[:] = 0.0
                        since[j, side, k] = times[i]
                    page[0] += step
                    page[1] += 1.0
                    page[2] += outcome
        if _is_evident(evidence, is_open, side_count, limit):
            return i + 1
    return len(outcomes)


@numba.njit(cache=True, nogil=True)
def _weigh(group: int, growth: float, sizes: Floats, totals: Floats) -> None:
    """One example more, which weighs more than the one before: as if all before it had faded."""
    weight = totals[0]
    totals[1] += weight
    totals[2] += weight * (2.0 * sizes[group] + weight)
    totals[3] += weight * weight
    sizes[group] += weight
    totals[0] = weight * growth


@numba.njit(cache=True, nogil=True)
def _renew(sizes: Floats, totals: Floats) -> None:
    weight = totals[0]
    totals[1] /= weight
    totals[3] /= weight * weight
    totals[2] = 0.0
    for g in range(len(sizes)):
        sizes[g] /= weight
        totals[2] += sizes[g] * sizes[g]
    totals[0] = 1.0


@numba.njit(cache=True, nogil=True)
def _extra(totals: Floats) -> float:
    """Examples per account, weighted by them, within the horizon; less one."""
    between = totals[2] - totals[1] * totals[1] / SIZE_GROUP_COUNT
    return max(0.0, between / (1.0 - 1.0 / SIZE_GROUP_COUNT) / totals[3] - 1.0)


@numba.njit(cache=True, nogil=True)
def _is_evident(evidence: Floats, is_open: Ints, side_count: int, limit: float) -> bool:
    """Whether the mean of all M is above the limit, or that of an open alarm's one side."""
    total, size_count = 0.0, evidence.shape[2]
    of_one, of_all = limit + math.log(size_count), limit + math.log(size_count * side_count)
    for j in range(len(evidence)):
        top = of_one if is_open[j] == 1 else of_all
        own = 0.0
        for side in range(2):
            for k in range(size_count):
                if evidence[j, side, k] > 0.0:
                    # M in parts of what is enough, so that nothing overflows.
                    own += math.exp(min(evidence[j, side, k] - top, 1.0)) - math.exp(-top)
        if is_open[j] == 1:
            if own >= 1.0:
                return True
        else:
            total += own
    return total >= 1.0
