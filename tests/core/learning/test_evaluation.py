"""Measures against slow, obvious versions."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.core.learning.evaluation import (
    auc,
    average_precision,
    card_precision_top_k,
    recall_at_false_positive_rate,
)
from sentinel.records import Floats, Ints

Pairs = list[tuple[float, int]]

# Few distinct scores, so that ties are common.
pairs = st.lists(st.tuples(st.integers(-3, 3).map(float), st.integers(0, 1)), max_size=25)


def split(rows: Pairs) -> tuple[Floats, Ints]:
    return np.array([score for score, _ in rows]), np.array([y for _, y in rows], dtype=np.int64)


def slow_auc(rows: Pairs) -> float | None:
    """The chance that a fraud scores above a genuine one."""
    frauds = [score for score, y in rows if y]
    genuine = [score for score, y in rows if not y]
    wins = [(f > g) + (f == g) / 2 for f, g in product(frauds, genuine)]
    return sum(wins) / len(wins) if wins else None


def caught(rows: Pairs, threshold: float) -> tuple[int, int]:
    """Frauds and genuine ones at or above the threshold."""
    labels = [y for score, y in rows if score >= threshold]
    return sum(labels), len(labels) - sum(labels)


def slow_average_precision(rows: Pairs) -> float | None:
    fraud_count = sum(y for _, y in rows)
    if fraud_count == 0:
        return None
    total = recall_before = 0.0
    for threshold in sorted({score for score, _ in rows}, reverse=True):
        found, false = caught(rows, threshold)
        total += found / (found + false) * (found / fraud_count - recall_before)
        recall_before = found / fraud_count
    return total


def slow_recall(rows: Pairs, rate: float) -> float | None:
    fraud_count = sum(y for _, y in rows)
    genuine_count = len(rows) - fraud_count
    if fraud_count == 0 or genuine_count == 0:
        return None
    at = [caught(rows, threshold) for threshold in {score for score, _ in rows}]
    return max((found for found, false in at if false / genuine_count <= rate), default=0) / (
        fraud_count
    )


def slow_card_precision(
    scores: Floats, labels: Ints, days: Ints, cards: Ints, k: int
) -> float | None:
    """The Handbook's loop: the highest score and the highest label of each card and day."""
    found: list[int] = []
    precision = []
    for day in sorted(set(days.tolist())):
        best: dict[int, tuple[float, int]] = {}
        for score, label, at, card in zip(scores, labels, days, cards, strict=True):
            if at == day and card not in found:
                top, fraud = best.get(int(card), (-np.inf, 0))
                best[int(card)] = (max(top, float(score)), max(fraud, int(label)))
        ranked = sorted(best, key=lambda card: (-best[card][0], card))[:k]
        frauds = [card for card in ranked if best[card][1]]
        precision.append(len(frauds) / k)
        found += frauds
    return sum(precision) / len(precision) if precision else None


@given(rows=pairs)
def test_auc_is_the_chance_that_a_fraud_scores_higher(rows: Pairs) -> None:
    assert auc(*split(rows)) == pytest.approx(slow_auc(rows))


@given(rows=pairs)
def test_average_precision_sums_precision_over_the_gains_in_recall(rows: Pairs) -> None:
    assert average_precision(*split(rows)) == pytest.approx(slow_average_precision(rows))


@given(rows=pairs, rate=st.sampled_from([0.0, 0.01, 0.07, 0.1, 0.29, 0.5, 1.0]))
def test_recall_is_that_of_the_lowest_threshold_that_is_allowed(rows: Pairs, rate: float) -> None:
    assert recall_at_false_positive_rate(*split(rows), rate) == slow_recall(rows, rate)


def test_a_rate_is_met_exactly_whatever_the_rounding() -> None:
    """29 of 100 are 0.29, though 0.29 * 100 is less than 29."""
    scores = np.concatenate([np.arange(100.0), [71.0]])
    labels = np.concatenate([np.zeros(100, dtype=np.int64), [1]])

    assert recall_at_false_positive_rate(scores, labels, 0.29) == 1.0
    assert recall_at_false_positive_rate(scores, labels, 0.28) == 0.0


def test_known_values() -> None:
    """The example of scikit-learn's documentation."""
    scores, labels = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])

    assert auc(scores, labels) == 0.75
    assert average_precision(scores, labels) == pytest.approx(0.8333333)
    assert recall_at_false_positive_rate(scores, labels, 0.0) == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_says_nothing(label: int) -> None:
    scores, labels = np.array([0.1, 0.2]), np.full(2, label)

    assert auc(scores, labels) is None
    assert recall_at_false_positive_rate(scores, labels, 0.1) is None
    assert average_precision(scores, labels) == (1.0 if label else None)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("k", [1, 3, 100])
def test_card_precision_is_the_handbooks(seed: int, k: int) -> None:
    rng = default_rng(seed)
    n = 120
    scores = rng.random(n)  # distinct: the Handbook leaves ties to pandas
    labels = (rng.random(n) < 0.2).astype(np.int64)
    days, cards = rng.integers(0, 6, n), rng.integers(0, 15, n)

    assert card_precision_top_k(scores, labels, days, cards, k=k) == pytest.approx(
        slow_card_precision(scores, labels, days, cards, k)
    )


def test_a_card_that_was_found_is_not_found_again() -> None:
    scores, labels = np.array([0.9, 0.9, 0.1]), np.array([1, 1, 1])
    days, cards = np.array([0, 1, 1]), np.array([7, 7, 8])

    assert card_precision_top_k(scores, labels, days, cards, k=1) == 1.0  # 7, then 8
    assert card_precision_top_k(scores[:2], labels[:2], days[:2], cards[:2], k=1) == 0.5


def test_card_precision_of_nothing_is_none() -> None:
    nothing = np.zeros(0, dtype=np.int64)

    assert card_precision_top_k(nothing.astype(float), nothing, nothing, nothing) is None


@pytest.mark.parametrize("measure", [auc, average_precision])
def test_a_row_of_weight_three_counts_as_three_rows(
    measure: Callable[..., float | None],
) -> None:
    rng = default_rng(4)
    scores = np.round(rng.normal(size=300), 1)
    labels = (rng.random(300) < 0.2).astype(np.int64)
    times = rng.integers(1, 4, 300)

    repeated = measure(np.repeat(scores, times), np.repeat(labels, times))

    assert measure(scores, labels, weights=times.astype(float)) == pytest.approx(repeated)
    assert measure(scores, labels, weights=np.ones(300)) == pytest.approx(measure(scores, labels))
    assert measure(scores, labels * 0, weights=np.ones(300)) is None
    assert measure(scores[:0], labels[:0], weights=np.ones(0)) is None
