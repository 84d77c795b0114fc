"""How good decisions are while nobody knows the truth yet: what the probabilities themselves say.

Confidence-based performance estimation: of alerts with a probability of 0.3 three in ten are
frauds, if P(fraud | x) is unchanged. That is all it rests on. When customers change it holds; when
fraud itself changes it sees nothing: `ASSUMPTION` belongs to each figure that is shown. As labels
mature they take the place of the estimate, example by example.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.counts.counting import GROUP_COUNT
from sentinel.records import Floats, Ints

ASSUMPTION = "if P(fraud | x) is unchanged"
# What is added up of each row; frauds are probabilities until the label is there.
MEASURES = ("rows", "frauds", "alerts", "caught", "money", "missed_money")


@dataclass(frozen=True, eq=False, slots=True)
class PerformanceSums:
    """Sums of MEASURES by groups of accounts, which can be added up and taken from each other.

    Attributes
    ----------
    of_groups
        float64 (GROUP_COUNT, len(MEASURES)): rows; expected or known frauds; alerts; frauds among
        the alerts; money of frauds; money of frauds that were not alerted, in minor units.
    """

    of_groups: Floats

    @classmethod
    def of_rows(
        cls,
        frauds: Floats,
        alerts: NDArray[np.bool_],
        amounts: Floats,
        groups: Ints,
        *,
        weights: Floats | None = None,
    ) -> Self:
        """Of rows, estimated or known.

        Parameters
        ----------
        frauds
            float64 (n,): the calibrated probability of each row, or its label, 0 or 1.
        alerts
            bool (n,): whether its action was more than to let it pass.
        amounts
            float64 (n,): minor units; what is not finite counts as 0.
        groups
            int64 (n,): any group of the account; the lowest bits name one of GROUP_COUNT.
        weights
            float64 (n,): for how many rows each stands.
        """
        assert frauds.shape == alerts.shape == amounts.shape == groups.shape
        mass = np.ones(frauds.size) if weights is None else weights
        each = _each(frauds, alerts, amounts)
        found = np.zeros((GROUP_COUNT, len(MEASURES)))
        np.add.at(found, groups & (GROUP_COUNT - 1), each * mass[:, None])
        return cls(found)

    def __add__(self, other: "PerformanceSums") -> "PerformanceSums":
        return PerformanceSums(self.of_groups + other.of_groups)

    def __sub__(self, other: "PerformanceSums") -> "PerformanceSums":
        return PerformanceSums(self.of_groups - other.of_groups)

    def total(self, measure: str) -> float:
        """One of MEASURES over all groups."""
        return float(self.of_groups[:, MEASURES.index(measure)].sum())

    def ratio(self, of: str, to: str) -> float | None:
        """None where there is nothing to divide by."""
        below = self.total(to)
        return self.total(of) / below if below > 0 else None

    @property
    def precision(self) -> float | None:
        """Frauds among the alerts."""
        return self.ratio("caught", "alerts")

    @property
    def recall(self) -> float | None:
        """Alerts among the frauds."""
        return self.ratio("caught", "frauds")

    @property
    def fraud_share(self) -> float | None:
        """Frauds among all rows."""
        return self.ratio("frauds", "rows")

    @property
    def missed_money(self) -> float:
        """Money of frauds without an alert, in minor units."""
        return self.total("missed_money")


def _each(frauds: Floats, alerts: NDArray[np.bool_], amounts: Floats) -> Floats:
    """MEASURES of each row, float64 (n, len(MEASURES))."""
    money = np.where(np.isfinite(amounts), amounts, 0.0) * frauds
    columns = [np.ones(frauds.size), frauds, alerts, frauds * alerts, money, money * ~alerts]
    return np.stack(columns, axis=1).astype(np.float64)


def replaced(
    estimated: PerformanceSums, matured_estimated: PerformanceSums, matured: PerformanceSums
) -> PerformanceSums:
    """With what is known in the place of what was estimated.

    Parameters
    ----------
    estimated
        Of all rows of a window.
    matured_estimated, matured
        Of those whose label is there or will not come any more: as it was estimated, and as it is.
    """
    return estimated - matured_estimated + matured
