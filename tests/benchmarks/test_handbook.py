"""The Handbook's protocol as the benchmark has it, against slow versions of what is published."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.random import default_rng

from benchmarks.handbook_features import (
    CONFIG,
    PUBLISHED_NAMES,
    engine_features,
    published_features,
)
from benchmarks.handbook_file import Payments, payments_of, read_frame
from benchmarks.handbook_folds import (
    TEST_BEGIN_DAYS,
    VALIDATION_BEGIN_DAYS,
    Fold,
    folds,
    judged_rows,
    mean_quality,
    quality,
)
from sentinel import config as configuration
from sentinel.records import Floats

START = datetime(2018, 4, 1)


def frame(row_count: int = 1_200, *, day_count: int = 50, seed: int = 7) -> pl.DataFrame:
    """Few customers and terminals, so that all meet often; some times are equal."""
    rng = default_rng(seed)
    seconds = np.sort(rng.integers(0, day_count * 8_640, row_count) * 10)
    seconds[1::50] = seconds[::50]
    return pl.DataFrame(
        {
            "TRANSACTION_ID": np.arange(row_count),
            "TX_DATETIME": [START + timedelta(seconds=int(s)) for s in seconds],
            "CUSTOMER_ID": rng.integers(0, 9, row_count),
            "TERMINAL_ID": rng.integers(0, 6, row_count),
            "TX_AMOUNT": rng.integers(1, 30_000, row_count) / 100,
            "TX_FRAUD": (rng.random(row_count) < 0.1).astype(np.int8),
            "TX_FRAUD_SCENARIO": np.zeros(row_count, dtype=np.int8),
        }
    )


ROWS = payments_of(frame())


def slowly(rows: Payments) -> Floats:
    """The published features from their words, one row after another."""
    day = timedelta(days=1)
    times = [datetime.fromtimestamp(ms / 1000, UTC) for ms in rows.event_time_ms.tolist()]
    found = []
    for i, t in enumerate(times):
        line = [float(rows.amount[i]), float(t.weekday() >= 5), float(t.hour <= 6)]
        for days in (1, 7, 30):
            own = [
                rows.amount[j]
                for j in range(i + 1)
                if rows.customer[j] == rows.customer[i] and times[j] > t - days * day
            ]
            line += [len(own), float(np.mean(own))]
        for days in (1, 7, 30):
            there = [
                rows.label[j]
                for j in range(len(times))
                if rows.terminal[j] == rows.terminal[i]
                and t - (7 + days) * day < times[j] <= t - 7 * day
            ]
            line += [len(there), float(np.mean(there)) if there else 0.0]
        found.append(line)
    return np.array(found)


def test_the_published_features_are_what_their_words_say() -> None:
    found, expected = published_features(ROWS), slowly(ROWS)

    assert found.shape == (len(ROWS), len(PUBLISHED_NAMES)) == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    risk = expected[:, PUBLISHED_NAMES.index("TERMINAL_ID_RISK_1DAY_WINDOW")]
    assert np.count_nonzero(risk) > 100


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_engine_computes_the_published_features_under_their_names(
    tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"payments.{suffix}"
    frame().write_csv(file) if suffix == "csv" else frame().write_parquet(file)
    config = configuration.load(CONFIG, {})

    found = engine_features(file, config, tmp_path)
    again = engine_features(file, config, tmp_path)

    names = [feature.name for feature in config.features]
    assert found.shape == (len(ROWS), len(names))
    columns = [names.index(name) for name in PUBLISHED_NAMES]
    np.testing.assert_allclose(found[:, columns], published_features(ROWS), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(payments_of(read_frame(file)).amount, ROWS.amount)


def test_features_of_another_file_are_not_taken_from_the_cache(tmp_path: Path) -> None:
    config = configuration.load(CONFIG, {})
    for seed in (1, 2):
        frame(100, seed=seed).write_parquet(tmp_path / f"{seed}.parquet")

    first, second = (engine_features(tmp_path / f"{s}.parquet", config, tmp_path) for s in (1, 2))

    assert not np.array_equal(first[:, 0], second[:, 0])


def test_the_folds_are_those_of_the_published_tables() -> None:
    date = {day: (START + timedelta(days=day)).strftime("%m-%d") for day in range(200)}

    assert [date[day] for day in TEST_BEGIN_DAYS] == ["07-25", "08-01", "08-08", "08-15"]
    assert date[VALIDATION_BEGIN_DAYS[-1]] == "07-11"
    # What is tuned on ends before the first day that is tested on.
    assert Fold(VALIDATION_BEGIN_DAYS[-1]).test_end <= Fold(TEST_BEGIN_DAYS[0]).test_begin


def test_a_fold_for_which_the_file_is_too_short_is_left_out() -> None:
    assert [fold.begin_day for fold in folds((0, 29, 30), ROWS)] == [0, 29]


def judged_slowly(rows: Payments, begin_day: int) -> list[int]:
    """`get_train_test_set` of the Handbook, chapter 5.2, in its own order."""
    customers_of = defaultdict(set)
    for day, customer, label in zip(rows.day, rows.customer, rows.label, strict=True):
        if label == 1:
            customers_of[int(day)].add(int(customer))
    known = set().union(*(customers_of[begin_day + day] for day in range(7)))
    found = []
    for day in range(7):
        known |= customers_of[begin_day + 7 + day - 1]
        found += [
            i
            for i in range(len(rows))
            if rows.day[i] == begin_day + 7 + 7 + day and int(rows.customer[i]) not in known
        ]
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_customers_with_a_known_fraud_are_left_out_as_in_the_handbook(seed: int) -> None:
    rare = frame(600, seed=seed).with_columns(
        TX_FRAUD=(pl.int_range(pl.len()) % 37 == 0).cast(pl.Int8),
        CUSTOMER_ID=pl.int_range(pl.len()) * 7 % 41,
    )
    rows = payments_of(rare)

    found = np.flatnonzero(judged_rows(rows, Fold(12)))

    assert found.tolist() == judged_slowly(rows, 12)
    in_week = np.count_nonzero(rows.days(26, 33))
    assert 0 < found.size < in_week


def test_the_truth_itself_is_the_best_score() -> None:
    at = ROWS.days(10, 24)

    best = quality(ROWS, at, ROWS.label[at].astype(np.float64))
    worst = quality(ROWS, at, -ROWS.label[at].astype(np.float64))

    assert best.average_precision == best.auc == 1.0
    assert worst.auc == 0.0
    assert mean_quality([best, worst]).auc == 0.5
