"""How much more the mean of many minutes varies than if they were independent.

What is the same for all rows of an hour, a campaign or a batch of transfers, makes minutes alike.
The factor is measured on the stream itself: from the differences between the means of blocks of
minutes that follow each other, so that a lasting change of the mean counts once and not for ever.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sentinel.records import Floats

# A new stream is taken for one whose minutes are somewhat alike, for as many blocks as this.
_PRIOR_FACTOR = 2.0
_PRIOR_BLOCKS = 4.0
# A single series is believed over all of them together after more blocks than this.
_COMMON_BLOCKS = 20.0
# A change of the mean is one huge difference: it may count for as many usual ones as this.
_CUT = 8.0
_MEMORY_BLOCKS = 672.0  # two weeks of half hours; its standard error is then 7 per cent


@dataclass(frozen=True, eq=False, slots=True)
class BlockSpread:
    """Of D series.

    Attributes
    ----------
    minute_count
        Of the block that is being filled.
    rows, sums
        float64 (D,): in it, in rows divided by their design effect.
    before
        float64 (D,): the standardised mean of the block before; NaN where there is none.
    squares, weights
        float64 (D,): half the squared differences between neighbours, and how many.
    """

    minute_count: int
    rows: Floats
    sums: Floats
    before: Floats
    squares: Floats
    weights: Floats

    @classmethod
    def fresh(cls, series_count: int) -> Self:
        """Of a stream that nothing is known of."""
        none = np.zeros(series_count)
        return cls(0, none, none, np.full(series_count, np.nan), none, none)

    def factors(self) -> Floats:
        """By what the variance of a long mean exceeds that of independent minutes, >= 1, (D,)."""
        if not self.weights.size:
            return self.weights
        common = (_PRIOR_BLOCKS * _PRIOR_FACTOR + self.squares.mean()) / (
            _PRIOR_BLOCKS + self.weights.mean()
        )
        own = (_COMMON_BLOCKS * common + self.squares) / (_COMMON_BLOCKS + self.weights)
        return np.maximum(own, 1.0)

    def interrupted(self) -> Self:
        """Behind a gap: the blocks on both sides of it are no neighbours."""
        none = np.zeros_like(self.rows)
        return replace(
            self, minute_count=0, rows=none, sums=none, before=np.full_like(self.before, np.nan)
        )

    def after(self, rows: Floats, sums: Floats, block_minutes: int) -> Self:
        """With one more minute."""
        grown = replace(
            self,
            minute_count=self.minute_count + 1,
            rows=self.rows + rows,
            sums=self.sums + sums,
        )
        return grown._closed() if grown.minute_count >= block_minutes else grown

    def _closed(self) -> Self:
        known = self.rows >= 1.0  # of less than one row's worth there is no mean
        now = np.where(known, self.sums / np.sqrt(np.where(known, self.rows, 1.0)), np.nan)
        half = 0.5 * (now - self.before) ** 2
        neighbours = ~np.isnan(half)
        half = np.where(neighbours, np.minimum(half, _CUT * self.factors()), 0.0)
        kept = np.where(neighbours, 1.0 - 1.0 / _MEMORY_BLOCKS, 1.0)
        none = np.zeros_like(self.rows)
        return replace(
            self,
            minute_count=0,
            rows=none,
            sums=none,
            before=now,
            squares=self.squares * kept + half,
            weights=self.weights * kept + neighbours,
        )
