"""Adaptive windowing, for comparison: it states no run length, and nothing alarms by it.

Bifet and Gavaldà (Learning from time-changing data with adaptive windowing, SDM 2007): a window
that is cut as soon as two parts of it have means that differ by more than a bound. This is their
ADWIN2, which keeps sums of 1, 2, 4, ... outcomes, of outcomes that are 0 or 1.
"""

import math
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np

from sentinel.core.drift.detectors.bernoulli import Outcomes
from sentinel.records import Floats, Ints

_LEVELS = 40  # of 2**level outcomes each: more than will ever come


@dataclass(frozen=True, slots=True)
class AdwinParams:
    """Of the method.

    Attributes
    ----------
    delta
        By its authors' bound a false cut at each look has at most this probability.
    look_every
        Outcomes between two looks.
    sums_a_level
        So many sums of each size are kept.
    part_min
        A part of fewer outcomes is not compared.
    """

    delta: float = 0.002
    look_every: int = 32
    sums_a_level: int = 5
    part_min: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ValueError("delta must be in (0, 1)")
        if min(self.look_every, self.sums_a_level, self.part_min) < 1:
            raise ValueError("look_every, sums_a_level and part_min must be at least 1")


@dataclass(frozen=True, eq=False, slots=True)
class AdwinState:
    """The window.

    Attributes
    ----------
    seen
        Outcomes since the first one.
    counts
        int64 (LEVELS,): sums that are kept of each size.
    sums
        float64 (LEVELS, sums_a_level + 1): of 2**level outcomes each, the oldest first.
    """

    seen: int
    counts: Ints
    sums: Floats

    @classmethod
    def fresh(cls, params: AdwinParams) -> Self:
        """An empty window."""
        shape = (_LEVELS, params.sums_a_level + 1)
        return cls(0, np.zeros(_LEVELS, dtype=np.int64), np.zeros(shape))

    @property
    def width(self) -> int:
        """Outcomes in the window."""
        return int((self.counts << np.arange(_LEVELS)).sum())

    @property
    def total(self) -> float:
        """Ones among them."""
        kept = np.arange(self.sums.shape[1]) < self.counts[:, None]
        return float(self.sums[kept].sum())


def after_outcomes(
    state: AdwinState, outcomes: Outcomes, params: AdwinParams
) -> tuple[AdwinState, Ints]:
    """Some outcomes more, int8 (n,) of 0 and 1; and behind which of them, by how many there were
    since the first one, the window was cut.
    """
    counts, sums = state.counts.copy(), state.sums.copy()
    cut = np.zeros(len(outcomes), dtype=np.bool_)
    for i, outcome in enumerate(outcomes.tolist()):
        _append(counts, sums, float(outcome))
        if (state.seen + i + 1) % params.look_every == 0:
            cut[i] = _cut(counts, sums, params.delta, params.part_min)
    places = state.seen + 1 + np.flatnonzero(cut)
    return AdwinState(state.seen + len(outcomes), counts, sums), places


@numba.njit(cache=True, nogil=True)
def _append(counts: Ints, sums: Floats, outcome: float) -> None:
    """One outcome more; where a level is full its two oldest become one of the next."""
    level, carried = 0, outcome
    while True:
        sums[level, counts[level]] = carried
        counts[level] += 1
        if counts[level] < sums.shape[1]:
            return
        carried = sums[level, 0] + sums[level, 1]
        counts[level] -= 2
        for k in range(counts[level]):
            sums[level, k] = sums[level, k + 2]
        level += 1


@numba.njit(cache=True, nogil=True)
def _cut(counts: Ints, sums: Floats, delta: float, part_min: int) -> bool:
    """Drop the oldest sum as long as two parts of the window differ; whether any was."""
    found = False
    while _differs(counts, sums, delta, part_min):
        found = True
        level = len(counts) - 1
        while counts[level] == 0:
            level -= 1
        counts[level] -= 1
        for k in range(counts[level]):
            sums[level, k] = sums[level, k + 1]
    return found


@numba.njit(cache=True, nogil=True)
def _differs(counts: Ints, sums: Floats, delta: float, part_min: int) -> bool:
    """Whether at any place between two sums what is older has another mean than what is newer."""
    n, total = 0.0, 0.0
    for level in range(len(counts)):
        n += counts[level] * 2.0**level
        for k in range(counts[level]):
            total += sums[level, k]
    if n < 2 * part_min:
        return False
    variance = total / n * (1.0 - total / n)
    confidence = math.log(2.0 * math.log(n) / delta)
    older, older_sum = 0.0, 0.0
    for level in range(len(counts) - 1, -1, -1):
        for k in range(counts[level]):
            older += 2.0**level
            older_sum += sums[level, k]
            if older < part_min or n - older < part_min:
                continue
            both = 1.0 / (older - part_min + 1.0) + 1.0 / (n - older - part_min + 1.0)
            bound = math.sqrt(2.0 * both * variance * confidence) + 2.0 / 3.0 * both * confidence
            if abs(older_sum / older - (total - older_sum) / (n - older)) > bound:
                return True
    return False
