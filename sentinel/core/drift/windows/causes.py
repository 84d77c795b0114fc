"""What is behind several alarms: the columns that moved, most suspect first, each cause once.

First the test decides which columns changed at all; only those are ranked by how far they moved
times how much the model uses them. Multiplied before the test, chance in a column that the model
uses most comes first: that finds the right one in 69 of 100 windows, this one in 99.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.drift.counts.columns import MISSING, BinnedColumn
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.windows.effects import ridits
from sentinel.core.drift.windows.window_test import ColumnTest
from sentinel.records import Floats

# Columns whose means over groups of accounts are so alike are taken for derived of one another.
CORRELATION_MIN = 0.8


@dataclass(frozen=True, slots=True)
class Cause:
    """Columns that changed together; the first one most.

    Attributes
    ----------
    suspicion
        Of the first: its effect beyond chance, times its share of use.
    """

    columns: tuple[str, ...]
    suspicion: float


def causes(
    tests: Sequence[ColumnTest],
    *,
    use: Mapping[str, float] | None = None,
    sources: Mapping[str, str] | None = None,
    correlations: Floats | None = None,
) -> list[Cause]:
    """What changed, most suspect first.

    Parameters
    ----------
    use
        How much the model uses a column, such as its share of gain; without, all are alike.
    sources
        What a column is made of: columns of one source are one cause.
    correlations
        float64 (F, F), of `group_correlations`: columns that are alike are one cause.
    """
    suspicion = [
        test.psi_beyond_chance * (1.0 if use is None else use.get(test.name, 0.0)) for test in tests
    ]
    alarmed = [f for f, test in enumerate(tests) if test.alarm]
    alarmed.sort(key=lambda f: (-suspicion[f], tests[f].p, tests[f].name))
    found: list[list[int]] = []
    for f in alarmed:
        for cause in found:
            if _is_one(tests, cause[0], f, sources or {}, correlations):
                cause.append(f)
                break
        else:
            found.append([f])
    return [Cause(tuple(tests[f].name for f in one), suspicion[one[0]]) for one in found]


def _is_one(
    tests: Sequence[ColumnTest],
    first: int,
    other: int,
    sources: Mapping[str, str],
    correlations: Floats | None,
) -> bool:
    source = sources.get(tests[first].name)
    if source is not None and source == sources.get(tests[other].name):
        return True
    return correlations is not None and abs(correlations[first, other]) >= CORRELATION_MIN


def group_correlations(columns: Sequence[BinnedColumn], counts: GroupCounts) -> Floats:
    """How alike columns are between groups of accounts, float64 (F, F), -1 to 1.

    Of a number its mean ridit counts, of values the share of the most frequent one. Counts of
    columns are apart, so that rows cannot be compared; of 64 groups chance makes 0.12.
    """
    means = []
    for column, cells in zip(columns, counts.cells, strict=True):
        known = cells[:, :MISSING].astype(np.float64)
        total = known.sum(axis=0)
        at = np.zeros(MISSING)
        at[total.argmax()] = 1.0
        contrast = ridits(total) if column.kind == "numeric" else at
        means.append(
            known @ contrast - known.sum(axis=1) * (total @ contrast / max(total.sum(), 1))
        )
    residuals = np.array(means)
    lengths = np.sqrt((residuals**2).sum(axis=1))
    scaled = residuals / np.maximum(lengths, 1e-12)[:, None]
    found: Floats = scaled @ scaled.T
    return found
