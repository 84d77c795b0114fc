"""The kernel against LightGBM itself, and against a slow walk over the parsed trees."""

import math
from dataclasses import dataclass, replace
from functools import cache

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng

from sentinel.core.forest import forest
from sentinel.core.forest.forest import ForestTables, Unsupported, build_tables, raw_scores
from sentinel.records import Floats

FEATURE_COUNT = 8
ROW_COUNT = 20_000
ZERO_THRESHOLD = float(np.float32(1e-35))  # LightGBM's kZeroThreshold

EDGES = [
    math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e-300, -1e-300,
    *(sign * np.nextafter(ZERO_THRESHOLD, to) for sign in (1, -1) for to in (0.0, 1.0)),
    ZERO_THRESHOLD, -ZERO_THRESHOLD, 1e-35, -1e-35, 1e300, -1e300, 1.7e308, -1.7e308,
]  # fmt: skip


# --- models that LightGBM trained ---------------------------------------------------------------


@cache
def trained(**params: object) -> str:
    """Text of a model fitted to 3,000 rows with missing values, zeros and a skewed column."""
    rng = default_rng(11)
    features = rng.normal(size=(3000, FEATURE_COUNT))
    features[:, 2] = np.exp(3 * features[:, 2])
    features[:, 3] = rng.integers(0, 6, 3000)
    features[rng.random(features.shape) < 0.1] = 0.0
    signal = features[:, 0] + features[:, 1] * features[:, 3] + rng.normal(size=3000)
    missing = rng.random(features.shape) < 0.1
    missing[:, 6] = False  # a column that is never missing has missing type None
    features[missing] = math.nan
    # What is missing carries signal, in both directions: both default directions occur.
    signal += 2.0 * missing[:, 0] - 2.0 * missing[:, 1]
    labels = np.digitize(signal, [0.5, 2.0]) if params.get("num_class") else signal > 0.5
    settings = {"objective": "binary", "num_threads": 1, "verbosity": -1, "seed": 3}
    settings |= {"min_data_in_leaf": 3, "deterministic": True, "force_row_wise": True}
    tree_count = params.get("tree_count", 30)
    assert isinstance(tree_count, int)
    categorical = params.get("categorical")
    settings |= {k: v for k, v in params.items() if k not in ("tree_count", "categorical")}
    data = lightgbm.Dataset(
        features,
        labels.astype(np.float64),
        params={"verbosity": -1},
        categorical_feature=list(categorical) if isinstance(categorical, tuple) else "auto",
    )
    text: str = lightgbm.train(settings, data, tree_count).model_to_string()
    return text


def with_sizes(text: str) -> str:
    """The text with `tree_sizes` made true again after an edit."""
    end = text.index("end of trees")
    start = text.index("Tree=0\n") if "Tree=0\n" in text else end
    trees = ["Tree=" + tree for tree in text[start:end].split("Tree=")[1:]]
    sizes = "tree_sizes=" + " ".join(str(len(tree)) for tree in trees)
    head = [line for line in text[:start].splitlines() if not line.startswith("tree_sizes=")]
    return "\n".join([*head[:-1], sizes, "", "".join(trees) + text[end:]])


def edged(rng: Generator, text: str, row_count: int) -> Floats:
    """A matrix of thresholds of the model, their neighbours, special values and ordinary ones."""
    thresholds = np.array(
        [
            float(word)
            for line in text.splitlines()
            if line.startswith("threshold=")
            for word in line.removeprefix("threshold=").split()
        ]
        or [0.0]
    )
    shape = (row_count, FEATURE_COUNT)
    exact = rng.choice(thresholds, shape)
    choices = [
        exact, np.nextafter(exact, math.inf), np.nextafter(exact, -math.inf),
        rng.choice(np.array(EDGES), shape), rng.normal(size=shape), np.full(shape, math.nan),
    ]  # fmt: skip
    features: Floats = np.choose(rng.integers(0, len(choices), shape), choices)
    return features


def tables_of(text: str) -> ForestTables:
    tables = build_tables(text)
    assert isinstance(tables, ForestTables)
    return tables


def lightgbm_scores(text: str, features: Floats) -> Floats:
    booster = lightgbm.Booster(model_str=text)
    scores: Floats = booster.predict(features, raw_score=True, num_threads=1)
    return scores


SUPPORTED: dict[str, dict[str, object]] = {
    "200 trees of 31 leaves": {"tree_count": 200, "num_leaves": 31},
    "64 leaves": {"num_leaves": 64},
    "17 leaves": {"num_leaves": 17},
    "depth 3": {"max_depth": 3},
    "stumps": {"num_leaves": 2},
    "use_missing=false": {"use_missing": False},
    "no boost from average": {"boost_from_average": False},
    "monotone": {"monotone_constraints": (1,) + (0,) * (FEATURE_COUNT - 1)},
    "dart": {"boosting": "dart"},
    "another sigmoid": {"sigmoid": 2.5},
    "bagging": {"bagging_fraction": 0.5, "bagging_freq": 1, "feature_fraction": 0.5},
    "coarse bins": {"max_bin": 7},
    "no split possible": {"min_data_in_leaf": 100_000, "tree_count": 5},
}


@pytest.mark.parametrize("params", SUPPORTED.values(), ids=SUPPORTED.keys())
def test_scores_equal_lightgbms_to_the_bit(params: dict[str, object]) -> None:
    text = trained(**params)
    features = edged(default_rng(1), text, ROW_COUNT)

    scores = raw_scores(tables_of(text), features)

    assert np.array_equal(scores, lightgbm_scores(text, features))


@pytest.mark.parametrize("count", [0, 1, 7, 20, 21, 64, 127, 128, 129, 1000])
def test_a_row_scores_the_same_in_a_batch_of_any_size(count: int) -> None:
    text = trained(**SUPPORTED["64 leaves"])
    tables = tables_of(text)
    features = edged(default_rng(2), text, 1000)
    expected = lightgbm_scores(text, features)

    parts = [raw_scores(tables, features[i : i + count]) for i in range(0, 1000, max(count, 1))]

    assert all(part.dtype == np.float64 for part in parts)
    assert np.array_equal(np.concatenate(parts), expected if count else expected[:0])


def test_both_default_directions_occur_in_the_models_above() -> None:
    """Else the tests above would say nothing about one of them."""
    text = trained(**SUPPORTED["200 trees of 31 leaves"])
    lines = [line for line in text.splitlines() if line.startswith("decision_type=")]
    types = {word for line in lines for word in line.removeprefix("decision_type=").split()}

    assert {"8", "10"} <= types
    assert types & {"0", "2"}  # and the missing type None, of column 6


def test_the_text_may_end_with_the_trees() -> None:
    text = trained(num_leaves=5)
    bare = text[: text.index("end of trees") + len("end of trees")]
    features = edged(default_rng(3), text, 100)

    assert np.array_equal(
        raw_scores(tables_of(bare), features), raw_scores(tables_of(text), features)
    )


def test_a_read_only_matrix_scores_without_another_compilation() -> None:
    text = trained(num_leaves=5)
    features = edged(default_rng(4), text, 50)
    expected = raw_scores(tables_of(text), features)
    features.flags.writeable = False

    assert np.array_equal(raw_scores(tables_of(text), features), expected)


def test_a_sparser_snapshot_changes_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge ensemble bounds its tables by spacing the snapshots."""
    text = trained(**SUPPORTED["200 trees of 31 leaves"])
    features = edged(default_rng(5), text, 500)
    dense = tables_of(text)
    monkeypatch.setattr("sentinel.core.forest.tables._SNAPSHOT_BYTES_MAX", 100_000)
    sparse = tables_of(text)

    assert sparse.rows.snapshots.nbytes < 120_000 < dense.rows.snapshots.nbytes
    assert np.array_equal(forest._row_wise(sparse, features), forest._row_wise(dense, features))


UNSUPPORTED: dict[str, tuple[dict[str, object], str]] = {
    "zero": ({"zero_as_missing": True}, "zero for missing"),
    "categorical": ({"categorical": (3,)}, "categorical"),
    "65 leaves": ({"num_leaves": 65}, "65 leaves"),
    "linear": ({"linear_tree": True}, "linear"),
    "random forest": (
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        "random forest",
    ),
    "multiclass": ({"objective": "multiclass", "num_class": 3}, "more than one output"),
}


@pytest.mark.parametrize(("params", "reason"), UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_what_the_kernel_cannot_score_is_named(params: dict[str, object], reason: str) -> None:
    tables = build_tables(trained(**params))

    assert isinstance(tables, Unsupported)
    assert reason in tables.reason


def test_more_thresholds_than_ranks_are_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentinel.core.forest.tables.THRESHOLD_COUNT_MAX", 10)

    assert isinstance(build_tables(trained(num_leaves=31)), Unsupported)


# --- models made up tree by tree ----------------------------------------------------------------


@dataclass(frozen=True)
class MadeUpTree:
    """Child lists as in LightGBM's text: >= 0 a node, < 0 the leaf `~child`."""

    feature: list[int]
    threshold: list[float]
    decision_type: list[int]
    left: list[int]
    right: list[int]
    leaf_value: list[float]


def text_of(trees: list[MadeUpTree]) -> str:
    head = [
        "tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0",
        f"max_feature_idx={FEATURE_COUNT - 1}", "objective=binary sigmoid:1",
        "feature_names=" + " ".join(f"f{i}" for i in range(FEATURE_COUNT)),
        "feature_infos=" + " ".join(["[-1:1]"] * FEATURE_COUNT), "tree_sizes=", "", "",
    ]  # fmt: skip
    bodies = [body_of(i, tree) for i, tree in enumerate(trees)]
    return with_sizes("\n".join(head) + "".join(bodies) + "end of trees\n")


def body_of(index: int, tree: MadeUpTree) -> str:
    node_count, leaf_count = len(tree.feature), len(tree.leaf_value)
    columns: dict[str, list[int] | list[float]] = {
        "split_feature": tree.feature, "split_gain": [1] * node_count,
        "threshold": tree.threshold, "decision_type": tree.decision_type,
        "left_child": tree.left, "right_child": tree.right, "leaf_value": tree.leaf_value,
        "leaf_weight": [1] * leaf_count, "leaf_count": [1] * leaf_count,
        "internal_value": [0] * node_count, "internal_weight": [1] * node_count,
        "internal_count": [1] * node_count,
    }  # fmt: skip
    lines = [f"{key}={' '.join(map(repr, values))}" for key, values in columns.items()]
    start = [f"Tree={index}", f"num_leaves={leaf_count}", "num_cat=0"]
    return "\n".join([*start, *lines, "is_linear=0", "shrinkage=1", "", "", ""])


def walked(trees: list[MadeUpTree], row: Floats) -> float:
    """Raw score of one row by walking each tree, as LightGBM's documentation tells."""
    total = 0.0
    for tree in trees:
        node = 0 if tree.feature else -1
        while node >= 0:
            value = float(row[tree.feature[node]])
            value = 0.0 if abs(value) <= ZERO_THRESHOLD else value
            missing_type, default_left = tree.decision_type[node] >> 2, tree.decision_type[node] & 2
            if math.isnan(value):
                go_left = bool(default_left) if missing_type == 2 else tree.threshold[node] >= 0.0
            else:
                go_left = value <= tree.threshold[node]
            node = tree.left[node] if go_left else tree.right[node]
        total += tree.leaf_value[~node]
    return total


@st.composite
def made_up_trees(draw: st.DrawFn) -> MadeUpTree:
    """A tree grown as LightGBM grows them: some leaf becomes a node with two leaves."""
    leaf_count = draw(st.integers(1, 12))
    thresholds = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1e-40, -ZERO_THRESHOLD, ZERO_THRESHOLD])
    finite = st.floats(-3, 3)
    left: list[int] = []
    right: list[int] = []
    for node in range(leaf_count - 1):
        leaf = draw(st.integers(0, node))
        for children in (left, right):
            children[:] = [node if child == ~leaf else child for child in children]
        left.append(~leaf)
        right.append(~(node + 1))
    count = leaf_count - 1
    return MadeUpTree(
        feature=draw(st.lists(st.integers(0, FEATURE_COUNT - 1), min_size=count, max_size=count)),
        threshold=draw(st.lists(thresholds | finite, min_size=count, max_size=count)),
        decision_type=draw(
            st.lists(st.sampled_from([0, 2, 8, 10]), min_size=count, max_size=count)
        ),
        left=left,
        right=right,
        leaf_value=draw(st.lists(finite, min_size=leaf_count, max_size=leaf_count)),
    )


@settings(max_examples=150, deadline=None)
@given(trees=st.lists(made_up_trees(), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_any_small_forest_scores_as_a_slow_walk_does(trees: list[MadeUpTree], seed: int) -> None:
    text = text_of(trees)
    features = edged(default_rng(seed), text, 40)
    tables = tables_of(text)
    expected = np.array([walked(trees, row) for row in features])

    assert np.array_equal(forest._row_wise(tables, features), expected)
    assert np.array_equal(forest._block_wise(tables, features), expected)
    assert np.array_equal(lightgbm_scores(text, features), expected)


def test_a_forest_without_trees_scores_zero_as_lightgbm_does() -> None:
    features = edged(default_rng(6), "", 300)
    text = text_of([])

    assert np.array_equal(raw_scores(tables_of(text), features), np.zeros(300))
    assert np.array_equal(raw_scores(tables_of(text), features[:5]), np.zeros(5))
    assert np.array_equal(lightgbm_scores(text, features), np.zeros(300))


CHAIN = MadeUpTree(
    feature=[0, 1, 2],
    threshold=[0.0, 1.0, 2.0],
    decision_type=[8, 10, 8],
    left=[1, 2, -1],
    right=[-2, -3, -4],
    leaf_value=[0.5, 1.5, 2.5, 3.5],
)

DAMAGED = {
    "a cycle": replace(CHAIN, left=[1, 0, -1]),
    "a leaf twice": replace(CHAIN, left=[1, 2, -2]),
    "a node twice": replace(CHAIN, left=[1, 2, 1]),
    "a child that is not there": replace(CHAIN, left=[1, 2, 3]),
    "a leaf that is not there": replace(CHAIN, right=[-2, -3, -5]),
    "a feature that is not there": replace(CHAIN, feature=[0, 1, FEATURE_COUNT]),
    "a negative feature": replace(CHAIN, feature=[0, 1, -1]),
    "a threshold too few": replace(CHAIN, threshold=[0.0, 1.0]),
    "a threshold that is NaN": replace(CHAIN, threshold=[0.0, 1.0, math.nan]),
    "a leaf that is infinite": replace(CHAIN, leaf_value=[0.5, 1.5, 2.5, math.inf]),
    "an unknown missing type": replace(CHAIN, decision_type=[8, 12, 8]),
}


@pytest.mark.parametrize("tree", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_tree_that_is_none_is_refused(tree: MadeUpTree) -> None:
    with pytest.raises(ValueError, match=r"^tree 1: "):
        build_tables(text_of([CHAIN, tree]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tree\n", "oak\n"),
        ("max_feature_idx=", "feature_idx="),
        ("max_feature_idx=7", "max_feature_idx=-1"),
        ("num_class=1", "num_class=1.5"),
        ("num_class=1", "num_class=x"),
        ("tree_sizes=", "tree_sizes=x"),
        ("Tree=0", "Tree=1"),
        ("num_leaves=4", "num_leaves=0"),
        ("threshold=0.0", "threshold=0_0"),
        ("threshold=0.0", "threshold=\0.0"),
        ("end of trees", ""),
    ],
)
def test_a_text_that_is_no_model_is_refused(old: str, new: str) -> None:
    text = text_of([CHAIN])
    assert old in text

    with pytest.raises(ValueError, match=r"\w"):
        build_tables(text.replace(old, new, 1))


@settings(max_examples=200, deadline=None)
@given(keep=st.floats(0, 1, exclude_max=True))
def test_a_text_cut_off_before_the_end_of_the_trees_is_refused(keep: float) -> None:
    text = trained(num_leaves=5)

    with pytest.raises(ValueError, match=r"\w"):
        build_tables(text[: int(keep * text.index("end of trees"))])


@settings(max_examples=200, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), new=st.text(max_size=3), length=st.integers(0, 3))
def test_damage_anywhere_is_refused_or_harmless(place: float, new: str, length: int) -> None:
    """What still parses is scored inside the bounds of its tables."""
    text = trained(num_leaves=5, tree_count=3)
    at = int(place * len(text))
    try:
        tables = build_tables(with_sizes(text[:at] + new + text[at + length :]))
    except ValueError:
        return
    if isinstance(tables, ForestTables):
        features = default_rng(0).normal(size=(30, tables.feature_count))
        assert np.isfinite(forest._row_wise(tables, features)).all()
        assert np.isfinite(forest._block_wise(tables, features)).all()
