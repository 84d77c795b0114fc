"""The Fraud Detection Handbook's data set: beside its published tables, and lived through online.

Part "folds": its four test folds, with recipes chosen on its validation folds, once for the 15
published features and a week of training as in the published tables, and once for all that
Sentinel's own feature engine computes (`config/handbook.toml`) and all days before. Part "online":
days 60 to 183, each scored by a model of the labels that had come by its morning, kept up daily,
weekly, monthly or not at all.

    python -m benchmarks.handbook --data FILE [--part folds|online] [--cache DIR] [--plot FILE]
                                  [--json FILE] [--quick]
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.handbook_features import (
    CONFIG,
    PUBLISHED_NAMES,
    cache_folder,
    engine_features,
    published_features,
)
from benchmarks.handbook_file import Payments, payments_of, read_frame
from benchmarks.handbook_folds import TEST_BEGIN_DAYS, VALIDATION_BEGIN_DAYS, Quality, folds
from benchmarks.handbook_online import STRATEGIES, Lived, OnlineParams, Week, by_week, lived
from benchmarks.handbook_plot import draw
from benchmarks.handbook_recipes import (
    ENGINE_RECIPES,
    PUBLISHED_RECIPES,
    Recipe,
    Table,
    Tried,
    best,
    tried,
)
from benchmarks.harness import facts, header, print_table, write_json
from sentinel import config as configuration

# Fraud Detection Handbook, chapters 5.5 and 7: AUC ROC, average precision, CP@100.
PUBLISHED = {
    "logistic regression": Quality(0.623, 0.868, 0.297),
    "random forest, 100 trees of depth 20": Quality(0.678, 0.870, 0.299),
    "XGBoost, chosen on validation": Quality(0.687, 0.869, 0.303),
    "XGBoost, best on test (optimistic)": Quality(0.694, 0.872, 0.304),
    "MLP": Quality(0.675, 0.876, 0.303),
    "CNN": Quality(0.599, 0.872, 0.288),
    "LSTM": Quality(0.665, 0.876, 0.297),
    "LSTM with attention": Quality(0.667, 0.874, 0.295),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--part", choices=("folds", "online"), help="this one alone")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the features here")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="SVG or PNG, of part online")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="one fold, one recipe, three weeks")
    options = parser.parse_args(arguments)
    if options.plot is not None and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib, which the extra `bench` installs")
    about = facts(0)
    print(header(about))
    figures: dict[str, Any] = {"about": about}
    rows = payments_of(read_frame(options.data))
    with cache_folder(options.cache) as cache:
        config = configuration.load(CONFIG, {})
        names = tuple(feature.name for feature in config.features)
        engine = Table(rows, engine_features(options.data, config, cache), names)
        if options.part != "online":
            figures["folds"] = on_folds(rows, engine, quick=options.quick)
        if options.part != "folds":
            figures["online"] = online(engine, options.plot, quick=options.quick)
    write_json(options.json, figures)


def on_folds(rows: Payments, engine: Table, *, quick: bool) -> dict[str, Any]:
    """Part "folds": choose on validation, measure on test, print beside what is published."""
    published = Table(rows, published_features(rows), PUBLISHED_NAMES)
    found = {
        "15 published features, 7 days": chosen(published, PUBLISHED_RECIPES, quick=quick),
        "all that Sentinel computes": chosen(engine, ENGINE_RECIPES, quick=quick),
    }
    print_table(
        ["model", "average precision", "AUC ROC", "CP@100", "trees"],
        [[name, *cells(quality), ""] for name, quality in PUBLISHED.items()]
        + [[name, *cells(one.mean), str(one.tree_count)] for name, one in found.items()],
    )
    for name, one in found.items():
        of_folds = " ".join(f"{q.average_precision:.3f}" for q in one.by_fold)
        print(f"  average precision by test fold, {name}: {of_folds}")
    return {
        name: {
            "recipe": asdict(one.recipe),
            "trees": one.tree_count,
            "mean": asdict(one.mean),
            "by fold": [asdict(q) for q in one.by_fold],
        }
        for name, one in found.items()
    }


def chosen(table: Table, recipes: Sequence[Recipe], *, quick: bool) -> Tried:
    """The recipe that is best on the validation folds, on the test folds."""
    validation, test = (folds(d, table.rows) for d in (VALIDATION_BEGIN_DAYS, TEST_BEGIN_DAYS))
    if quick:
        recipes, validation, test = recipes[:1], validation[-1:], test[-1:]
    of_recipes = [tried(recipe, table, validation) for recipe in recipes]
    print_table(
        ["on validation", "average precision", "AUC ROC", "CP@100", "trees"],
        [[shown(one.recipe), *cells(one.mean), str(one.tree_count)] for one in of_recipes],
    )
    return tried(best(of_recipes).recipe, table, test)


def shown(recipe: Recipe) -> str:
    """A recipe in a few words."""
    fit = recipe.fit
    size = f"depth {fit.depth_max}" if fit.depth_max else f"{fit.leaf_count_max} leaves"
    return (
        f"{recipe.forest_count} x {fit.tree_count} trees of {size}, rate {fit.learning_rate}, "
        f"{fit.bin_count_max} bins, {recipe.genuine_share:.0%} of the genuine"
    )


def cells(quality: Quality) -> list[str]:
    return [
        f"{value:.3f}" for value in (quality.average_precision, quality.auc, quality.card_precision)
    ]


def online(table: Table, plot: Path | None, *, quick: bool) -> dict[str, Any]:
    """Part "online": every strategy through the same days."""
    params = OnlineParams()
    if quick:
        params = replace(params, end_day=params.first_day + 21)
    runs = {
        name: lived(name, table.rows, table.features, table.names, params) for name in STRATEGIES
    }
    weeks = {name: by_week(table.rows, run.scores, params) for name, run in runs.items()}
    print_weeks(weeks)
    print_table(
        ["strategy", "average precision", "AUC ROC", "trained, s", "updates", "retrained", "trees"],
        [summary(name, weeks[name], run) for name, run in runs.items()],
    )
    if plot is not None:
        draw(weeks, plot)
    return {
        name: {
            "weeks": [asdict(week) for week in weeks[name]],
            "training_s": run.training_s,
            "updates": run.update_count,
            "retrained": run.retrain_count,
            "trees": run.tree_count,
        }
        for name, run in runs.items()
    }


def print_weeks(weeks: dict[str, list[Week]]) -> None:
    """Average precision of each week by each strategy."""
    lines = zip(*weeks.values(), strict=True)
    print_table(
        ["week from day", *weeks],
        [
            [str(line[0].first_day), *(f"{week.average_precision:.3f}" for week in line)]
            for line in lines
        ],
    )


def summary(name: str, weeks: list[Week], run: Lived) -> list[str]:
    """Means over weeks, and what the training cost."""
    return [
        name,
        f"{np.mean([week.average_precision for week in weeks]):.3f}",
        f"{np.mean([week.auc for week in weeks]):.3f}",
        f"{run.training_s:.0f}",
        str(run.update_count),
        str(run.retrain_count),
        str(run.tree_count),
    ]


if __name__ == "__main__":
    main()
