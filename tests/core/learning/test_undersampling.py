"""Fewer genuine rows, and probabilities that are right all the same."""

from fractions import Fraction

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from sentinel.core.features.hashing import hash64
from sentinel.core.learning.evaluation import average_precision
from sentinel.core.learning.maturity import is_sampled
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.training_data.undersampling import (
    corrected_log_odds,
    corrected_probability,
    correction,
    is_kept,
    kept_share,
)
from sentinel.model import fit
from sentinel.records import Floats, Ints

HASHES = hash64([f"T{number}" for number in range(50_000)])
GENUINE = np.zeros(HASHES.size, dtype=np.bool_)

shares = st.floats(1e-6, 1.0)


@settings(deadline=None)
@given(st.floats(0, 1), shares)
def test_the_correction_is_the_published_formula(p: float, share: float) -> None:
    b, exact = Fraction(share), Fraction(p)

    found = corrected_probability(np.array([p]), share)[0]

    assert found == pytest.approx(float(b * exact / (b * exact - exact + 1)), rel=1e-14)


@settings(deadline=None)
@given(st.floats(-30, 8), shares)
def test_in_log_odds_it_adds_the_logarithm_of_the_share(raw: float, share: float) -> None:
    """Both ways round, up to where a probability has too few digits left below 1."""
    odds = np.array([raw])

    assert expit(corrected_log_odds(odds, share)) == pytest.approx(
        corrected_probability(expit(odds), share), rel=1e-9, abs=0.0
    )
    assert logit(corrected_probability(expit(odds), share)) == pytest.approx(
        corrected_log_odds(odds, share), abs=1e-9
    )


@settings(deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=1), shares)
def test_as_a_calibration_it_is_the_same(raw: list[float], share: float) -> None:
    scores = np.array(raw)

    assert correction(share).probability(scores) == pytest.approx(
        expit(corrected_log_odds(scores, share)), rel=1e-12
    )


def test_nothing_is_corrected_where_all_were_kept_and_certainty_stays() -> None:
    p = np.array([0.0, 0.2, 1.0])

    assert corrected_probability(p, 1.0).tolist() == p.tolist()
    assert corrected_probability(p, 0.01)[[0, 2]].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("fraud_count", "genuine_count", "ratio", "share"),
    [(5, 1_000, 20.0, 0.1), (5, 60, 20.0, 1.0), (0, 60, 20.0, 1.0), (5, 0, 20.0, 1.0)],
)
def test_the_share_is_what_gives_the_ratio(
    fraud_count: int, genuine_count: int, ratio: float, share: float
) -> None:
    is_fraud = np.arange(fraud_count + genuine_count) < fraud_count

    assert kept_share(is_fraud, genuine_per_fraud=ratio) == share


def test_all_frauds_are_kept_and_of_the_genuine_the_share() -> None:
    is_fraud = np.arange(HASHES.size) % 100 == 0

    kept = is_kept(HASHES, is_fraud, 0.1)

    assert kept[is_fraud].all()
    assert kept[~is_fraud].mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 49_500))


def test_the_same_ones_are_kept_in_any_order_and_a_larger_share_holds_the_smaller() -> None:
    order = np.random.default_rng(1).permutation(HASHES.size)

    kept = is_kept(HASHES, GENUINE, 0.1)

    assert np.array_equal(is_kept(HASHES[order], GENUINE, 0.1), kept[order])
    assert not np.any(kept & ~is_kept(HASHES, GENUINE, 0.3))


def test_undersampling_does_not_know_which_of_the_silent_are_learnt_from() -> None:
    """All presumed genuine have a small hash: by the same number all or none would be kept."""
    learnt = is_sampled(HASHES, 0.1)

    kept = is_kept(HASHES[learnt], GENUINE[learnt], 0.1)

    assert kept.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / learnt.sum()))


def stream(seed: int, count: int) -> tuple[Floats, Ints]:
    """Rows of six features, about one in a hundred of them fraud."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 6))
    odds = 1.4 * features[:, 0] + features[:, 1] * features[:, 2] + np.abs(features[:, 3]) - 7.5
    return features, (rng.random(count) < expit(odds)).astype(np.int64)


NAMES = [f"f{i}" for i in range(6)]
PARAMS = FitParams(tree_count=50, leaf_count_max=15, row_share=1.0)
TRAIN = stream(1, 25_000)
LATER = stream(2, 40_000)


def test_after_the_correction_the_mean_probability_is_the_prevalence_again() -> None:
    """On another stream, of 0.5 % fraud, it was 3.66 times as high before and 1.01 after."""
    (features, labels), (later, truth) = TRAIN, LATER
    share = kept_share(labels == 1, genuine_per_fraud=10.0)
    kept = is_kept(HASHES[: labels.size], labels == 1, share)
    text = fit(features[kept], labels[kept], params=PARAMS, feature_names=NAMES)
    raw = lightgbm.Booster(model_str=text).predict(later, raw_score=True, num_threads=1)

    before, after = expit(raw), expit(corrected_log_odds(raw, share))

    assert kept.mean() < 0.2
    assert before.mean() / truth.mean() > 2.5
    assert after.mean() / truth.mean() == pytest.approx(1.0, abs=0.1)
    assert average_precision(after, truth) == average_precision(before, truth)


def test_scaling_the_weight_of_frauds_leaves_the_mean_several_times_too_high() -> None:
    """On the same other stream 3.79 times."""
    (features, labels), (later, truth) = TRAIN, LATER
    how = {
        "objective": "binary",
        "num_leaves": 15,
        "learning_rate": 0.05,
        "scale_pos_weight": float((labels == 0).sum() / labels.sum()),
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    booster = lightgbm.train(how, lightgbm.Dataset(features, labels), num_boost_round=50)

    mean = np.mean(booster.predict(later, num_threads=1))

    assert mean / truth.mean() > 2.5
