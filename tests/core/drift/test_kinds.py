"""The kinds of planted changes, and which columns are one cause."""

import numpy as np
import pytest
from numpy.random import default_rng

from sentinel.core.drift.counts.columns import BinnedColumn, edges_of, numeric_column, values_column
from sentinel.core.drift.counts.counting import GroupCounts, count
from sentinel.core.drift.windows.causes import Cause, causes, group_correlations
from sentinel.core.drift.windows.kinds import Kind, kind_of
from sentinel.core.drift.windows.window_test import ColumnTest, window_test
from sentinel.records import Floats

N = 6_000
SEED = 8


def told(
    before: Floats, after: Floats, *, by_value: bool = False, value_count: int | None = None
) -> Kind | None:
    """The kind of the change between values, each row an account."""
    make = values_column if by_value else numeric_column
    column = make("x", before)
    counts = [
        count(x.reshape(-1, 1), np.arange(x.size), *edges_of([column])) for x in (after, before)
    ]
    (test,) = window_test([column], *counts)
    cells = [side.cells[0].sum(axis=0) for side in counts]
    return kind_of(column, test, cells[0], cells[1], value_count=value_count)


def name(kind: Kind | None) -> str | None:
    return None if kind is None else kind.name


@pytest.fixture
def amounts() -> Floats:
    return default_rng(SEED).lognormal(3, 1.2, N)


@pytest.fixture
def others() -> Floats:
    return default_rng(SEED + 1).lognormal(3, 1.2, N)


@pytest.fixture
def normal() -> Floats:
    return default_rng(SEED + 2).standard_normal(N)


def test_without_an_alarm_there_is_no_kind(amounts: Floats, others: Floats) -> None:
    assert told(amounts, others) is None


def test_values_that_are_gone_are_missing(amounts: Floats, others: Floats) -> None:
    others[::10] = np.nan

    assert name(told(amounts, others)) == "missing"
    assert name(told(others, amounts)) == "missing"
    assert name(told(amounts, np.full(N, np.nan))) == "missing"


def test_one_value_is_a_constant(amounts: Floats) -> None:
    amid = float(np.median(amounts))

    assert name(told(amounts, np.full(N, amid))) == "constant"
    assert name(told(amounts, np.full(N, 0.0))) == "constant"
    assert name(told(amounts, np.full(N, 1e9), value_count=1)) == "constant"


def test_all_above_the_reference_is_another_unit_where_no_row_is_at_hand(amounts: Floats) -> None:
    kind = told(amounts, np.full(N, 1e9))

    assert kind == Kind("unit", None, 1.0)


@pytest.mark.parametrize("factor", [10.0, 100.0, 60.0, 0.01, 1e-3])
def test_another_unit_is_told_by_its_factor(amounts: Floats, others: Floats, factor: float) -> None:
    """Cells are drawn from both sides here, as `sentinel drift check` does."""
    after = others * factor
    column = numeric_column("x", np.concatenate([amounts, after]))
    counts = [count(x.reshape(-1, 1), np.arange(N), *edges_of([column])) for x in (after, amounts)]
    (test,) = window_test([column], *counts)
    cells = [side.cells[0].sum(axis=0) for side in counts]

    kind = kind_of(column, test, cells[0], cells[1], value_count=N)

    assert kind is not None
    assert kind.name == "unit"
    assert kind.factor == pytest.approx(factor)
    assert kind.share == pytest.approx(1.0, abs=0.05)


def test_a_tenth_in_another_unit_is_told_by_its_share(amounts: Floats, others: Floats) -> None:
    others[::10] *= 100

    kind = told(amounts, others)

    assert kind is not None
    assert kind.name == "unit"
    assert kind.factor == pytest.approx(100.0)
    assert kind.share == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("by", [0.2, 0.5, -0.5])
def test_a_shift_is_one_of_location(normal: Floats, by: float) -> None:
    other = default_rng(SEED + 3).standard_normal(N) + by

    assert name(told(normal, other)) == "location"


@pytest.mark.parametrize("by", [0.5, 2.0, 3.0])
@pytest.mark.parametrize("share", [0.2, 0.33, 0.5])
def test_customers_who_spend_a_few_times_as_much_are_no_other_unit(by: float, share: float) -> None:
    rng = default_rng(SEED + 4)
    before, after = (
        rng.lognormal(3, 0.7, N) * np.abs(1 + 0.5 * rng.standard_normal(N)) for _ in range(2)
    )
    after[: int(share * N)] *= by

    assert name(told(before, after)) == "location"


@pytest.mark.parametrize("by", [1.3, 1.5, 0.6])
def test_a_wider_law_is_one_of_shape(normal: Floats, by: float) -> None:
    assert name(told(normal, by * default_rng(SEED + 3).standard_normal(N))) == "shape"


def test_a_category_that_was_never_seen_is_new() -> None:
    rng = default_rng(SEED)
    before, after = (rng.choice([0.0, 1.0, 2.0], N, p=[0.6, 0.3, 0.1]) for _ in range(2))
    after[::100] = 7.0

    assert name(told(before, after, by_value=True)) == "new_category"


def test_other_shares_of_the_same_categories_are_another_shape() -> None:
    rng = default_rng(SEED)
    before = rng.choice([0.0, 1.0, 2.0], N, p=[0.6, 0.3, 0.1])
    after = rng.choice([0.0, 1.0, 2.0], N, p=[0.5, 0.3, 0.2])

    assert name(told(before, after, by_value=True)) == "shape"


# --- causes -------------------------------------------------------------------------------------


def found(name: str, psi: float, p: float = 1e-9) -> ColumnTest:
    return ColumnTest(name, p, p <= 0.01, psi, psi, "location", None, (1.0, 1.0), psi)


def test_only_what_alarms_is_a_cause_however_much_it_is_used() -> None:
    tests = [found("a", 0.1), found("b", 5.0, p=0.4), found("c", 0.2)]

    assert causes(tests, use={"a": 1, "b": 1e6, "c": 1}) == [
        Cause(("c",), 0.2),
        Cause(("a",), 0.1),
    ]
    assert causes([found("b", 5.0, p=0.4)]) == []


def test_what_a_model_uses_more_comes_first() -> None:
    tests = [found("a", 0.1), found("c", 0.2)]

    assert [cause.columns for cause in causes(tests, use={"a": 9.0, "c": 1.0})] == [("a",), ("c",)]
    assert [cause.columns for cause in causes(tests, use={"c": 1.0})] == [("c",), ("a",)]


def test_columns_of_one_source_are_one_cause_and_so_are_those_that_are_alike() -> None:
    tests = [found("a", 0.3), found("b", 0.2), found("c", 0.1)]
    alike = np.array([[1, 0, 0.9], [0, 1, 0.2], [0.9, 0.2, 1]])

    assert [cause.columns for cause in causes(tests)] == [("a",), ("b",), ("c",)]
    by_name = causes(tests, sources={"a": "amount", "b": "amount", "c": "country"})
    assert [cause.columns for cause in by_name] == [("a", "b"), ("c",)]
    assert [cause.columns for cause in causes(tests, correlations=alike)] == [("a", "c"), ("b",)]


def test_how_alike_columns_are_shows_between_groups_of_accounts() -> None:
    rng = default_rng(1)
    account = np.repeat(np.arange(2_000), 10)
    of_account = rng.standard_normal((2_000, 3))
    z = (of_account[account] + rng.standard_normal((account.size, 3))) / np.sqrt(2)
    x = np.column_stack([z[:, 0], np.exp(z[:, 0]), -z[:, 0], z[:, 1], np.round(z[:, 2])])
    columns: list[BinnedColumn] = [numeric_column(f"x{f}", x[:, f]) for f in range(4)]
    columns.append(values_column("c", x[:, 4]))

    alike = group_correlations(columns, count(x, account, *edges_of(columns)))

    assert alike[0, 1] == pytest.approx(1.0, abs=0.01)
    assert alike[0, 2] == pytest.approx(-1.0, abs=0.01)
    assert abs(alike[0, 3]) < 0.5
    assert np.abs(np.diag(alike) - 1).max() < 1e-9


def test_of_no_rows_nothing_is_alike() -> None:
    columns = [numeric_column("x", np.arange(9.0)), values_column("c", np.arange(3.0))]

    assert group_correlations(columns, GroupCounts.empty(2)).tolist() == [[0, 0], [0, 0]]
