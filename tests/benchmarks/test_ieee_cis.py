"""What the benchmark on real cards computes: nothing in it knows the future, or a young label."""

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.random import Generator

from benchmarks.card_groups import (
    MEMBER,
    MISSING,
    group_features,
    holders,
    ordinal,
    raw_columns,
    read_transactions,
    with_groups,
)
from benchmarks.ieee_cis import (
    ADDED,
    CONFIG,
    DAY_S,
    GROUPS,
    RAW,
    RAW_FORESTS,
    counted_table,
    of_card_groups,
    of_raw_columns,
)
from benchmarks.prequential import WEEK_S, Fits, Table, judged, keep, prequential
from benchmarks.value_columns import amount_decimals, value_counts
from sentinel import config as configuration
from sentinel.core.learning.evaluation import auc
from sentinel.core.learning.params import FitParams
from sentinel.model import Model
from sentinel.records import Floats, Ints

DELAY_S = 7 * DAY_S
SMALL = FitParams(tree_count=3, leaf_count_max=4, leaf_row_count_min=5)


@pytest.fixture
def rng() -> Generator:
    return np.random.default_rng(7)


def some_transactions(rng: Generator, count: int = 300) -> pl.DataFrame:
    """Rows of few cards over forty days, with gaps in what may be missing."""

    def some(values: list[str], missing: float) -> list[str | None]:
        drawn = rng.choice(values, count).tolist()
        return [None if rng.random() < missing else value for value in drawn]

    times_s = 86_400 + np.sort(rng.integers(0, 40 * DAY_S, count))
    times_s[1::10] = times_s[::10][: len(times_s[1::10])]  # some at the same second
    return pl.DataFrame(
        {
            "TransactionID": np.arange(count) + 1_000,
            "isFraud": (rng.random(count) < 0.3).astype(np.int64),
            "TransactionDT": np.sort(times_s),
            "TransactionAmt": rng.integers(1, 20, count) * 12.125,
            "ProductCD": rng.choice(["C", "W"], count),
            "card1": rng.choice([10.0, 11.0, 12.0], count),
            "card2": rng.choice([400.0, 500.0], count),
            "card3": np.full(count, 150.0),
            "card5": np.full(count, 226.0),
            "addr1": pl.Series(some(["300", "310"], 0.2)).cast(pl.Float64),
            "addr2": np.full(count, 87.0),
            "R_emaildomain": some(["gmail.com", "aol.com"], 0.5),
            "C13": rng.integers(0, 4, count).astype(np.float64),
            "id_16": some(["Found"], 0.5),
            "id_19": pl.Series(some(["266", "410"], 0.5)).cast(pl.Float64),
            "id_20": pl.Series(some(["325"], 0.5)).cast(pl.Float64),
            "id_27": some(["Found"], 0.5),
            "DeviceInfo": some(["Windows", "SM-G892A"], 0.5),
        }
    )


def features_of(frame: pl.DataFrame, labels: Ints) -> Floats:
    return group_features(with_groups(frame), labels, configuration.load(CONFIG, {}))


def labels_of(frame: pl.DataFrame) -> Ints:
    return frame["isFraud"].to_numpy().astype(np.int64)


def oracle(rows: list[dict[str, Any]], i: int, key: str) -> dict[str, float]:
    """What a group did before a row and what was known of it, by a plain loop over all rows."""
    now = rows[i]
    now_s = now["TransactionDT"]
    past = [row for row in rows[:i] if row[key] == now[key]]
    known = [row for row in past if row["TransactionDT"] <= now_s - DELAY_S]

    def within(among: list[dict[str, Any]], days: int) -> list[dict[str, Any]]:
        return [row for row in among if row["TransactionDT"] > now_s - days * DAY_S]

    matured = within(known, 182 + 7)
    frauds = sum(row["isFraud"] for row in matured)
    return {
        f"{key}_count_7d": len(within(past, 7)),
        f"{key}_frauds_14d": sum(row["isFraud"] for row in within(known, 14)),
        f"{key}_risk_182d": frauds / len(matured) if matured else np.nan,
        f"{key}_count_182d_known": len(matured),
        f"{key}_seconds_since_last": now_s - past[-1]["TransactionDT"] if past else np.nan,
        f"{key}_amount_ratio": (
            now["TransactionAmt"] * len(past) / sum(row["TransactionAmt"] for row in past)
            if past
            else np.nan
        ),
    }


@pytest.mark.parametrize("key", ["account", "place", "purchase", "holder", "device"])
def test_features_of_a_group_agree_with_a_plain_loop(rng: Generator, key: str) -> None:
    frame = some_transactions(rng)
    names = [feature.name for feature in configuration.load(CONFIG, {}).features]

    found = features_of(frame, labels_of(frame))

    rows = with_groups(frame).rows(named=True)
    for i in range(len(rows)):
        if rows[i][key] is not None:
            for name, value in oracle(rows, i, key).items():
                np.testing.assert_allclose(found[i, names.index(name)], value, err_msg=name)


def test_features_do_not_know_what_comes_later(rng: Generator) -> None:
    frame = some_transactions(rng)
    labels = labels_of(frame)

    whole = features_of(frame, labels)

    for count in (1, 50, 211):
        np.testing.assert_array_equal(features_of(frame.head(count), labels[:count]), whole[:count])


def test_a_label_changes_nothing_until_it_is_known(rng: Generator) -> None:
    frame = some_transactions(rng)
    times_s = frame["TransactionDT"].to_numpy()
    labels = labels_of(frame)
    before = features_of(frame, labels)

    for turned in (5, 60, 120):
        other = labels.copy()
        other[turned] = 1 - other[turned]
        after = features_of(frame, other)
        differing = np.any((after != before) & ~(np.isnan(after) & np.isnan(before)), axis=1)
        assert differing.any(), "a known label must show somewhere"
        assert times_s[differing].min() >= times_s[turned] + DELAY_S


def test_a_holder_is_followed_by_the_counter() -> None:
    accounts = ["a", "a", "a", "b", "a", "a", "a"]
    counters = [4.0, 1.0, 5.0, 6.0, 5.0, 2.0, 6.0]

    assert holders(accounts, counters) == [0, 1, 0, 2, 0, 1, 0]


def test_holders_are_found_from_the_past_alone(rng: Generator) -> None:
    accounts = rng.choice(["a", "b"], 200).tolist()
    counters = rng.integers(0, 9, 200).astype(np.float64).tolist()

    whole = holders(accounts, counters)

    assert [holders(accounts[:n], counters[:n]) for n in range(200)] == [
        whole[:n] for n in range(200)
    ]


def test_codes_of_texts_come_from_the_training_rows_alone() -> None:
    codes = ordinal(["b", None, "a", "b", "c", "a"], train_count=4)

    np.testing.assert_array_equal(codes, [1.0, MISSING, 0.0, 1.0, np.nan, 0.0])


def test_raw_columns_hold_neither_label_nor_time(rng: Generator) -> None:
    frame = some_transactions(rng, 20)

    features, names = raw_columns(frame, 10)

    assert features.shape == (20, len(names))
    assert set(names) == set(frame.columns) - {"TransactionID", "isFraud", "TransactionDT"}


def test_values_are_counted_among_the_training_rows_alone() -> None:
    frame = pl.DataFrame(
        {
            "card": [1.0, None, 1.0, 2.0, None, 1.0],
            "domain": ["x", "y", "x", None, "y", "y"],
        }
    )

    counts, names = value_counts(frame, 3, [("card",), ("domain",), ("card", "domain")])

    assert names == ["count_card", "count_domain", "count_card_domain"]
    expected = [[2, 2, 2], [1, 1, 1], [2, 2, 2], [0, 0, 0], [1, 1, 1], [2, 1, 0]]
    np.testing.assert_array_equal(counts, expected)


def test_decimals_of_an_amount() -> None:
    frame = pl.DataFrame({"TransactionAmt": [5.0, 117.5, 49.95, 31.877, 0.29, 1_000.001]})

    decimals, _ = amount_decimals(frame)

    expected = [[0, 0], [500, 1], [950, 2], [877, 3], [290, 2], [1, 3]]
    np.testing.assert_array_equal(decimals, expected)


def test_counts_stand_beside_the_raw_columns_and_know_no_label(rng: Generator) -> None:
    frame = some_transactions(rng, 100)
    raw, raw_names = raw_columns(frame, 80)
    turned = frame.with_columns(isFraud=1 - pl.col("isFraud"))

    table = counted_table(frame, 80)

    assert table.names[: len(raw_names)] == raw_names
    np.testing.assert_array_equal(table.features[:, : len(raw_names)], raw)
    np.testing.assert_array_equal(table.features, counted_table(turned, 80).features)
    later = frame.head(90)
    np.testing.assert_array_equal(table.features[:90], counted_table(later, 80).features)


def test_a_file_and_the_wheel_around_it_read_the_same(rng: Generator, tmp_path: Path) -> None:
    frame = some_transactions(rng, 50)
    file, wheel = tmp_path / "train.csv", tmp_path / "some.whl"
    frame.sample(fraction=1.0, shuffle=True, seed=3).write_csv(file)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(file, MEMBER)

    read = read_transactions(file)

    assert read.sort("TransactionID").equals(frame)
    assert read["TransactionDT"].is_sorted()
    assert read_transactions(wheel).equals(read)


def some_table(rng: Generator, count: int = 600) -> Table:
    times_s = np.sort(rng.integers(0, 60 * DAY_S, count))
    labels = (rng.random(count) < 0.3).astype(np.int64)
    features = np.column_stack([labels + rng.normal(size=count), rng.normal(size=count)])
    return Table(features, ["x", "noise"], labels, times_s, 400)


def test_weeks_hold_each_row_of_the_test_once(rng: Generator) -> None:
    table = some_table(rng)

    rows = [np.arange(600)[rows] for _, rows in table.weeks()]

    np.testing.assert_array_equal(np.concatenate(rows), np.arange(400, 600))
    for (begin_s, _), week in zip(table.weeks(), rows, strict=True):
        assert np.all(table.times_s[week] >= begin_s)
        assert np.all(table.times_s[week] < begin_s + WEEK_S)


def test_known_rows_are_as_old_as_their_labels_take(rng: Generator) -> None:
    table = some_table(rng)
    now_s = int(table.times_s[450])

    ages_s = now_s - table.times_s
    known = np.arange(600)[table.known(now_s, DELAY_S)]
    windowed = np.arange(600)[table.known(now_s, DELAY_S, 10 * DAY_S)]

    np.testing.assert_array_equal(known, np.flatnonzero(ages_s >= DELAY_S))
    inside = (ages_s >= DELAY_S) & (ages_s < DELAY_S + 10 * DAY_S)
    np.testing.assert_array_equal(windowed, np.flatnonzero(inside))


def test_each_week_is_scored_by_its_own_model(rng: Generator) -> None:
    table = some_table(rng)
    fits = Fits(table)
    texts = [fits.fit(slice(0, 400), SMALL)]

    def update(begin_s: int, text: str) -> str:
        texts.append(fits.fit(table.known(begin_s, DELAY_S, 20 * DAY_S), SMALL, text))
        return texts[-1]

    scores, model = prequential(table, texts[0], update)

    weeks = [rows for _, rows in table.weeks()]
    assert len(weeks) == len(texts) == len(fits.seconds) > 2
    expected = [
        Model.from_text("x", text).scores(table.features[rows])
        for text, rows in zip(texts, weeks, strict=True)
    ]
    np.testing.assert_array_equal(scores, np.concatenate(expected))
    assert model.tree_count == SMALL.tree_count * len(weeks)


def test_labels_of_the_test_do_not_reach_its_own_scores(rng: Generator) -> None:
    """Turn every label that is not yet known when the last week begins: no score may move."""
    table = some_table(rng)
    last_s = list(table.weeks())[-1][0]
    young = table.times_s > last_s - DELAY_S
    turned = replace(table, labels=np.where(young, 1 - table.labels, table.labels))

    def scores_of(some: Table) -> Floats:
        fits = Fits(some)
        first = fits.fit(some.known(int(some.times_s[400]), DELAY_S), SMALL)
        return prequential(
            some, first, lambda begin_s, _: fits.fit(some.known(begin_s, DELAY_S), SMALL)
        )[0]

    np.testing.assert_array_equal(scores_of(table), scores_of(turned))


def test_an_outcome_judges_the_whole_test_and_its_weeks(rng: Generator) -> None:
    table = some_table(rng)
    first = Fits(table).fit(slice(0, 400), SMALL)
    scores, _ = prequential(table, first, keep)

    found = judged("one", table, scores, 3, first_s=1.0, update_s=0.0)

    assert found.auc == auc(scores, table.labels[400:])
    assert sum(week["rows"] or 0 for week in found.weeks) == 200


def test_a_mean_of_forests_scores_as_they_do_on_average(rng: Generator) -> None:
    table = some_table(rng)
    rows = slice(0, 400)
    fits = Fits(table)
    alone = [fits.fit(rows, replace(SMALL, seed=seed)) for seed in (0, 1, 2)]

    both = fits.fit_mean(rows, SMALL, 3)

    def raw(text: str) -> Floats:
        return Model.from_text("x", text).raw_scores(table.features)

    assert not np.allclose(raw(alone[0]), raw(alone[1]))
    np.testing.assert_allclose(raw(both), np.mean([raw(text) for text in alone], axis=0))
    assert len(fits.seconds) == 4, "one model, one time"


def test_each_protocol_ends_with_its_trees(rng: Generator) -> None:
    frame = some_transactions(rng, 600)
    outcomes = [of_raw_columns(frame, trees_divisor=30)]
    outcomes += of_card_groups(frame, trees_divisor=30)[0]

    raw, groups, added = (params.tree_count // 30 for params in (RAW, GROUPS, ADDED))
    week_count = len(outcomes[0].weeks)
    assert week_count > 1
    assert [found.trees for found in outcomes] == [
        RAW_FORESTS * raw,
        groups,
        groups + (week_count - 1) * added,
        groups,
    ]
    assert [found.update_s > 0 for found in outcomes] == [False, False, True, True]
