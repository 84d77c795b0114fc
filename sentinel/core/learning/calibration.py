"""From a raw score to an honest probability."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from sentinel.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's sigmoid over the raw score: p = 1 / (1 + exp(-(slope * raw + intercept))).

    It is strictly increasing, so it never makes ties as isotonic regression does.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(f"a calibration needs a finite slope > 0, got {self.slope}")

    def probability(self, raw: Floats) -> Floats:
        """Calibrated probability of fraud in [0, 1], same shape as `raw`."""
        return np.asarray(expit(self.slope * raw + self.intercept), dtype=np.float64)


def fit_calibration(raw: Floats, labels: Ints, *, weights: Floats | None = None) -> Calibration:
    """Maximum-likelihood sigmoid with Platt's smoothed targets (Platt 1999, section 2.2).

    Parameters
    ----------
    raw
        Raw scores (log-odds), shape (n,).
    labels
        0 or 1, shape (n,). With one class only nothing can be learnt: the identity comes back.
    weights
        float64 (n,), >= 0: how much each counts, all the same without. Only their proportions
        matter: the targets are smoothed by Kish's effective number of rows of each class.
    """
    assert raw.shape == labels.shape
    assert weights is None or (weights.shape == raw.shape and np.all(weights >= 0))
    mass = np.ones(raw.size) if weights is None else weights
    fraud_count = effective_count(mass[labels == 1])
    genuine_count = effective_count(mass[labels == 0])
    if fraud_count == 0 or genuine_count == 0:
        return Calibration()
    mass = mass / mass.mean()
    target = np.where(labels == 1, (fraud_count + 1) / (fraud_count + 2), 1 / (genuine_count + 2))

    def loss(place: Floats) -> tuple[float, Floats]:
        slope = np.exp(place[0])
        margin = slope * raw + place[1]
        gradient = mass * (expit(margin) - target)
        value = float(np.sum(mass * (np.logaddexp(0, margin) - target * margin)))
        return value, np.array([np.sum(gradient * raw) * slope, np.sum(gradient)])

    from scipy.optimize import minimize  # 0.2 s, which no process that only scores should pay

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-5, 5), (-50, 50)])
    return Calibration(slope=float(np.exp(found.x[0])), intercept=float(found.x[1]))


def effective_count(weights: Floats) -> float:
    """How many rows of equal weight would tell as much: Kish's (sum w)**2 / sum w**2, 0 of none."""
    square_sum = float(np.sum(weights**2))
    return float(np.sum(weights)) ** 2 / square_sum if square_sum > 0 else 0.0


def expected_calibration_error(
    probability: Floats, labels: Ints, *, bin_count: int = 15, weights: Floats | None = None
) -> float:
    """Mean distance between stated and observed frequency over bins of equal mass, in [0, 1].

    Parameters
    ----------
    probability, labels
        Shapes (n,).
    weights
        float64 (n,), > 0: how much each counts, all the same without.
    """
    assert probability.shape == labels.shape
    if probability.size == 0:
        return 0.0
    mass = np.ones(probability.size) if weights is None else weights
    order = np.argsort(probability, kind="stable")
    before = np.cumsum(mass[order]) - mass[order]
    index = np.empty(probability.size, dtype=np.int64)
    index[order] = before * bin_count / mass.sum()
    gap = np.bincount(index, weights=mass * (probability - labels), minlength=bin_count)
    return float(np.abs(gap).sum() / mass.sum())
