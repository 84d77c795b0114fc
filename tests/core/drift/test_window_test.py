"""The window test against the same from rows, and what must hold of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng

from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    MISSING,
    UNSEEN,
    BinnedColumn,
    column_of,
    edges_of,
    numeric_column,
    values_column,
)
from sentinel.core.drift.counts.counting import GROUP_COUNT, GroupCounts, count
from sentinel.core.drift.windows.window_test import ColumnTest, window_test
from sentinel.records import Floats, Ints
from tests.core.drift.oracle import Rows, p_values

COLUMN_COUNT = 6


def rows_of(rng: Generator, account_count: int, rows_max: int) -> Rows:
    """Numbers with gaps, numbers of few values, and categories; alike within an account."""
    sizes = rng.integers(1, rows_max + 1, account_count)
    account = np.repeat(np.arange(account_count), sizes)
    z = rng.standard_normal((account_count, COLUMN_COUNT))[account]
    z = 0.7 * z + 0.7 * rng.standard_normal((account.size, COLUMN_COUNT))
    z[:, 2:4] = np.round(z[:, 2:4])
    z[:, 4:] = np.digitize(z[:, 4:], [-1.0, 0.0, 2.0])
    z[rng.random(z.shape) < 0.05] = np.nan
    return Rows(z, account + int(rng.integers(2**40)))


def columns_of(values: Floats, bin_count: int = 8) -> list[BinnedColumn]:
    numbers = [numeric_column(f"x{f}", values[:, f], bin_count=bin_count) for f in range(4)]
    return numbers + [values_column(f"c{f}", values[:, f]) for f in (4, 5)]


def counts_of(rows: Rows, columns: list[BinnedColumn]) -> GroupCounts:
    return count(rows.values, rows.accounts, *edges_of(columns))


def judged(
    columns: list[BinnedColumn], window: Rows, reference: Rows, **more: bool
) -> list[ColumnTest]:
    return window_test(columns, counts_of(window, columns), counts_of(reference, columns), **more)


def ps(tests: list[ColumnTest]) -> list[float]:
    return [test.p for test in tests]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    accounts=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    rows_max=st.tuples(st.sampled_from([1, 2, 9]), st.sampled_from([1, 9])),
    shift=st.sampled_from([0.0, 0.5, 5.0]),
)
def test_it_is_what_the_same_test_says_of_rows(
    seed: int, accounts: tuple[int, int], rows_max: tuple[int, int], shift: float
) -> None:
    rng = default_rng(seed)
    window, reference = (rows_of(rng, n, m) for n, m in zip(accounts, rows_max, strict=True))
    window.values[:, [0, 4]] += shift
    columns = columns_of(reference.values)

    found = judged(columns, window, reference)

    counts = [counts_of(side, columns) for side in (window, reference)]
    per_account = (counts[0].rows_per_account(), counts[1].rows_per_account())
    expected = p_values(columns, window, reference, per_account)
    np.testing.assert_allclose(ps(found), expected, rtol=1e-6, atol=1e-300)
    assert [test.alarm for test in found] == [p <= 0.01 for p in expected]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_the_order_of_rows_and_what_accounts_are_called_change_little_or_nothing(seed: int) -> None:
    rng = default_rng(seed)
    window, reference = rows_of(rng, 50, 5), rows_of(rng, 50, 5)
    columns = columns_of(reference.values)
    order = rng.permutation(len(window.values))

    other = Rows(window.values[order], window.accounts[order])

    assert judged(columns, other, reference) == judged(columns, window, reference)


def test_a_window_that_is_its_reference_has_not_changed() -> None:
    rows = rows_of(default_rng(1), 40, 5)

    found = judged(columns_of(rows.values), rows, rows)

    assert ps(found) == [1.0] * COLUMN_COUNT
    assert [test.effect for test in found] == [0.0] * COLUMN_COUNT


@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_it_alarms_where_p_is_not_above_alpha(alpha: float) -> None:
    rng = default_rng(5)
    reference, window = rows_of(rng, 300, 3), rows_of(rng, 300, 3)
    window.values[:, 0] += 0.35
    columns = columns_of(reference.values)

    found = window_test(
        columns, counts_of(window, columns), counts_of(reference, columns), alpha=alpha
    )

    assert [test.alarm for test in found] == [test.p <= alpha for test in found]


def planted(what: str, values: Floats) -> tuple[int, str, int | None]:
    """Which column changes, and the part that must alarm."""
    if what == "higher":
        values[:, 0] += 0.2
        return 0, "location", None
    if what == "wider":
        values[:, 0] *= 1.2
        return 0, "spread", None
    if what == "missing":
        values[: len(values) // 3, 0] = np.nan
        return 0, "cell", MISSING
    values[::20, 4] = 99.0
    return 4, "cell", UNSEEN


@pytest.mark.parametrize("what", ["higher", "wider", "missing", "unseen"])
def test_the_part_that_changed_is_named_and_the_others_are_quiet(what: str) -> None:
    rng = default_rng(11)
    reference, window = rows_of(rng, 9_000, 3), rows_of(rng, 6_000, 3)
    at, part, cell = planted(what, window.values)

    found = judged(columns_of(reference.values), window, reference)

    assert [test.alarm for test in found] == [f == at for f in range(COLUMN_COUNT)]
    assert (found[at].part, found[at].cell) == (part, cell)


@pytest.mark.parametrize("n", [200, 1_000])
@pytest.mark.parametrize("value", [0.1, 1e9, -1e9])
def test_a_constant_is_seen_in_few_accounts(n: int, value: float) -> None:
    """At the edge of the cells, and amid them; of the lowest cell it takes more accounts."""
    rng = default_rng(3)
    reference = Rows(rng.standard_normal((10_000, 1)), np.repeat(np.arange(500), 20))
    columns = [column_of("x", reference.values[:, 0], bin_count=15)]

    window = Rows(np.full((n, 1), value), np.repeat(np.arange(n // 20), 20) + 10**6)

    assert judged(columns, window, reference)[0].alarm


def test_one_account_tells_nothing_of_others() -> None:
    """Unless each row is taken to be one."""
    rng = default_rng(9)
    accounts = np.repeat(np.arange(100), 20)
    reference = Rows(rng.standard_normal((100, 1))[accounts], accounts)
    window = Rows(1.5 + 0.1 * rng.standard_normal((500, 1)), np.full(500, 7))
    columns = columns_of_one(reference.values)

    assert not judged(columns, window, reference)[0].alarm
    assert judged(columns, window, reference, rows_are_independent=True)[0].alarm


def columns_of_one(values: Floats) -> list[BinnedColumn]:
    return [numeric_column("x", values[:, 0], bin_count=10)]


def test_an_account_with_half_of_all_rows_is_no_change() -> None:
    rng = default_rng(2)
    reference = Rows(rng.standard_normal((20_000, 1)), np.repeat(np.arange(1_000), 20))
    values = rng.standard_normal((2_000, 1))
    accounts = np.repeat(np.arange(100), 20) + 10**6
    values[1_000:], accounts[1_000:] = 1.8 + 0.1 * values[1_000:], 10**7

    assert not judged(columns_of_one(reference.values), Rows(values, accounts), reference)[0].alarm


@pytest.mark.parametrize("reference", ["empty", "missing", "constant", "tiny"])
@pytest.mark.parametrize("window", ["empty", "missing", "constant", "tiny"])
def test_what_can_be_compared_with_nothing_is_a_number_all_the_same(
    window: str, reference: str
) -> None:
    sides = {
        "empty": np.empty((0, 2)),
        "missing": np.full((30, 2), np.nan),
        "constant": np.full((30, 2), 3.0),
        "tiny": np.arange(40.0).reshape(20, 2),
    }
    rows = {name: Rows(x, np.arange(len(x))) for name, x in sides.items()}
    known = sides[reference]
    columns = [numeric_column("x", known[:, 0]), column_of("c", known[:, 1])]

    for independent in (True, False):
        found = judged(columns, rows[window], rows[reference], rows_are_independent=independent)
        for test in found:
            assert 0 <= test.p <= 1
            assert np.isfinite([test.effect, test.total_variation, test.psi_beyond_chance]).all()
            assert test.alarm == (test.p <= 0.01)
        if window == reference or "empty" in (window, reference):
            assert not any(test.alarm for test in found)


def test_no_column_is_none_that_changed() -> None:
    assert window_test([], GroupCounts.empty(0), GroupCounts.empty(0)) == []


def test_a_change_too_small_to_matter_is_none_however_sure_it_is() -> None:
    counts = np.zeros((1, GROUP_COUNT, CELL_COUNT), dtype=np.int64)
    counts[0, :, 0] = counts[0, :, 1] = 10**9
    other = counts.copy()
    other[0, :, 0] += 10**7
    sizes = np.full(1024, int(counts.sum()) // 1024)
    columns = [numeric_column("x", np.array([0.0, 1.0]), bin_count=2)]

    (found,) = window_test(columns, GroupCounts(other, sizes), GroupCounts(counts, sizes))

    assert found.part == "cell"  # a single cell has no floor
    assert found.effect < 0.02


def null_alarms(rng: Generator, repeats: int, *, alike: bool) -> tuple[int, int]:
    """Windows without a change in which any column alarms; and in which one has p <= 0.5."""
    alarms = halves = 0
    for _ in range(repeats):
        sides = []
        for accounts in (60, 200):
            account = np.repeat(np.arange(accounts), 15)
            z = rng.standard_normal((account.size, 8))
            z += rng.standard_normal((accounts, 8))[account]
            sides.append(Rows(z, account + int(rng.integers(2**40))))
        window, reference = sides
        columns = [numeric_column(f"x{f}", reference.values[:, f], bin_count=10) for f in range(8)]
        found = judged(columns, window, reference, rows_are_independent=not alike)
        alarms += any(test.alarm for test in found)
        halves += any(test.p <= 0.5 for test in found)
    return alarms, halves


def test_the_rate_of_false_alarms_is_kept_where_rows_of_an_account_are_alike() -> None:
    """Of 150 windows 1.5 may alarm: six or more would come by chance once in 250. p is no constant:
    half of the windows, or fewer, have one of 0.5.
    """
    alarms, halves = null_alarms(default_rng(21), 150, alike=True)

    assert alarms < 6
    assert 5 < halves < 95


def test_taken_for_independent_they_alarm_at_nothing() -> None:
    alarms, _ = null_alarms(default_rng(21), 20, alike=False)

    assert alarms > 15


def hashes(n: int) -> Ints:
    return np.arange(n)


@pytest.mark.parametrize("huge", [1e300, -1e300, np.inf])
def test_huge_numbers_are_numbers(huge: float) -> None:
    values = default_rng(1).standard_normal((4_000, 1))
    window = values[:2_000].copy()
    window[::10] = huge
    columns = columns_of_one(values)

    (found,) = judged(columns, Rows(window, hashes(2_000)), Rows(values, hashes(4_000)))

    assert found.alarm
    assert found.effect == pytest.approx(0.1, abs=0.03)
