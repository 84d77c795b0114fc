"""XGBoost's forests, against XGBoost itself."""

import contextlib
import json
import math
from functools import cache

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.codec.models.files import decode_model_file
from sentinel.codec.models.xgboost import decode_xgboost
from sentinel.core.forest.merge import shifted, weighted_sum
from sentinel.core.forest.xgboost import XgboostForest, last_left, lightgbm_text, margins
from sentinel.errors import ModelError
from sentinel.model import Model
from sentinel.records import Floats

NAMES = ["a", "b", "c", "d", "e"]

SHAPES: dict[str, dict[str, object]] = {
    "default": {},
    "stumps": {"max_depth": 1},
    "9 levels": {"max_depth": 9, "min_child_weight": 0.1},
    "exact": {"tree_method": "exact"},
    "by loss": {"grow_policy": "lossguide", "max_leaves": 90, "max_depth": 0},
    "three trees a round": {"num_parallel_tree": 3, "subsample": 0.5},
    "base score": {"base_score": 0.001},
    "weighted": {"scale_pos_weight": 5.0, "reg_alpha": 0.5},
    "no split": {"gamma": 1e9},
}


@cache
def booster(shape: str) -> xgboost.Booster:
    rng = default_rng(7)
    features = rng.normal(size=(4000, len(NAMES)))
    features[:, 1] = rng.integers(0, 6, 4000)
    features[:, 2] *= 1e-30  # thresholds that LightGBM would take for zero
    features[rng.random(features.shape) < 0.1] = np.nan
    signal = np.nan_to_num(features[:, 0]) + (features[:, 1] == 2) + 1e30 * features[:, 2] / 3
    labels = np.nan_to_num(signal) + rng.normal(size=4000) > 1
    told = {"objective": "binary:logistic", "nthread": 1, "seed": 2, **SHAPES[shape]}
    matrix = xgboost.DMatrix(features, labels, feature_names=NAMES)
    return xgboost.train(told, matrix, 20)


def edged(forest: XgboostForest, count: int) -> Floats:
    """Thresholds, their neighbours in either type of float, and what is odd."""
    rng = default_rng(8)
    exact = np.concatenate([tree.value for tree in forest.trees])
    near = [np.nextafter(exact, np.float32(to)) for to in (-np.inf, np.inf)]
    wide = exact.astype(np.float64)
    values = np.concatenate(
        [wide, *near, *(np.nextafter(wide, to) for to in (-np.inf, np.inf)),
         (wide + near[0]) / 2, (wide + near[1]) / 2, rng.normal(size=200),
         [math.nan, 0.0, -0.0, 1e-36, -1e-36, 1e-45, -1e-45, 1e-60, 3e38, -3e38]],
    )  # fmt: skip
    found: Floats = rng.choice(values, (count, len(NAMES)))
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["json", "ubj"])
def test_a_forest_scores_as_xgboost_to_the_bit(shape: str, kind: str) -> None:
    forest = decode_xgboost(bytes(booster(shape).save_raw(kind)))
    features = edged(forest, 4000)
    matrix = xgboost.DMatrix(features, feature_names=NAMES)
    raw = booster(shape).predict(matrix, output_margin=True).astype(np.float64)
    scores = booster(shape).predict(matrix).astype(np.float64)

    model = Model.from_text("1.0.0", lightgbm_text(forest, NAMES))

    assert np.array_equal(margins(forest, features), raw), "by its own rules"
    assert model.engine == "kernel"
    assert np.array_equal(model.raw_scores(features), raw), "by blocks"
    few = [model.raw_scores(features[i : i + 9]) for i in range(0, 900, 9)]
    assert np.array_equal(np.concatenate(few), raw[:900]), "by rows"
    assert np.array_equal(model.scores(features), scores)


def test_the_shapes_above_have_what_they_are_named_for() -> None:
    wide = decode_xgboost(bytes(booster("9 levels").save_raw("ubj")))
    model = Model.from_text("1.0.0", lightgbm_text(wide, NAMES))
    assert max(int(np.count_nonzero(tree.left < 0)) for tree in wide.trees) > 64
    assert model.tree_count > len(wide.trees), "a tree of many leaves is several"
    assert len(decode_xgboost(bytes(booster("three trees a round").save_raw("json"))).trees) == 60


@settings(max_examples=500, deadline=None)
@given(threshold=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_last_value_that_goes_left_is_the_last(threshold: float) -> None:
    last = last_left(np.float32(threshold))

    with np.errstate(over="ignore"):
        assert np.float32(last) < np.float32(threshold)
        assert not np.float32(np.nextafter(last, np.inf)) < np.float32(threshold)


def test_a_chain_of_many_leaves_is_refused_by_its_depth() -> None:
    count = 80
    inner, leaves = np.arange(count), np.arange(count, 2 * count + 1)
    left = np.concatenate([inner[1:], leaves[:1], np.full(count + 1, -1)])
    right = np.concatenate([leaves[1:], np.full(count + 1, -1)])
    tree = {
        "left_children": left.tolist(),
        "right_children": right.tolist(),
        "split_indices": [0] * len(left),
        "split_conditions": [0.5] * len(left),
        "default_left": [0] * len(left),
        "sum_hessian": [1.0] * len(left),
        "tree_param": {"size_leaf_vector": "1"},
    }
    whole = json.loads(bytes(booster("stumps").save_raw("json")))
    whole["learner"]["gradient_booster"]["model"]["trees"] = [tree]
    forest = decode_xgboost(json.dumps(whole).encode())

    with pytest.raises(
        ValueError, match="a tree has 81 leaves, of which one is more than 63 levels deep"
    ):
        lightgbm_text(forest, NAMES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left_children": [1, 0, -1]}, "one child only|form a tree"),
        ({"left_children": [1, -1]}, "different lengths"),
        ({"split_indices": [5, 0, 0]}, "a feature that the model does not have"),
        ({"split_conditions": [1e300, 0, 0]}, "not finite"),
        ({"split_conditions": ["x", 0, 0]}, "could not convert"),
        ({"split_type": [1, 0, 0]}, "tree 0 has categorical splits"),
        ({"sum_hessian": [-1, 0, 0]}, "a sum of the Hessian"),
        ({"left_children": [1.5, -1, -1]}, "no integer"),
        ({"tree_param": {"size_leaf_vector": "2"}}, "more than one output"),
        ({"default_left": None}, "damaged, or of a version we do not know|list"),
    ],
)
def test_a_damaged_tree_is_named(change: dict[str, object], message: str) -> None:
    whole = json.loads(bytes(booster("stumps").save_raw("json")))
    trees = whole["learner"]["gradient_booster"]["model"]["trees"]
    trees[0] = {**trees[0], **change}

    with pytest.raises(ValueError, match=message):
        decode_model_file(json.dumps(whole).encode())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_are_an_error_or_a_forest_and_never_more(data: st.DataObject) -> None:
    whole = bytearray(booster("stumps").save_raw("ubj"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(2, len(whole) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(2, len(whole)))

    with contextlib.suppress(ValueError):
        assert isinstance(decode_xgboost(bytes(whole[:end])), XgboostForest)


def test_no_trees_are_added_to_sums_of_float32() -> None:
    text = lightgbm_text(decode_xgboost(bytes(booster("stumps").save_raw("json"))), NAMES)

    with pytest.raises(ValueError, match="XGBoost's, which adds its trees in float32"):
        weighted_sum([text], [0.5])
    with pytest.raises(ValueError, match="XGBoost's, which adds its trees in float32"):
        shifted(text, 0.1)


def test_a_text_whose_leaves_are_of_float64_does_not_say_that_it_was_xgboosts() -> None:
    text = lightgbm_text(decode_xgboost(bytes(booster("stumps").save_raw("json"))), NAMES)
    begin = text.index("leaf_value=") + len("leaf_value=")
    length = text.index(" ", begin) - begin
    other = text[:begin] + "0.1".ljust(length, "0") + text[begin + length :]

    with pytest.raises(ModelError, match="not all leaves are of float32"):
        Model.from_text("1.0.0", other)
