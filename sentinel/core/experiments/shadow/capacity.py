"""Alerts of two models at the same capacity: neither wins by alerting more.

Who may review a thousand transactions a day wants to know which model's thousand hold more fraud.
So each model alerts on its own highest scores, as many as the capacity, whatever its scores mean.
"""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features.hashing import rehashed, uniform
from sentinel.records import Floats, Ints

# Cells of the log-odds, between -20 and 20: a score of the cell at the border alerts by chance.
_CELLS_A_UNIT = 64
_LOG_ODDS_MAX = 20
CELL_COUNT = 2 * _LOG_ODDS_MAX * _CELLS_A_UNIT + 1
_SALT = 0x6361706163697479


def alerts_at_capacity(scores: Floats, hashes: Ints, alert_count: int) -> NDArray[np.bool_]:
    """The highest scores of a whole period, bool (n,): exactly so many, or all.

    Parameters
    ----------
    scores
        float64 (n,), without NaN.
    hashes
        int64 (n,): `hash64` of the transactions' identifiers: of equal scores the same ones alert
        for both models.
    """
    assert alert_count >= 0
    found = np.zeros(scores.size, dtype=np.bool_)
    found[np.lexsort((hashes, -scores))[:alert_count]] = True
    return found


@dataclass(frozen=True, slots=True)
class CapacityThreshold:
    """From which score on one model alerts, if as many are to alert as in the period before.

    Attributes
    ----------
    cell
        Scores of higher cells alert.
    share
        Of those in this cell, chosen by chance, so many alert, too.
    """

    cell: int = CELL_COUNT
    share: float = 0.0

    @classmethod
    def at(cls, counts: Ints, capacity: float) -> Self:
        """By the scores of a period, int64 (CELL_COUNT,) counts; without scores nothing alerts.

        Parameters
        ----------
        capacity
            The share of transactions that are alerted on.
        """
        assert counts.shape == (CELL_COUNT,)
        wanted = capacity * counts.sum()
        if wanted == 0:
            return cls()
        above = np.cumsum(counts[::-1])[::-1]  # in this cell or higher
        cell = int(np.flatnonzero(above >= wanted)[-1])
        rest = wanted - (above[cell + 1] if cell + 1 < CELL_COUNT else 0)
        return cls(cell, float(rest / counts[cell]))

    def alerts(self, scores: Floats, hashes: Ints) -> NDArray[np.bool_]:
        """Which of these alert, bool (n,): the same ones each time."""
        cells = cells_of(scores)
        by_chance = uniform(rehashed(hashes, _SALT)) < self.share
        found: NDArray[np.bool_] = (cells > self.cell) | ((cells == self.cell) & by_chance)
        return found


def cells_of(scores: Floats) -> Ints:
    """The cell of each score in [0, 1], int64 (n,)."""
    assert np.all((scores >= 0) & (scores <= 1))
    with np.errstate(divide="ignore"):
        log_odds = np.log(scores) - np.log1p(-scores)
    limited = np.clip(log_odds, -_LOG_ODDS_MAX, _LOG_ODDS_MAX)
    return (np.round(limited * _CELLS_A_UNIT) + _LOG_ODDS_MAX * _CELLS_A_UNIT).astype(np.int64)


@dataclass(eq=False, slots=True)
class MatchedAlerts:
    """Alerts of two models on a stream, at thresholds of the period before.

    Attributes
    ----------
    capacity
        The share of transactions that are alerted on, in (0, 1).
    period
        The number of the one that is counted now; -1 before any.
    counts
        int64 (2, CELL_COUNT): scores of that period, of the champion and of the challenger.
    thresholds
        Of the champion and of the challenger; before a whole period has passed nothing alerts.
    """

    capacity: float
    period: int = -1
    counts: Ints = field(default_factory=lambda: np.zeros((2, CELL_COUNT), dtype=np.int64))
    thresholds: tuple[CapacityThreshold, CapacityThreshold] = (
        CapacityThreshold(),
        CapacityThreshold(),
    )

    def alerts(
        self, period: int, champion: Floats, challenger: Floats, hashes: Ints
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which transactions each of the two alerts on, bool (n,) each; the scores are counted.

        Parameters
        ----------
        period
            Number of the period, such as a day, of these transactions. Thresholds change when one
            begins; what comes late is taken with those that hold.
        champion, challenger
            float64 (n,) in [0, 1]: scores of the same transactions.
        """
        if period > self.period:
            if self.counts.any():
                both = [CapacityThreshold.at(counts, self.capacity) for counts in self.counts]
                self.thresholds = both[0], both[1]
            self.period, self.counts = period, np.zeros_like(self.counts)
        for row, scores in enumerate((champion, challenger)):
            self.counts[row] += np.bincount(cells_of(scores), minlength=CELL_COUNT)
        first, second = self.thresholds
        return first.alerts(champion, hashes), second.alerts(challenger, hashes)

    def state(self) -> dict[str, Any]:
        """Plain values, to be stored as JSON."""
        return {
            "capacity": self.capacity,
            "period": self.period,
            "counts": self.counts.tolist(),
            "thresholds": [[one.cell, one.share] for one in self.thresholds],
        }

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Self:
        """As it was stored. Raises ValueError when it is something else."""
        try:
            counts = np.array(state["counts"], dtype=np.int64)
            first, second = (CapacityThreshold(int(c), float(s)) for c, s in state["thresholds"])
            found = cls(float(state["capacity"]), int(state["period"]), counts, (first, second))
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError("the stored state is not that of matched alerts") from error
        if counts.shape != (2, CELL_COUNT):
            raise ValueError(f"the stored counts have shape {counts.shape}")
        return found
