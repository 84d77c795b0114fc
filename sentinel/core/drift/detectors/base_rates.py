"""What matured examples are compared with: how often something was before, and how sure that is."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, logit

from sentinel.core.drift.detectors.bernoulli import UNKNOWN, Outcomes
from sentinel.records import Floats, Ints

Worse = Literal["up", "down", "both"]
RATE_MIN = 1e-6  # a rate of nothing at all would make the first one proof
_NEWTON_STEPS = 25


@dataclass(frozen=True, slots=True)
class BaseRate:
    """What an outcome is compared with.

    Attributes
    ----------
    name
        Of the outcome.
    worse
        The direction that alarms.
    rate, error
        And its standard error, with the design effect of the examples it is from.
    likeness
        Intraclass correlation of the outcome within an account, in [0, 1], on the cautious side.
    is_relative
        The rate is that of an example with a probability of one half: its odds are what the odds of
        every example are multiplied by. Of a calibrated model it is one half.
    """

    name: str
    worse: Worse
    rate: float
    error: float = 0.0
    likeness: float = 0.0
    is_relative: bool = False

    def __post_init__(self) -> None:
        assert 0 <= self.rate <= 1
        assert self.error >= 0
        assert 0 <= self.likeness <= 1


def base_rate(name: str, worse: Worse, outcomes: Outcomes, accounts: Ints) -> BaseRate:
    """From examples of before.

    Parameters
    ----------
    outcomes
        int8 (n,): 0, 1 or UNKNOWN.
    accounts
        int64 (n,): hashes.
    """
    known = outcomes != UNKNOWN
    found, account = outcomes[known].astype(np.float64), accounts[known]
    n = found.size
    if n == 0:
        return BaseRate(name, worse, 0.5, 0.5, 1.0)
    rate = float((found.sum() + 0.5) / (n + 1.0))
    design_effect, likeness = _alike(found, account)
    error = math.sqrt(rate * (1 - rate) / n * design_effect)
    return BaseRate(name, worse, rate, error, likeness)


def base_calibration(
    name: str, worse: Worse, outcomes: Outcomes, probabilities: Floats, accounts: Ints
) -> BaseRate:
    """Of how well probabilities were calibrated in examples of before: by what their odds were off.

    Parameters
    ----------
    probabilities
        float64 (n,), in [0, 1]; other parameters as of `base_rate`.
    """
    known = outcomes != UNKNOWN
    # One example that is half a fraud: without any frauds there still is an estimate.
    found = np.append(outcomes[known].astype(np.float64), 0.5)
    logits = np.append(logit(np.clip(probabilities[known], RATE_MIN, 1 - RATE_MIN)), 0.0)
    off = 0.0
    for _ in range(_NEWTON_STEPS):
        expected = expit(logits + off)
        step = float((found - expected).sum() / (expected * (1 - expected)).sum())
        off += min(max(step, -1.0), 1.0)
    expected = expit(logits + off)
    design_effect, likeness = _alike((found - expected)[:-1], accounts[known])
    error = math.sqrt(design_effect / float((expected * (1 - expected)).sum()))
    rate = float(expit(off))
    return BaseRate(name, worse, rate, rate * (1 - rate) * error, likeness, is_relative=True)


def _alike(found: Floats, accounts: Ints) -> tuple[float, float]:
    """Design effect of these examples' mean, and a cautious intraclass correlation for others.

    The correlation is estimated by analysis of variance for clusters of unequal sizes, and for
    others taken one standard error higher (Donner, A review of inference procedures for the
    intraclass correlation coefficient in the one-way random effects model, International
    Statistical Review 54, 1986). Where nothing is to be seen of it, with one example an account
    or outcomes that are all the same, others are taken for wholly alike.
    """
    if found.size == 0:
        return 1.0, 1.0
    _, which, counts = np.unique(accounts, return_inverse=True, return_counts=True)
    size = counts.astype(np.float64)
    n, k = found.size, size.size
    rows_per_account = float((size**2).sum() / n)
    if n == k or k < 2:
        return rows_per_account, 1.0
    mean = np.bincount(which, weights=found) / size
    between = float((size * (mean - found.mean()) ** 2).sum()) / (k - 1)
    within = float(((found - mean[which]) ** 2).sum()) / (n - k)
    usual = (n - rows_per_account) / (k - 1)
    total = between + (usual - 1) * within
    if total <= 0:
        return rows_per_account, 1.0
    likeness = min(max((between - within) / total, 0.0), 1.0)
    spread = (1 - likeness) * (1 + (usual - 1) * likeness)
    error = spread * math.sqrt(2 / (usual * (usual - 1) * (k - 1)))
    return 1.0 + (rows_per_account - 1.0) * likeness, min(likeness + error, 1.0)
