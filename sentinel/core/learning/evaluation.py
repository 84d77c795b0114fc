"""How good scores are, by the measures that the field reports."""

import numpy as np

from sentinel.records import Floats, Ints


def auc(scores: Floats, labels: Ints, *, weights: Floats | None = None) -> float | None:
    """Area under the ROC curve, ties counted half; None unless both classes are present.

    Parameters
    ----------
    weights
        float64 (n,), > 0: for how many each stands, one without.
    """
    assert scores.shape == labels.shape
    if weights is not None:
        return _weighted_auc(scores, labels, weights)
    fraud_count = int(labels.sum())
    genuine_count = labels.size - fraud_count
    if fraud_count == 0 or genuine_count == 0:
        return None
    genuine = np.sort(scores[labels == 0])
    frauds = scores[labels == 1]
    below = genuine.searchsorted(frauds, "left") + genuine.searchsorted(frauds, "right")
    return float(below.sum()) / 2 / (fraud_count * genuine_count)


def _weighted_auc(scores: Floats, labels: Ints, weights: Floats) -> float | None:
    order = np.argsort(scores, kind="stable")
    first_of_tie = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0)[: order.size])
    of_fraud, of_genuine = (
        np.add.reduceat(part[order], first_of_tie) if order.size else part
        for part in (weights * labels, weights * (1 - labels))
    )
    pair_sum = float(of_fraud.sum() * of_genuine.sum())
    if pair_sum == 0:
        return None
    below = np.cumsum(of_genuine) - 0.5 * of_genuine
    return float(np.sum(of_fraud * below) / pair_sum)


def average_precision(
    scores: Floats, labels: Ints, *, weights: Floats | None = None
) -> float | None:
    """Sum over thresholds of precision times the gain in recall; None without frauds.

    Equal scores share one threshold, as in scikit-learn's `average_precision_score`.

    Parameters
    ----------
    weights
        As of `auc`.
    """
    assert scores.shape == labels.shape
    mass = np.ones(scores.size) if weights is None else weights
    fraud_mass = float(np.sum(mass * labels))
    if fraud_mass == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    found = np.cumsum((mass * labels)[order])[last_of_tie]
    checked = np.cumsum(mass[order])[last_of_tie]
    gain = np.diff(found, prepend=0)
    return float(np.sum(found / checked * gain) / fraud_mass)


def recall_at_false_positive_rate(scores: Floats, labels: Ints, rate: float) -> float | None:
    """Share of frauds found at the lowest threshold with at most `rate` false positives."""
    fraud_count = int(labels.sum())
    genuine_count = labels.size - fraud_count
    if fraud_count == 0 or genuine_count == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    found = np.cumsum(labels[order])[last_of_tie]
    false = np.flatnonzero(last_of_tie) + 1 - found
    allowed = false / genuine_count <= rate  # not multiplied: 0.29 * 100 is less than 29
    return float(found[allowed].max() / fraud_count) if allowed.any() else 0.0


def card_precision_top_k(
    scores: Floats, labels: Ints, days: Ints, cards: Ints, *, k: int = 100
) -> float | None:
    """CP@k: mean over days of the share of frauds among the k cards with the highest scores.

    Each day the k cards with the highest maximum score are checked. A compromised card that was
    found is not counted again on later days (Fraud Detection Handbook, chapter 4.3).
    """
    if labels.size == 0:
        return None
    found: set[int] = set()
    precision = []
    for day in np.unique(days).tolist():
        today = (days == day) & ~np.isin(cards, list(found))
        card, position = np.unique(cards[today], return_inverse=True)
        top = np.full(card.size, -np.inf)
        np.maximum.at(top, position, scores[today])
        is_fraud = np.zeros(card.size, dtype=np.int64)
        np.maximum.at(is_fraud, position, labels[today])
        checked = np.argsort(-top, kind="stable")[:k]
        precision.append(is_fraud[checked].sum() / k)
        found.update(card[checked][is_fraud[checked] == 1].tolist())
    return float(np.mean(precision))
