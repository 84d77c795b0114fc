"""Simulated chargebacks: most frauds come back to the bank, late, and some that were none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ChargebackParams:
    """How many transactions are charged back, and when.

    Attributes
    ----------
    fraud_share
        Of the frauds; the others nobody ever notices.
    genuine_share
        Of the genuine ones: customers who deny what they bought.
    delay_median_days, delay_spread
        Delays are lognormal: their median, and the standard deviation of their logarithm.
    delay_days_min, delay_days_max
        What is quicker or slower comes at this end.
    """

    fraud_share: float = 0.8
    genuine_share: float = 0.0005
    delay_median_days: float = 12.0
    delay_spread: float = 0.6
    delay_days_min: float = 1.0
    delay_days_max: float = 60.0

    def __post_init__(self) -> None:
        if not (0 <= self.fraud_share <= 1 and 0 <= self.genuine_share <= 1):
            raise ValueError("fraud_share and genuine_share must be in [0, 1]")
        if not 0 < self.delay_days_min <= self.delay_median_days <= self.delay_days_max:
            raise ValueError("expected 0 < delay_days_min <= delay_median_days <= delay_days_max")
        if self.delay_spread < 0:
            raise ValueError("delay_spread must not be negative")


@dataclass(frozen=True, slots=True)
class Chargebacks:
    """Who claims their money back.

    Attributes
    ----------
    row
        int64 (n,), ascending: the transaction.
    delay_ms
        int64 (n,): from the transaction to its chargeback.
    """

    row: Ints
    delay_ms: Ints


def chargebacks(
    is_fraud: NDArray[np.bool_], rng: np.random.Generator, params: ChargebackParams
) -> Chargebacks:
    """The chargebacks of some transactions, bool (n_transactions,), each drawn on its own."""
    share = np.where(is_fraud, params.fraud_share, params.genuine_share)
    row = np.flatnonzero(rng.random(is_fraud.size) < share)
    return Chargebacks(row, delays_ms(rng.standard_normal(row.size), params))


def delays_ms(deviates: Floats, params: ChargebackParams) -> Ints:
    """Delays, int64 (n,), of standard normal deviates."""
    days = params.delay_median_days * np.exp(params.delay_spread * deviates)
    days = np.clip(days, params.delay_days_min, params.delay_days_max)
    found: Ints = np.rint(days * DAY_MS).astype(np.int64)
    return found
