"""What one update is trained on: all new examples, and a share of the memory beside them.

New examples alone make a model forget, and the memory as it stands would make rare strata look
frequent. So each remembered row weighs the inverse of its chance to be here (Horvitz and Thompson,
A generalization of sampling without replacement from a finite universe, JASA 47, 1952): the
weights add up, in expectation, to those of all examples there ever were.
"""

from dataclasses import dataclass

import numpy as np

from sentinel.core.features.hashing import is_drawn, rehashed
from sentinel.core.learning.training_data.examples import Bools, Examples, joined, newest
from sentinel.core.learning.training_data.memory import Memory
from sentinel.records import Floats, Ints

_SALT = 0x7265706C61796564  # any other number would do, but for 0 and the memory's own


@dataclass(frozen=True, slots=True)
class ReplayParams:
    """How much of the memory an update sees.

    Attributes
    ----------
    replay_share
        The chance of each remembered row to be in an update. Recent frauds are all in it.
    inverse_probability_max
        No row counts for more than so many times its own weight, and those beyond count for less
        than they should: a few rows of great weight are noise that a model learns by heart.
    """

    replay_share: float = 0.5
    inverse_probability_max: float = 100.0

    def __post_init__(self) -> None:
        if not 0 <= self.replay_share <= 1:
            raise ValueError("replay_share must be in [0, 1]")
        if not self.inverse_probability_max >= 1:
            raise ValueError("inverse_probability_max must be at least 1")


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The rows of an update, ascending by event time, with what each weighs in it.

    Attributes
    ----------
    weight
        float64 (n,): min(1 / probability of being here, `inverse_probability_max`) * the example's
        own weight * how sure its label is. A row of posterior p is as good as p rows of that label.
    is_replayed
        bool (n,): whether it is from the memory.
    """

    rows: Examples
    weight: Floats
    is_replayed: Bools

    @property
    def labels(self) -> Ints:
        """1 of a fraud, else 0, int64 (n,)."""
        return self.rows.is_fraud.astype(np.int64)


def training_set(memory: Memory, new: Examples, params: ReplayParams, *, draw: int) -> TrainingSet:
    """All new examples and a share of the memory; the same arguments give the same rows.

    Parameters
    ----------
    memory
        With or without the new examples: those are not replayed beside themselves.
    new
        Of those of one transaction the newest counts. None is older than what is remembered of it.
    draw
        A number for each update, in 0..2**32 - 1: another one replays other rows.
    """
    assert 0 <= draw < 2**32
    new = newest(new)
    is_here = is_replayed(memory, params.replay_share, draw=draw)
    is_here &= ~np.isin(memory.rows.id_hash, new.id_hash)
    new = new.take(new.weight > 0)
    chance = np.where(memory.is_recent_fraud, 1.0, params.replay_share)[is_here]
    chance *= memory.inclusion_probability()[is_here]
    factor = np.minimum(1.0 / chance, params.inverse_probability_max)
    rows = joined([memory.rows.take(is_here), new])
    weight = np.concatenate([factor, np.ones(len(new))]) * rows.weight * rows.certainty
    order = np.lexsort((rows.id_hash, rows.event_time_ms))
    is_from_memory = np.arange(len(rows)) < factor.size
    return TrainingSet(rows.take(order), weight[order], is_from_memory[order])


def is_replayed(memory: Memory, share: float, *, draw: int) -> Bools:
    """Which remembered rows are drawn, bool (n,): recent frauds, and of the others a share."""
    drawn = is_drawn(rehashed(memory.rows.id_hash, _SALT), draw, share)
    found: Bools = memory.is_live & (memory.is_recent_fraud | drawn)
    return found
