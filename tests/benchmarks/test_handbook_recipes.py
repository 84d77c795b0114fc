"""Models of a fold: what they learn from, and that several forests are their mean."""

from dataclasses import replace

import numpy as np

from benchmarks.handbook_file import Payments
from benchmarks.handbook_folds import Fold, Quality
from benchmarks.handbook_recipes import Recipe, Table, Tried, best, fitted, tried
from sentinel.core.learning.params import FitParams
from sentinel.model import Model
from tests.benchmarks.test_handbook_online import NAMES, ROWS, X

FIT = FitParams(tree_count=6, leaf_count_max=4, leaf_row_count_min=5)
FOLD = Fold(10)  # trained until day 17, tested on the days 24 to 30
TABLE = Table(ROWS, X, NAMES)


def turned(begin: int, end: int) -> Table:
    at = ROWS.days(begin, end)
    rows: Payments = replace(ROWS, label=np.where(at, 1 - ROWS.label, ROWS.label))
    return Table(rows, X, NAMES)


def test_a_model_of_a_fold_learns_from_its_week_alone() -> None:
    recipe = Recipe(FIT)

    text = fitted(recipe, TABLE, FOLD)

    assert fitted(recipe, turned(0, 10), FOLD) == text
    assert fitted(recipe, turned(17, 36), FOLD) == text
    assert fitted(recipe, turned(10, 11), FOLD) != text
    assert fitted(recipe, turned(16, 17), FOLD) != text


def test_a_model_with_a_first_day_learns_from_all_days_since() -> None:
    recipe = Recipe(FIT, first_day=3)

    text = fitted(recipe, TABLE, FOLD)

    assert fitted(recipe, turned(0, 3), FOLD) == text
    assert fitted(recipe, turned(3, 4), FOLD) != text
    assert fitted(recipe, turned(17, 36), FOLD) == text


def test_several_forests_are_one_model_that_says_their_mean() -> None:
    recipe = Recipe(FIT, genuine_share=0.5)
    alone = [
        Model.from_text("one", fitted(replace(recipe, fit=replace(FIT, seed=seed)), TABLE, FOLD))
        for seed in (0, 1)
    ]

    both = Model.from_text("both", fitted(replace(recipe, forest_count=2), TABLE, FOLD))

    assert both.tree_count == 12
    one, other = alone[0].raw_scores(X), both.raw_scores(X)
    assert not np.allclose(one, other)
    second = 2 * other - one
    assert np.corrcoef(second, alone[1].raw_scores(X))[0, 1] > 0.9


def test_a_recipe_is_judged_on_every_fold() -> None:
    found = tried(Recipe(FIT), TABLE, [Fold(8), FOLD])

    assert len(found.by_fold) == 2
    assert found.tree_count == 6
    assert found.mean.average_precision > 0.8  # by chance 0.1


def test_the_best_recipe_is_that_of_the_highest_average_precision() -> None:
    of = [
        Tried(Recipe(FitParams(seed=seed)), [Quality(p, 0.5, 0.5)], 1)
        for seed, p in enumerate([0.3, 0.7, 0.7, 0.1])
    ]

    assert best(of) is of[1]
