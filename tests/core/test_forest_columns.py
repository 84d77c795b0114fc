"""A model over other columns scores as before, and what does not fit is named."""

import lightgbm
import numpy as np
import pytest
from numpy.random import default_rng

from sentinel.core.forest.columns import column_names, over_columns, places
from sentinel.core.forest.forest import build_tables
from sentinel.core.forest.probe import probe_rows
from sentinel.core.forest.tables import ForestTables
from sentinel.model import Model

DECLARED = ("a", "b", "c", "d", "e")


def trained(names: list[str], **params: object) -> str:
    rng = default_rng(2)
    features = rng.normal(size=(800, len(names)))
    data = lightgbm.Dataset(features, features[:, 0] > 0.5, feature_name=names)
    told = {"objective": "binary", "verbosity": -1, "num_threads": 1, **params}
    text: str = lightgbm.train(told, data, 4).model_to_string()
    return text


@pytest.mark.parametrize("names", [["e", "a", "c"], ["a"], list("edcba"), list("abcde")])
def test_over_other_columns_a_model_says_the_same(names: list[str]) -> None:
    text = trained(names, monotone_constraints=[1] + [0] * (len(names) - 1))
    place = places(names, DECLARED, by_position=False)
    features = default_rng(3).normal(size=(300, len(DECLARED)))

    moved = over_columns(text, place, DECLARED)

    assert column_names(moved) == DECLARED
    model = Model.from_text("1.0.0", moved)
    expected = lightgbm.Booster(model_str=text).predict(features[:, place], raw_score=True)
    assert np.array_equal(model.raw_scores(features), expected)
    found = lightgbm.Booster(model_str=moved).predict(features, raw_score=True)
    assert np.array_equal(found, expected)
    assert isinstance(build_tables(moved), ForestTables)


def test_what_fits_already_stays_to_the_letter() -> None:
    text = trained(list(DECLARED))

    assert over_columns(text, [0, 1, 2, 3, 4], DECLARED) == text


def test_leaves_that_read_columns_are_not_moved() -> None:
    with pytest.raises(ValueError, match="has linear leaves"):
        over_columns(trained(["b", "a"], linear_tree=True), [1, 0], DECLARED)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "x"], r"reads x, which .* does not declare; declared and not read: b, c, d, e"),
        ([f"x{i}" for i in range(20)], r"reads x0, x1, .*, x7 and 12 more, which"),
        (["Column_0", "Column_1"], "without names of their own"),
        (["f0"], "without names of their own"),
        (["a", "a"], "two columns of one name"),
    ],
)
def test_names_that_do_not_fit_are_told(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        places(names, DECLARED, by_position=False)


def test_all_of_the_declared_in_another_order_is_no_fault() -> None:
    assert places(list("edcba"), DECLARED, by_position=False) == [4, 3, 2, 1, 0]


def test_names_with_blanks_in_them_do_not_count_as_more() -> None:
    text = trained(["a", "b"]).replace("feature_names=a b", "feature_names=a b c")

    with pytest.raises(ValueError, match="feature_names holds 3 names, max_feature_idx is 1"):
        column_names(text)


def test_probes_meet_every_threshold_from_both_sides() -> None:
    text = trained(["a"], num_leaves=4)
    thresholds = {
        float(word)
        for line in text.splitlines()
        if line.startswith("threshold=")
        for word in line.removeprefix("threshold=").split()
    }

    values = probe_rows(text, 4000, default_rng(4))[:, 0]

    assert thresholds
    for threshold in thresholds:
        assert threshold in values
        assert np.nextafter(threshold, np.inf) in values
        assert np.nextafter(threshold, -np.inf) in values
    assert np.isnan(values).any()
    assert np.isinf(values).any()
