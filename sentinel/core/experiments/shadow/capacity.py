"""Alerts of two models at the same capacity: neither wins by alerting more.

Who may review a thousand transactions a day wants to know which model's thousand hold more fraud.
So each model alerts on its own highest scores, as many as the capacity, whatever its scores mean.
"""

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints


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
