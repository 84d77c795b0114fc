"""The reference: what the stream was like when the model that serves was made.

It is counted from all rows of that time, under the same cap of rows an account as the stream is.
Examples would not do: they are sampled and selected, so that every update would look like drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.counts.columns import BinnedColumn, column_of, edges_of, score_column
from sentinel.core.drift.counts.counting import GroupCounts, count, mark_cells, size_groups
from sentinel.core.drift.counts.noting import millionths, score_sums
from sentinel.core.drift.counts.segments import Segmentation, SegmentCounts, count_segments
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from sentinel.records import Floats, Ints

Origin = Literal["history", "stream", "parent"]
_DRAWN_ROW_COUNT_MAX = 200_000  # quantiles need no more
_WHOLE = Segmentation()


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """Counts to compare with.

    Attributes
    ----------
    features
        The columns of the features.
    counts
        GroupCounts of these columns.
    scores
        GroupCounts of one column, the score of the version that this is the reference of; without
        rows as long as nothing has been scored.
    score_sums
        int64 (CELL_COUNT, len(SCORE_SUMS)): of `noting.score_sums`, of these rows.
    first_ms, last_ms
        The event times that it is from.
    origin
        "history": of what the version was trained on; "stream": of the first rows that it decided,
        as nobody knew of others; "parent": of the version before it.
    segments, segmentation
        The same rows by segment, and the digest of the segmentation; None and empty where they were
        not counted so.
    """

    features: tuple[BinnedColumn, ...]
    counts: GroupCounts
    scores: GroupCounts
    score_sums: Ints
    first_ms: int
    last_ms: int
    origin: Origin
    segments: SegmentCounts | None = None
    segmentation: str = ""

    @property
    def row_count(self) -> int:
        """How many rows were counted."""
        return self.counts.row_count


def first_rows(account_hashes: Ints, times_ms: Ints, row_count_max: int) -> NDArray[np.bool_]:
    """Which rows are among the first so many of their account in their clock hour, bool (n,).

    Rows are in the order in which they came; those of one account and hour need not be neighbours.
    """
    n = account_hashes.size
    if n == 0:
        return np.zeros(0, dtype=np.bool_)
    order = np.lexsort((np.arange(n), times_ms // HOUR_MS, account_hashes))
    accounts, hours = account_hashes[order], times_ms[order] // HOUR_MS
    is_first = np.ones(n, dtype=np.bool_)
    is_first[1:] = (accounts[1:] != accounts[:-1]) | (hours[1:] != hours[:-1])
    begins = np.flatnonzero(is_first)
    number = np.arange(n) - np.repeat(begins, np.diff([*begins, n]))
    found = np.empty(n, dtype=np.bool_)
    found[order] = number < row_count_max
    return found


def reference_of(
    names: Sequence[str],
    features: Floats,
    times_ms: Ints,
    account_hashes: Ints,
    probability: Floats,
    amount_minor: Ints,
    is_alert: NDArray[np.bool_],
    *,
    rows_per_account_max: int,
    segmentation: Segmentation = _WHOLE,
) -> Reference:
    """Of rows that a version was made from.

    Parameters
    ----------
    names
        Of the features.
    features, times_ms, account_hashes
        (n, F) and (n,), in the order in which they came; there is at least one row.
    probability
        (n,): what the version says of rows that it was not fitted on; NaN of all others.
    amount_minor, is_alert
        (n,): and what it would do about them.
    """
    at = np.flatnonzero(first_rows(account_hashes, times_ms, rows_per_account_max))
    drawn = at[:: max(1, at.size // _DRAWN_ROW_COUNT_MAX)]
    columns = tuple(column_of(name, features[drawn, i]) for i, name in enumerate(names))
    scored = at[~np.isnan(probability[at])]
    score, ppm = probability[scored, np.newaxis], millionths(probability[scored])
    edges, by_value = edges_of([score_column()])
    cells = np.empty((1, scored.size), dtype=np.uint8)
    mark_cells(score, edges, by_value, cells)
    segments = None
    if segmentation.columns:
        split, groups = segmentation.of_rows(features), size_groups(account_hashes)
        marked = np.empty((len(columns), at.size), dtype=np.uint8)
        mark_cells(np.ascontiguousarray(features[at]), *edges_of(columns), marked)
        segments = SegmentCounts(
            count_segments(marked, split[:, at], np.arange(at.size), groups[at]),
            count_segments(cells, split[:, scored], np.arange(scored.size), groups[scored]),
        )
    return Reference(
        features=columns,
        counts=count(features[at], account_hashes[at], *edges_of(columns)),
        scores=count(score, account_hashes[scored], edges, by_value),
        score_sums=score_sums(cells[0], ppm, amount_minor[scored], is_alert[scored]),
        first_ms=int(times_ms.min()),
        last_ms=int(times_ms.max()),
        origin="history",
        segments=segments,
        segmentation=segmentation.digest,
    )
