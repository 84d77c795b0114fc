"""Models kept up day by day: what each knew, and what is said of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.handbook_file import DAY_MS, Payments
from benchmarks.handbook_online import (
    STRATEGIES,
    Anew,
    Daily,
    OnlineParams,
    Stream,
    Week,
    by_week,
    lived,
)
from benchmarks.handbook_plot import draw
from sentinel.core.learning.evaluation import average_precision
from sentinel.core.learning.params import FitParams
from sentinel.records import Floats

NAMES = ("signal", "noise")
PARAMS = OnlineParams(
    first_day=20,
    end_day=36,
    warmup_days=2,
    fit=FitParams(tree_count=8, leaf_count_max=4, leaf_row_count_min=5),
    tree_count_per_update=2,
    tree_count_max=20,
)


def payments(day_count: int = 36, *, a_day: int = 300, seed: int = 3) -> Payments:
    rng = np.random.default_rng(seed)
    n = day_count * a_day
    day = np.repeat(np.arange(day_count), a_day)
    return Payments(
        transaction=np.arange(n),
        customer=rng.integers(0, 400, n),
        terminal=rng.integers(0, 50, n),
        event_time_ms=np.sort(day * DAY_MS + rng.integers(0, DAY_MS, n)),
        day=day,
        amount=rng.random(n),
        label=(rng.random(n) < 0.1).astype(np.int64),
    )


ROWS = payments()


def features(rows: Payments, *, turn_day: int | None = None) -> Floats:
    """A signal, which from a day on says the contrary, and noise."""
    found = np.random.default_rng(4).normal(size=(len(rows), 2))
    sign = 1.0 if turn_day is None else np.where(rows.day < turn_day, 1.0, -1.0)
    found[:, 0] += 3.0 * sign * rows.label
    return found


X = features(ROWS)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_scores_every_row_of_its_days(strategy: str) -> None:
    found = lived(strategy, ROWS, X, NAMES, PARAMS)

    labels = ROWS.label[ROWS.days(20, 36)]
    assert found.scores.shape == labels.shape
    precision = average_precision(found.scores, labels)
    assert precision is not None
    assert precision > 0.8  # by chance 0.1
    retrained = {"static": 1, "monthly": 1, "weekly": 3}
    if strategy != "daily":
        assert (found.retrain_count, found.update_count) == (retrained[strategy], 0)
        assert found.tree_count == 8


def test_a_model_that_has_as_many_trees_as_it_may_is_trained_anew() -> None:
    """Eight trees and two a day: after six days twenty are reached."""
    found = lived("daily", ROWS, X, NAMES, PARAMS)

    assert found.update_count == 15
    assert found.retrain_count == 3  # at first, on the seventh day and on the fourteenth
    assert found.tree_count <= 20


@pytest.mark.parametrize("kind", [Anew, Daily])
def test_no_model_knows_a_label_before_its_time(kind: type[Anew]) -> None:
    """On the morning of day 21 the labels of day 13 have all come, those of day 14 not."""

    def text(rows: Payments) -> str:
        keeper = kind(Stream(rows, X, NAMES), PARAMS, 1)
        keeper.update(20)
        keeper.update(21)
        return keeper.text

    def turned(begin: int, end: int) -> Payments:
        at = ROWS.days(begin, end)
        return replace(ROWS, label=np.where(at, 1 - ROWS.label, ROWS.label))

    assert text(turned(14, 36)) == text(ROWS)
    assert text(turned(13, 14)) != text(ROWS)


def test_daily_updates_follow_what_changes_and_a_static_model_does_not() -> None:
    rows = payments(60)
    params = replace(PARAMS, end_day=60, tree_count_max=200)
    turned = features(rows, turn_day=27)

    weeks = {
        name: by_week(rows, lived(name, rows, turned, NAMES, params).scores, params)
        for name in ("static", "daily")
    }

    assert min(line[0].auc for line in weeks.values()) > 0.9
    assert weeks["static"][-1].auc < 0.5
    assert weeks["daily"][-1].auc > 0.7


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_weeks_are_drawn_as_the_ending_says(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib", reason="it comes with the extra `bench`")
    file = tmp_path / f"weeks.{kind}"

    draw({"daily": [Week(60, 0.7, 0.9), Week(67, 0.6, 0.9)]}, file)

    begin = {"svg": b"<?xml", "png": b"\x89PNG"}
    assert file.read_bytes().startswith(begin[kind])


def test_a_week_is_judged_by_its_own_rows() -> None:
    days = ROWS.day[ROWS.days(20, 36)]
    labels = ROWS.label[ROWS.days(20, 36)].astype(np.float64)

    weeks = by_week(ROWS, np.where(days < 27, labels, -labels), PARAMS)

    assert [week.first_day for week in weeks] == [20, 27, 34]
    assert [week.auc for week in weeks] == [1.0, 0.0, 0.0]
