"""What the benchmark of delayed labels computes, on cases that are counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.delayed_labels import (
    LEARNERS,
    Setting,
    Stream,
    combined,
    print_precision,
    riskiest,
    standard_error,
)
from benchmarks.handbook_file import DAY_MS, Payments
from sentinel.core.learning.params import FitParams
from sentinel.records import Floats

SETTING = Setting(
    first_day=20,
    end_day=26,
    feedback_days=4,
    delayed_days=10,
    fit=FitParams(tree_count=5, leaf_count_max=4, leaf_row_count_min=5),
)


def payments(day_count: int = 30, *, a_day: int = 600, seed: int = 3) -> Payments:
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
        label=(rng.random(n) < 0.05).astype(np.int64),
    )


def features(rows: Payments, seed: int = 4) -> Floats:
    """Noise, but for one column that says something of the label."""
    found = np.random.default_rng(seed).normal(size=(len(rows), 3))
    found[:, 0] += 2.0 * rows.label
    return found


def test_a_card_is_as_risky_as_its_riskiest_transaction() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.2, 0.5])
    cards = np.array([7, 3, 5, 7, 4])

    assert riskiest(scores, cards, 2).tolist() == [3, 4]
    assert riskiest(scores, cards, 9).tolist() == [3, 4, 5, 7]


def test_an_aggregate_averages_what_its_name_says() -> None:
    feedback, delayed = np.array([2.0, -4.0]), np.array([0.0, 0.0])

    assert combined("one forest", feedback, delayed).tolist() == [1.0, -2.0]
    assert combined("feedback", feedback, delayed).tolist() == [2.0, -4.0]
    assert combined("aggregated", feedback, delayed) == pytest.approx(
        [(0.5 + 1 / (1 + np.exp(-2))) / 2, (0.5 + 1 / (1 + np.exp(4))) / 2]
    )


def test_the_standard_error_is_that_of_a_mean() -> None:
    assert standard_error(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(0.6454972)


def test_all_learners_find_what_a_feature_shows() -> None:
    rows = payments()

    found = Stream(rows, features(rows), SETTING, seed=0).played()

    assert set(found) == set(LEARNERS)
    for name, precision in found.items():
        assert precision.shape == (6,), name
        assert precision.mean() > 0.2, name  # of all cards about 0.07 have a fraud on a day
    # Before there is any feedback all are the delayed labels' classifier.
    assert len({float(precision[0]) for precision in found.values()}) == 1


def test_no_learner_knows_a_label_before_its_time() -> None:
    """Labels of the days before the first that nobody checked are not known yet on it."""
    rows = payments()
    x = features(rows)
    one_day = replace(SETTING, end_day=21)
    hidden = rows.days(13, 20)  # a week back from the morning of day 20
    other = replace(rows, label=np.where(hidden, 1 - rows.label, rows.label))
    seen = rows.days(12, 13)
    changed = replace(rows, label=np.where(seen, 1 - rows.label, rows.label))

    first, second, third = (
        Stream(r, x, one_day, seed=0).played()["pooled"] for r in (rows, other, changed)
    )

    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_the_same_seed_gives_the_same_alerts() -> None:
    rows = payments()
    x = features(rows)

    first, again = (Stream(rows, x, SETTING, seed=1).played() for _ in range(2))

    assert all(np.array_equal(first[name], again[name]) for name in LEARNERS)


def test_differences_are_taken_day_by_day(capsys: pytest.CaptureFixture[str]) -> None:
    """Both learners vary by 0.1 from day to day, their difference does not at all."""
    days = np.array([0.4, 0.5, 0.6])
    precision = {name: days + 0.1 * (name == "aggregated") for name in LEARNERS}

    print_precision(precision)

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["aggregated", "0.600", "0.058", "0.69-0.75"] in lines
    assert ["aggregated", "-", "pooled", "+0.1000", "0.0000"] in lines
    assert ["pooled", "-", "static", "+0.0000", "0.0000"] in lines
