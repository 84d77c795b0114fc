"""Whom to ask next: the annotator whose vote would leave the least doubt."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from sentinel.records import Floats, Ints


def entropy(posterior: Floats) -> Floats:
    """Doubt in nats, of any shape: 0 when certain, ln 2 at one half."""
    return np.asarray(-(xlogy(posterior, posterior) + xlogy(1 - posterior, 1 - posterior)), float)


def expected_entropy(posterior: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """Doubt that is left on average when an annotator has voted, float64 (n_tasks, m)."""
    p = posterior[:, None]
    left = np.zeros((posterior.size, sensitivity.size))
    for on_fraud, on_genuine in (
        (sensitivity, 1 - specificity),
        (1 - sensitivity, specificity),
    ):
        joint = p * on_fraud
        total = joint + (1 - p) * on_genuine
        left += total * entropy(np.divide(joint, total, out=np.zeros_like(joint), where=total > 0))
    return left


def whom_to_ask(
    posterior: Floats,
    sensitivity: Floats,
    specificity: Floats,
    has_voted: NDArray[np.bool_],
    capacity: Ints,
) -> Ints:
    """For each task the annotator to ask, or -1 when nobody is left who would help.

    Greedy: the task and annotator that gain most come first. Nobody is asked about a task twice or
    for more than they have capacity.

    Parameters
    ----------
    posterior
        float64 (n_tasks,).
    sensitivity, specificity
        float64 (m,).
    has_voted
        bool (n_tasks, m).
    capacity
        int64 (m,): votes that each can still give.
    """
    gain = entropy(posterior)[:, None] - expected_entropy(posterior, sensitivity, specificity)
    gain[has_voted] = -1.0
    left = capacity.copy()
    asked = np.full(posterior.size, -1, dtype=np.int64)
    for at in np.argsort(-gain, axis=None, kind="stable").tolist():
        task, annotator = divmod(at, sensitivity.size)
        if gain[task, annotator] <= 0:
            break
        if asked[task] < 0 and left[annotator] > 0:
            asked[task] = annotator
            left[annotator] -= 1
    return asked
