"""Paired bootstrap by groups: how sure a difference in average precision or in money is.

Rows of one account depend on each other, so whole groups are drawn, with replacement, as many as
there are; both models are measured on the same draw. Rows are sorted once: a draw only changes how
often each counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.random import default_rng

from sentinel.core.learning.gate.evidence import Bools, PairedScores
from sentinel.records import Floats, Ints

_Measure = Callable[[Floats], float]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A measure of champion and challenger, and its difference in every replicate.

    Attributes
    ----------
    differences
        float64 (n_replicates,): challenger less champion.
    """

    champion: float
    challenger: float
    differences: Floats

    @property
    def difference(self) -> float:
        """By how much the challenger's is larger."""
        return self.challenger - self.champion

    @property
    def standard_error(self) -> float:
        """Of the difference."""
        return float(np.std(self.differences, ddof=1))

    @property
    def p_value(self) -> float:
        """One-sided: the share of replicates in which the challenger is not better, never 0."""
        # Sums of weights in another order are no improvement.
        rounding = 1e-12 * max(abs(self.champion), abs(self.challenger))
        not_better = int(np.sum(self.differences <= rounding))
        return (1 + not_better) / (1 + self.differences.size)

    def interval(self, tail: float) -> tuple[float, float]:
        """The percentile interval of the difference, with the share `tail` beyond each end."""
        low, high = np.quantile(self.differences, [tail, 1 - tail])
        return float(low), float(high)


def bootstrap_average_precision(
    scores: PairedScores, *, replicate_count: int, seed: int
) -> Bootstrap:
    """Of the weighted average precision; a replicate without frauds has the difference 0.

    Equal scores share one threshold, as in `evaluation.average_precision`.
    """

    def measure(score: Floats) -> _Measure:
        order = np.argsort(-score, kind="stable")
        groups, weights = scores.groups[order], scores.weights[order]
        fraud_weights = weights * scores.labels[order]
        last = _last_of_tie(score[order])
        return lambda count: _average_precision(count, groups, weights, fraud_weights, last)

    return _bootstrap(scores, measure, replicate_count, seed)


def bootstrap_money(
    scores: PairedScores, *, capacity: int, replicate_count: int, seed: int
) -> Bootstrap:
    """Of the fraud caught, in minor units, when each day `capacity` transactions are reviewed.

    Those with the highest scores of the day are. An example of weight w stands for w transactions;
    of the last ones that fit in only in part, as of equal scores at the limit, the mean is taken.
    The capacity of a day grows with the weight that is drawn of it: a day that is drawn twice, when
    the groups are days, is two days.
    """
    assert capacity >= 1
    of_fraud = scores.weights * scores.labels * scores.amounts_minor

    def measure(score: Floats) -> _Measure:
        order = np.lexsort((-score, scores.days))
        days = scores.days[order]
        last_of_day = np.append(days[1:] != days[:-1], True)
        ends = np.flatnonzero(last_of_day) + 1
        last = _last_of_tie(score[order]) | last_of_day
        groups, weights, money = scores.groups[order], scores.weights[order], of_fraud[order]
        return lambda count: _money(count, groups, weights, money, last, ends, capacity)

    return _bootstrap(scores, measure, replicate_count, seed)


def _bootstrap(
    scores: PairedScores, measure: Callable[[Floats], _Measure], replicate_count: int, seed: int
) -> Bootstrap:
    """Both models measured on the examples as they are, then on each draw of their groups."""
    assert len(scores) > 0
    assert replicate_count >= 2
    champion, challenger = measure(scores.champion), measure(scores.challenger)
    present = np.unique(scores.groups)
    group_count = int(present[-1]) + 1
    once = np.ones(group_count)
    rng = default_rng(seed)
    differences = np.empty(replicate_count)
    for i in range(replicate_count):
        drawn = present[rng.integers(0, present.size, present.size)]
        count = np.bincount(drawn, minlength=group_count).astype(np.float64)
        differences[i] = challenger(count) - champion(count)
    return Bootstrap(champion(once), challenger(once), differences)


def _last_of_tie(ranked: Floats) -> Bools:
    return np.append(ranked[1:] != ranked[:-1], True)


@njit(cache=True, nogil=True)
def _average_precision(
    count: Floats, groups: Ints, weights: Floats, fraud_weights: Floats, last_of_tie: Bools
) -> float:
    """Over rows by falling score, each as often as its group was drawn; 0 without frauds."""
    area = found = checked = before = 0.0
    for row in range(groups.size):
        times = count[groups[row]]
        checked += times * weights[row]
        found += times * fraud_weights[row]
        if last_of_tie[row] and found > before:
            area += found / checked * (found - before)
            before = found
    return area / found if found > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _money(
    count: Floats,
    groups: Ints,
    weights: Floats,
    money: Floats,
    last_of_tie: Bools,
    ends: Ints,
    capacity: int,
) -> float:
    """Over rows by day, then falling score; `ends` says where each day ends."""
    total = 0.0
    begin = 0
    for end in ends:
        drawn = 0.0
        whole = 0.0
        for row in range(begin, end):
            drawn += count[groups[row]] * weights[row]
            whole += weights[row]
        left = capacity * (drawn / whole)
        size = value = 0.0  # of the rows of equal score that were seen so far
        for row in range(begin, end):
            times = count[groups[row]]
            size += times * weights[row]
            value += times * money[row]
            if last_of_tie[row] and size > 0.0:
                if size >= left:
                    total += value * (left / size)
                    break
                total += value
                left -= size
                size = value = 0.0
        begin = end
    return total
