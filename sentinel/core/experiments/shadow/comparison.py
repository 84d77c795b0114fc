"""What the pairs say by now, in frauds and in money."""

import math
from dataclasses import dataclass

import numpy as np

from sentinel.core.experiments.shadow.betting import log_evidence_of_steps
from sentinel.core.experiments.shadow.pairs import PairColumns
from sentinel.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class SignedSum:
    """Money that the challenger found and the champion did not, less the other way round.

    Who finds many small frauds and leaves few large ones seems better until the first large one:
    of models that find as much money, losses 19 times as large as gains, the boundary promoted 39
    of 100 within 60 accounts. So one large fraud more counts for the side that has found less.

    Attributes
    ----------
    total, squares
        Of the accounts' sums, and of their squares; minor units.
    account_count
        Accounts with any.
    large
        The money of that one.
    """

    total: float
    squares: float
    account_count: int
    large: float = 0.0

    @property
    def information(self) -> float:
        """The variance of the sum if both are equal: it grows with what has matured.

        The mean is not taken off: the variance around it is too small where many small gains stand
        against few large losses.
        """
        return self.squares + self.large**2

    @property
    def beyond(self) -> float:
        """What is left of the sum behind one large fraud more; its sign is the sum's."""
        return math.copysign(max(abs(self.total) - self.large, 0.0), self.total)

    @property
    def z(self) -> float:
        """To be held against the planned boundary of that information; 0 without any."""
        return self.beyond / math.sqrt(self.information) if self.squares > 0 else 0.0


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """A look at a shadow experiment.

    Attributes
    ----------
    better_count, worse_count
        Matured frauds that only the challenger, only the champion alerted on, by their weights.
    accounts
        Those that decide by counts: whose first one is the challenger's, and the champion's.
    log_e_better, log_e_worse
        log of the evidence that the challenger is better, and worse; 1 / alpha is enough at any
        time.
    money
        By account.
    blind_count
        Matured pairs that were blocked in any case, so that nobody can know. Where it is asked
        whether the challenger is better, those of the champion count as frauds that it found.
    immature_count
        Pairs that are too young, of which nothing is counted, whatever is known of them.
    """

    better_count: float
    worse_count: float
    accounts: tuple[int, int]
    log_e_better: float
    log_e_worse: float
    money: SignedSum
    blind_count: int
    immature_count: int


def compare(
    pairs: PairColumns,
    now_ms: int,
    *,
    maturity_ms: int,
    weight_max: float = 1.0,
    large_minor: float = 0.0,
) -> PairedComparison:
    """What the matured pairs say.

    A pair counts when its transaction is older than the maturity, never because its label has come:
    what the champion alerts on is reviewed and known at once, what only the challenger would have
    found is known when the customer complains, weeks later.

    Parameters
    ----------
    pairs
        In the order of their time.
    weight_max
        At least all weights; known before the start, as 1 / the share that is explored.
    large_minor
        What an account loses on a day that one in a thousand exceeds, of those with a fraud
        (`HistoryRates.large_loss`); with less, money promotes too often.
    """
    assert maturity_ms >= 0
    assert np.all(np.diff(pairs.event_time_ms) >= 0)
    weight_max = max(weight_max, 1.0, float(pairs.weight.max(initial=0.0)))
    count = int(np.searchsorted(pairs.event_time_ms, now_ms - maturity_ms, side="right"))
    matured = pairs.first(count)
    signed = np.where(matured.is_fraud, matured.side * matured.weight, 0.0)
    at_worst = np.where(matured.is_blind, np.minimum(matured.side, 0.0), signed)
    steps = _first_of_accounts(matured, at_worst)
    return PairedComparison(
        better_count=float(signed[signed > 0].sum()),
        worse_count=float(-signed[signed < 0].sum()),
        accounts=(int((steps > 0).sum()), int((steps < 0).sum())),
        log_e_better=log_evidence_of_steps(steps, weight_max),
        log_e_worse=log_evidence_of_steps(-_first_of_accounts(matured, signed), weight_max),
        money=signed_sum(matured.account, at_worst * matured.value, large_minor),
        blind_count=int(matured.is_blind.sum()),
        immature_count=len(pairs.side) - count,
    )


def _first_of_accounts(pairs: PairColumns, signed: Floats) -> Floats:
    """The step of each account: frauds of one account are found by the same model, again and again.

    It is its first fraud that is seen, unless one that was not seen came before: which is the
    champion's as a rule, so that to go on behind it would favour the challenger.
    """
    counting = np.flatnonzero((signed != 0) | (pairs.weight == 0))
    _, first = np.unique(pairs.account[counting], return_index=True)
    found: Floats = signed[counting[first]]
    return found


def signed_sum(account: Ints, signed: Floats, large: float = 0.0) -> SignedSum:
    """By account, from the signed money of pairs, float64 (n,), and whose they are, int64 (n,)."""
    counting = signed != 0
    accounts, at = np.unique(account[counting], return_inverse=True)
    of_account = np.bincount(at, weights=signed[counting], minlength=accounts.size)
    return SignedSum(float(of_account.sum()), float((of_account**2).sum()), accounts.size, large)
