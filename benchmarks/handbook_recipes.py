"""How a fold's model is made: the recipes that are compared on the validation folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.handbook_file import Payments
from benchmarks.handbook_folds import Fold, Quality, judged_rows, mean_quality, quality
from sentinel.core.features.hashing import hash64
from sentinel.core.forest.merge import weighted_sum
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.training_data.undersampling import is_kept
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is made.

    Attributes
    ----------
    fit
        Of each forest; they differ in their seeds.
    forest_count
        So many forests are averaged into one model, which costs as many times the time to score.
    first_day
        Training begins with this day of the file, or, if there is none, with the fold's own week.
    genuine_share
        Of genuine rows this share is trained on, another one for each forest.
    """

    fit: FitParams
    forest_count: int = 1
    first_day: int | None = None
    genuine_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """What is learnt from: the rows with their features, float64 (n, f), of these names."""

    rows: Payments
    features: Floats
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """A recipe on several folds."""

    recipe: Recipe
    by_fold: list[Quality]
    tree_count: int

    @property
    def mean(self) -> Quality:
        return mean_quality(self.by_fold)


def tried(recipe: Recipe, table: Table, on: Sequence[Fold]) -> Tried:
    """Train and judge on each fold."""
    found, tree_count = [], 0
    for fold in on:
        model = Model.from_text("fold", fitted(recipe, table, fold))
        at = judged_rows(table.rows, fold)
        scores = model.raw_scores(np.asarray(table.features[at]))
        found.append(quality(table.rows, at, scores))
        tree_count = model.tree_count
    return Tried(recipe, found, tree_count)


def fitted(recipe: Recipe, table: Table, fold: Fold) -> str:
    """The model's text, of labels that are known when the fold's test begins."""
    first_day = fold.begin_day if recipe.first_day is None else recipe.first_day
    known = np.flatnonzero(table.rows.days(first_day, fold.train_end))
    texts = [_forest(recipe, table, known, number) for number in range(recipe.forest_count)]
    return weighted_sum(texts, [1.0 / len(texts)] * len(texts))


def _forest(recipe: Recipe, table: Table, at: Ints, number: int) -> str:
    id_hash = hash64([f"{number}/{i}" for i in table.rows.transaction[at].tolist()])
    at = at[is_kept(id_hash, table.rows.label[at] == 1, recipe.genuine_share)]
    return fit(
        np.asarray(table.features[at]),
        table.rows.label[at],
        params=replace(recipe.fit, seed=recipe.fit.seed + number),
        feature_names=table.names,
    )


def best(of: Sequence[Tried]) -> Tried:
    """The one with the highest average precision, the earliest of equals."""
    return max(of, key=lambda one: one.mean.average_precision)


# A week has some six hundred frauds: small trees of leaves as small as xgboost would grow, and bins
# so fine that hardly two values share one, or the terminals' shares of frauds would.
_OF_A_WEEK = FitParams(
    tree_count=200,
    leaf_count_max=8,
    learning_rate=0.1,
    leaf_row_count_min=1,
    leaf_hessian_min=1.0,
    feature_share=1.0,
    row_share=1.0,
    bin_count_max=16_383,
    boost_from_average=False,
)
PUBLISHED_RECIPES = (
    Recipe(_OF_A_WEEK),
    Recipe(replace(_OF_A_WEEK, leaf_count_max=6)),
    Recipe(replace(_OF_A_WEEK, leaf_count_max=12)),
    Recipe(replace(_OF_A_WEEK, tree_count=100)),
    Recipe(replace(_OF_A_WEEK, bin_count_max=1_023)),
)

# Before day 35 the windows that say most, of five weeks at most, are not full.
_OF_ALL_DAYS = Recipe(
    FitParams(tree_count=200, feature_share=0.5), first_day=35, genuine_share=0.15
)
ENGINE_RECIPES = (
    _OF_ALL_DAYS,
    replace(_OF_ALL_DAYS, forest_count=3),
    replace(_OF_ALL_DAYS, forest_count=3, fit=replace(_OF_ALL_DAYS.fit, leaf_count_max=16)),
)
