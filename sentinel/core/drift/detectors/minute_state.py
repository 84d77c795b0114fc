"""What the detector of minutes keeps, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from sentinel.core.drift.counts.counting import SIZE_GROUP_COUNT
from sentinel.core.drift.detectors.mixture import SIZES
from sentinel.core.drift.detectors.series import MinuteReference, SeriesPart
from sentinel.core.drift.detectors.spread import BlockSpread
from sentinel.records import Floats, Ints


@dataclass(frozen=True, eq=False, slots=True)
class MinuteState:
    """What is kept from minute to minute; D series of all segments together, S segments.

    Attributes
    ----------
    last_minute
        The minute that came last; -1 before any.
    sizes, squares
        float64 (S, groups) and (S,): rows by small groups of accounts, and their squared
        weights, fading within the horizon.
    typical
        float64 (D,): effective rows of a minute; 0 before any.
    recent
        float64 (D, 2): effective rows, and the sum of their contrasts, fading within the horizon.
    evidence, runs, since
        Of `mixture.look`.
    open_side
        int64 (D,): the side on which a series has alarmed and is not over, else -1.
    open_floor
        float64 (D,): within so much of the reference it is over.
    spread
        How alike minutes are.
    """

    last_minute: int
    sizes: Floats
    squares: Floats
    typical: Floats
    recent: Floats
    evidence: Floats
    runs: Floats
    since: Ints
    open_side: Ints
    open_floor: Floats
    spread: BlockSpread

    @classmethod
    def fresh(
        cls,
        references: Sequence[MinuteReference],
        *,
        spread: BlockSpread | None = None,
        size_count: int = SIZE_GROUP_COUNT,
    ) -> Self:
        """Before the first minute; `spread` from before, if it is of the same series."""
        d, s, k = sum(one.series_count for one in references), len(references), len(SIZES)
        if spread is None or spread.rows.shape != (d,):
            spread = BlockSpread.fresh(d)
        return cls(
            last_minute=-1,
            sizes=np.zeros((s, size_count)),
            squares=np.zeros(s),
            typical=np.zeros(d),
            recent=np.zeros((d, 2)),
            evidence=np.zeros((d, 2, k)),
            runs=np.zeros((d, 2, k, 3)),
            since=np.full((d, 2, k), -1, dtype=np.int64),
            open_side=np.full(d, -1, dtype=np.int64),
            open_floor=np.zeros(d),
            spread=spread,
        )

    def effects(self) -> Floats:
        """How far each series is from its reference just now, in standard deviations; (D,), NaN
        where nothing was seen.
        """
        rows, sums = self.recent.T
        return np.where(rows > 0, sums / np.where(rows > 0, rows, 1.0), np.nan)


@dataclass(frozen=True, slots=True)
class MinuteEvent:
    """A series has alarmed, or its alarm is over.

    Attributes
    ----------
    segment, series
        Which of the references, and which of its series.
    side
        "up" or "down": where its mean went.
    since
        The minute in which the change began, as an estimate.
    effect
        The mean since then less the reference's, in standard deviations; when it is over, lately.
    change
        The same as a ridit for values, as a share for missing and unseen.
    evidence
        log of M: an alarm of this series alone needs log(run_length_minutes).
    is_first
        The series that carried the alarm; others alarmed beside it.
    """

    kind: Literal["alarm", "over"]
    minute: int
    segment: int
    series: int
    column: str
    part: SeriesPart
    side: Literal["up", "down"]
    since: int
    effect: float
    change: float
    evidence: float
    is_first: bool
