"""What each account did on each day, and what of it was fraud: all that a plan needs."""

from datetime import date
from pathlib import Path

import polars as pl

from sentinel.archive.files import looked_again
from sentinel.archive.reading import IS_COUNTED, scan
from sentinel.core.experiments.planning.history import AccountDays
from sentinel.records import Floats

_DAY_MS = 86_400_000
_HASH_SEED = 1


def archived_account_days(
    directory: Path | str, labels: pl.DataFrame, *, since: date | None = None
) -> AccountDays:
    """The archived decisions by account and day of event time.

    Of several logs a transaction counts once, by its newest decision.

    Parameters
    ----------
    labels
        With `transaction_id` and `label`: of each transaction the one that holds.
    since
        Decisions that were appended before that day are left out.

    Raises ConfigError when nothing is archived.
    """
    return looked_again(lambda: _account_days(directory, labels, since))


def _account_days(directory: Path | str, labels: pl.DataFrame, since: date | None) -> AccountDays:
    decisions = scan(directory, "decisions", since=since).filter(IS_COUNTED)
    wanted = decisions.select(
        *("transaction_id", "event_time_ms", "account", "amount_minor", "action"),
        *("appended_ms", "offset", "log"),
    )
    if wanted.select(pl.col("log").n_unique()).collect().item() > 1:
        wanted = wanted.sort("appended_ms", "offset").unique("transaction_id", keep="last")
    frauds = labels.lazy().filter(pl.col("label") == "fraud").select("transaction_id", fraud=1.0)
    fraud, is_alert = pl.col("fraud").fill_null(0.0), pl.col("action") != "approve"
    rows = wanted.join(frauds, on="transaction_id", how="left").select(
        account=pl.col("account").hash(seed=_HASH_SEED).reinterpret(signed=True),
        day=pl.col("event_time_ms").floordiv(_DAY_MS),
        alerts=is_alert.cast(pl.Float64),
        frauds=fraud,
        caught=fraud * is_alert,
        money=pl.col("amount_minor").cast(pl.Float64).abs() * fraud,
    )
    missed = pl.col("money") * (1 - pl.col("caught"))
    found = (
        rows.group_by("account", "day")
        .agg(
            pl.len().cast(pl.Float64).alias("transactions"),
            pl.col("alerts", "frauds", "caught").sum(),
            pl.col("money").sum().alias("fraud_money"),
            pl.col("money").pow(2).sum().alias("fraud_squares"),
            missed.sum().alias("missed_money"),
            missed.pow(2).sum().alias("missed_squares"),
        )
        .collect(engine="streaming")
    )

    def floats(name: str) -> Floats:
        return found[name].to_numpy().astype("float64")

    return AccountDays(
        account=found["account"].to_numpy(),
        day=found["day"].to_numpy(),
        transactions=floats("transactions"),
        alerts=floats("alerts"),
        frauds=floats("frauds"),
        caught=floats("caught"),
        fraud_money=floats("fraud_money"),
        fraud_squares=floats("fraud_squares"),
        missed_money=floats("missed_money"),
        missed_squares=floats("missed_squares"),
    )
