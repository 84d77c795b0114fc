"""Examples as columns: what a trainer holds of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Examples:
    """n examples with f features, one row each.

    Attributes
    ----------
    features
        float64 (n, f), NaN where missing.
    id_hash
        int64 (n,): `hash64` of the transactions' identifiers, never 0. Two transactions of one hash
        would count as one; that there are such among a billion has a chance of 1 in 37.
    version
        int64 (n,): of two examples of one transaction that with the larger version counts, the
        other is superseded. Different examples of a transaction have different versions.
    event_time_ms
        int64 (n,): of the transaction, the same in all of its versions.
    stratum
        int64 (n,), >= 0: the part of the population it stands in, a segment with a fraud pattern.
    is_fraud
        bool (n,): the label.
    posterior
        float64 (n,): the probability of fraud behind the label, in [0, 1].
    weight
        float64 (n,): how many transactions it stands for, finite and >= 0. One of weight 0
        withdraws its transaction: it supersedes, and nothing is learnt from it.
    is_presumed
        bool (n,): whether it is taken for genuine because nobody spoke of it.
    """

    features: Floats
    id_hash: Ints
    version: Ints
    event_time_ms: Ints
    stratum: Ints
    is_fraud: Bools
    posterior: Floats
    weight: Floats
    is_presumed: Bools

    def __post_init__(self) -> None:
        assert self.features.ndim == 2
        for column in fields(self)[1:]:
            assert getattr(self, column.name).shape == (len(self.features),), column.name
        assert np.all(self.id_hash != 0)
        assert np.all(self.stratum >= 0)
        assert np.all((self.posterior >= 0) & (self.posterior <= 1))
        assert np.all((self.weight >= 0) & np.isfinite(self.weight))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def byte_count(self) -> int:
        return sum(getattr(self, column.name).nbytes for column in fields(self))

    @property
    def certainty(self) -> Floats:
        """How sure the label is, float64 (n,): the posterior of a fraud, else 1 less it."""
        return np.where(self.is_fraud, self.posterior, 1.0 - self.posterior)

    def take(self, rows: Ints | Bools) -> "Examples":
        """The rows at these places, or where a mask of them is true."""
        return Examples(*(getattr(self, column.name)[rows] for column in fields(self)))


def no_examples(feature_count: int) -> Examples:
    """Zero rows of that many features."""
    ints, floats = np.empty(0, dtype=np.int64), np.empty(0)
    bools = np.empty(0, dtype=np.bool_)
    none = np.empty((0, feature_count))
    return Examples(none, ints, ints, ints, ints, bools, floats, floats, bools)


def joined(parts: Sequence[Examples]) -> Examples:
    """The rows of all parts, one after the other; all have the same features."""
    return Examples(
        *(
            np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(Examples)
        )
    )


def newest(examples: Examples) -> Examples:
    """The one example of each transaction that counts, ascending by `id_hash`."""
    order = np.lexsort((examples.version, examples.id_hash))
    last = np.append(np.diff(examples.id_hash[order]) != 0, True)[: order.size]
    return examples.take(order[last])
