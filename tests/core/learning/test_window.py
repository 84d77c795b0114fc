"""The newest examples, and where those begin on which a candidate is judged."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from sentinel.core.learning.training_data.columns import Columns, no_columns
from sentinel.core.learning.training_data.window import (
    counting,
    gate_begin_ms,
    mature_ms,
    with_newest,
)
from tests.core.learning.wide import columns, labelled


def begin_ms(rows: Columns, **changes: float) -> int | None:
    asked = {"since_ms": 0, "fraud_count": 10, "row_count_min": 50, "share_max": 0.5, **changes}
    return gate_begin_ms(
        rows,
        since_ms=int(asked["since_ms"]),
        fraud_count=int(asked["fraud_count"]),
        row_count_min=int(asked["row_count_min"]),
        share_max=asked["share_max"],
    )


def every_tenth(count: int) -> Columns:
    """One transaction a second, of which 9, 19, 29 and so on are fraud."""
    return labelled(columns(count), np.arange(count) % 10 == 9)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_window_has_the_newest_transactions_however_they_came(seed: int) -> None:
    rng = default_rng(seed)
    rows = columns(1_000)
    late = labelled(rows, rng.random(1_000) < 0.5, later=10_000)
    parts = [rows.take(np.sort(part)) for part in np.array_split(rng.permutation(1_000), 9)]
    parts += [late.take(np.arange(0, 900))]

    window = no_columns(2)
    for part in parts:
        window = with_newest(window, part, 200)

    assert sorted(window.examples.event_time_ms.tolist()) == list(range(800_000, 1_000_000, 1_000))
    assert np.array_equal(window.examples.version >= 10_000, window.examples.event_time_ms < 9e5)
    assert (np.diff(window.examples.id_hash) > 0).all()


def test_what_tells_nothing_does_not_count_and_the_rest_is_in_the_order_of_time() -> None:
    rows = columns(100)
    weight = np.where(np.arange(100) < 10, 0.0, 1.0)
    posterior = np.where(np.arange(100) < 20, 0.0, 0.5)
    is_fraud = np.ones(100, dtype=bool)
    told = replace(rows.examples, weight=weight, posterior=posterior, is_fraud=is_fraud)
    shuffled = replace(rows, examples=told).take(default_rng(1).permutation(100))

    assert counting(shuffled, None).examples.version.tolist() == list(range(20, 100))
    assert counting(shuffled, 30_000).examples.version.tolist() == list(range(20, 31))


def test_the_gate_takes_the_newest_as_many_as_hold_so_many_frauds() -> None:
    rows = every_tenth(1_000)

    assert begin_ms(rows, fraud_count=10) == 909_000
    assert begin_ms(rows, fraud_count=20) == 809_000


def test_frauds_of_one_account_count_once() -> None:
    rows = every_tenth(1_000)
    rows.account[:] = np.where(np.arange(1_000) >= 900, 7, rows.account)

    assert begin_ms(rows, fraud_count=10) == 819_000


def test_frauds_that_came_for_a_reason_do_not_count() -> None:
    rows = every_tenth(1_000)
    rows.is_selective[-100:] = True

    assert begin_ms(rows, fraud_count=10) == 809_000


def test_the_gate_takes_enough_rows_and_never_more_than_its_share() -> None:
    rows = every_tenth(1_000)

    assert begin_ms(rows, fraud_count=1, row_count_min=300) == 700_000
    assert begin_ms(rows, fraud_count=99, share_max=0.3) == 700_000
    assert begin_ms(rows, fraud_count=99, share_max=0.3, row_count_min=300) == 700_000
    assert begin_ms(rows, fraud_count=99, share_max=0.3, row_count_min=301) is None


def test_the_gate_takes_nothing_that_the_champion_has_seen() -> None:
    rows = every_tenth(1_000)

    assert begin_ms(rows, since_ms=900_001, fraud_count=50) == 901_000
    assert begin_ms(rows, since_ms=960_000) is None
    assert begin_ms(rows, since_ms=10**12, row_count_min=0) is None
    assert begin_ms(no_columns(2), row_count_min=0) is None


def test_rows_of_one_instant_are_not_parted() -> None:
    rows = every_tenth(1_000)
    rows.examples.event_time_ms[890:920] = 890_000

    assert begin_ms(rows, fraud_count=10) == 890_000


def test_examples_are_mature_as_far_as_silence_was_told() -> None:
    rows = columns(100)
    told = rows.examples.event_time_ms[rows.examples.is_presumed].max()
    spoken_of = replace(rows, examples=replace(rows.examples, is_presumed=np.zeros(100, bool)))

    assert mature_ms(rows, None) == mature_ms(rows, 5) == told
    assert mature_ms(rows, 10**9) == 10**9
    assert mature_ms(spoken_of, None) is None
    assert mature_ms(spoken_of, 5) == 5
    assert mature_ms(no_columns(2), None) is None
