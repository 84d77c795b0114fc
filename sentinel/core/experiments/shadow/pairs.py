"""Transactions on which one of the two models alerted and the other did not.

Each is kept until its truth cannot change any more, so that a label which is revised or withdrawn
later corrects every sum exactly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features.hashing import hash64
from sentinel.records import Floats, Ints

_PROPENSITY_MIN = 1e-6  # a smaller one says nothing any more


@dataclass(frozen=True, slots=True)
class Pair:
    """One such transaction.

    Attributes
    ----------
    is_challengers
        Whether the challenger alerted; else the champion did.
    propensity
        How likely its truth was to be seen: 1 if it was not to be blocked; the share that is
        explored if it was; 0 if it was to be blocked in any case.
    is_seen
        Whether it will be: not of what was blocked.
    is_fraud
        None while nothing is known, or what was known is withdrawn.
    label_version
        Of the label that counts: an older one changes nothing.
    """

    account: str
    event_time_ms: int
    is_challengers: bool
    amount_minor: int
    propensity: float = 1.0
    is_seen: bool = True
    is_fraud: bool | None = None
    label_version: int = -1

    def __post_init__(self) -> None:
        if not (self.propensity == 0 or _PROPENSITY_MIN <= self.propensity <= 1):
            raise ValueError(f"no truth is seen with the probability {self.propensity}")
        if self.is_seen and self.propensity == 0:
            raise ValueError("what is blocked in any case is not seen")


class PairColumns(NamedTuple):
    """Pairs as columns, all of shape (n,), in the order of their time.

    `account` is `hash64` of it, `side` +1 of the challenger's and -1 of the champion's, `value`
    the amount in minor units, never negative; `weight` is 1 / propensity of what is seen, and 0 of
    what is not; `is_blind` is what could not have been.
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


class PairedTransactions:
    """All pairs of a shadow experiment, up to a limit.

    Beyond the limit no pair is taken in, of either side: what has been counted stays right.
    """

    def __init__(self, count_max: int = 500_000) -> None:
        self._count_max = count_max
        self._pairs: dict[str, Pair] = {}
        self.left_out_count = 0

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, pairs: Mapping[str, Pair]) -> None:
        """Take in pairs by the identifier of their transaction; a repetition changes nothing."""
        for transaction_id, pair in pairs.items():
            if transaction_id in self._pairs:
                continue
            if len(self._pairs) >= self._count_max:
                self.left_out_count += 1
            else:
                self._pairs[transaction_id] = pair

    def label(self, transaction_id: str, is_fraud: bool | None, version: int) -> bool:
        """What is known of a transaction now, None if it is withdrawn; whether that is new.

        Parameters
        ----------
        version
            Grows from label to label of a transaction.
        """
        pair = self._pairs.get(transaction_id)
        if pair is None or version <= pair.label_version:
            return False
        self._pairs[transaction_id] = replace(pair, is_fraud=is_fraud, label_version=version)
        return pair.is_fraud != is_fraud

    def forget(self, before_ms: int) -> int:
        """Drop pairs from before then that are no frauds and not without truth; how many.

        Labels do not change any more behind so long a time.
        """
        gone = [
            name
            for name, pair in self._pairs.items()
            if pair.event_time_ms < before_ms and not pair.is_fraud and pair.is_seen
        ]
        for name in gone:
            del self._pairs[name]
        return len(gone)

    def columns(self) -> PairColumns:
        """All of them."""
        named = sorted(self._pairs.items(), key=lambda one: (one[1].event_time_ms, one[0]))
        return columns_of(pair for _, pair in named)

    def state(self) -> dict[str, Any]:
        """Plain values, to be stored as JSON."""
        return {
            "left_out_count": self.left_out_count,
            "pairs": {name: list(astuple(pair)) for name, pair in self._pairs.items()},
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any], count_max: int = 500_000) -> Self:
        """As they were stored. Raises ValueError when the state is of something else."""
        found = cls(count_max)
        try:
            found.left_out_count = int(state["left_out_count"])
            found._pairs = {name: Pair(*values) for name, values in state["pairs"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the stored state is not that of pairs") from error
        return found


def columns_of(pairs: Iterable[Pair]) -> PairColumns:
    """Pairs, in the order of their time, as columns."""
    rows = list(pairs)
    return PairColumns(
        account=hash64([row.account for row in rows]),
        event_time_ms=np.array([row.event_time_ms for row in rows], dtype=np.int64),
        side=np.array([1.0 if row.is_challengers else -1.0 for row in rows]),
        value=np.array([abs(row.amount_minor) for row in rows], dtype=np.float64),
        weight=np.array([1 / row.propensity if row.is_seen else 0.0 for row in rows]),
        is_fraud=np.array([row.is_fraud is True for row in rows], dtype=np.bool_),
        is_blind=np.array([row.propensity == 0 for row in rows], dtype=np.bool_),
    )
