"""Examples with what the gate asks of them beside the features: what a learner takes in."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sentinel.core.decision import APPROVE, Codes
from sentinel.core.learning.training_data.examples import Bools, Examples, no_examples
from sentinel.core.learning.training_data.examples import joined as joined_examples
from sentinel.records import Ints

# Amounts from one of these to below the next are of one decade. They begin where a currency of two
# decimals has its ten units: below, few frauds are, and a segment wants at least some dozens.
_DECADES_MINOR = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
SEGMENT_NAMES = (
    f"amount below {_DECADES_MINOR[0]:,} minor units",
    *(f"amount {low:,} to {10 * low - 1:,} minor units" for low in _DECADES_MINOR[:-1]),
    f"amount from {_DECADES_MINOR[-1]:,} minor units",
)
STRATUM_COUNT = 2 * len(SEGMENT_NAMES)


@dataclass(frozen=True, slots=True)
class Columns:
    """n examples, one row each; column i of all belongs to row i.

    Attributes
    ----------
    examples
        What a candidate is made of.
    account
        int64 (n,): `hash64` of the account, 0 where there is none.
    amount_minor
        int64 (n,): in minor units, >= 0.
    action
        int64 (n,): what was decided, APPROVE, REVIEW or BLOCK.
    is_selective
        bool (n,): blocked and labelled all the same; how likely that was is not known.
    is_explored
        bool (n,): would have been blocked, and was reviewed by chance. Never also selective.
    is_investigated
        bool (n,): whether somebody looked at it, else the label came late or was presumed.
    """

    examples: Examples
    account: Ints
    amount_minor: Ints
    action: Codes
    is_selective: Bools
    is_explored: Bools
    is_investigated: Bools

    def __post_init__(self) -> None:
        for column in fields(self)[1:]:
            assert getattr(self, column.name).shape == (len(self.examples),), column.name
        assert not np.any(self.is_selective & self.is_explored)

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def is_flagged(self) -> Bools:
        """Whether it was reviewed or blocked, bool (n,)."""
        return self.action != APPROVE

    @property
    def group(self) -> Ints:
        """What depends on each other, int64 (n,): the account; one without is alone."""
        return np.where(self.account != 0, self.account, self.examples.id_hash)

    @property
    def segment(self) -> Ints:
        """Code of the amount's decade, int64 (n,), of which `SEGMENT_NAMES` are the names."""
        return amount_segments(self.amount_minor)

    def take(self, rows: Ints | Bools | slice) -> "Columns":
        """The rows at these places, or where a mask of them is true."""
        places = np.arange(len(self))[rows] if isinstance(rows, slice) else rows
        rest = (getattr(self, column.name)[places] for column in fields(self)[1:])
        return Columns(self.examples.take(places), *rest)


def no_columns(feature_count: int) -> Columns:
    """Zero rows of that many features."""
    ints, bools = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
    return Columns(no_examples(feature_count), ints, ints, ints, bools, bools, bools)


def joined(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, one after the other; all have the same features."""
    return Columns(
        joined_examples([part.examples for part in parts]),
        *(
            np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(Columns)[1:]
        ),
    )


def newest(rows: Columns) -> Columns:
    """The one row of each transaction that counts, ascending by `id_hash`."""
    id_hash = rows.examples.id_hash
    order = np.lexsort((rows.examples.version, id_hash))
    last = np.append(np.diff(id_hash[order]) != 0, True)[: order.size]
    return rows.take(order[last])


def amount_segments(amount_minor: Ints) -> NDArray[np.int64]:
    """Code of the decade of each amount's size, int64 (n,), in 0..5."""
    return np.searchsorted(_DECADES_MINOR, np.abs(amount_minor), side="right")


def strata(amount_minor: Ints, action: Codes) -> NDArray[np.int64]:
    """The part of the population each stands in, int64 (n,), below `STRATUM_COUNT`.

    Frauds of small amounts and of large ones are of different kinds, and so is what was flagged.
    """
    return 2 * amount_segments(amount_minor) + (action != APPROVE)
