"""Evidence that a mean has moved, which may be looked at as often as one likes.

Shiryaev and Roberts' statistic, mixed over sizes of the change: an e-detector of Shin, Ramdas and
Rinaldo (E-detectors: a nonparametric framework for sequential change detection, arXiv 2203.03532).
As long as nothing has changed its expectation is at most the number of looks, also of the mean of
any number of them, however they depend on each other. So the first look at which that mean is above
A comes after A looks or later, in expectation.

What "has changed" means has a floor: a mean that is less than the floor away from the reference's
counts as unchanged. Without it a reference, which is only an estimate, is found out for that.
"""

import math

import numba
import numpy as np

from sentinel.records import Floats, Ints

# Changes, in standard deviations of one look's mean, that it is most sensitive to.
SIZES = np.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
UP, DOWN = 0, 1  # the sides
_BISECTION_STEPS = 80


@numba.njit(cache=True, nogil=True)
def look(
    support: Floats,
    masses: Floats,
    rows: Floats,
    sums: Floats,
    typical: Floats,
    floors: Floats,
    sizes: Floats,
    minute: int,
    evidence: Floats,
    runs: Floats,
    since: Ints,
) -> None:
    """One look at D series; `evidence`, `runs` and `since` are brought up to date.

    The evidence of a look is exp(t (s - k n) - n psi(t)): s is the sum of contrasts over n
    effective rows, k the floor, t the size of the change a row that it is made for, and psi the
    larger of t^2 / 2 and the cumulant of the contrast in the reference. By the cumulant it holds
    for contrasts that are far from normal, a value that one row in a thousand misses; by Jensen's
    inequality it holds for rows divided by their design effect.

    Parameters
    ----------
    support, masses
        float64 (D, cells), of `MinuteReference`.
    rows, sums
        float64 (D,): effective rows, and the sum of their contrasts. Without rows nothing happens.
    typical
        float64 (D,), > 0: effective rows that a look usually has; not known from the contrasts.
    floors
        float64 (D, 2): of each side; infinite where nothing is to be found on it.
    sizes
        float64 (K,): `SIZES`.
    evidence
        float64 (D, 2, K): log(1 + M), of Shiryaev and Roberts' M <- (M + 1) e.
    runs
        float64 (D, 2, K, 3): of Page's sum, the evidence since it was last at zero, and the rows
        and sums since then.
    since
        int64 (D, 2, K): the minute in which that began: the estimate of when the change did.
    """
    for d in range(len(rows)):
        if rows[d] <= 0.0:
            continue
        for side in range(2):
            floor = floors[d, side]
            if math.isinf(floor):
                continue
            sign = 1.0 if side == 0 else -1.0
            for k in range(len(sizes)):
                tilt = sizes[k] / math.sqrt(typical[d])
                psi = max(0.5 * tilt * tilt, _cumulant(support[d], masses[d], sign * tilt))
                gain = tilt * (sign * sums[d] - floor * rows[d]) - rows[d] * psi
                evidence[d, side, k] = softplus(evidence[d, side, k] + gain)
                run = runs[d, side, k]
                if run[0] <= 0.0:
                    run[:] = 0.0
                    since[d, side, k] = minute
                run[0] += gain
                run[1] += rows[d]
                run[2] += sums[d]


@numba.njit(cache=True, nogil=True)
def _cumulant(support: Floats, masses: Floats, tilt: float) -> float:
    """log of the mean of exp(tilt * unit), without overflow: the support ascends."""
    last = 0
    while last + 1 < len(masses) and masses[last + 1] > 0.0:
        last += 1
    top = tilt * (support[last] if tilt > 0.0 else support[0])
    total = 0.0
    for b in range(last + 1):
        total += masses[b] * math.exp(tilt * support[b] - top)
    return top + math.log(total)


def tilted(support: Floats, masses: Floats, mean: float) -> tuple[Floats, Floats]:
    """The distribution tilted exponentially to another mean, and centred there.

    Of a contrast of two values it is the one with that mean; of others it is the one that differs
    least from what it was. Both float64 (cells,), as they came; a mean beyond the support is taken
    for one just within it.
    """
    used = masses > 0
    s, m = support[used], masses[used]
    if s.size < 2:
        return support, masses
    least, most = s.min(), s.max()
    mean = float(np.clip(mean, least + 1e-6 * (most - least), most - 1e-6 * (most - least)))
    low, high = -1e4 / (most - least), 1e4 / (most - least)
    for _ in range(_BISECTION_STEPS):
        theta = (low + high) / 2
        weight = m * np.exp(theta * s - (theta * s).max())
        if float(weight @ s) / float(weight.sum()) < mean:
            low = theta
        else:
            high = theta
    found, centred = masses.copy(), support.copy()
    found[used] = np.maximum(weight / weight.sum(), 1e-300)
    centred[used] = s - mean
    return centred, found


@numba.njit(cache=True, nogil=True)
def softplus(x: float) -> float:
    """log(1 + exp(x)), without overflow."""
    return x + math.log1p(math.exp(-x)) if x > 0.0 else math.log1p(math.exp(x))


def log_mean(evidence: Floats) -> float:
    """log of the mean of M over log(1 + M); minus infinity if all are zero."""
    top = float(evidence.max())
    if top == 0.0:
        return -math.inf
    total = float(np.sum(np.exp(evidence - top) - np.exp(-top)))
    return top + math.log(total / evidence.size) if total > 0.0 else -math.inf
