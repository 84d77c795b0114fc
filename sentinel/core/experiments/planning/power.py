"""What a test that is looked at again and again can find, against one that is looked at once."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from sentinel.core.experiments.inference.spending import boundaries
from sentinel.records import Floats

_POINT_COUNT = 161
_SECANT_STEPS = 12


def power_of(drift: float, edges: tuple[float, ...]) -> float:
    """How probably z passes the upper boundary at one of so many equally spaced looks.

    Paths that pass the lower one first do not count (Jennison and Turnbull, Group sequential
    methods, 2000, chapter 19).

    Parameters
    ----------
    drift
        The mean of z at the last look.
    edges
        Of each look, for the absolute value of z.
    """
    count = len(edges)
    step = 1 / count
    sd, mean = math.sqrt(step), drift * step
    points, mass = np.zeros(1), np.ones(1)
    found = 0.0
    for number, edge in enumerate(edges, start=1):
        reach = min(edge, 8.0) * math.sqrt(number * step)
        found += float(mass @ ndtr(-(reach - points - mean) / sd))
        grid = np.linspace(-reach, reach, _POINT_COUNT)
        away = (grid[:, None] - points[None, :] - mean) / sd
        density = np.exp(-0.5 * away**2) @ mass / (sd * math.sqrt(2 * math.pi))
        points, mass = grid, density * _simpson(grid[1] - grid[0])
    return found


def _simpson(spacing: float) -> Floats:
    weights = np.full(_POINT_COUNT, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return weights * spacing / 3


@lru_cache(maxsize=32)
def drift_needed(looks: int, alpha: float, power: float) -> float:
    """The mean of z at the planned end with which a difference is found so probably.

    Of one look it is z(1 - alpha / 2) + z(power); of more it is a little larger.
    """
    assert looks >= 1
    fixed = float(ndtri(1 - alpha / 2) + ndtri(power))
    if looks == 1:
        return fixed
    shares = [(k + 1) / looks for k in range(looks)]
    edges = tuple(boundaries(shares, shares, alpha))
    # In normal deviates power is nearly a line.
    before, found = fixed, fixed + 0.1
    lacks = power_of(before, edges)
    for _ in range(_SECANT_STEPS):
        has = power_of(found, edges)
        slope = float(ndtri(has) - ndtri(lacks)) / (found - before)
        step = float(ndtri(power) - ndtri(has)) / slope
        before, lacks, found = found, has, found + step
        if abs(step) < 1e-6:
            break
    return found
