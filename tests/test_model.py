"""Models from their text: which engine scores them, what they say, what is refused; and fitting."""

import re
import subprocess
import sys

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.core.learning.params import FitParams
from sentinel.errors import ModelError
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints
from tests.children import WAIT_S_MAX

NAMES = ("amount", "count_1h", "known_frauds", "age_ms")
SMALL = FitParams(tree_count=10, leaf_count_max=8)


def history(row_count: int = 2000, seed: int = 5) -> tuple[Floats, Ints]:
    rng = default_rng(seed)
    features = rng.normal(size=(row_count, len(NAMES)))
    features[rng.random(features.shape) < 0.05] = np.nan
    signal = np.nan_to_num(features[:, 0]) + np.nan_to_num(features[:, 1]) * 0.5
    return features, (signal + rng.normal(size=row_count) > 1.5).astype(np.int64)


def fitted(params: FitParams = SMALL) -> str:
    features, labels = history()
    return fit(features, labels, params=params, feature_names=NAMES)


def trained(**params: object) -> str:
    """A model that `fit` would not make."""
    features, labels = history()
    base = {"objective": "binary", "num_threads": 1, "verbosity": -1, "min_data_in_leaf": 3}
    data = lightgbm.Dataset(features, labels, feature_name=list(NAMES))
    text: str = lightgbm.train(base | params, data, 5).model_to_string()
    return text


TEXT = fitted()
FOREST = trained(boosting="rf", bagging_freq=1, bagging_fraction=0.5)

SCORED_BY: dict[str, tuple[dict[str, object], str | None]] = {
    "plain": ({}, None),
    "another sigmoid": ({"sigmoid": 0.7}, None),
    "cross-entropy": ({"objective": "cross_entropy"}, None),
    "zero": ({"zero_as_missing": True}, "tree 0 takes zero for missing"),
    "65 leaves": ({"num_leaves": 65}, "tree 0 has 65 leaves, more than 64"),
    "linear": ({"linear_tree": True}, "tree 0 has linear leaves"),
    "random forest": (
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        "the model averages its trees (random forest)",
    ),
}


@pytest.mark.parametrize(("params", "reason"), SCORED_BY.values(), ids=SCORED_BY.keys())
@pytest.mark.parametrize("count", [0, 1, 30, 5000])
def test_scores_are_lightgbms_whichever_engine(
    params: dict[str, object], reason: str | None, count: int
) -> None:
    text = trained(**params)
    model = Model.from_text("v1", text)
    booster = lightgbm.Booster(model_str=text)
    features = history(5000, seed=6)[0]
    features[::7, 2] = 0.0

    assert model.engine == ("kernel" if reason is None else "lightgbm")
    assert model.fallback_reason == reason
    raw = booster.predict(features, raw_score=True, num_threads=1)[:count]
    if params.get("boosting") == "rf":
        raw /= booster.num_trees()  # LightGBM's is the sum, and no log-odds
    assert np.array_equal(model.raw_scores(features[:count]), raw)
    assert np.array_equal(
        model.scores(features[:count]), booster.predict(features, num_threads=1)[:count]
    )


@pytest.mark.parametrize("count", [0, 1, 20])
@pytest.mark.parametrize("text", [TEXT, FOREST], ids=["boosted", "random forest"])
def test_contributions_and_the_expectation_add_up_to_the_raw_score(count: int, text: str) -> None:
    model = Model.from_text("v1", text)
    features = history(20, seed=7)[0]

    contributions = model.contributions(features[:count])

    assert contributions.shape == (count, len(NAMES))
    expectation = model.raw_scores(features[:count]) - contributions.sum(axis=1)
    assert np.allclose(expectation, expectation.mean() if count else 0.0, atol=1e-12)


def test_a_model_knows_its_names_and_size() -> None:
    model = Model.from_text("v7", fitted())

    assert model.version == "v7"
    assert model.feature_names == NAMES
    assert model.tree_count == 10


@pytest.mark.parametrize(
    "params",
    [
        {"objective": "regression"},
        {"objective": "cross_entropy_lambda"},
        {"objective": "multiclass", "num_class": 2},
    ],
)
def test_only_a_binary_classifier_is_a_model(params: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="model v1: the objective must be binary"):
        Model.from_text("v1", trained(**params))


@settings(max_examples=100, deadline=None)
@given(keep=st.floats(0, 1, exclude_max=True))
def test_a_truncated_text_is_a_model_error(keep: float) -> None:
    text = TEXT[: int(keep * TEXT.index("end of trees"))]

    with pytest.raises(ModelError):
        Model.from_text("v1", text)


@pytest.mark.parametrize("text", ["", "tree", "no model", "\0", TEXT.replace("Tree=3", "Tree=4")])
def test_a_text_that_is_no_model_is_a_model_error(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        Model.from_text("v1", text)

    assert caught.value.version == "v1"


def test_what_the_kernel_accepts_but_lightgbm_does_not_is_a_model_error() -> None:
    with pytest.raises(ModelError):
        Model.from_text("v1", TEXT.replace("feature_infos=", "infos="))


def test_the_same_fit_gives_the_same_text() -> None:
    assert fitted() == fitted()
    assert fitted() != fitted(FitParams(tree_count=10, leaf_count_max=8, seed=1))


def test_a_fitted_model_ranks_fraud_first() -> None:
    features, labels = history(seed=9)

    scores = Model.from_text("v1", fitted(FitParams(tree_count=100))).scores(features)

    assert scores[labels == 1].mean() > 2 * scores[labels == 0].mean()
    assert scores.mean() == pytest.approx(labels.mean(), abs=0.05)


def test_a_fit_uses_one_thread_and_says_so_in_the_model() -> None:
    """LightGBM's refit takes the number of threads from the model."""
    assert "[num_threads: 1]" in TEXT
    assert "[deterministic: 1]" in TEXT


def test_progress_is_told_tree_by_tree() -> None:
    features, labels = history()
    seen: list[int] = []

    fit(features, labels, params=SMALL, feature_names=NAMES, on_iteration=seen.append)

    assert seen == list(range(1, 11))


def test_continuing_adds_trees_and_keeps_the_old_ones() -> None:
    features, labels = history(seed=8)
    seen: list[int] = []

    text = fit(
        features,
        labels,
        params=SMALL,
        feature_names=NAMES,
        continue_from=TEXT,
        on_iteration=seen.append,
    )

    assert Model.from_text("v2", text).tree_count == 20
    assert Model.from_text("v2", text).engine == "kernel"
    old = TEXT[TEXT.index("Tree=9\n") : TEXT.index("end of trees")]
    assert old.strip() in text
    assert seen == list(range(1, 11))


def test_a_row_of_weight_zero_does_not_count() -> None:
    features, labels = history()
    weights = np.ones(len(labels))
    light = fit(features, labels, params=SMALL, feature_names=NAMES, weights=weights)
    weights[labels == 1] = 0.0

    heavy = fit(features, labels, params=SMALL, feature_names=NAMES, weights=weights)

    scores = Model.from_text("v1", heavy).scores(features)
    assert scores.max() < 0.01 < Model.from_text("v1", light).scores(features).max()


@pytest.mark.parametrize("label", [0, 1, 2])
def test_labels_of_one_kind_cannot_be_fitted(label: int) -> None:
    features, labels = history()

    with pytest.raises(ValueError, match="both 0 and 1"):
        fit(features, np.full_like(labels, label), params=SMALL, feature_names=NAMES)


@pytest.mark.parametrize(
    "names", [("a", "b", "c", "a"), ("a", "b", "c", "d e"), ("a", "b", "", '"')]
)
def test_names_that_the_text_cannot_hold_are_refused(names: tuple[str, ...]) -> None:
    features, labels = history()

    with pytest.raises(ValueError, match="feature name"):
        fit(features, labels, params=SMALL, feature_names=names)


def test_a_tree_is_no_deeper_than_it_may_be() -> None:
    features = np.random.default_rng(3).normal(size=(4_000, 2))
    labels = (features.sum(axis=1) > 0).astype(np.int64)

    def leaf_counts(depth_max: int) -> list[int]:
        params = FitParams(tree_count=5, depth_max=depth_max)
        text = fit(features, labels, params=params, feature_names="ab")
        return [int(n) for n in re.findall(r"^num_leaves=(\d+)$", text, re.MULTILINE)]

    assert set(leaf_counts(2)) == {4}
    assert min(leaf_counts(0)) > 4


def test_a_leaf_of_too_little_hessian_is_not_cut_off() -> None:
    """Forty rows weigh p * (1 - p) each: of a first tree, at 0.25, no more than 10."""
    features = np.repeat([[0.0], [1.0]], 20, axis=0)
    labels = np.repeat([0, 1], 20)

    def split_count(leaf_hessian_min: float) -> int:
        params = FitParams(
            tree_count=1, leaf_row_count_min=1, row_share=1.0, leaf_hessian_min=leaf_hessian_min
        )
        text = fit(features, labels, params=params, feature_names="a")
        return text.count("split_feature=0")

    assert split_count(4.9) == 1
    assert split_count(5.1) == 0


@pytest.mark.parametrize(
    "params",
    [
        {"tree_count": 0},
        {"leaf_count_max": 1},
        {"learning_rate": 0.0},
        {"row_share": 1.5},
        {"feature_share": float("nan")},
        {"lambda_l2": -1.0},
        {"bin_count_max": 1},
        {"leaf_row_count_min": 0},
        {"leaf_hessian_min": -1.0},
        {"depth_max": -1},
        {"seed": -1},
    ],
)
def test_params_out_of_range_are_refused_by_name(params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        FitParams(**params)  # type: ignore[arg-type] # the wrong values are the point


def test_no_call_starts_a_thread_of_openmp() -> None:
    """Its idle threads spin beside the event loop; loading uses the default count if not capped."""
    program = (
        "import os, sys\n"
        "import numpy as np\n"
        "from sentinel.core.forest import forest\n"
        "from sentinel.core.learning.params import FitParams\n"
        "from sentinel.model import Model, fit\n"
        "forest.scores(np.zeros(1), steepness=1.0)  # numba loads scipy, which starts its own\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "features = np.random.default_rng(0).normal(size=(3000, 4))\n"
        "model = Model.from_text('v1', sys.stdin.read())\n"
        "model.scores(features), model.contributions(features[:99])\n"
        "labels = (features[:, 0] > 1).astype(np.int64)\n"
        "fit(features, labels, params=FitParams(tree_count=5), feature_names='abcd')\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        input=TEXT,
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
    )

    assert done.stdout == "0\n", done.stderr
