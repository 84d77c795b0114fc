"""Measures of change against scipy and against loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    EDGE_COUNT,
    MISSING,
    UNSEEN,
    BinnedColumn,
    padded,
)
from sentinel.core.drift.windows.effects import Effects, effects, psi_by_chance, ridits
from sentinel.records import Ints

EDGES = padded(np.arange(EDGE_COUNT, dtype=np.float64))
NUMBERS, VALUES = BinnedColumn("x", "numeric", EDGES), BinnedColumn("c", "values", EDGES)


def some_counts(cells: dict[int, int]) -> Ints:
    found = np.zeros((1, CELL_COUNT), dtype=np.int64)
    for cell, count in cells.items():
        found[0, cell] = count
    return found


def of(
    window: dict[int, int], reference: dict[int, int], column: BinnedColumn = NUMBERS
) -> Effects:
    return effects([column], some_counts(window), some_counts(reference))


CELLS = st.dictionaries(
    st.integers(0, CELL_COUNT - 1), st.integers(1, 500), min_size=1, max_size=CELL_COUNT
)
KNOWN = st.dictionaries(st.integers(0, EDGE_COUNT), st.integers(1, 500), min_size=1, max_size=12)


@given(window=CELLS, reference=CELLS)
def test_measures_of_all_cells_are_those_of_a_loop(
    window: dict[int, int], reference: dict[int, int]
) -> None:
    cells = {*window, *reference}
    n, m = sum(window.values()), sum(reference.values())
    p, q = ({c: side.get(c, 0) / of for c in cells} for side, of in ((window, n), (reference, m)))
    k = len(cells)
    a, b = (
        {c: (side.get(c, 0) + 0.5) / (of + k / 2) for c in cells}
        for side, of in ((window, n), (reference, m))
    )

    found = of(window, reference, VALUES)

    assert found.total_variation[0] == pytest.approx(sum(abs(p[c] - q[c]) for c in cells) / 2)
    assert found.psi[0] == pytest.approx(
        sum((a[c] - b[c]) * math.log(a[c] / b[c]) for c in cells), abs=1e-12
    )
    if k > 1:
        table = [[side.get(c, 0) for c in cells] for side in (window, reference)]
        expected = stats.chi2_contingency(table, correction=False).statistic
        assert found.chi_square[0] == pytest.approx(expected, abs=1e-9)
    assert found.missing[0] == pytest.approx(p.get(MISSING, 0) - q.get(MISSING, 0))
    assert found.unknown[0] == pytest.approx(p.get(UNSEEN, 0) - q.get(UNSEEN, 0))
    assert found.effect[0] == found.total_variation[0]
    assert np.isnan([found.distance[0], found.wasserstein[0]]).all()


@given(window=KNOWN, reference=KNOWN)
def test_measures_of_order_are_scipys(window: dict[int, int], reference: dict[int, int]) -> None:
    a, b = (np.repeat(list(side), list(side.values())) for side in (window, reference))
    both = np.concatenate([a, b])
    ridit = {c: ((both < c).sum() + (both == c).sum() / 2) / both.size for c in range(CELL_COUNT)}

    found = of(window, reference)

    assert found.distance[0] == pytest.approx(
        stats.ks_2samp(a.tolist(), b.tolist()).statistic, abs=1e-12
    )
    expected = stats.wasserstein_distance(*([ridit[c] for c in side.tolist()] for side in (a, b)))
    assert found.wasserstein[0] == pytest.approx(expected, abs=1e-12)
    assert found.effect[0] == found.distance[0]


@given(window=CELLS, reference=CELLS)
def test_swapped_sides_are_as_far_apart(window: dict[int, int], reference: dict[int, int]) -> None:
    one, other = of(window, reference), of(reference, window)

    for name in ("psi", "chi_square", "total_variation", "distance", "wasserstein", "effect"):
        assert getattr(one, name)[0] == pytest.approx(getattr(other, name)[0])
    assert one.missing[0] == pytest.approx(-other.missing[0])


def test_the_effect_of_numbers_that_are_gone_is_their_share() -> None:
    found = of({0: 50, 1: 50, MISSING: 100}, {0: 100, 1: 100})

    assert found.distance[0] == 0
    assert found.effect[0] == pytest.approx(0.5)


def test_nothing_against_nothing_is_no_change() -> None:
    found = of({}, {})

    assert [found.psi[0], found.chi_square[0], found.total_variation[0], found.effect[0]] == [0] * 4


def test_ridits_are_middles_of_ranks() -> None:
    assert ridits(np.array([[2, 0, 2, 4]])).tolist() == [[0.125, 0.25, 0.375, 0.75]]


def test_the_index_that_chance_makes_is_its_mean() -> None:
    """Over 2,000 pairs of samples of one law: the usual limit of 0.2 is passed by chance alone."""
    rng = default_rng(3)
    shares = np.full(10, 0.1)
    windows, references = (np.zeros((2_000, CELL_COUNT), dtype=np.int64) for _ in range(2))
    windows[:, :10] = rng.multinomial(200, shares, 2_000)
    references[:, :10] = rng.multinomial(1_000, shares, 2_000)

    found = effects([NUMBERS] * 2_000, windows, references)

    sizes = np.full(2_000, 200.0), np.full(2_000, 1_000.0)
    expected = psi_by_chance(windows, references, *sizes)
    assert found.psi.mean() == pytest.approx(expected.mean(), rel=0.05)
    assert expected[0] == pytest.approx(9 * (1 / 200 + 1 / 1_000), rel=0.01)
