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

from sentinel.core.drift.counts.counting import SIZE_GROUP_COUNT
from sentinel.core.drift.detectors.mixture import softplus
from sentinel.records import Floats, Ints

# Changes of the odds that it is most sensitive to: upwards, and downwards; (2, K).
RATIOS = np.array([[1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0]])
RATIOS = np.concatenate([RATIOS, 1 / RATIOS])
SIZE_COUNT = RATIOS.shape[1]
UNKNOWN = -1  # an outcome that an example does not have
_RENEWED_HORIZONS = 10  # weights grow by e each horizon, and are made small again after so many

Outcomes = NDArray[np.int8]


@numba.njit(cache=True, nogil=True)
def run(
    outcomes: Outcomes,
    odds: Floats,
    groups: Ints,
    times: Ints,
    seen: int,
    likeness: Floats,
    horizon: float,
    limit: float,
    side_count: int,
    is_open: Ints,
    sizes: Floats,
    totals: Floats,
    evidence: Floats,
    runs: Floats,
    since: Ints,
) -> int:
    """Take examples until something is to be said; how many were taken by then.

    Parameters
    ----------
    outcomes
        int8 (n, J): 0, 1 or UNKNOWN.
    odds
        float64 (n, J, 2): of each outcome, if nothing has changed, upwards and downwards; NaN where
        nothing is to be found on a side.
    groups, times
        int64 (n,): `counting.size_groups` of the accounts; the time of each example, for `since`.
    seen
        Examples before these.
    likeness
        float64 (J,): intraclass correlation of each outcome.
    limit, side_count
        log of the run length, and how many sides are looked at while no alarm is open.
    is_open
        int64 (J,): 1 where an alarm is open, whose evidence counts by itself.
    sizes, totals
        float64 (SIZE_GROUP_COUNT,) and (4,): weighted examples by group; of the weights the next
        one, the sum, the sum of the groups' squares and that of their own.
    evidence, runs, since
        (J, 2, K), as of `mixture.look`; runs, of four, also of how many ones would be expected.
    """
    growth = math.exp(1.0 / horizon)
    renewed = int(_RENEWED_HORIZONS * horizon)
    for i in range(len(outcomes)):
        _weigh(groups[i], growth, sizes, totals)
        if (seen + i + 1) % renewed == 0:
            _renew(sizes, totals)
        extra = _extra(totals)
        for j in range(outcomes.shape[1]):
            if outcomes[i, j] >= 0:
                power = 1.0 / (1.0 + extra * likeness[j])
                of_one = evidence[j], runs[j], since[j]
                _add(outcomes[i, j], power, times[i], odds[i, j], of_one)
        if _is_evident(evidence, is_open, side_count, limit):
            return i + 1
    return len(outcomes)


@numba.njit(cache=True, nogil=True)
def _add(
    outcome: int, power: float, time: int, odds: Floats, of_one: tuple[Floats, Floats, Ints]
) -> None:
    """What one example says of one outcome, of which these are the odds, (2,), if unchanged."""
    evidence, runs, since = of_one
    for side in range(2):
        null = odds[side]
        if math.isnan(null):
            continue
        for k in range(SIZE_COUNT):
            ratio = RATIOS[side, k]
            step = math.log((1.0 + null) / (1.0 + null * ratio))
            if outcome == 1:
                step += math.log(ratio)
            step *= power
            evidence[side, k] = softplus(evidence[side, k] + step)
            page = runs[side, k]
            if page[0] <= 0.0:
                page[:] = 0.0
                since[side, k] = time
            page[0] += step
            page[1] += 1.0
            page[2] += outcome
            page[3] += null / (1.0 + null)


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
