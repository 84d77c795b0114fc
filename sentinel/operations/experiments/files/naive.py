"""What somebody sees who takes rows for independent and each look for the only one."""

import math

import numpy as np
from scipy.special import ndtr

from sentinel.operations.experiments.files.rows import OutcomeRows


class NaiveSums:
    """Counts, sums and sums of squares of the outcomes of each arm, up to any row."""

    def __init__(self, rows: OutcomeRows) -> None:
        self._names = rows.arm_names
        is_there = ~np.isnan(rows.outcomes)
        y = np.where(is_there, rows.outcomes, 0.0)
        y = y - y.mean()  # a shift of both arms: sums of squares keep their digits
        own = [is_there & (rows.arms == arm) for arm in range(len(rows.arm_names))]
        self._parts = [
            tuple(np.cumsum(np.where(mask, one, 0.0)) for one in (1.0, y, y * y)) for mask in own
        ]

    def p(self, end: int, control: str, challenger: str) -> float | None:
        """The two-sided p-value of equal means, of the rows before `end`."""
        means, variance = [], 0.0
        for name in (control, challenger):
            n, y, yy = (float(part[end - 1]) for part in self._parts[self._names.index(name)])
            if n < 2:
                return None
            means.append(y / n)
            variance += (yy - y * y / n) / (n - 1) / n
        if not variance > 0:
            return None
        return float(2 * ndtr(-abs(means[1] - means[0]) / math.sqrt(variance)))
