"""How the values of a column are counted: in cells, drawn once from a reference.

A number falls between two quantiles of the reference, a value of few is counted by itself. All
columns have the same number of cells, so that a batch is counted by one kernel into one array.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sentinel.records import Floats

EDGE_COUNT = 31
OTHER = EDGE_COUNT  # of values: those that the reference has, but for the most frequent
MISSING = EDGE_COUNT + 1
UNSEEN = EDGE_COUNT + 2  # of values: those that the reference does not have
CELL_COUNT = EDGE_COUNT + 3

SCORE = "score"

ColumnKind = Literal["numeric", "values"]


@dataclass(frozen=True, eq=False, slots=True)
class BinnedColumn:
    """One column and its cells.

    Attributes
    ----------
    kind
        "numeric": cell i holds what is above edge i - 1 and not above edge i. "values": cell i
        holds what equals edge i; OTHER what stands in the table as OTHER; any other is UNSEEN.
    edges
        float64 (EDGE_COUNT,), ascending, padded with infinity.
    names
        Of kind "values", what stands behind each cell's number, as a person reads it.
    """

    name: str
    kind: ColumnKind
    edges: Floats
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.edges.shape == (EDGE_COUNT,)
        assert not np.isnan(self.edges).any()
        finite = self.edges[np.isfinite(self.edges)]
        assert np.isposinf(self.edges[finite.size :]).all()
        assert (np.diff(finite) > 0).all()

    @property
    def finite_count(self) -> int:
        """How many edges, or values, there are."""
        return int(np.isfinite(self.edges).sum())


def padded(edges: Floats) -> Floats:
    """At most EDGE_COUNT ascending numbers, behind them infinity; float64 (EDGE_COUNT,)."""
    found = np.full(EDGE_COUNT, np.inf)
    found[: edges.size] = edges
    return found


def numeric_column(name: str, values: Floats, *, bin_count: int = EDGE_COUNT + 1) -> BinnedColumn:
    """Cells of about equal share of these values; where values repeat, fewer.

    Of a column without any value nothing can be cut: all that has one falls into cell 0.
    """
    known = np.sort(values[np.isfinite(values)])
    if known.size == 0:
        return BinnedColumn(name, "numeric", padded(np.empty(0)))
    # The smallest value with at least this share at or below it: it is a value, not between two.
    shares = np.arange(1, bin_count) / bin_count
    at = np.minimum(np.ceil(shares * known.size).astype(np.int64), known.size) - 1
    edges = np.unique(known[np.maximum(at, 0)])
    return BinnedColumn(name, "numeric", padded(edges))


def values_column(name: str, values: Floats) -> BinnedColumn:
    """A cell for each of at most EDGE_COUNT different finite values."""
    known = np.unique(values[np.isfinite(values)])
    assert known.size <= EDGE_COUNT
    return BinnedColumn(
        name, "values", padded(known), tuple(f"{value:g}" for value in known.tolist())
    )


def column_of(
    name: str, values: Floats, *, value_count_max: int = 12, bin_count: int = EDGE_COUNT + 1
) -> BinnedColumn:
    """By value where the reference has few of them, else between quantiles."""
    known = np.unique(values[np.isfinite(values)])
    if 0 < known.size <= value_count_max:
        return values_column(name, values)
    return numeric_column(name, values, bin_count=bin_count)


def score_column() -> BinnedColumn:
    """Of the probability of fraud: cells of equal width in log-odds, the same for every model.

    A score is compared between versions, and what a threshold would do is read from its cells.
    """
    odds = np.linspace(np.log(1e-5), np.log(19.0), EDGE_COUNT)
    return BinnedColumn(SCORE, "numeric", 1 / (1 + np.exp(-odds)))


def edges_of(columns: Sequence[BinnedColumn]) -> tuple[Floats, Floats]:
    """What the counting kernel takes: the edges, (F, EDGE_COUNT), and which are values, (F,)."""
    edges = np.stack([column.edges for column in columns])
    return edges, np.array([float(column.kind == "values") for column in columns])


def digest(columns: Sequence[BinnedColumn]) -> str:
    """Names these cells: columns of the same digest can be added up and compared."""
    told = [f"{c.name}\0{c.kind}\0{c.names}\0".encode() + c.edges.tobytes() for c in columns]
    return hashlib.sha256(b"\1".join(told)).hexdigest()[:12]
