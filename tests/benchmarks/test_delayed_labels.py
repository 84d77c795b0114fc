"""What the benchmark of delayed labels computes, on cases that are counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.delayed_labels import CONFIG, print_precision, standard_error
from benchmarks.handbook_file import DAY_MS, Payments
from benchmarks.label_learners import (
    CARDS_CHECKED,
    LEARNERS,
    Learner,
    Run,
    Setting,
    best_precision,
    combined,
    id_hashes,
    riskiest,
)
from benchmarks.label_stream import LabelStream, drawn_payments, transactions_of
from sentinel import config as configuration
from sentinel.core.learning.params import FitParams
from sentinel.records import Floats, Ints

ENGINE = configuration.load(CONFIG, {})
SETTING = Setting(
    first_day=20,
    judged_from=20,
    end_day=26,
    feedback_days=4,
    delayed_days=10,
    fit=FitParams(tree_count=5, leaf_count_max=4, leaf_row_count_min=5),
)
NOTHING: Ints = np.empty(0, dtype=np.int64)


def payments(day_count: int = 30, *, a_day: int = 600, seed: int = 3) -> Payments:
    """Frauds are of a larger amount."""
    rng = np.random.default_rng(seed)
    n = day_count * a_day
    day = np.repeat(np.arange(day_count), a_day)
    label = (rng.random(n) < 0.05).astype(np.int64)
    return Payments(
        transaction=np.arange(n),
        customer=rng.integers(0, 400, n),
        terminal=rng.integers(0, 50, n),
        event_time_ms=np.sort(day * DAY_MS + rng.integers(0, DAY_MS, n)),
        day=day,
        amount=np.round(rng.random(n) * 50 + 40 * label, 2),
        label=label,
    )


ROWS = payments()


def stream(rows: Payments, kept_days: int = 30) -> LabelStream:
    return LabelStream(rows, transactions_of(rows, ENGINE), ENGINE, kept_days)


def precision(
    learner: Learner, rows: Payments = ROWS, setting: Setting = SETTING, seed: int = 0
) -> Floats:
    played = stream(rows, setting.kept_days)
    return Run(learner, played, setting, id_hashes(rows, seed), seed).precision()


def named(name: str) -> Learner:
    return next(learner for learner in LEARNERS if learner.name == name)


def known_frauds(rows: Payments, told_on: Ints, day: int, window_days: int) -> Floats:
    """TERMINAL_FRAUDS of a day's rows, one by one: frauds told on that morning or before."""
    found = []
    for i in np.flatnonzero(rows.days(day, day + 1)):
        age = rows.event_time_ms[i] - rows.event_time_ms[:i]
        same = (rows.terminal[:i] == rows.terminal[i]) & (age < window_days * DAY_MS)
        found.append(np.count_nonzero(same & (rows.label[:i] == 1) & (told_on[:i] <= day)))
    return np.array(found, dtype=np.float64)


@pytest.mark.parametrize("with_feedback", [False, True])
def test_features_count_the_frauds_whose_labels_have_come(with_feedback: bool) -> None:
    """A label comes on the eighth morning after the day, with feedback on the next."""
    rows = payments(14, a_day=200)
    played = stream(rows)
    checked = rows.customer < 150
    told_on = np.where(checked & with_feedback, rows.day + 1, rows.day + 8)
    column = {name: j for j, name in enumerate(played.names)}

    for day in range(14):
        yesterday = np.flatnonzero(rows.days(day - 1, day) & checked)
        features = played.next_day(yesterday if with_feedback else NOTHING)
        for window_days in (4, 14):
            counted = features[:, column[f"TERMINAL_FRAUDS_{window_days}d"]]
            assert np.array_equal(counted, known_frauds(rows, told_on, day, window_days))


def test_what_is_trained_on_is_as_it_was_when_it_was_scored() -> None:
    rows = payments(20, a_day=200)
    played = stream(rows, kept_days=11)

    scored = [played.next_day(played.days(day - 1, day)) for day in range(20)]

    at = np.sort(np.random.default_rng(0).choice(played.days(9, 20), 300, replace=False))
    expected = np.concatenate(scored[9:])[at - 9 * 200]
    assert np.array_equal(played.features(at), expected, equal_nan=True)


def test_another_draw_of_the_generator_is_another_stream() -> None:
    first, second = drawn_payments(1, 2), drawn_payments(2, 2)

    assert first.day_count == second.day_count == 2
    assert 8_000 < len(first) / 2 < 11_000
    assert first.amount[:5].tolist() != second.amount[:5].tolist()


def test_a_card_is_as_risky_as_its_riskiest_transaction() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.2, 0.5])
    cards = np.array([7, 3, 5, 7, 4])

    assert riskiest(scores, cards, 2).tolist() == [3, 4]
    assert riskiest(scores, cards, 9).tolist() == [3, 4, 5, 7]


def test_an_aggregate_averages_what_its_name_says() -> None:
    feedback, delayed = np.array([2.0, -4.0]), np.array([0.0, 0.0])

    assert combined("one forest", feedback, delayed).tolist() == [1.0, -2.0]
    assert combined("aggregated", feedback, delayed) == pytest.approx(
        [(0.5 + 1 / (1 + np.exp(-2))) / 2, (0.5 + 1 / (1 + np.exp(4))) / 2]
    )


def test_the_best_precision_is_that_of_the_cards_with_a_fraud() -> None:
    customers = {int(ROWS.customer[i]) for i in range(600) if ROWS.label[i] == 1}

    assert best_precision(ROWS, 0) == pytest.approx(len(customers) / CARDS_CHECKED)
    everyone = replace(ROWS, label=np.ones_like(ROWS.label))
    assert best_precision(everyone, 0) == 1.0


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
def test_a_learner_finds_what_a_feature_shows(learner: Learner) -> None:
    found = precision(learner)

    assert found.shape == (6,)
    assert found.mean() > 0.2  # of all cards about 0.07 have a fraud on a day
    # Before there is any feedback all are the delayed labels' classifier.
    assert found[0] == precision(named("delayed"))[0]


def test_no_learner_knows_a_label_before_its_time() -> None:
    """Labels of the days before the first that nobody checked are not known yet on it."""
    one_day = replace(SETTING, end_day=21)
    hidden = ROWS.days(13, 20)  # a week back from the morning of day 20
    other = replace(ROWS, label=np.where(hidden, 1 - ROWS.label, ROWS.label))
    seen = ROWS.days(12, 13)
    changed = replace(ROWS, label=np.where(seen, 1 - ROWS.label, ROWS.label))

    first, second, third = (
        precision(named("pooled"), rows, one_day) for rows in (ROWS, other, changed)
    )

    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


@pytest.mark.parametrize("method", ["static", "delayed"])
def test_feedback_is_nothing_to_who_does_not_use_it(method: str) -> None:
    """Not even through features, unless these are fed: then it is."""
    hidden = ROWS.days(20, 21)  # checked on day 20, else not known before the end
    changed = replace(ROWS, label=np.where(hidden, 1, ROWS.label))
    without, fed = named(method), named(f"{method}, features fed")

    assert np.array_equal(precision(without)[1:], precision(without, changed)[1:])
    assert not np.array_equal(precision(fed)[1:], precision(fed, changed)[1:])


def test_the_same_seed_gives_the_same_alerts() -> None:
    first, again, other = (precision(named("aggregated"), seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_standard_error_is_that_of_weeks() -> None:
    """Days within a week are as good as one; an unfinished week is left out."""
    days = np.repeat([1.0, 2.0, 3.0, 4.0], 7)

    assert standard_error(days) == pytest.approx(0.6454972)
    assert standard_error(np.append(days, [90.0, -90.0])) == pytest.approx(0.6454972)


def test_differences_are_taken_day_by_day(capsys: pytest.CaptureFixture[str]) -> None:
    """Both learners vary by 0.1 from week to week, their difference does not at all."""
    days = np.repeat([0.4, 0.5, 0.6], 7)
    found = {learner.name: days + 0.1 * (learner.name == "aggregated") for learner in LEARNERS}

    print_precision(found)

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["aggregated", "0.600", "0.058", "0.69-0.75"] in lines
    assert ["aggregated", "-", "pooled", "+0.1000", "0.0000"] in lines
    assert ["pooled", "-", "static", "+0.0000", "0.0000"] in lines
