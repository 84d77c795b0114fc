"""What of a column is watched from minute to minute: its mean, what is missing, what is unseen.

Each of them is the mean of a contrast, a number for each cell, in units of the reference's standard
deviation. With it comes what a test of rows that are alike needs: how alike (the intraclass
correlation) and how well the reference knows its own mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from sentinel.core.drift.counts.columns import CELL_COUNT, MISSING, UNSEEN, BinnedColumn
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.records import Floats, Ints

SeriesPart = Literal["value", "missing", "unseen"]
_VALUE_CELLS = slice(0, MISSING)


@dataclass(frozen=True, eq=False, slots=True)
class MinuteReference:
    """What each series of some columns is compared with; D series of F columns.

    Attributes
    ----------
    columns
        (F,): their names.
    places
        int64 (D,): of which column each series is.
    parts
        (D,): and what of it.
    units
        float64 (D, CELL_COUNT): the contrast of a row in each cell, less its mean, in standard
        deviations; NaN where a row of that cell is not of the series.
    support, masses
        float64 (D, CELL_COUNT): the different units, and the share of the reference's rows that
        have each; behind them zeros. Smoothed by one effective row, so that what never was is not
        impossible.
    means, deviations
        float64 (D,): of the contrast before: a ridit in [0, 1] for values, else a share.
    likeness
        float64 (D,): intraclass correlation, in [0, 1], of the rows of one account.
    errors
        float64 (D,): the standard error of the reference's mean, in standard deviations.
    """

    columns: tuple[str, ...]
    places: Ints
    parts: tuple[SeriesPart, ...]
    units: Floats
    support: Floats
    masses: Floats
    means: Floats
    deviations: Floats
    likeness: Floats
    errors: Floats

    @property
    def series_count(self) -> int:
        """D."""
        return len(self.parts)

    @classmethod
    def of(
        cls,
        columns: Sequence[BinnedColumn],
        counts: GroupCounts,
        *,
        silent: frozenset[str] = frozenset(),
        whole: Self | None = None,
        rows_per_account_min: float = 1.0,
    ) -> Self:
        """From the counts of a reference.

        Parameters
        ----------
        silent
            Names of columns whose values are not watched (of the calendar), but for what is
            missing or unseen.
        whole
            Of a segment, which is counted without groups of accounts: the reference of the whole
            stream. How alike rows of an account are is taken from there.
        rows_per_account_min
            As many the whole stream has: what a segment's few groups say may be less by chance.
        """
        assert len(columns) == len(counts.cells)
        rows_per_account = max(counts.rows_per_account(), rows_per_account_min)
        likeness = {} if whole is None else whole._likeness()
        found = []
        for place, column in enumerate(columns):
            for part in _parts(column, silent):
                contrast = _contrast(column, part, counts.cells[place])
                one = _series(
                    place, part, contrast, counts.cells[place], rows_per_account,
                    likeness.get((place, part)),
                )  # fmt: skip
                if one is not None:
                    found.append(one)
        return cls(
            tuple(column.name for column in columns),
            np.array([one.place for one in found], dtype=np.int64),
            tuple(one.part for one in found),
            np.array([one.units for one in found]).reshape(-1, CELL_COUNT),
            np.array([one.support for one in found]).reshape(-1, CELL_COUNT),
            np.array([one.masses for one in found]).reshape(-1, CELL_COUNT),
            *(
                np.array([getattr(one, name) for one in found], dtype=np.float64)
                for name in ("mean", "deviation", "likeness", "error")
            ),
        )

    def _likeness(self) -> dict[tuple[int, SeriesPart], float]:
        places, likeness = self.places.tolist(), self.likeness.tolist()
        return dict(zip(zip(places, self.parts, strict=True), likeness, strict=True))

    def sums(self, counts: GroupCounts) -> tuple[Floats, Floats]:
        """Rows of each series and the sum of their contrasts, each float64 (D,)."""
        cells = counts.cells.sum(axis=1)[self.places]
        counted = np.where(np.isnan(self.units), 0, cells)
        sums = (counted * np.nan_to_num(self.units)).sum(axis=1)
        return counted.sum(axis=1).astype(np.float64), sums


@dataclass(frozen=True, eq=False, slots=True)
class _Series:
    place: int
    part: SeriesPart
    units: Floats
    support: Floats
    masses: Floats
    mean: float
    deviation: float
    likeness: float
    error: float


def _parts(column: BinnedColumn, silent: frozenset[str]) -> tuple[SeriesPart, ...]:
    parts: tuple[SeriesPart, ...] = () if column.name in silent else ("value",)
    return (*parts, "missing", "unseen") if column.kind == "values" else (*parts, "missing")


def _contrast(column: BinnedColumn, part: SeriesPart, cells: Ints) -> Floats:
    """A number for each cell that a row can fall into, else NaN; (CELL_COUNT,).

    Of values the ridit: the reference's share below the middle of the cell. It is bounded, so that
    no single amount decides, and of columns by value it goes by the order of the values.
    """
    if part != "value":
        indicator = np.zeros(CELL_COUNT)
        indicator[MISSING if part == "missing" else UNSEEN] = 1.0
        return indicator
    totals = cells.sum(axis=0)[_VALUE_CELLS].astype(np.float64)
    possible = np.arange(MISSING) <= column.finite_count - (column.kind == "values")
    possible |= totals > 0
    ridits = (np.cumsum(totals) - totals / 2) / max(totals.sum(), 1.0)
    contrast = np.full(CELL_COUNT, np.nan)
    contrast[_VALUE_CELLS] = np.where(possible, ridits, np.nan)
    return contrast


def _series(
    place: int,
    part: SeriesPart,
    contrast: Floats,
    cells: Ints,
    rows_per_account: float,
    likeness: float | None,
) -> _Series | None:
    """None where there is nothing to compare with: no rows, or a single value possible.

    Without `likeness` it is measured between the groups of accounts.
    """
    inside = np.flatnonzero(~np.isnan(contrast))
    counted = cells[:, inside].astype(np.float64)
    c = contrast[inside]
    n = counted.sum()
    if n == 0 or c.min() == c.max():
        return None
    extra = rows_per_account - 1
    if likeness is None:
        design_effect = _design_effect(c, counted, rows_per_account)
        likeness = float(np.clip((design_effect - 1) / extra, 0.0, 1.0)) if extra > 0 else 0.0
    else:
        design_effect = 1 + extra * likeness
    smoothed = counted.sum(axis=0)
    smoothed[np.argmin(c)] += design_effect / 2
    smoothed[np.argmax(c)] += design_effect / 2
    share = smoothed / smoothed.sum()
    mean = float(share @ c)
    deviation = float(np.sqrt(share @ (c - mean) ** 2))
    units, support, masses = np.full(CELL_COUNT, np.nan), np.zeros(CELL_COUNT), np.zeros(CELL_COUNT)
    units[inside] = (c - mean) / deviation
    different, which = np.unique(units[inside], return_inverse=True)
    mass = np.bincount(which, weights=share)
    support[: (mass > 0).sum()], masses[: (mass > 0).sum()] = different[mass > 0], mass[mass > 0]
    error = float(np.sqrt(design_effect / n))
    return _Series(place, part, units, support, masses, mean, deviation, likeness, error)


def _design_effect(c: Floats, counted: Floats, rows_per_account: float) -> float:
    """How many rows tell as much as one independent one, from the spread between groups.

    A contrast that never varied, or one group alone, says nothing of it: then all rows of an
    account are taken for one.
    """
    n_b, n_g = counted.sum(axis=0), counted.sum(axis=1)
    n = n_b.sum()
    mean = n_b @ c / n
    variance = n_b @ (c - mean) ** 2 / n
    groups = n**2 / (n_g @ n_g)
    if variance <= 0 or groups <= 1.5:
        return float(rows_per_account)
    between = groups / (groups - 1) * ((counted @ (c - mean)) ** 2).sum() / n**2
    return max(1.0, float(between * n / variance))
