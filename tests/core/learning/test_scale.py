"""A challenger's scores on the champion's scale: order, shares above thresholds, and bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.core.learning.scale import ScoreMap, fit_score_map

scores = st.floats(-40, 40)
# Both few distinct values, as of small forests, and any.
pairs = st.lists(
    st.tuples(st.one_of(scores, st.integers(-2, 2).map(float)), st.one_of(scores, st.just(0.5))),
    min_size=1,
    max_size=60,
)


@given(found=pairs, knot_count=st.integers(1, 30), asked=st.lists(scores, min_size=1, max_size=20))
def test_a_higher_score_is_never_lower_on_the_other_scale(
    found: list[tuple[float, float]], knot_count: int, asked: list[float]
) -> None:
    champion, challenger = np.array(found).T
    score_map = fit_score_map(champion, challenger, knot_count=knot_count)

    mapped = score_map(np.sort(np.concatenate([asked, challenger])))

    assert np.all(np.isfinite(mapped))
    assert np.all(np.diff(mapped) >= 0)


@given(
    steps=st.lists(st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)), min_size=1, max_size=10),
    asked=st.lists(st.integers(-300, 300), min_size=2, max_size=20, unique=True),
)
def test_different_scores_stay_different(
    steps: list[tuple[float, float]], asked: list[int]
) -> None:
    challenger, champion = np.cumsum(np.array(steps), axis=0).T
    score_map = ScoreMap(tuple(challenger.tolist()), tuple(champion.tolist()), 0.0)

    mapped = score_map(np.sort(asked) / 10)

    assert np.all(np.diff(mapped) > 0)


@given(found=pairs, knot_count=st.integers(1, 30), threshold=scores)
def test_the_share_at_or_above_any_threshold_is_the_champions_within_the_bound(
    found: list[tuple[float, float]], knot_count: int, threshold: float
) -> None:
    champion, challenger = np.array(found).T
    score_map = fit_score_map(champion, challenger, knot_count=knot_count)
    mapped = score_map(challenger)

    for limit in (threshold, *champion.tolist()):
        error = abs(np.mean(mapped >= limit) - np.mean(champion >= limit))
        assert error <= score_map.share_error_max + 1e-12


def test_the_bound_is_reached_where_all_scores_are_equal() -> None:
    champion = np.arange(10.0)

    score_map = fit_score_map(champion, np.zeros(10))

    assert score_map.share_error_max == 0.9
    assert np.mean(score_map(np.zeros(10)) >= 1.0) == 0.0


def test_of_distinct_scores_a_few_hundred_knots_keep_the_share_to_half_a_per_cent() -> None:
    """And where few are above, to a fifth of them."""
    rng = default_rng(6)
    champion = rng.normal(-4, 2, 50_000)
    challenger = 0.4 * champion + rng.normal(1, 0.5, 50_000)

    score_map = fit_score_map(champion, challenger)
    mapped = score_map(challenger)

    assert len(score_map.champion) < 300
    assert score_map.share_error_max < 0.005
    for share in (0.003, 0.001, 0.0002):
        threshold = np.quantile(champion, 1 - share)
        assert np.mean(mapped >= threshold) == pytest.approx(share, rel=0.25)


def test_on_other_examples_of_the_same_kind_thresholds_mean_the_same() -> None:
    rng = default_rng(7)
    champion = rng.normal(-4, 2, 100_000)
    challenger = 0.4 * champion + rng.normal(1, 0.5, 100_000)

    score_map = fit_score_map(champion[:50_000], challenger[:50_000])
    mapped = score_map(challenger[50_000:])

    for threshold in (-6.0, -4.0, -1.0, 0.0):
        expected = np.mean(champion[50_000:] >= threshold)
        assert np.mean(mapped >= threshold) == pytest.approx(expected, abs=0.006)


def test_the_champion_against_itself_keeps_its_scores() -> None:
    champion = default_rng(8).normal(size=5000)

    score_map = fit_score_map(champion, champion)

    asked = np.linspace(-20, 20, 401)
    assert score_map(asked) == pytest.approx(asked, abs=1e-12)


def test_beyond_the_ends_it_goes_on_with_the_slope_of_one() -> None:
    score_map = ScoreMap((0.0, 1.0), (10.0, 14.0), 0.0)

    found = score_map(np.array([-2.0, 0.0, 0.25, 1.0, 3.0]))

    assert found.tolist() == [8.0, 10.0, 11.0, 14.0, 16.0]
    assert ScoreMap((2.0,), (5.0,), 0.0)(np.array([1.0, 2.0, 4.0])).tolist() == [4.0, 5.0, 7.0]


def test_bits_do_not_depend_on_the_order_of_examples_or_on_the_batch() -> None:
    rng = default_rng(9)
    champion, challenger = rng.normal(size=(2, 3000))
    order = rng.permutation(3000)

    score_map = fit_score_map(champion, challenger)
    mapped = score_map(challenger)

    assert fit_score_map(champion[order], challenger) == score_map
    assert [float(score_map(challenger[i : i + 1])[0]) for i in range(300)] == mapped[:300].tolist()
    assert np.array_equal(score_map(challenger[::-2]), mapped[::-2])


def test_bits_are_the_same_everywhere() -> None:
    """Only sums, products and quotients, each rounded once: known values, to the last bit."""
    score_map = ScoreMap((-3.7, -0.1, 1.3), (-2.9, 0.3, 0.7), 0.0)

    found = score_map(np.array([-5.0, -1.1, 0.2, 1.2999999, 7.1]))

    exact = [
        -2.9 + (-5.0 - -3.7) / 1.0 * 1.0,
        -2.9 + (-1.1 - -3.7) / (-0.1 - -3.7) * (0.3 - -2.9),
        0.3 + (0.2 - -0.1) / (1.3 - -0.1) * (0.7 - 0.3),
        0.3 + (1.2999999 - -0.1) / (1.3 - -0.1) * (0.7 - 0.3),
        0.7 + (7.1 - 1.3) / 1.0 * 1.0,
    ]
    assert [value.hex() for value in found.tolist()] == [value.hex() for value in exact]


@pytest.mark.parametrize(
    ("challenger", "champion", "error", "words"),
    [
        ((), (), 0.0, "as many knots"),
        ((1.0, 2.0), (1.0,), 0.0, "as many knots"),
        ((1.0, 1.0), (1.0, 2.0), 0.0, "rise strictly"),
        ((1.0, 2.0), (2.0, 1.0), 0.0, "rise strictly"),
        ((1.0, np.inf), (1.0, 2.0), 0.0, "finite"),
        ((1.0,), (np.nan,), 0.0, "finite"),
        ((1.0,), (1.0,), 1.5, "share_error_max"),
    ],
)
def test_a_map_that_does_not_rise_is_refused(
    challenger: tuple[float, ...], champion: tuple[float, ...], error: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        ScoreMap(challenger, champion, error)
