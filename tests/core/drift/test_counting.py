"""Columns and counts against numpy, and how counts add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    EDGE_COUNT,
    MISSING,
    UNSEEN,
    BinnedColumn,
    column_of,
    edges_of,
    numeric_column,
    padded,
    values_column,
)
from sentinel.core.drift.counts.counting import (
    GROUP_COUNT,
    SIZE_GROUP_COUNT,
    GroupCounts,
    count,
    size_groups,
)
from sentinel.records import Floats, Ints
from tests.core.drift.oracle import Rows, counted

NUMBERS = st.one_of(
    st.floats(-5, 5), st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e300, -1e300]), st.just(float("nan"))
)


@settings(max_examples=60)
@given(
    reference=st.lists(NUMBERS, max_size=60),
    values=st.lists(NUMBERS, max_size=60),
    bin_count=st.integers(2, EDGE_COUNT + 1),
)
def test_every_row_is_counted_where_numpy_says(
    reference: list[float], values: list[float], bin_count: int
) -> None:
    known, x = np.array(reference), np.array(values).reshape(-1, 1)
    few = known[np.isin(known, [0.0, 1.0, 2.0])]
    columns = [numeric_column("x", known, bin_count=bin_count), values_column("c", few)]
    rows = Rows(np.hstack([x, x]), np.arange(len(x)) // 3)

    found = count(rows.values, rows.accounts, *edges_of(columns))

    for f, column in enumerate(columns):
        expected = np.zeros((GROUP_COUNT, CELL_COUNT), dtype=np.int64)
        for (group, cell), n in counted(column, rows, f).items():
            expected[group, cell] = n
        assert np.array_equal(found.cells[f], expected)
    sizes = np.bincount(size_groups(rows.accounts), minlength=SIZE_GROUP_COUNT)
    assert np.array_equal(found.sizes, sizes)
    assert found.row_count == len(values)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), at=st.integers(0, 200))
def test_counts_of_pieces_add_up_to_those_of_the_whole(seed: int, at: int) -> None:
    rng = default_rng(seed)
    values = rng.standard_normal((200, 3))
    accounts = rng.integers(0, 50, 200)
    cells = edges_of([numeric_column(f"x{f}", values[:, f]) for f in range(3)])

    whole = count(values, accounts, *cells)
    added = count(values[:at], accounts[:at], *cells) + count(values[at:], accounts[at:], *cells)

    assert np.array_equal(added.cells, whole.cells)
    assert np.array_equal(added.sizes, whole.sizes)
    some = whole.of_columns([2, 0])
    assert np.array_equal(some.cells[0], whole.cells[2])
    assert some.row_count == 200


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    bin_count=st.integers(2, EDGE_COUNT + 1),
)
def test_edges_are_values_of_the_reference_and_cut_it_evenly(
    values: list[float], bin_count: int
) -> None:
    x = np.array(values)

    column = numeric_column("x", x, bin_count=bin_count)

    edges = column.edges[: column.finite_count]
    assert set(edges) <= set(x)
    assert 1 <= edges.size < bin_count
    cells = np.bincount(np.searchsorted(edges, x), minlength=edges.size + 1)
    heaviest = np.unique(x, return_counts=True)[1].max()
    assert cells.max() <= x.size / bin_count + 1 + heaviest


def test_what_repeats_has_fewer_cells_and_what_is_nothing_one() -> None:
    assert numeric_column("x", np.zeros(50)).finite_count == 1
    assert numeric_column("x", np.full(50, np.nan)).finite_count == 0
    assert numeric_column("x", np.empty(0)).finite_count == 0
    assert column_of("x", np.empty(0)).kind == "numeric"
    assert column_of("x", np.array([1.0, 2.0, np.nan])).kind == "values"
    assert column_of("x", np.arange(13.0)).kind == "numeric"


def test_edges_go_up_and_are_all_there() -> None:
    for edges in ([2.0, 1.0], [1.0, 1.0], [np.nan]):
        with pytest.raises(AssertionError):
            BinnedColumn("x", "numeric", padded(np.array(edges)))
    with pytest.raises(AssertionError):
        BinnedColumn("x", "numeric", np.zeros(3))
    with pytest.raises(AssertionError):
        values_column("x", np.arange(EDGE_COUNT + 1.0))


def per_account(sizes: Ints, values: Floats | None = None) -> tuple[float, float]:
    accounts = np.repeat(np.arange(sizes.size), sizes)
    x = np.zeros((accounts.size, 1)) if values is None else values
    found = count(x, accounts, *edges_of([numeric_column("x", np.arange(2.0))]))
    return found.rows_per_account(), float((sizes**2).sum() / sizes.sum())


@pytest.mark.parametrize("sizes", ["equal", "skewed", "few", "single"])
def test_how_many_rows_an_account_has_follows_from_counts(sizes: str) -> None:
    """Its standard deviation is 4 per cent where there are many accounts."""
    rng = default_rng(4)
    of = {
        "equal": np.full(5_000, 20),
        "skewed": np.minimum(rng.pareto(1.5, 5_000) * 7 + 7, 2_000).astype(np.int64),
        "few": np.full(50, 20),
        "single": np.ones(20_000, dtype=np.int64),
    }[sizes]

    found, exact = per_account(of)

    assert found == pytest.approx(exact, rel=0.2)


def test_of_no_rows_there_is_one_an_account() -> None:
    assert GroupCounts.empty(3).rows_per_account() == 1.0
    assert GroupCounts.empty(3).row_count == 0


def test_accounts_are_spread_over_the_groups() -> None:
    groups = np.bincount(size_groups(np.arange(200_000)), minlength=SIZE_GROUP_COUNT)

    assert groups.size == SIZE_GROUP_COUNT
    assert groups.min() > 100
    assert groups.max() < 300


def test_missing_and_unseen_are_apart() -> None:
    column = values_column("c", np.array([1.0, 5.0]))
    x = np.array([[1.0], [5.0], [3.0], [np.nan], [9.0]])

    found = count(x, np.arange(5), *edges_of([column])).cells[0].sum(axis=0)

    assert found[[0, 1, MISSING, UNSEEN]].tolist() == [1, 1, 1, 2]
    assert found.sum() == 5
