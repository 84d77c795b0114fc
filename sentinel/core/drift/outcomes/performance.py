"""How good decisions were, by the examples that have matured lately: tested first, trained later.

An example counts when it is mature: its label is there, or so old that none comes any more. What is
younger is left out, not taken for genuine, or performance would look worst where labels are slow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.core.learning.evaluation import auc, average_precision
from sentinel.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Performance:
    """Of matured examples of one span.

    Attributes
    ----------
    example_count, fraud_count
        Weighted.
    precision
        Frauds among the alerts; None without alerts.
    recall
        Alerts among the frauds; None without frauds.
    recall_at_capacity
        Of the frauds, among as many of the highest scores as can be checked.
    expected, observed
        Mean probability and share of frauds: how far apart they are is how far calibration is off.
    average_precision, auc
        None where one class is missing.
    """

    example_count: float
    fraud_count: float
    precision: float | None
    recall: float | None
    recall_at_capacity: float | None
    expected: float | None
    observed: float | None
    average_precision: float | None
    auc: float | None


def performance(
    probabilities: Floats,
    labels: Ints,
    alerts: NDArray[np.bool_],
    *,
    capacity: float,
    weights: Floats | None = None,
) -> Performance:
    """Of matured examples.

    Parameters
    ----------
    capacity
        Share of transactions that can be checked, in (0, 1].
    weights
        float64 (n,): for how many each stands; examples presumed genuine are a sample.
    """
    assert probabilities.shape == labels.shape == alerts.shape
    assert 0 < capacity <= 1
    mass = np.ones(labels.size) if weights is None else weights
    count, frauds = float(mass.sum()), float((mass * labels).sum())
    alerted, caught = float(mass[alerts].sum()), float((mass * labels)[alerts].sum())
    return Performance(
        example_count=count,
        fraud_count=frauds,
        precision=caught / alerted if alerted else None,
        recall=caught / frauds if frauds else None,
        recall_at_capacity=_recall_at(probabilities, labels, mass, capacity),
        expected=float((mass * probabilities).sum()) / count if count else None,
        observed=frauds / count if count else None,
        average_precision=average_precision(probabilities, labels, weights=mass),
        auc=auc(probabilities, labels, weights=mass) if count else None,
    )


def _recall_at(scores: Floats, labels: Ints, mass: Floats, capacity: float) -> float | None:
    """Where scores tie at the edge, that part of them which still can be checked."""
    frauds = float((mass * labels).sum())
    if frauds == 0:
        return None
    different, which = np.unique(-scores, return_inverse=True)
    checked = np.bincount(which, weights=mass, minlength=different.size)
    found = np.bincount(which, weights=mass * labels, minlength=different.size)
    room = capacity * float(mass.sum()) - (np.cumsum(checked) - checked)
    part = np.clip(room / checked, 0.0, 1.0)
    return float((part * found).sum()) / frauds
