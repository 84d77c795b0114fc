"""How long an experiment would take, by what is archived or by a file of history."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.files import TransactionSource
from sentinel.archive.account_days import archived_account_days
from sentinel.codec.transactions import TransactionDecoder
from sentinel.config import Config
from sentinel.core.experiments.planning.designs import DesignPlan, PlanParams, plans
from sentinel.core.experiments.planning.history import (
    AccountDays,
    HistoryRates,
    account_days,
    history_rates,
    joined_days,
)
from sentinel.core.features.hashing import hash64
from sentinel.core.features.spec import duration_ms
from sentinel.engine.archive.examples import horizons
from sentinel.engine.archive.labels import current_labels
from sentinel.errors import ConfigError
from sentinel.operations.data.refusals import RefusedRows, nothing_usable
from sentinel.records import Record

_DAY_MS = 86_400_000
_DAYS_MIN = 7  # fewer say nothing of a week
_FRAUDS_MIN = 20


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """What came of planning.

    Attributes
    ----------
    maturity_days
        Until the outcome of a transaction is known: to be waited for after the planned traffic.
    warnings
        What is to be known before the figures are believed.
    """

    rates: HistoryRates
    params: PlanParams
    maturity_days: float
    designs: list[DesignPlan]
    warnings: list[str]


def plan_from_archive(
    config: Config, params: PlanParams, *, days: int, maturity_days: float | None, now: datetime
) -> ExperimentPlan:
    """By the decisions and labels that are archived.

    Parameters
    ----------
    days
        How many days before `now` are looked at; less those that have not matured.
    maturity_days
        None: as long as labels take, estimated from those that have come.

    Raises ConfigError where too little is archived.
    """
    files = ParquetArchive(config.archive)
    labels = current_labels(files)
    since = (now.astimezone(UTC) - timedelta(days=days)).date()
    rows = archived_account_days(config.archive.directory, labels, since=since)
    if rows.day.size == 0:
        raise ConfigError(f"{config.archive.directory}: there are no decisions of these days")
    end_ms = (int(rows.day.max()) + 1) * _DAY_MS
    if maturity_days is None:
        maturity = horizons(labels, end_ms, config.maturity)
        maturity_days = (end_ms - maturity.mature_ms) / _DAY_MS
    matured = rows.before((end_ms / _DAY_MS) - maturity_days)
    warnings = []
    if matured.day.size == 0 or int(matured.day.max() - matured.day.min()) + 1 < _DAYS_MIN:
        matured = rows
        warnings.append(
            f"fewer than {_DAYS_MIN} days have matured (labels take {maturity_days:.0f} days): all "
            "days were taken, and frauds that are not known yet count as none"
        )
    return _plan(config.archive.directory, matured, params, maturity_days, None, warnings)


def plan_from_file(
    source: TransactionSource,
    config: Config,
    params: PlanParams,
    *,
    recall: float,
    maturity_days: float | None,
    on_rows: Callable[[int], None] | None = None,
) -> tuple[ExperimentPlan, RefusedRows]:
    """By a history with labels, as `sentinel train` reads it; and the rows that cannot be used.

    Parameters
    ----------
    recall
        The share of the frauds that is alerted on: a history does not know.
    maturity_days
        None: `training.label_delay`.
    """
    decoder = TransactionDecoder(config.schema)
    refusals = RefusedRows(config.schema, source.row_name)
    parts: list[AccountDays] = []
    position = 0
    for chunk in source.chunks():
        records = [Record(position + i, 0, None, value) for i, value in enumerate(chunk.values)]
        rows, rejected = decoder.decode([(0, records)])
        refusals.add(chunk.values, rejected, rows_before=position)
        position += len(chunk.values)
        kept = np.ones(len(chunk.values), dtype=np.bool_)
        kept[[one.index for one in rejected]] = False
        is_fraud = np.array([one is True for one in chunk.is_fraud], dtype=np.bool_)[kept]
        if is_fraud.size:
            accounts = hash64(rows.entities["account"])
            none = np.zeros_like(is_fraud)
            parts.append(
                account_days(accounts, rows.event_time_ms, rows.amount_minor, is_fraud, none)
            )
        if on_rows is not None:
            on_rows(len(chunk.values))
    if not parts:
        raise nothing_usable(source.path, refusals)
    if maturity_days is None:
        maturity_days = duration_ms(config.training.label_delay) / _DAY_MS
    rows_of_all = joined_days(parts)
    return _plan(str(source.path), rows_of_all, params, maturity_days, recall, []), refusals


def _plan(
    where: str,
    rows: AccountDays,
    params: PlanParams,
    maturity_days: float,
    recall: float | None,
    warnings: list[str],
) -> ExperimentPlan:
    frauds = int(rows.frauds.sum())
    if frauds < _FRAUDS_MIN:
        raise ConfigError(
            f"{where}: frauds known of these days: {frauds}; to plan by, {_FRAUDS_MIN} are needed"
        )
    rates = history_rates(rows)
    if recall is not None:
        rates = rates.with_recall(recall)
        warnings = [
            f"a history does not know what would have been alerted on: {recall:.0%} of the frauds "
            "is assumed (--recall)"
        ]
    if rates.missed.mean == 0:
        raise ConfigError(f"{where}: no fraud was let through: there is nothing to be found")
    if rates.days < _DAYS_MIN:
        warnings.append(f"only {rates.days:.0f} days were seen, less than a week")
    return ExperimentPlan(rates, params, maturity_days, plans(rates, params), warnings)
