"""A challenger's scores on the champion's scale, so that thresholds go on meaning the same.

Users have set their thresholds by how many transactions are above them. Another model's scores
are spread otherwise, however well it ranks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints

# Shares of the scores above which there is a knot, beside the even ones: thresholds are where few
# are, and there a share of a whole per cent would be coarse.
_TAIL_KNOT_RATIO = 0.8


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """A rising, piecewise linear map, which goes on with the slope 1 beyond its ends.

    Attributes
    ----------
    challenger, champion
        Strictly ascending and finite, at least one: where they are on either scale.
    share_error_max
        On the examples it was made of, the share of scores at or above any threshold differs from
        the champion's by no more.
    """

    challenger: tuple[float, ...]
    champion: tuple[float, ...]
    share_error_max: float

    def __post_init__(self) -> None:
        if len(self.challenger) != len(self.champion) or not self.challenger:
            raise ValueError("a score map needs as many knots on one scale as on the other")
        for knots in (self.challenger, self.champion):
            if not (np.all(np.isfinite(knots)) and np.all(np.diff(knots) > 0)):
                raise ValueError("the knots of a score map must rise strictly and be finite")
        if not 0 <= self.share_error_max <= 1:
            raise ValueError(f"share_error_max must be in [0, 1], got {self.share_error_max}")

    def __call__(self, scores: Floats) -> Floats:
        """The challenger's finite scores on the champion's scale, same shape.

        Strictly rising but for rounding, where the champion's knots are closer together than
        floats can tell: never falling. Each depends on its own score only, bit for bit.
        """
        x, y = np.array(self.challenger), np.array(self.champion)
        at = np.searchsorted(x, scores, side="right") - 1  # the knot at or below, -1 below all
        here = np.clip(at, 0, x.size - 1)
        after = np.minimum(here + 1, x.size - 1)
        is_inside = (at >= 0) & (after > here)
        run = np.where(is_inside, x[after] - x[here], 1.0)
        rise = np.where(is_inside, y[after] - y[here], 1.0)
        found = y[here] + (scores - x[here]) / run * rise
        # Rounding may carry the last ones below a knot past it.
        result: Floats = np.where(is_inside, np.minimum(found, y[after]), found)
        return result


def fit_score_map(champion: Floats, challenger: Floats, *, knot_count: int = 256) -> ScoreMap:
    """The map that gives the challenger's scores the champion's quantiles.

    It takes log-odds, raw or calibrated, and gives log-odds of the same kind: on the scale of
    probabilities a slope of 1 beyond the ends would leave [0, 1]. It changes no order, so no
    ranking; but what it gives is as well calibrated as the champion was, which is why the money is
    counted by the challenger's own probability.

    No labels are needed, so that all recent transactions serve, and none needs a weight.

    Parameters
    ----------
    champion, challenger
        float64 (n,), finite, n >= 1: of the same transactions, in any order.
    knot_count
        Even shares between knots; towards the highest scores some dozens are added.
    """
    assert champion.shape == challenger.shape
    assert champion.size >= 1
    assert np.all(np.isfinite(champion) & np.isfinite(challenger))
    assert knot_count >= 1
    x, y = np.sort(challenger), np.sort(champion)
    kept = _rising(x, y, _ranks(x.size, knot_count))
    # Between the scores of two knots, and above the last one, each scale has as many scores as
    # there are ranks between, or fewer: by no more can the counts above a threshold differ.
    between = np.diff(kept, append=x.size) - 1
    error = float(between.max() / x.size)
    return ScoreMap(tuple(x[kept].tolist()), tuple(y[kept].tolist()), error)


def _ranks(size: int, knot_count: int) -> Ints:
    """Ranks at which there is a knot, ascending from 0 to size - 1."""
    even = np.arange(knot_count + 1) * (size - 1) // knot_count
    tail = []
    above = size // knot_count
    while above >= 1:
        tail.append(size - 1 - above)
        above = int(above * _TAIL_KNOT_RATIO)
    return np.unique(np.concatenate([even, np.array(tail, dtype=np.int64)]))


def _rising(x: Floats, y: Floats, ranks: Ints) -> NDArray[np.int64]:
    """Those of the ranks at which both have risen since the one before that was kept."""
    kept = [int(ranks[0])]
    for rank in ranks[1:].tolist():
        if x[rank] > x[kept[-1]] and y[rank] > y[kept[-1]]:
            kept.append(rank)
    return np.array(kept, dtype=np.int64)
