"""A challenger against the control: the difference of a metric, and how sure it is.

A metric is a ratio of sums over accounts, so the delta method gives its variance from residuals
y - r n of accounts. Two variances are told. The pooled one has one residual variance for both arms,
as they have where nothing differs: the planned test takes it, because the variance of a small arm
alone is too small whenever the arm had luck. The separate one holds where they do differ.

Steps of a ramp are strata: within a step shares did not change, so differences are taken there and
then averaged with Mantel-Haenszel weights, n1 n0 / (n1 + n0). A change of shares can so never pass
for a difference. Accounts that are in several steps, in the same arm or not, make the steps
dependent; the sums over pairs of cells tell how much.
"""

from dataclasses import dataclass

import numpy as np

from sentinel.core.experiments.inference.cuped import ROUNDING, slope
from sentinel.core.experiments.outcomes.cells import MetricSums
from sentinel.records import Floats

_SIGNS = np.array([-1.0, 1.0])


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """What is known of a difference.

    Attributes
    ----------
    estimate
        The metric of the challenger less that of the control.
    rates
        The metric of control and challenger, as they are weighted for the estimate.
    pooled, separate
        The variance of the estimate.
    accounts, n, positives
        Of control and challenger: accounts, the sum of n, and accounts with the rarer outcome. An
        account that is in several steps counts in each.
    """

    estimate: float
    rates: tuple[float, float]
    pooled: float
    separate: float
    accounts: tuple[int, int]
    n: tuple[float, float]
    positives: tuple[int, int]

    @property
    def largest(self) -> float:
        """The larger one of both variances."""
        return max(self.pooled, self.separate)

    @property
    def is_known(self) -> bool:
        """Whether both variances could be estimated: nothing can be said of a constant."""
        return all(np.isfinite(v) and v > 0 for v in (self.pooled, self.separate))


def compare(
    sums: MetricSums, control: str, challenger: str, *, with_covariate: bool = False
) -> ArmComparison | None:
    """Compare an arm with the control; None as long as no step has two accounts of each.

    Parameters
    ----------
    with_covariate
        Take out what the covariate explains (CUPED), which must be from before the experiment.
    """
    arms = (control, challenger)
    if not sums.cells:
        return None
    found = compared(sums.grams(arms), with_covariate=with_covariate)
    if not np.isfinite(found.estimate):
        return None
    of_arms = [sums.arm(name) for name in arms]
    return ArmComparison(
        estimate=float(found.estimate),
        rates=(float(found.rates[0]), float(found.rates[1])),
        pooled=float(found.pooled),
        separate=float(found.separate),
        accounts=(of_arms[0].accounts, of_arms[1].accounts),
        n=(float(of_arms[0].n), float(of_arms[1].n)),
        positives=(of_arms[0].positives, of_arms[1].positives),
    )


@dataclass(frozen=True, eq=False, slots=True)
class ComparedArrays:
    """Differences of many experiments at once: arrays (...), rates (..., 2)."""

    estimate: Floats
    rates: Floats
    pooled: Floats
    separate: Floats


@np.errstate(divide="ignore", invalid="ignore")  # what is unknown becomes NaN
def compared(grams: Floats, *, with_covariate: bool = False) -> ComparedArrays:
    """Compare from the sums of products of (1, n, y, x) of all pairs of cells.

    Parameters
    ----------
    grams
        float64 (..., K, K, 4, 4) with K = 2 S cells: control and challenger of each of S steps.
    """
    lead = grams.shape[:-4]
    step_count = grams.shape[-4] // 2
    shape = (*lead, step_count, 2, step_count, 2, 4, 4)
    cells = grams.reshape(shape)
    own = np.einsum("...sasaij->...saij", cells)
    accounts, n, y, x = (own[..., 0, i] for i in range(4))
    is_both = ((n > 0) & (accounts > 1)).all(axis=-1, keepdims=True)
    weight = np.where(is_both[..., 0], n[..., 0] * n[..., 1] / n.sum(axis=-1), 0.0)
    weight = weight / weight.sum(axis=-1, keepdims=True)

    theta, center = slope(own) if with_covariate else (np.zeros_like(y[..., :1]),) * 2
    adjusted = y - theta * (x - accounts * center)
    arm_rates = adjusted / n
    both_rate = y.sum(axis=-1, keepdims=True) / n.sum(axis=-1, keepdims=True)
    rates = _weighted(weight, arm_rates)
    pooled = _residuals(both_rate + np.zeros_like(n), theta, center)
    separate = _residuals(arm_rates, theta, center)
    share = np.where(is_both, weight[..., None] * _SIGNS / n, 0.0)
    return ComparedArrays(
        estimate=rates[..., 1] - rates[..., 0],
        rates=rates,
        pooled=_pooled_variance(cells, pooled, share),
        separate=_separate_variance(cells, separate, share),
    )


def _weighted(weight: Floats, rates: Floats) -> Floats:
    """Steps averaged, (..., S, 2) to (..., 2); those without weight are left out."""
    return np.where(weight[..., None] == 0, 0.0, weight[..., None] * rates).sum(axis=-2)


def _residuals(rates: Floats, theta: Floats, center: Floats) -> Floats:
    """What (1, n, y, x) is multiplied with to be y - r n - theta (x - center), (..., S, 2, 4)."""
    parts = (theta * center, -rates, np.ones_like(rates), -theta)
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def _products(cells: Floats, residuals: Floats) -> Floats:
    """Sums of products of residuals over the accounts of two cells, (..., S, 2, S, 2).

    What rounding left of a cell with itself is 0.
    """
    residuals = np.where(np.isfinite(residuals), residuals, 0.0)
    found = np.einsum("...sai,...satbij,...tbj->...satb", residuals, cells, residuals)
    own = np.einsum("...sasa->...sa", found)  # a view
    gross = np.einsum(
        "...sai,...sasaij,...saj->...sa", np.abs(residuals), np.abs(cells), np.abs(residuals)
    )
    own[own <= ROUNDING * gross] = 0.0
    return found


def _pooled_variance(cells: Floats, residuals: Floats, share: Floats) -> Floats:
    """One mean product of residuals for all arms, by pair of steps."""
    accounts = cells[..., 0, 0]
    products = _products(cells, residuals).sum(axis=(-3, -1))
    in_both = accounts.sum(axis=(-3, -1))
    lost = np.eye(in_both.shape[-1])  # a degree of freedom, for the rate of a step
    mean = np.where(in_both > lost, products / (in_both - lost), 0.0)
    signed = np.einsum("...sa,...satb,...tb->...st", share, accounts, share)
    return (mean * signed).sum(axis=(-2, -1))


def _separate_variance(cells: Floats, residuals: Floats, share: Floats) -> Floats:
    products = _products(cells, residuals)
    own = np.einsum("...sasa->...sa", products)  # a view
    accounts = np.einsum("...sasa->...sa", cells[..., 0, 0])
    own *= np.where(accounts > 1, accounts / (accounts - 1), 0.0)
    return np.einsum("...sa,...satb,...tb->...", share, products, share)
