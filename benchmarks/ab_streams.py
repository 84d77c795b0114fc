"""Simulated outcomes of two arms for the benchmark of experiments, as sums at each look.

Sums are those of `ArmSums`, in arrays: whoever compares them compares thousands of experiments at
once, with the formulas that the product has.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.random import Generator

from sentinel.records import Floats

# Accounts: how unequally active they are, how many transactions a whole period has on average, how
# alike the frauds of one are, and how late they enrol.
ACTIVITY, MEAN_COUNT, LIKENESS, ENROLLED_BY = 0.8, 20.0, 0.1, 0.8
AMOUNT_LOG_SD = 1.2
RAMP = (0.01, 0.05, 0.25, 0.5)
# x of an account: the frauds among so many of its transactions before.
BEFORE_COUNT = 20


@dataclass(frozen=True, eq=False, slots=True)
class Looks:
    """Of R experiments at L looks.

    Attributes
    ----------
    grams
        float64 (R, L, K, K, 4, 4), as `compared` takes them.
    n
        Transactions, or what else is the clock, (R, L).
    positives
        Accounts with a positive outcome, of control and challenger, (R, L, 2).
    """

    grams: Floats
    n: Floats
    positives: Floats


@dataclass(frozen=True, slots=True)
class Accounts:
    """What experiments on accounts are like.

    Attributes
    ----------
    shares
        Of the challenger, by step of a ramp; steps are equally long.
    lift
        How many times as probable a challenger's fraud is.
    trend
        All fraud becomes more probable: it begins with 1 - trend / 2 of what it is on average.
    """

    count: int
    rate: float
    shares: tuple[float, ...]
    lift: float = 1.0
    trend: float = 0.0


def independent(
    rng: Generator, r: int, looks: int, n: int, share: float, rates: tuple[float, float]
) -> Looks:
    """Outcomes of 0 or 1, one of each account; equally many at each look."""
    sizes = np.diff(np.rint(n * np.arange(looks + 1) / looks)).astype(np.int64)
    of_challenger = rng.binomial(sizes, share, size=(r, looks))
    each = np.stack([sizes - of_challenger, of_challenger], axis=-1)
    y = rng.binomial(each, np.array(rates)).cumsum(axis=1).astype(np.float64)
    a = each.cumsum(axis=1).astype(np.float64)
    grams = np.zeros((r, looks, 2, 2, 4, 4))
    values = [[a, a, y], [a, a, y], [y, y, y]]
    for arm in range(2):
        for i in range(3):
            for j in range(3):
                grams[:, :, arm, arm, i, j] = values[i][j][..., arm]
    return Looks(grams, a.sum(axis=-1), y)


def clustered(rng: Generator, r: int, looks: int, like: Accounts) -> tuple[Looks, Looks]:
    """Accounts that enrol one after the other, with frauds that are alike: shares of transactions,
    and of money.
    """
    cells = 2 * len(like.shares)
    grams = np.zeros((2, r, looks, cells, cells, 4, 4))
    counts = np.zeros((r, looks, 3))
    _simulate(
        rng,
        like.count,
        like.rate,
        like.lift,
        np.array(like.shares),
        like.trend,
        grams,
        counts,
    )
    grams.cumsum(axis=2, out=grams)
    counts.cumsum(axis=1, out=counts)
    shares, money = (Looks(grams[m], counts[..., 0], counts[..., 1:]) for m in range(2))
    return shares, money


@njit(cache=True)
def _simulate(rng, count, rate, lift, shares, trend, grams, counts):  # type: ignore[no-untyped-def]
    """Add to (2, R, L, K, K, 4, 4), and to (R, L, 3), what each transaction adds to them."""
    looks, steps = grams.shape[2], shares.size
    spread = 1 / LIKENESS - 1
    v = np.zeros((2, 2 * steps, 4))
    has_fraud = np.zeros(2 * steps, dtype=np.bool_)
    for r in range(grams.shape[1]):
        for _ in range(count):
            assigned = rng.random()
            own = rng.beta(rate * spread, (1 - rate) * spread)
            x = float(rng.binomial(BEFORE_COUNT, own))
            times = _times(rng)
            v[:] = 0.0
            has_fraud[:] = False
            for time in times:
                step = min(int(time * steps), steps - 1)
                arm = 1 if assigned < shares[step] else 0
                look = min(int(time * looks), looks - 1)
                p = own * (lift if arm else 1.0) * (1 + trend * (time - 0.5))
                fraud = 1.0 if rng.random() < p else 0.0
                amount = rng.lognormal(0.0, AMOUNT_LOG_SD)
                cell = 2 * step + arm
                counts[r, look, 0] += 1
                if fraud and not has_fraud[cell]:
                    has_fraud[cell] = True
                    counts[r, look, 1 + arm] += 1
                _add(grams[0, r, look], v[0], cell, 1.0, fraud, x)
                _add(grams[1, r, look], v[1], cell, amount, fraud * amount, x)


@njit(cache=True)
def _times(rng):  # type: ignore[no-untyped-def]
    """When an account's transactions are, in order."""
    enrolled = rng.random() * ENROLLED_BY
    activity = rng.gamma(ACTIVITY, MEAN_COUNT / ACTIVITY)
    times = np.empty(rng.poisson(activity * (1 - enrolled)))
    for i in range(times.size):
        times[i] = enrolled + rng.random() * (1 - enrolled)
    times.sort()
    return times


@njit(cache=True)
def _add(grams, v, cell, n, y, x):  # type: ignore[no-untyped-def]
    """One row more of an account, whose vectors by cell are v: what its products become more."""
    old = v[cell].copy()
    v[cell, 0] = 1.0
    v[cell, 1] += n
    v[cell, 2] += y
    v[cell, 3] = x
    for other in range(len(v)):
        if v[other, 0] == 0:
            continue
        for i in range(4):
            for j in range(4):
                if other == cell:
                    grams[cell, cell, i, j] += v[cell, i] * v[cell, j] - old[i] * old[j]
                else:
                    more = (v[cell, i] - old[i]) * v[other, j]
                    grams[cell, other, i, j] += more
                    grams[other, cell, j, i] += more
