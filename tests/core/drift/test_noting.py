"""Rows that are noted and counted later are counted as one by one."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.decision import APPROVE
from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    MISSING,
    UNSEEN,
    numeric_column,
    values_column,
)
from sentinel.core.drift.counts.counting import GROUP_COUNT, SIZE_GROUP_COUNT, size_groups
from sentinel.core.drift.counts.noting import (
    MILLION,
    SCORE_SUMS,
    Binning,
    NotedRows,
    joined,
    noted,
    score_sums,
    steps_of,
)

BINNING = Binning(
    [
        numeric_column("amount", np.random.default_rng(0).normal(size=500)),
        values_column("channel", np.array([0.0, 1.0, 2.0])),
    ]
)


@dataclass
class Row:
    """One decided row."""

    partition: int
    step: int
    key: int
    action: int
    amount_minor: int
    probability: float
    account: int
    is_counted: bool
    values: tuple[float, float]


ROWS = st.builds(
    Row,
    st.integers(0, 2),
    st.integers(-3, 3),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 10**12),
    st.one_of(st.floats(0, 1), st.just(float("nan"))),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.tuples(
        st.sampled_from([-9.0, 0.0, 0.1, 9.0, float("nan"), float("inf")]),
        st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan")]),
    ),
)


def batch(rows: list[Row]) -> NotedRows:
    probability = np.array([row.probability for row in rows])
    return noted(
        partition=np.array([row.partition for row in rows], dtype=np.int64),
        step=np.array([row.step for row in rows], dtype=np.int64),
        key=np.array([row.key for row in rows], dtype=np.int64),
        action=np.array([row.action for row in rows], dtype=np.int64),
        amount_minor=np.array([row.amount_minor for row in rows], dtype=np.int64),
        probability=probability,
        account_hashes=np.array([row.account for row in rows], dtype=np.int64),
        is_counted=np.array([row.is_counted for row in rows], dtype=np.bool_),
        cells=BINNING.cells(np.array([row.values for row in rows]), probability),
    )


def cell(place: int, value: float) -> int:
    """How many edges are below it; by value, which it is."""
    column = BINNING.columns[place]
    edges = [edge for edge in column.edges.tolist() if edge < float("inf")]
    if value != value:
        return MISSING
    if column.kind == "values":
        return edges.index(value) if value in edges else UNSEEN
    return sum(edge < value for edge in column.edges.tolist())


@settings(max_examples=50, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=40), st.integers(1, 40))
def test_rows_are_counted_as_one_by_one(rows: list[Row], cut: int) -> None:
    pieces = [batch(one) for one in (rows[:cut], rows[cut:]) if one]
    whole = joined(pieces)
    assert len(whole) == len(rows)

    found = list(steps_of(whole))

    names = [(one.step, one.key) for one in found]
    assert names == sorted({(row.step, row.key) for row in rows})
    for one in found:
        own = [row for row in rows if (row.step, row.key) == (one.step, one.key)]
        assert one.row_count == len(own)
        assert dict(enumerate(one.actions.tolist())) == {
            action: sum(row.action == action for row in own) for action in range(len(one.actions))
        }
        counted = [row for row in own if row.is_counted]
        groups = size_groups(np.array([row.account for row in counted], dtype=np.int64)).tolist()
        cells: Counter[tuple[int, int, int]] = Counter()
        for row, group in zip(counted, groups, strict=True):
            for place, value in enumerate((*row.values, row.probability)):
                cells[place, group % GROUP_COUNT, cell(place, value)] += 1
        assert one.counts.cells.shape == (3, GROUP_COUNT, CELL_COUNT)
        assert {
            (int(p), int(g), int(c)): int(one.counts.cells[p, g, c])
            for p, g, c in zip(*np.nonzero(one.counts.cells), strict=True)
        } == cells
        assert one.counts.sizes.tolist() == [groups.count(g) for g in range(SIZE_GROUP_COUNT)]
        assert one.scores.tolist() == sums_of(own)


def sums_of(rows: list[Row]) -> list[list[int]]:
    found = [[0] * len(SCORE_SUMS) for _ in range(CELL_COUNT)]
    for row in rows:
        ppm = 0 if row.probability != row.probability else round(row.probability * MILLION)
        money = (row.amount_minor * ppm + MILLION // 2) // MILLION
        alert = row.action != APPROVE
        each = (1, ppm, row.amount_minor, money, alert, alert * ppm, alert * money)
        for i, value in enumerate(each):
            found[cell(2, row.probability)][i] += int(value)
    return found


@settings(max_examples=50, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=30), st.integers(0, 2))
def test_some_of_the_rows_are_as_if_only_they_had_been_noted(rows: list[Row], number: int) -> None:
    some = [row for row in rows if row.partition == number]
    found = batch(rows).where(np.array([row.partition == number for row in rows]))
    assert len(found) == len(some)
    if some:
        for one, other in zip(steps_of(found), steps_of(batch(some)), strict=True):
            assert one.counts.cells.tobytes() == other.counts.cells.tobytes()
            assert one.scores.tobytes() == other.scores.tobytes()


def test_sums_of_large_amounts_are_exact() -> None:
    amounts = np.array([9 * 10**12 - 1, 1, 0])
    ppm = np.array([MILLION, 499_999, 5])
    found = score_sums(np.array([3, 3, 4], dtype=np.uint8), ppm, amounts, np.array([True] * 3))
    assert found[3].tolist() == [2, 1_499_999, 9 * 10**12, 9 * 10**12 - 1, 2, 1_499_999,
                                 9 * 10**12 - 1]  # fmt: skip
    assert found[4].tolist() == [1, 5, 0, 0, 1, 5, 0]


def test_cells_are_named_by_all_columns() -> None:
    assert Binning(BINNING.features).digest == BINNING.digest
    assert Binning(BINNING.features[:1]).digest != BINNING.digest
    assert Binning(BINNING.features[::-1]).digest != BINNING.digest
