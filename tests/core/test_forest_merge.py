"""Forests added up: against the sums of what LightGBM says of each."""

import math
from functools import cache

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.core.forest.merge import shifted, tree_count, weighted_sum
from sentinel.core.forest.text import read_sections
from sentinel.core.learning.params import FitParams
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints
from tests.core.test_forest import trained

NAMES = ("amount", "count_1h", "known_frauds", "age_ms")


def rows(seed: int, count: int = 2_000) -> tuple[Floats, Ints]:
    rng = default_rng(seed)
    features = rng.normal(size=(count, len(NAMES)))
    features[rng.random(features.shape) < 0.05] = np.nan
    signal = np.nan_to_num(features[:, 0]) + np.nan_to_num(features[:, seed % 3])
    return features, (signal + rng.normal(size=count) > 1.5).astype(np.int64)


@cache
def forest(seed: int, count: int = 12) -> str:
    features, labels = rows(seed)
    params = FitParams(tree_count=count, leaf_count_max=7 + seed, learning_rate=0.1, seed=seed)
    return fit(features, labels, params=params, feature_names=NAMES)


def raw(text: str, features: Floats) -> Floats:
    booster = lightgbm.Booster(model_str=text)
    found: Floats = booster.predict(features, raw_score=True, num_threads=1)
    return found


@settings(max_examples=30, deadline=None)
@given(
    seeds=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    weights=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
)
def test_the_raw_score_is_the_weighted_sum_and_our_kernel_gives_it_to_the_bit(
    seeds: list[int], weights: list[float]
) -> None:
    features = rows(9)[0]
    texts = [forest(seed) for seed in seeds]

    text = weighted_sum(texts, weights[: len(texts)])

    expected = sum(w * raw(one, features) for one, w in zip(texts, weights, strict=False))
    assert np.allclose(raw(text, features), expected, rtol=0, atol=1e-12)
    model = Model.from_text("sum", text)
    assert model.engine == "kernel"
    assert np.array_equal(model.raw_scores(features), raw(text, features))
    predicted = lightgbm.Booster(model_str=text).predict(features, num_threads=1)
    assert np.array_equal(model.scores(features), predicted)
    assert model.tree_count == tree_count(text) == 12 * len(texts)


def test_causes_add_up_as_the_scores_do() -> None:
    features = rows(9, 50)[0]
    one, other = (Model.from_text("v", forest(seed)) for seed in (1, 2))

    both = Model.from_text("v", weighted_sum([forest(1), forest(2)], [0.3, 0.7]))

    expected = 0.3 * one.contributions(features) + 0.7 * other.contributions(features)
    assert np.allclose(both.contributions(features), expected, atol=1e-12)


def test_a_weight_of_one_leaves_the_trees_to_the_letter() -> None:
    """But for their numbers, so that a continuation's parent is in it as it was."""
    text = weighted_sum([forest(1), forest(2)], [1.0, 1.0])

    bodies = [tree.partition("\n")[2] for tree in read_sections(text).trees]
    expected = [
        tree.partition("\n")[2] for seed in (1, 2) for tree in read_sections(forest(seed)).trees
    ]
    assert bodies == expected


def test_new_trees_beside_their_parent_are_those_that_lightgbm_adds_to_it() -> None:
    features, labels = rows(3)
    parent = forest(1)
    params = FitParams(tree_count=8, leaf_count_max=9, learning_rate=0.2)

    base = Model.from_text("parent", parent).raw_scores(features)
    grown = fit(features, labels, params=params, feature_names=NAMES, base_scores=base)
    text = weighted_sum([parent, grown], [1.0, 1.0])

    continued = fit(features, labels, params=params, feature_names=NAMES, continue_from=parent)
    assert read_sections(text).trees == read_sections(continued).trees


def test_lightgbm_writes_again_what_it_read() -> None:
    text = weighted_sum([forest(1), forest(2)], [0.25, 0.75])

    again = lightgbm.Booster(model_str=text).model_to_string(num_iteration=-1)

    features = rows(9)[0]
    assert np.array_equal(raw(again, features), raw(text, features))


@pytest.mark.parametrize("by", [0.0, -4.5, 1e-9, 300.0])
def test_a_shift_is_added_to_every_raw_score(by: float) -> None:
    features = rows(9)[0]

    text = shifted(forest(2), by)

    assert np.allclose(raw(text, features), raw(forest(2), features) + by, rtol=0, atol=1e-12)
    assert tree_count(text) == 12


def test_trees_of_a_single_leaf_are_trees_too() -> None:
    """LightGBM makes one where nothing can be split."""
    features, labels = rows(1, 30)
    params = FitParams(tree_count=3, leaf_row_count_min=20)
    stump = fit(features, labels, params=params, feature_names=NAMES)

    text = shifted(weighted_sum([stump, forest(1)], [0.5, 2.0]), 1.0)

    expected = 0.5 * raw(stump, features) + 2.0 * raw(forest(1), features) + 1.0
    assert np.ptp(raw(stump, features)) == 0
    assert np.allclose(raw(text, features), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "random forest"),
        ({"linear_tree": True}, "linear leaves"),
        ({"objective": "multiclass", "num_class": 3}, "more than one output"),
    ],
)
def test_what_is_no_sum_of_leaves_cannot_be_added(params: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_sum([trained(**params)], [1.0])


def test_a_text_without_trees_is_refused() -> None:
    sections = read_sections(forest(1))
    empty = sections.head.partition("tree_sizes=")[0] + "tree_sizes=\n\n" + sections.tail

    with pytest.raises(ValueError, match="the model has no trees"):
        shifted(empty, 1.0)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("sigmoid:1", "sigmoid:2", "objective"),
        ("feature_names=amount", "feature_names=price", "feature_names"),
    ],
)
def test_models_that_say_different_things_are_refused(
    before: str, after: str, message: str
) -> None:
    other = forest(2).replace(before, after)

    with pytest.raises(ValueError, match=f"differ in {message}"):
        weighted_sum([forest(1), other], [0.5, 0.5])


def test_a_damaged_text_is_refused() -> None:
    with pytest.raises(ValueError, match="cut off"):
        weighted_sum([forest(1)[:2_000]], [1.0])


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_weight_is_finite(weight: float) -> None:
    with pytest.raises(AssertionError):
        weighted_sum([forest(1)], [weight])
