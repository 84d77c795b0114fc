"""The sums of one metric over all arms and all steps of a ramp.

An account whose transactions lie in several steps of a ramp is in several cells, and may have moved
from the control to a challenger on the way. So pairs of cells have sums of products over the
accounts that are in both: without them the steps would pass for independent, and a ramp would find
differences where there are none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple, Self

import numpy as np

from sentinel.core.experiments.outcomes.sums import VALUE_COUNT, ArmSums, Number, Outcome
from sentinel.records import Floats

PairSums = list[Number]  # products of (1, n, y, x) of one cell with those of another, row by row


class Cell(NamedTuple):
    """Where transactions of an account are counted: the step in which they were, and the arm."""

    step: int
    arm: str


@dataclass(slots=True)
class MetricSums:
    """What is kept of one metric.

    Attributes
    ----------
    pairs
        By two cells in ascending order; only of those that have an account in common, or had one.
    """

    cells: dict[Cell, ArmSums] = field(default_factory=dict)
    pairs: dict[tuple[Cell, Cell], PairSums] = field(default_factory=dict)

    def replace(self, before: Mapping[Cell, Outcome], after: Mapping[Cell, Outcome]) -> None:
        """An account has other outcomes than before: it matured, was revised, or withdrawn.

        Parameters
        ----------
        before, after
            All that the account has, by cell; empty where nothing counts.
        """
        for cell in before.keys() | after.keys():
            sums = self.cells.setdefault(cell, ArmSums())
            sums.replace(before.get(cell), after.get(cell))
        for outcomes, sign in ((before, -1), (after, 1)):
            for a, b in combinations(sorted(outcomes), 2):
                sums_of_pair = self.pairs.setdefault((a, b), [0] * VALUE_COUNT**2)
                _add_product(sums_of_pair, outcomes[a], outcomes[b], sign)

    def merge(self, other: "MetricSums", sign: int = 1) -> None:
        """Add the accounts of another, which are different ones; with the sign -1 take them out."""
        for cell, sums in other.cells.items():
            own = self.cells.get(cell, ArmSums())
            self.cells[cell] = own + sums if sign > 0 else own - sums
        for pair, products in other.pairs.items():
            own_products = self.pairs.get(pair, [0] * VALUE_COUNT**2)
            self.pairs[pair] = [a + sign * b for a, b in zip(own_products, products, strict=True)]

    def arm(self, name: str) -> ArmSums:
        """All steps of an arm; an account of several steps counts in each."""
        return sum((s for cell, s in self.cells.items() if cell.arm == name), ArmSums())

    def steps(self) -> list[int]:
        """Those that have anything."""
        return sorted({cell.step for cell in self.cells})

    def grams(self, arms: Sequence[str]) -> Floats:
        """Sums of products of (1, n, y, x) of all pairs of cells, float64 (K, K, 4, 4).

        The K cells are those of the first step, one for each arm in its order, then of the next.
        """
        cells = [Cell(step, arm) for step in self.steps() for arm in arms]
        found = np.zeros((len(cells), len(cells), VALUE_COUNT, VALUE_COUNT))
        place = {cell: i for i, cell in enumerate(cells)}
        for cell, i in place.items():
            found[i, i] = self.cells.get(cell, ArmSums()).gram()
        for (a, b), products in self.pairs.items():
            if a in place and b in place:
                gram = np.array(products, dtype=np.float64).reshape(VALUE_COUNT, VALUE_COUNT)
                found[place[a], place[b]], found[place[b], place[a]] = gram, gram.T
        return found

    def to_dict(self) -> dict[str, Any]:
        """To store, in a fixed order."""
        return {
            "cells": [[*cell, self.cells[cell].to_dict()] for cell in sorted(self.cells)],
            "pairs": [[*a, *b, self.pairs[a, b]] for a, b in sorted(self.pairs)],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_dict` gave."""
        return cls(
            {Cell(step, arm): ArmSums.from_dict(sums) for step, arm, sums in stored["cells"]},
            {(Cell(s, a), Cell(t, b)): list(sums) for s, a, t, b, sums in stored["pairs"]},
        )


def _add_product(sums: PairSums, a: Outcome, b: Outcome, sign: int) -> None:
    of_a, of_b = (1, a.n, a.y, a.x), (1, b.n, b.y, b.x)
    for i, left in enumerate(of_a):
        for j, right in enumerate(of_b):
            sums[i * VALUE_COUNT + j] += sign * left * right
