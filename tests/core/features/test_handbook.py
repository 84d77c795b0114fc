"""The Fraud Detection Handbook's published features, computed twice on its own data."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from sentinel.core.features.kernels.events import MARK_FRAUD
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState, Labels
from sentinel.records import Floats, Ints, Transactions
from sentinel.texts import Texts

DATA = Path(__file__).parents[4] / "shared" / "data" / "handbook_transactions.parquet"
DAY_MS = 86_400_000
DAY_COUNT = 21
BATCH_COUNT = 2_000
WINDOWS = (1, 7, 30)
DELAY = 7

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the data set is not here")


class History(NamedTuple):
    """Transactions in the order of time and identifier."""

    ms: Ints
    amount: Ints
    customer: Ints
    terminal: Ints
    is_fraud: Ints


def history() -> History:
    table = (
        pl.scan_parquet(DATA)
        .with_columns(
            ms=pl.col("TX_DATETIME").dt.epoch("ms"),
            amount=(pl.col("TX_AMOUNT") * 100).round().cast(pl.Int64),
        )
        .filter(pl.col("ms") < pl.col("ms").min() + DAY_COUNT * DAY_MS)
        .sort("ms", "TRANSACTION_ID")
        .select("ms", "amount", "CUSTOMER_ID", "TERMINAL_ID", "TX_FRAUD")
        .collect()
    )
    return History(*(table[name].cast(pl.Int64).to_numpy() for name in table.columns))


def features() -> list[FeatureParams]:
    found = [
        FeatureParams("TX_AMOUNT", "amount"),
        FeatureParams("TX_DURING_WEEKEND", "weekend"),
        FeatureParams("TX_DURING_NIGHT", "night"),
    ]
    for days in WINDOWS:
        window = f"{days}d"
        found += [
            FeatureParams("n", "count", "account", window=window, include_current=True),
            FeatureParams("mean", "mean", "account", window=window, include_current=True),
            FeatureParams("n", "count", "terminal", window=window, delay=f"{DELAY}d"),
            FeatureParams(
                "risk", "fraud_share", "terminal", window=window, delay=f"{DELAY}d", empty=0.0
            ),
        ]
    return found


def by_state(past: History) -> Floats:
    """Through `FeatureState`, with each fraud known `DELAY` days later, before its own instant."""
    entities = {name: EntityParams(events_max=1_024) for name in ("account", "terminal")}
    state = FeatureState(entities, features(), amount_decimals=2, entities_max=16_384)
    frauds = np.flatnonzero(past.is_fraud)
    of = np.concatenate([frauds, np.arange(past.ms.size)])
    is_label = np.arange(of.size) < frauds.size
    known_ms = past.ms[of] + np.where(is_label, DELAY * DAY_MS, 0)
    order = np.lexsort((of, ~is_label, known_ms))
    found = []
    for begin in range(0, order.size, BATCH_COUNT):
        at = order[begin : begin + BATCH_COUNT]
        rows = rows_of(past, of[at])
        state.admit_new(rows)
        fraud = is_label[at].astype(np.int64)
        folded = state.fold(rows, Labels(fraud * MARK_FRAUD, fraud))
        found.append(folded.features[fraud == 0])
    return np.concatenate(found)


def rows_of(past: History, of: Ints) -> Transactions:
    return Transactions(
        transaction_id=Texts.of(str(i) for i in of.tolist()),
        partition=np.zeros(of.size, dtype=np.int64),
        offset=of,
        event_time_ms=past.ms[of],
        amount_minor=past.amount[of],
        entities={
            "account": Texts.of(str(i) for i in past.customer[of].tolist()),
            "terminal": Texts.of(str(i) for i in past.terminal[of].tolist()),
        },
    )


def by_definition(past: History) -> Floats:
    """Straight from the published definition: positions in time found by binary search."""
    day = past.ms // DAY_MS
    columns = [past.amount / 100, (day + 3) % 7 >= 5, past.ms % DAY_MS // 3_600_000 <= 6]
    for days in WINDOWS:
        count, amount, _ = window(past.customer, past, 0, days, with_current=True)
        columns += [count, amount / count / 100]
        count, _, frauds = window(past.terminal, past, DELAY, days, with_current=False)
        columns += [count, np.divide(frauds, count, out=np.zeros(count.size), where=count > 0)]
    return np.column_stack(columns).astype(np.float64)


def window(
    key: Ints, past: History, delay: int, days: int, *, with_current: bool
) -> tuple[Ints, Ints, Ints]:
    """Count, amount and frauds of the same key within (t - delay - days, t - delay]."""
    order = np.argsort(key, kind="stable")  # by key, then as the rows stand: by time
    start_ms = past.ms[0] - 100 * DAY_MS
    place = key * (1_000 * DAY_MS) + past.ms - start_ms
    end = np.searchsorted(place[order], place - delay * DAY_MS, side="right")
    if with_current:  # of equal times only those that stand before
        end[order] = np.arange(key.size) + 1
    begin = np.searchsorted(place[order], place - (delay + days) * DAY_MS, side="right")
    sums = [np.concatenate([[0], np.cumsum(v[order])]) for v in (past.amount, past.is_fraud)]
    amount, frauds = (s[end] - s[begin] for s in sums)
    return end - begin, amount, frauds


def test_published_features_equal_their_definition() -> None:
    past = history()
    assert past.ms.size > 150_000

    found, expected = by_state(past), by_definition(past)

    assert found.shape == expected.shape
    for feature, values, wanted in zip(features(), found.T, expected.T, strict=True):
        if feature.stat in ("mean", "fraud_share"):
            np.testing.assert_allclose(values, wanted, rtol=1e-9, atol=0, err_msg=feature.name)
        else:
            np.testing.assert_array_equal(values, wanted, err_msg=feature.name)
    assert np.count_nonzero(expected[:, -1]) > 1_000  # terminals at risk do occur
