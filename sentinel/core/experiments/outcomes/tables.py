"""The sums of one metric from whole tables of accounts."""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sentinel.core.experiments.outcomes.cells import Cell, MetricSums
from sentinel.core.experiments.outcomes.columns import Column, arm_sums, dot
from sentinel.records import Ints


class AccountTable(NamedTuple):
    """The accounts of one cell, each once: all of shape (n,).

    `account` are codes, ascending, the same in all cells.
    """

    account: Ints
    y: Column
    n: Column
    x: Column


def metric_sums(cells: Mapping[Cell, AccountTable]) -> MetricSums:
    """As `MetricSums.replace` gives them account by account; exact of whole numbers."""
    found = MetricSums()
    for cell, table in cells.items():
        found.cells[cell] = arm_sums(table.y, table.n, table.x)
    for a, b in combinations(sorted(cells), 2):
        if (products := _products(cells[a], cells[b])) is not None:
            found.pairs[a, b] = products
    return found


def _products(a: AccountTable, b: AccountTable) -> list[int | float] | None:
    """Sums over the accounts of both; None where there are none."""
    _, at_a, at_b = np.intersect1d(a.account, b.account, assume_unique=True, return_indices=True)
    if not at_a.size:
        return None
    one = np.ones(at_a.size, dtype=np.int64)
    of_a = (one, a.n[at_a], a.y[at_a], a.x[at_a])
    of_b = (one, b.n[at_b], b.y[at_b], b.x[at_b])
    return [dot(left, right) for left in of_a for right in of_b]
