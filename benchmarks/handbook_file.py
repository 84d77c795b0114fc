"""Transactions in the form of the Fraud Detection Handbook, as columns."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from sentinel.core.learning.training_data.examples import Bools
from sentinel.records import Floats, Ints

DAY_MS = 86_400_000
LABEL_DELAY_DAYS = 7  # the Handbook's: a fraud is known a week after it happened

COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")


@dataclass(frozen=True, slots=True)
class Payments:
    """n transactions in the order of time and, within one instant, of their number.

    Attributes
    ----------
    transaction, customer, terminal
        int64 (n,): their numbers.
    event_time_ms
        int64 (n,), ascending.
    day
        int64 (n,): 0 on the date of the first transaction, UTC.
    amount
        float64 (n,), in major units.
    label
        int64 (n,): 1 of a fraud, else 0.
    """

    transaction: Ints
    customer: Ints
    terminal: Ints
    event_time_ms: Ints
    day: Ints
    amount: Floats
    label: Ints

    def __post_init__(self) -> None:
        assert np.all(np.diff(self.event_time_ms) >= 0)
        assert set(np.unique(self.label)) <= {0, 1}

    def __len__(self) -> int:
        return self.label.size

    @property
    def day_count(self) -> int:
        return int(self.day[-1]) + 1

    def days(self, begin: int, end: int) -> Bools:
        """Which rows are of the days begin, ..., end - 1; bool (n,)."""
        found: Bools = (self.day >= begin) & (self.day < end)
        return found


def read_frame(path: Path) -> pl.DataFrame:
    """The columns of a Parquet or CSV file, sorted by time; the scenario is left behind."""
    frame = (
        pl.read_csv(path, try_parse_dates=True)
        if path.suffix == ".csv"
        else pl.read_parquet(path, columns=list(COLUMNS))
    )
    return frame.select(COLUMNS).sort("TX_DATETIME", "TRANSACTION_ID")


def payments_of(frame: pl.DataFrame) -> Payments:
    """The columns of a sorted frame."""
    time_ms = frame["TX_DATETIME"].dt.epoch("ms").to_numpy()
    column = {
        name: frame[name].cast(pl.Int64).to_numpy() for name in COLUMNS if "AMOUNT" not in name
    }
    day = time_ms // DAY_MS
    return Payments(
        transaction=column["TRANSACTION_ID"],
        customer=column["CUSTOMER_ID"],
        terminal=column["TERMINAL_ID"],
        event_time_ms=time_ms,
        day=day - day[0],
        amount=frame["TX_AMOUNT"].cast(pl.Float64).to_numpy(),
        label=column["TX_FRAUD"],
    )
