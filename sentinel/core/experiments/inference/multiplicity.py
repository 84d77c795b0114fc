"""Several challengers, or several metrics: how often any of them alarms for nothing.

One primary metric decides, named before the start. Other metrics are told beside it with p-values
adjusted by Holm's method, and decide nothing. Several challengers share the level: each is tested
at its part, and when one has been told apart from the control its part goes to the others (Maurer
and Bretz 2013: Holm's method for tests with looks).
"""

from collections.abc import Sequence

import numpy as np

from sentinel.core.experiments.inference.planned import ArmLook
from sentinel.core.experiments.inference.spending import Boundaries


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted by Holm's step-down method: any of true hypotheses has one <= alpha in a
    share alpha of experiments, at most.
    """
    order = np.argsort(p, kind="stable")
    found, largest = [0.0] * len(p), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[at]))
        found[at] = largest
    return found


def told_apart(arms: Sequence[Sequence[ArmLook]], alpha: float = 0.05) -> list[int | None]:
    """At which look each challenger was told apart from the control, by its number.

    Parameters
    ----------
    arms
        The looks at each challenger, whatever level they were tested at.
    alpha
        Two-sided, of all challengers together.
    """
    tested = [[look for look in looks if look.boundary is not None] for looks in arms]
    edges = [
        [boundaries_at(looks, alpha / part) for part in range(1, len(arms) + 1)] for looks in tested
    ]
    found: list[int | None] = [None] * len(arms)
    for number in sorted({look.number for looks in tested for look in looks}):
        while True:
            left = [i for i, one in enumerate(found) if one is None]
            beyond = [i for i in left if _is_beyond(tested[i], edges[i][len(left) - 1], number)]
            if not beyond:
                break
            found[beyond[0]] = number
    return found


def boundaries_at(looks: Sequence[ArmLook], level: float) -> list[float]:
    """The boundaries of looks that were tested, as another level would have them."""
    found = Boundaries(level)
    for look in looks:
        assert look.variance is not None
        found.add(look.share, 1 / look.variance)
    return found.values


def _is_beyond(looks: Sequence[ArmLook], edges: Sequence[float], number: int) -> bool:
    return any(
        look.number == number and look.z is not None and abs(look.z) >= edge
        for look, edge in zip(looks, edges, strict=True)
    )
