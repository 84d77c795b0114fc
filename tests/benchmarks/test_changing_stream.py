"""The stream on which forgetting is measured: its frauds change, and only in what tells them."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.random import default_rng
from scipy.special import expit

from benchmarks.changing_stream import (
    EFFECT_COUNT,
    FEATURE_COUNT,
    STRATUM_COUNT,
    batch,
    concepts,
    stream,
)
from sentinel.core.learning.evaluation import average_precision
from sentinel.core.learning.training_data.examples import joined


def test_each_concept_moves_so_many_effects_to_features_that_told_nothing() -> None:
    found = concepts(6, default_rng(1), moved_count=2)

    for before, after in pairwise(found):
        lost = (before.effects != 0) & (after.effects == 0)
        gained = (before.effects == 0) & (after.effects != 0)
        assert lost.sum() == gained.sum() == 2
        assert sorted(after.effects[gained]) == sorted(before.effects[lost])
        same = ~(lost | gained)
        assert np.array_equal(before.effects[same], after.effects[same])
    assert all(np.count_nonzero(one.effects) == EFFECT_COUNT for one in found)


@pytest.mark.parametrize("share", [0.005, 0.03])
def test_frauds_are_as_frequent_in_every_concept(share: float) -> None:
    for number, concept in enumerate(concepts(4, default_rng(2), share=share)):
        rows = batch(concept, 100_000, 0, default_rng(number))

        assert rows.is_fraud.mean() == pytest.approx(share, rel=0.1)


def test_labels_are_drawn_with_the_probability_that_the_concept_gives() -> None:
    [concept] = concepts(1, default_rng(3))
    rows = batch(concept, 200_000, 0, default_rng(4))

    odds = concept.log_odds(rows.features)

    for low, high in ((-6.0, -4.0), (-3.0, -2.0), (-1.0, 1.0)):
        at = (odds >= low) & (odds < high)
        assert rows.is_fraud[at].mean() == pytest.approx(expit(odds[at]).mean(), rel=0.1)


def test_a_concept_tells_its_own_frauds_best_and_comes_back_as_it_was() -> None:
    at = stream([1, 2, 0], 5, base_row_count=20_000, batch_row_count=20_000)
    kinds = concepts(3, default_rng(5))

    def told(number: int) -> list[float]:
        parts = (at.base, *at.batches, at.old)
        found = [
            average_precision(kinds[number].log_odds(part.features), part.is_fraud.astype(int))
            for part in parts
        ]
        return [value for value in found if value is not None]

    by_old = told(0)
    assert min(by_old[0], by_old[3], by_old[4]) > by_old[1] + 0.02
    assert by_old[1] > by_old[2] + 0.02
    assert told(1)[1] > by_old[1] + 0.02


def test_transactions_are_all_different_and_in_the_order_of_time() -> None:
    at = stream([1, 0], 6, base_row_count=3_000, batch_row_count=1_000)

    rows = joined([at.base, *at.batches, at.old])

    assert len(rows) == 6_000
    assert rows.features.shape == (6_000, FEATURE_COUNT)
    assert np.unique(rows.id_hash).size == np.unique(rows.version).size == 6_000
    assert np.all(np.diff(rows.event_time_ms) > 0)
    assert set(rows.stratum.tolist()) == set(range(STRATUM_COUNT))


def test_a_seed_gives_its_stream_again_and_another_gives_another() -> None:
    one, again, other = (
        stream([1, 2], seed, base_row_count=500, batch_row_count=200) for seed in (7, 7, 8)
    )

    assert np.array_equal(one.base.features, again.base.features)
    assert np.array_equal(one.batches[1].is_fraud, again.batches[1].is_fraud)
    assert not np.array_equal(one.base.features, other.base.features)
