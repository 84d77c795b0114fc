"""How much may be spent at each look, and which boundary spends just that.

Group-sequential tests by Lan and DeMets (1983; two clocks: 1989): the level is spent as the share
of the planned outcomes grows, with a spending function of the O'Brien-Fleming type, and the law of
the statistics of all looks together follows from the information at each (Armitage, McPherson and
Rowe 1969; Jennison and Turnbull 2000, chapter 19). At five equal looks the boundaries are 4.877,
3.357, 2.680, 2.290 and 2.031.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from sentinel.records import Floats

# The least by which information grows from look to look, of what there is: a variance that is
# estimated goes up as well as down, and a statistic moves all the same.
_GROWTH_MIN = 1e-3
# While so little is spent, looks are as good as disjoint, and each spends all that may be spent.
_NEGLIGIBLE = 1e-13
_Z_MAX = 8.0  # beyond, no mass is followed
_POINTS_PER_SD, _POINT_COUNT_MIN = 4.0, 65
_REACH_SD = 8.0  # of an increment: farther ones are left out
_NEWTON_STEPS = 60


def spent(share: float, level: float) -> float:
    """How much of a two-sided level may be spent on each side, at a share of what is planned.

    2 (1 - Phi(z / sqrt(share))) with z so that at 1 half of the level is spent.
    """
    if share <= 0:
        return 0.0
    z = -ndtri(level / 4) / math.sqrt(min(share, 1.0))
    return float(2 * ndtr(-z))


@dataclass(slots=True)
class Boundaries:
    """The boundaries of a two-sided test, look by look.

    Attributes
    ----------
    level
        Two-sided: in what share of experiments without a difference any look is beyond its
        boundary.
    values
        Of the looks so far, for the absolute value of z.
    spent
        Of the level, so far, on each side.
    """

    level: float
    values: list[float] = field(default_factory=list)
    spent: float = 0.0
    _information: float = 0.0
    _before: "_Paths | None" = None

    def add(self, share: float, information: float) -> float:
        """The boundary of the next look.

        Parameters
        ----------
        share
            Of what is planned: larger than at the look before; at the last look 1.
        information
            1 / variance of the difference, in any unit; what is less than at the look before counts
            as hardly more.
        """
        assert information > 0
        allowed = spent(share, self.level)
        information = max(information, self._information * (1 + _GROWTH_MIN))
        paths = self._before
        step_sd = math.sqrt(information - self._information)
        marginal = float(-ndtri(max(allowed, 1e-300)))
        if paths is None or allowed < _NEGLIGIBLE:
            z = marginal
            after = _Paths(None, np.zeros(1), math.sqrt(information), math.sqrt(information), z)
        else:
            grid, mass = paths.on_grid(step_sd)
            guess = marginal * math.sqrt(information)
            edge = _edge(grid, mass, step_sd, allowed - self.spent, guess)
            z = edge / math.sqrt(information)
            after = _Paths(grid, mass, step_sd, math.sqrt(information), z)
        if allowed >= _NEGLIGIBLE:
            self._before, self.spent = after, allowed
        self._information = information
        self.values.append(z)
        return z


def boundaries(
    shares: Sequence[float], informations: Sequence[float], level: float = 0.05
) -> list[float]:
    """The boundaries of looks that are all known; at the last one the share is 1."""
    found = Boundaries(level)
    for share, information in zip(shares, informations, strict=True):
        found.add(share, information)
    return found.values


@dataclass(frozen=True, slots=True)
class _Paths:
    """Where z sqrt(information) is after a look, on paths that were never beyond a boundary.

    Attributes
    ----------
    points, mass
        Of the look before; without points all mass is at 0, as at the start.
    step_sd
        Of the increment since then.
    sd, z
        The square root of the information, and the boundary.
    """

    points: Floats | None
    mass: Floats
    step_sd: float
    sd: float
    z: float

    def on_grid(self, next_sd: float) -> tuple[Floats, Floats]:
        """Points within the boundaries, and the mass at each by Simpson's rule."""
        edge = min(self.z, _Z_MAX) * self.sd
        finest = min(self.step_sd, next_sd) / _POINTS_PER_SD
        half = max(math.ceil(edge / finest), _POINT_COUNT_MIN // 2)
        grid = np.linspace(-edge, edge, 4 * (half // 2) + 1)
        weights = np.full(grid.size, 2.0)
        weights[1::2] = 4.0
        weights[[0, -1]] = 1.0
        weights *= (grid[1] - grid[0]) / 3
        return grid, weights * self._density(grid)

    def _density(self, at: Floats) -> Floats:
        if self.points is None:
            return _normal(at / self.step_sd) / self.step_sd
        points, mass = self.points, self.mass
        spacing = points[1] - points[0]
        width = int(2 * _REACH_SD * self.step_sd / spacing) + 2
        if width >= points.size:
            return _normal((at[:, None] - points) / self.step_sd) @ mass / self.step_sd
        # Banded: of each point only what an increment reaches.
        first = np.floor((at - _REACH_SD * self.step_sd - points[0]) / spacing).astype(np.int64)
        first = np.clip(first, 0, points.size - width)
        near = first[:, None] + np.arange(width)
        found = _normal((at[:, None] - points[near]) / self.step_sd) * mass[near]
        return found.sum(axis=1) / self.step_sd


def _edge(points: Floats, mass: Floats, sd: float, aim: float, guess: float) -> float:
    """Beyond which just so much mass lies after an increment.

    Newton's method on the logarithm of the tail, which is concave: from the second step on it
    comes from the right.
    """
    goal, at = math.log(max(aim, 1e-300)), guess
    for _ in range(_NEWTON_STEPS):
        away = (points - at) / sd
        logs = log_ndtr(away)
        largest = float(logs.max())
        tail = float(np.exp(logs - largest) @ mass)
        slope = float(np.exp(-0.5 * away**2 - largest) @ mass) / (sd * math.sqrt(2 * math.pi))
        step = (math.log(tail) + largest - goal) * tail / max(slope, 1e-300)
        at += step
        if abs(step) < 1e-9 * sd:
            break
    return at


def _normal(z: Floats) -> Floats:
    return np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
