"""DeLong's test: whether one of two scores of the same examples has the larger AUC."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from sentinel.core.learning.gate.evidence import Bools, PairedScores
from sentinel.records import Floats, Ints

# What sums of weights in another order may differ by: no difference, and no proof of one.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class AucComparison:
    """The AUCs of champion and challenger, and how sure their difference is.

    Attributes
    ----------
    standard_error
        Of the difference; 0 where both order every fraud and genuine one alike.
    """

    champion: float
    challenger: float
    standard_error: float

    @property
    def difference(self) -> float:
        """By how much the challenger's is larger."""
        return self.challenger - self.champion

    @property
    def p_value(self) -> float:
        """One-sided: how likely at least this difference would be if both were equally good."""
        if self.standard_error <= _ROUNDING:
            return 0.0 if self.difference > _ROUNDING else 1.0
        return float(ndtr(-self.difference / self.standard_error))

    def interval(self, tail: float) -> tuple[float, float]:
        """The normal interval of the difference, with the probability `tail` beyond each end."""
        reach = -float(ndtri(tail)) * self.standard_error
        return self.difference - reach, self.difference + reach


def compare_auc(scores: PairedScores) -> AucComparison | None:
    """DeLong's comparison of two correlated AUCs; None with frauds or genuine of one group only.

    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson: Comparing the areas under two or more
    correlated receiver operating characteristic curves, Biometrics 44 (1988). The structural
    components come from sorted scores in O(n log n), as in X. Sun, W. Xu: Fast implementation of
    DeLong's algorithm, IEEE Signal Processing Letters 21 (2014).

    With weights the AUC is a ratio of weighted sums over pairs, and its error the sum of each
    example's influence on it (Hájek's projection), which holds when examples with their weights
    are drawn independently, weights 1 / propensity among them. The influences of a group are added
    before they are squared, after N. A. Obuchowski: Nonparametric analysis of clustered ROC curve
    data, Biometrics 53 (1997). With equal weights and groups of one, both are DeLong's.
    """
    is_fraud = scores.labels == 1
    fraud_group, genuine_group = scores.groups[is_fraud], scores.groups[~is_fraud]
    fraud_group_count = np.unique(fraud_group).size
    genuine_group_count = np.unique(genuine_group).size
    if min(fraud_group_count, genuine_group_count) < 2:
        return None
    champion, champion_influence = _influences(scores.champion, is_fraud, scores.weights)
    challenger, challenger_influence = _influences(scores.challenger, is_fraud, scores.weights)
    influence = challenger_influence - champion_influence
    group_count = int(scores.groups.max()) + 1
    of_frauds = _sums(influence[is_fraud], fraud_group, group_count)
    of_genuine = _sums(influence[~is_fraud], genuine_group, group_count)
    variance = (
        np.sum(of_frauds**2) * (fraud_group_count / (fraud_group_count - 1))
        + np.sum(of_genuine**2) * (genuine_group_count / (genuine_group_count - 1))
        + 2 * np.sum(of_frauds * of_genuine)
    )
    return AucComparison(champion, challenger, float(np.sqrt(max(variance, 0.0))))


def _sums(values: Floats, group: Ints, group_count: int) -> Floats:
    """The values of each group added, float64 (group_count,)."""
    return np.asarray(np.bincount(group, weights=values, minlength=group_count), dtype=np.float64)


def _influences(score: Floats, is_fraud: Bools, weights: Floats) -> tuple[float, Floats]:
    """The AUC, and how much each example moves it: float64 (n,), of each class adding up to 0."""
    weight_fraud, weight_genuine = weights[is_fraud], weights[~is_fraud]
    above = _placements(score[is_fraud], score[~is_fraud], weight_genuine)
    below = 1.0 - _placements(score[~is_fraud], score[is_fraud], weight_fraud)
    auc = float(np.sum(weight_fraud * above) / weight_fraud.sum())
    influence = np.empty(score.size)
    influence[is_fraud] = weight_fraud * (above - auc) / weight_fraud.sum()
    influence[~is_fraud] = weight_genuine * (below - auc) / weight_genuine.sum()
    return auc, influence


def _placements(score: Floats, others: Floats, weights: Floats) -> Floats:
    """The share of the weight of `others` below each score, ties counted half: in [0, 1]."""
    order = np.argsort(others, kind="stable")
    ranked = others[order]
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    first = np.searchsorted(ranked, score, side="left")
    last = np.searchsorted(ranked, score, side="right")
    found: Floats = (below[first] + below[last]) / (2.0 * below[-1])
    return found
