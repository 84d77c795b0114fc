"""Simulated outcomes of two arms for the benchmark of experiments, as sums at each look.

Sums are those of `ArmSums`, in arrays: whoever compares them compares thousands of experiments at
once, with the formulas that the product has.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sentinel.records import Floats, Ints

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


def independent(
    rng: Generator, r: int, looks: int, n: int, share: float, rates: tuple[float, float]
) -> Looks:
    """Outcomes of 0 or 1, one of each account; equally many at each look."""
    sizes = np.diff(np.rint(n * np.arange(looks + 1) / looks)).astype(np.int64)
    of_challenger = rng.binomial(sizes, share, size=(r, looks))
    counts = np.stack([sizes - of_challenger, of_challenger], axis=-1).cumsum(axis=1)
    each = np.stack([sizes - of_challenger, of_challenger], axis=-1)
    y = rng.binomial(each, np.array(rates)).cumsum(axis=1).astype(np.float64)
    a = counts.astype(np.float64)
    sums = np.stack([a, a, y, a, y, y], axis=-1)
    return Looks(_grams(sums), a.sum(axis=-1), y)


def _grams(sums: Floats, x: Floats | None = None) -> Floats:
    """From (..., 2, 6): accounts, n, y, nn, ny, yy; and of x (..., 2, 4): x, nx, yx, xx."""
    a, n, y, nn, ny, yy = np.moveaxis(sums, -1, 0)
    of_x = np.zeros((4, *a.shape)) if x is None else np.moveaxis(x, -1, 0)
    own = np.stack(
        [a, n, y, of_x[0], n, nn, ny, of_x[1], y, ny, yy, of_x[2], *of_x], axis=-1
    ).reshape(*a.shape, 4, 4)
    found = np.zeros((*a.shape[:-1], 2, 2, 4, 4))
    for arm in range(2):
        found[..., arm, arm, :, :] = own[..., arm, :, :]
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Transactions:
    """Of one experiment, in the order of accounts, and of time within each."""

    account: Ints
    first: Ints  # where each account begins
    time: Floats
    fraud: Floats
    amount: Floats
    assigned: Floats  # of each account, uniform: below its share it is a challenger
    before: Floats  # x of each account


def transactions(
    rng: Generator, accounts: int, rate: float, share: float, lift: float, *, trend: float = 0.0
) -> Transactions:
    """Accounts that enrol one after the other, with frauds that are alike.

    The fraud of a challenger's account is `lift` times as probable. With a trend all fraud becomes
    more probable: it begins with 1 - trend / 2 of what it is on average.
    """
    assigned = rng.random(accounts)
    enrolled = rng.random(accounts) * ENROLLED_BY
    activity = rng.gamma(ACTIVITY, MEAN_COUNT / ACTIVITY, accounts)
    counts = rng.poisson(activity * (1 - enrolled))
    spread = 1 / LIKENESS - 1
    own = rng.beta(rate * spread, (1 - rate) * spread, accounts)
    before = rng.binomial(BEFORE_COUNT, own).astype(np.float64)
    own = np.where(assigned < share, np.minimum(own * lift, 1.0), own)
    account = np.repeat(np.arange(accounts), counts)
    time = enrolled[account] + rng.random(account.size) * (1 - enrolled[account])
    time = time[np.argsort(account + time)]  # within the account: time is below 1
    return Transactions(
        account=account,
        first=np.cumsum(counts) - counts,
        time=time,
        fraud=(rng.random(account.size) < own[account] * (1 + trend * (time - 0.5))).astype(float),
        amount=rng.lognormal(0, AMOUNT_LOG_SD, account.size),
        assigned=assigned,
        before=before,
    )


def running(some: Transactions, share: float, looks: int, *, money: bool) -> Looks:
    """The sums of one experiment at each look, from what each transaction adds to them."""
    n = some.amount if money else np.ones_like(some.amount)
    y = n * some.fraud
    had_n, had_y = (_before(some, one) for one in (n, y))
    had_some = _before(some, some.fraud) > 0
    is_first = np.zeros(n.size)
    is_first[some.first[np.diff(np.append(some.first, n.size)) > 0]] = 1.0
    x = some.before[some.account]
    added = [
        *(is_first, n, y, n * (2 * had_n + n), n * had_y + y * had_n + n * y, y * (2 * had_y + y)),
        *(is_first * x, n * x, y * x, is_first * x * x),
        *(some.fraud * ~had_some, np.ones_like(n)),
    ]
    arm = (some.assigned < share)[some.account]
    cell = np.minimum((some.time * looks).astype(np.int64), looks - 1) * 2 + arm
    bins = [np.bincount(cell, weights=one, minlength=2 * looks) for one in added]
    sums: Floats = np.stack(bins, axis=-1).reshape(looks, 2, len(added)).cumsum(axis=0)
    return Looks(
        _grams(sums[..., :6], sums[..., 6:10])[None],
        sums[..., 11].sum(axis=-1)[None],
        sums[..., 10][None],
    )


def _before(some: Transactions, values: Floats) -> Floats:
    """The sum of the account's earlier transactions."""
    total = np.cumsum(values) - values
    starts = np.append(total, total[-1:])[some.first]
    return total - starts[some.account]


def ramped(some: Transactions, looks: int, *, money: bool) -> Looks:
    """The same where the challenger's share grows four times, by step and over pairs of steps."""
    steps = len(RAMP)
    accounts = some.assigned.size
    n = some.amount if money else np.ones_like(some.amount)
    parts = np.stack([n, n * some.fraud, np.ones_like(n), some.fraud], axis=-1)
    step = np.minimum((some.time * steps).astype(np.int64), steps - 1)
    look = np.minimum((some.time * looks).astype(np.int64), looks - 1)
    totals = np.zeros((accounts, steps, 4))
    arms = (some.assigned[:, None] < np.array(RAMP)).astype(np.int64)
    grams, clock, positives = [], [], []
    order = np.argsort(look, kind="stable")
    ends = np.searchsorted(look[order], np.arange(looks), side="right")
    begin = 0
    for end in ends:
        at = order[begin:end]
        begin = end
        np.add.at(totals, (some.account[at], step[at]), parts[at])
        cells = np.zeros((accounts, steps, 2, 4))
        is_in = totals[..., 2] > 0
        for arm in range(2):
            own = is_in & (arms == arm)
            cells[:, :, arm, 0] = own
            cells[:, :, arm, 1] = own * totals[..., 0]
            cells[:, :, arm, 2] = own * totals[..., 1]
        flat = cells.reshape(accounts, -1)
        gram = (flat.T @ flat).reshape(2 * steps, 4, 2 * steps, 4).transpose(0, 2, 1, 3)
        grams.append(gram)
        clock.append(totals[..., 2].sum())
        had = totals[..., 3] > 0
        positives.append([(had & (arms == arm)).sum() for arm in range(2)])
    return Looks(
        np.stack(grams)[None], np.array(clock)[None], np.array(positives, dtype=np.float64)[None]
    )
