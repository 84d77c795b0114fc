"""Money is exact: neither many nor large amounts lose a cent or the spread between them."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sentinel.core.features.spec import EntityKind, EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState
from sentinel.records import Ints, Transactions
from sentinel.texts import Texts

LARGEST = 10**12
STATS = ("count", "sum", "mean", "std", "max", "ratio", "z_score")


def last_features(kind: EntityKind, amounts: Ints) -> dict[str, float]:
    """Features of the last amount from all before it, which spread over most of a day."""
    n = amounts.size
    entities = {
        "account": EntityParams(kind="tiles"),
        "shop": EntityParams(kind=kind, events_max=4_096, tile="1h"),
    }
    features = [FeatureParams(stat, stat, "shop", window="2d") for stat in STATS]
    state = FeatureState(entities, features, amount_decimals=0, entities_max=2)
    rows = Transactions(
        transaction_id=Texts.of(["t"] * n),
        partition=np.zeros(n, dtype=np.int64),
        offset=np.arange(n),
        event_time_ms=1_700_000_000_000 + np.arange(n) * 80_000_000 // n,
        amount_minor=amounts,
        entities={"account": Texts.of(["a"] * n), "shop": Texts.of(["s"] * n)},
    )
    state.admit_new(rows)
    return dict(zip(STATS, state.fold(rows).features[-1].tolist(), strict=True))


def exact_std(amounts: Ints) -> float:
    values = amounts.tolist()
    mean = Fraction(sum(values), len(values))
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


@pytest.mark.parametrize(("kind", "n"), [("events", 4_000), ("tiles", 100_000)])
def test_a_sum_of_the_largest_amounts_is_exact(kind: EntityKind, n: int) -> None:
    features = last_features(kind, np.full(n + 1, LARGEST))

    assert features["count"] == n
    assert features["sum"] == n * LARGEST
    assert features["mean"] == features["max"] == LARGEST
    assert features["std"] == 0.0
    assert features["ratio"] == 1.0
    assert math.isnan(features["z_score"])


@pytest.mark.parametrize(("kind", "n"), [("events", 3_000), ("tiles", 30_000)])
@pytest.mark.parametrize(
    ("low", "high"), [(LARGEST - 3, LARGEST), (0, LARGEST), (0, 2), (10**6 - 1, 10**6 + 10**4)]
)
def test_a_spread_is_exact_however_large_the_amounts(
    kind: EntityKind, n: int, low: int, high: int
) -> None:
    amounts = np.random.default_rng(2).integers(low, high, n + 1, endpoint=True)
    past = amounts[:-1]

    features = last_features(kind, amounts)

    assert features["std"] == pytest.approx(exact_std(past), rel=1e-9)
    deviation = Fraction(int(amounts[-1])) - Fraction(int(past.sum()), n)
    assert features["z_score"] == pytest.approx(float(deviation) / exact_std(past), rel=1e-9)


@pytest.mark.parametrize("kind", ["events", "tiles"])
def test_one_odd_amount_among_many_equal_ones_is_seen(kind: EntityKind) -> None:
    amounts = np.full(3_001, LARGEST)
    amounts[7] -= 1

    features = last_features(kind, amounts)

    assert features["std"] == pytest.approx(exact_std(amounts[:-1]), rel=1e-9)
    assert features["z_score"] == pytest.approx(1 / 3_000 / exact_std(amounts[:-1]), rel=1e-9)


def test_a_ratio_to_very_many_records_does_not_overflow() -> None:
    """The largest amount times ten million records is more than 64 bits hold."""
    entities = {"account": EntityParams(kind="tiles", tile="1d")}
    features = [FeatureParams("ratio", "ratio", "account", window="2d")]
    state = FeatureState(entities, features, amount_decimals=0, entities_max=2)
    rows = Transactions(
        transaction_id=Texts.of(["t"] * 2),
        partition=np.zeros(2, dtype=np.int64),
        offset=np.arange(2),
        event_time_ms=np.full(2, 1_700_000_000_000),
        amount_minor=np.array([1, LARGEST]),
        entities={"account": Texts.of(["a"] * 2)},
    )
    state.admit_new(rows)
    state.fold(rows)
    row = state.tables["account"].rows.parts[0]
    tile = np.flatnonzero(row == 2)[-1]
    row[tile : tile + 2] = (10**7, 10**7)  # so many records of one cent each

    again = replace(rows, offset=np.array([2, 3]))

    assert state.fold(again).features[1, 0] == pytest.approx(LARGEST * (10**7 + 1) / (10**7 + 1))
