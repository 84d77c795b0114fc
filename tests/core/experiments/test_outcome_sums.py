"""Sums of outcomes are exact, whatever an account's outcomes became on the way."""

import json
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from numpy.typing import NDArray

from sentinel.core.experiments.outcomes.cells import Cell, MetricSums
from sentinel.core.experiments.outcomes.columns import arm_sums, totals
from sentinel.core.experiments.outcomes.sums import ArmSums, Outcome

CELLS = [Cell(step, arm) for step in (0, 1) for arm in ("challenger", "control")]
LARGE = 10**12  # minor units of money, whose squares no float and no 64 bits hold

outcomes = st.builds(
    Outcome, st.integers(-LARGE, LARGE), st.integers(0, LARGE), st.integers(-LARGE, LARGE)
)
histories = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.dictionaries(st.sampled_from(CELLS), outcomes, max_size=len(CELLS)),
    ),
    max_size=25,
)


def from_scratch(accounts: dict[int, dict[Cell, Outcome]]) -> MetricSums:
    """The sums of what there is at the end: one loop for each sum."""
    found = MetricSums()
    for cell in CELLS:
        there = [of[cell] for of in accounts.values() if cell in of]
        found.cells[cell] = ArmSums(
            accounts=len(there),
            with_some=sum(o.y != 0 for o in there),
            with_rest=sum(o.y != o.n for o in there),
            n=sum(o.n for o in there),
            y=sum(o.y for o in there),
            x=sum(o.x for o in there),
            nn=sum(o.n * o.n for o in there),
            ny=sum(o.n * o.y for o in there),
            nx=sum(o.n * o.x for o in there),
            yy=sum(o.y * o.y for o in there),
            yx=sum(o.y * o.x for o in there),
            xx=sum(o.x * o.x for o in there),
        )
        for other in CELLS:
            both = [(of[cell], of[other]) for of in accounts.values() if {cell, other} <= of.keys()]
            if cell < other and both:
                vectors = [((1, a.n, a.y, a.x), (1, b.n, b.y, b.x)) for a, b in both]
                found.pairs[cell, other] = [
                    sum(a[i] * b[j] for a, b in vectors) for i in range(4) for j in range(4)
                ]
    return found


def cleaned(sums: MetricSums) -> dict[str, object]:
    """Without what is all zero: cells and pairs that once were."""
    return {
        "cells": {cell: one for cell, one in sums.cells.items() if one != ArmSums()},
        "pairs": {pair: one for pair, one in sums.pairs.items() if any(one)},
    }


@given(histories)
def test_any_history_of_outcomes_leaves_the_sums_of_what_is_there_at_its_end(
    history: list[tuple[int, dict[Cell, Outcome]]],
) -> None:
    sums, accounts = MetricSums(), defaultdict[int, dict[Cell, Outcome]](dict)
    for account, now in history:
        sums.replace(accounts[account], now)
        accounts[account] = now

    assert cleaned(sums) == cleaned(from_scratch(accounts))


@given(histories, histories)
def test_sums_of_different_accounts_are_added_and_taken_apart_again(
    one: list[tuple[int, dict[Cell, Outcome]]], other: list[tuple[int, dict[Cell, Outcome]]]
) -> None:
    parts = dict(one), {10 + account: of for account, of in other}
    together = from_scratch(parts[0])

    together.merge(from_scratch(parts[1]))
    assert cleaned(together) == cleaned(from_scratch(parts[0] | parts[1]))

    together.merge(from_scratch(parts[1]), -1)
    assert cleaned(together) == cleaned(from_scratch(parts[0]))


@given(histories)
def test_stored_sums_are_the_same_when_they_come_back(
    history: list[tuple[int, dict[Cell, Outcome]]],
) -> None:
    sums = from_scratch(dict(history))

    stored = json.dumps(sums.to_dict())

    assert MetricSums.from_dict(json.loads(stored)) == sums
    assert json.dumps(MetricSums.from_dict(json.loads(stored)).to_dict()) == stored


@given(st.lists(outcomes, max_size=20))
def test_columns_give_the_sums_that_single_accounts_give_to_the_last_digit(
    some: list[Outcome],
) -> None:
    rows = np.array([tuple(o) for o in some], dtype=np.int64).reshape(-1, 3)
    one_by_one = ArmSums()
    for outcome in some:
        one_by_one.replace(None, outcome)

    assert arm_sums(rows[:, 0], rows[:, 1], rows[:, 2]) == one_by_one


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.bool_])
def test_rows_are_added_up_by_account(kind: type) -> None:
    rng = default_rng(1)
    accounts = rng.integers(0, 50, 400)
    values: NDArray[Any] = (rng.random(400) < 0.4).astype(kind)

    found = totals(accounts, values, 60)

    assert found.tolist() == [values[accounts == account].sum() for account in range(60)]


def test_an_account_that_was_never_counted_or_is_withdrawn_leaves_nothing() -> None:
    sums = ArmSums()

    sums.replace(None, Outcome(3, 5, 2))
    sums.replace(Outcome(3, 5, 2), Outcome(1, 6, 2))
    sums.replace(Outcome(1, 6, 2), None)

    assert sums == ArmSums()
    assert sums.positives == 0
    assert np.isnan(sums.rate)
