"""How transactions come to be looked at, and what share of frauds is found among those.

An alert, a random check, a customer who calls: each is a *selection channel* with a share of frauds
of its own. What was found in one says nothing about another, and what brought itself up (a
chargeback) says nothing about what did not. So the prior of a transaction is the share of frauds
among those of its channel that were judged and that nobody brought up, shrunk to what the model
expects of them, and counts no more than one annotator may. See docs/labels.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.params import ConsensusParams
from sentinel.records import Floats, Ints

UNKNOWN = ""
OF_DECISIONS = ("approve", "review", "block", "explored")  # these have room whatever else is named
CHANNEL_COUNT_MAX = 32
CHANNEL_LENGTH_MAX = 64

# What is counted in a channel: transactions by the evidence of their votes for fraud, in nats, in
# bins of one width about 0, what is beyond them at the ends; then the sum and the count of the
# probabilities that the model gave, where they are known.
BIN_COUNT = 33
BIN_NATS = 0.5
PROBABILITY, TOLD = BIN_COUNT, BIN_COUNT + 1
WIDTH = BIN_COUNT + 2
# With more than so many in a channel, all count half: what it was like long ago is forgotten.
COUNT_MAX = 4_000.0


@dataclass(frozen=True, slots=True)
class ChannelSelection:
    """How tasks came to be looked at, and what was found in each channel.

    Attributes
    ----------
    channel
        int64 (n_tasks,): below the number of channels.
    probability
        float64 (n_tasks,): what the model said of each; not a number where that is not known.
    evidence
        float64 (n_tasks,): log-odds of the votes with which each is counted in its channel; not a
        number where it is not.
    is_brought_up
        bool (n_tasks,): a self-selected source spoke of it before anybody judged it.
    totals
        float64 (n_channels, WIDTH): what is counted in each channel.
    base_rate
        The share of frauds that the model expects anywhere; None where there is none.
    """

    channel: Ints
    probability: Floats
    evidence: Floats
    is_brought_up: NDArray[np.bool_]
    totals: Floats
    base_rate: float | None = None

    def __post_init__(self) -> None:
        assert self.channel.shape == self.probability.shape == self.evidence.shape
        assert self.is_brought_up.shape == self.channel.shape
        assert self.totals.shape[1:] == (WIDTH,)

    @classmethod
    def unknown(cls, task_count: int, base_rate: float | None = None) -> Self:
        """Nothing is known of any task, and nothing is counted yet."""
        unknown = np.full(task_count, np.nan)
        channel, no = np.zeros(task_count, dtype=np.int64), np.zeros(task_count, dtype=np.bool_)
        return cls(channel, unknown, unknown, no, np.zeros((1, WIDTH)), base_rate)


def base_of(base_rate: float | None, params: ConsensusParams) -> float:
    """The share of frauds that is expected anywhere: the model's, or that of the priors."""
    if base_rate is None:
        return params.fraud_prior / (params.fraud_prior + params.genuine_prior)
    assert 0 <= base_rate <= 1
    return base_rate


def numbered_channels(names: Iterable[str], known: Iterable[str] = ()) -> dict[str, int]:
    """The number of each channel: 0 of the unknown, then of decisions, the known, the new.

    Whoever sends feedback may name channels, so there is room for a few: behind them, a new one
    has the number of the unknown.
    """
    found = {name: number for number, name in enumerate((UNKNOWN, *OF_DECISIONS))}
    for name in (*known, *names):
        found.setdefault(name, len(found) if len(found) < CHANNEL_COUNT_MAX else 0)
    return found


@numba.njit(cache=True, nogil=True)
def count_in(totals: Floats, evidence: float, probability: float, sign: float) -> None:
    """Count a transaction in its channel, or take it out of it; `totals` is float64 (WIDTH,)."""
    middle = BIN_COUNT // 2
    at = middle + int(max(-middle, min(middle, np.rint(evidence / BIN_NATS))))
    totals[at] = max(totals[at] + sign, 0.0)
    if not np.isnan(probability):
        totals[PROBABILITY] = max(totals[PROBABILITY] + sign * probability, 0.0)
        totals[TOLD] = max(totals[TOLD] + sign, 0.0)
    if totals[:BIN_COUNT].sum() > COUNT_MAX:
        totals *= 0.5


@numba.njit(cache=True, nogil=True)
def log_odds_in(totals: Floats, base: float, strength: float, limit: float) -> float:
    """Log-odds of fraud before any vote on a transaction of a channel, within ±limit.

    The share of frauds that explains the evidence found in the channel best (Saerens, Latinne,
    Decaestecker: Adjusting the outputs of a classifier to new a priori probabilities, Neural
    Computation 14, 2002; their EM and this search have one fixed point). It does not depend on what
    was believed of the share before, so a wrong first guess is left again. A priori it is
    Beta-distributed about the mean of the probabilities that are known, itself shrunk to the base,
    each with the weight of `strength` transactions.
    """
    expected = (strength * base + totals[PROBABILITY]) / (strength + totals[TOLD])
    low, high = -limit, limit
    for _ in range(24):  # the slope of the log-posterior falls with the share
        middle = 0.5 * (low + high)
        share = 1.0 / (1.0 + np.exp(-middle))
        slope = strength * (expected - share)  # in the log-odds, of the prior
        for i in range(BIN_COUNT):
            if totals[i] > 0.0:
                ratio = np.exp((i - BIN_COUNT // 2) * BIN_NATS)
                slope += totals[i] * (share * ratio / (share * ratio + 1.0 - share) - share)
        if slope > 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
