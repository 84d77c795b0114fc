"""What a history says of its transactions, frauds and accounts, as far as a plan needs it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints

_DAY_MS = 86_400_000
_LARGE = 0.999
WINDOW_COUNT = 8  # parts of the history from its begin on, up to all of it


@dataclass(frozen=True, eq=False, slots=True)
class AccountDays:
    """Sums of each account on each day, all of shape (n,); no account has a day twice.

    Attributes
    ----------
    account
        int64: a hash of it.
    day
        int64: days since 1970, UTC.
    transactions, alerts
        float64: how many; of these reviewed or blocked.
    frauds, caught
        float64: known frauds, and of these those that were alerted on.
    fraud_money, fraud_squares
        float64: of all frauds, minor units, and the sum of the squares.
    missed_money, missed_squares
        The same of those that were not alerted on.
    """

    account: Ints
    day: Ints
    transactions: Floats
    alerts: Floats
    frauds: Floats
    caught: Floats
    fraud_money: Floats
    fraud_squares: Floats
    missed_money: Floats
    missed_squares: Floats

    def before(self, day: float) -> Self:
        """Those of days before then."""
        kept = self.day < day
        columns = {one.name: getattr(self, one.name)[kept] for one in fields(self)}
        return replace(self, **columns)


def account_days(
    account: Ints,
    event_time_ms: Ints,
    amount_minor: Ints,
    is_fraud: NDArray[np.bool_],
    is_alert: NDArray[np.bool_],
) -> AccountDays:
    """From transactions in any order, each array (n,)."""
    fraud, caught = is_fraud.astype(np.float64), (is_fraud & is_alert).astype(np.float64)
    money = np.abs(amount_minor.astype(np.float64)) * fraud
    rows = AccountDays(
        account=account,
        day=event_time_ms // _DAY_MS,
        transactions=np.ones(account.size),
        alerts=is_alert.astype(np.float64),
        frauds=fraud,
        caught=caught,
        fraud_money=money,
        fraud_squares=money**2,
        missed_money=money * (1 - caught),
        missed_squares=money**2 * (1 - caught),
    )
    return joined_days([rows])


def joined_days(parts: Sequence[AccountDays]) -> AccountDays:
    """All of them together; what is of the same account and day is added up."""
    names = [one.name for one in fields(AccountDays)]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    account, day = columns.pop("account"), columns.pop("day")
    order = np.lexsort((day, account))
    account, day = account[order], day[order]
    is_first = np.ones(account.size, dtype=np.bool_)
    is_first[1:] = (np.diff(account) != 0) | (np.diff(day) != 0)
    at = np.cumsum(is_first) - 1
    count = int(is_first.sum())
    sums = {name: _sums(at, values[order], count) for name, values in columns.items()}
    return AccountDays(account[is_first], day[is_first], **sums)


def _sums(at: NDArray[np.intp], values: Floats, count: int) -> Floats:
    return np.bincount(at, weights=values, minlength=count).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Clustering:
    """How many accounts so many days see, and how busy they are.

    Attributes
    ----------
    rows_per_account
        Of the account of a transaction: busy accounts count for more.
    """

    days: float
    account_count: float
    rows_per_account: float


@dataclass(frozen=True, slots=True)
class MetricRates:
    """What of a metric falls to a transaction.

    Attributes
    ----------
    mean, square
        Of its value, and of the square.
    correlation
        How alike transactions of one account are, in [0, 1].
    """

    mean: float
    square: float
    correlation: float

    @property
    def variance(self) -> float:
        return self.square - self.mean**2

    def thinned(self, share: float) -> Self:
        """If only this share of what it counts were there, drawn by chance."""
        return replace(
            self,
            mean=self.mean * share,
            square=self.square * share,
            correlation=self.correlation * share,
        )


@dataclass(frozen=True, slots=True)
class HistoryRates:
    """A history in figures.

    Attributes
    ----------
    recall, alert_rate
        Of what decided: frauds that were alerted on, and transactions that were.
    missed, missed_money
        Frauds that were let through, and their money, minor units.
    fraud_spread, money_spread
        How many times the variance of independent frauds, all of the mean amount, the sums by
        account have; 1 if each fraud is of an account of its own, and all are as large.
    mean_loss, large_loss
        Minor units: the mean of all frauds, and what an account loses on a day, of those with a
        fraud, that one in a thousand exceeds.
    windows
        Of ever larger parts of the history.
    """

    days: float
    transaction_count: int
    account_count: int
    fraud_count: int
    recall: float
    alert_rate: float
    missed: MetricRates
    missed_money: MetricRates
    fraud_spread: float
    money_spread: float
    mean_loss: float
    large_loss: float
    windows: tuple[Clustering, ...]

    @property
    def transactions_a_day(self) -> float:
        return self.transaction_count / self.days

    @property
    def fraud_rate(self) -> float:
        return self.fraud_count / self.transaction_count

    def with_recall(self, recall: float) -> Self:
        """As if that share of the frauds had been alerted on, where nothing is known of alerts."""
        assert self.recall == 0
        return replace(
            self,
            recall=recall,
            missed=self.missed.thinned(1 - recall),
            missed_money=self.missed_money.thinned(1 - recall),
        )


def history_rates(rows: AccountDays) -> HistoryRates:
    """The figures of a history with at least one transaction and one fraud."""
    frauds = float(rows.frauds.sum())
    assert frauds > 0
    first = int(rows.day.min())
    days = float(int(rows.day.max()) + 1 - first)
    parts = [days * k / WINDOW_COUNT for k in range(1, WINDOW_COUNT + 1)]
    accounts, at = np.unique(rows.account, return_inverse=True)

    def summed(values: Floats) -> Floats:
        return _sums(at, values, accounts.size)

    of_account, money = summed(rows.frauds), summed(rows.fraud_money)
    n, missed = summed(rows.transactions), summed(rows.frauds - rows.caught)
    total = float(n.sum())
    mean_money = max(float(money.sum()) / frauds, 1e-9)
    return HistoryRates(
        days=days,
        transaction_count=round(total),
        account_count=accounts.size,
        fraud_count=round(frauds),
        recall=float(rows.caught.sum()) / frauds,
        alert_rate=float(rows.alerts.sum()) / total,
        missed=_metric(n, missed, float(missed.sum())),
        missed_money=_metric(n, summed(rows.missed_money), float(rows.missed_squares.sum())),
        fraud_spread=float((of_account**2).sum()) / frauds,
        money_spread=max(float((money**2).sum()) / (mean_money**2 * frauds), 1.0),
        mean_loss=mean_money,
        large_loss=float(np.quantile(rows.fraud_money[rows.frauds > 0], _LARGE)),
        windows=tuple(_clustering(rows.before(first + part), part) for part in parts),
    )


def _metric(n: Floats, sums: Floats, squares: float) -> MetricRates:
    """From each account's transactions and its sum, and the sum of the transactions' squares."""
    total = float(n.sum())
    mean, square = float(sums.sum()) / total, squares / total
    independent = (square - mean**2) * total
    excess = float(((sums - mean * n) ** 2).sum()) / independent - 1 if independent > 0 else 0.0
    extra = float((n**2).sum()) / total - 1
    return MetricRates(mean, square, min(max(excess / extra, 0.0), 1.0) if extra > 0 else 0.0)


def _clustering(rows: AccountDays, days: float) -> Clustering:
    accounts, at = np.unique(rows.account, return_inverse=True)
    n = _sums(at, rows.transactions, accounts.size)
    rows_per_account = float((n**2).sum() / n.sum()) if n.size else 0.0
    return Clustering(days, float(accounts.size), rows_per_account)
