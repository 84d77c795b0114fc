"""Transactions on which one of the two models alerts and the other does not.

They are made anew at each look, of all decisions and of the labels that hold by then: so a label
that is revised or withdrawn corrects every sum exactly.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints


class PairColumns(NamedTuple):
    """Pairs as columns, all of shape (n,), in the order of their time.

    Attributes
    ----------
    account
        A hash of it.
    side
        +1 if the challenger alerts, -1 if the champion does.
    value
        The amount in minor units, never negative.
    weight
        1 if the truth is seen in any case; 1 / share if it was to be blocked, and was reviewed
        instead to explore; 0 if it was blocked, and nobody will see.
    is_fraud
        Whether it is known to be fraud.
    is_blind
        Whether it was to be blocked in any case, so that nobody could have seen.
    """

    account: Ints
    event_time_ms: Ints
    side: Floats
    value: Floats
    weight: Floats
    is_fraud: NDArray[np.bool_]
    is_blind: NDArray[np.bool_]

    def first(self, count: int) -> "PairColumns":
        """The first so many of them."""
        return PairColumns(
            self.account[:count],
            self.event_time_ms[:count],
            self.side[:count],
            self.value[:count],
            self.weight[:count],
            self.is_fraud[:count],
            self.is_blind[:count],
        )
