"""A file of outcomes as rows in the order of time, each with its account, arm and outcome."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentinel.adapters.files.opening import some_names
from sentinel.adapters.files.tables import NO_NUMBER, TableFile
from sentinel.errors import ConfigError
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.operations.experiments.files.columns import (
    OutcomeColumns,
    is_of_words,
    outcome_columns,
    word_value,
)
from sentinel.records import Floats, Ints

ARM_COUNT_MAX = 20
_WORD_COUNT_MAX = 200
_NAMES_SHOWN = 3
_CROSSED_MAX, _CROSSED_SHARE_MAX = 5, 0.01  # accounts, or that share of them
_NUMBER_MAX = 1e150  # its square is still one
_UNREAD_SHARE_MAX = 0.02  # of rows; with more, the column is something else

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CrossedAccounts:
    """Accounts that were found in more than one arm.

    Attributes
    ----------
    count, of_count
        How many they are, of how many.
    names
        Some of them.
    """

    count: int
    of_count: int
    names: list[str] = field(default_factory=list)

    @property
    def are_few(self) -> bool:
        """Whether it may be a slip: with more of them the arm was not given by account."""
        is_slip = self.count <= max(_CROSSED_MAX, _CROSSED_SHARE_MAX * self.of_count)
        return is_slip and 2 * self.count <= self.of_count


@dataclass(frozen=True, eq=False, slots=True)
class OutcomeRows:
    """Rows by time; of one time in the order of the file.

    Attributes
    ----------
    accounts
        Codes from 0 on, (rows,).
    arms
        Of each row, an index of `arm_names`.
    times
        Milliseconds since 1970 with `is_date`, else the numbers of the file.
    outcomes
        NaN where there is none yet.
    amounts, covariates
        NaN where there is none; None without such a column.
    left_out
        How many rows are in nothing of this, by why.
    crossed
        Accounts in more than one arm: where they are few, they are in nothing of this, either.
    """

    columns: OutcomeColumns
    arm_names: list[str]
    accounts: Ints
    arms: Ints
    times: Floats
    outcomes: Floats
    amounts: Floats | None
    covariates: Floats | None
    is_date: bool
    row_count: int
    left_out: dict[str, int]
    crossed: CrossedAccounts

    @property
    def account_count(self) -> int:
        """How many different ones there are."""
        return int(self.accounts.max(initial=-1)) + 1


@np.errstate(over="ignore")
def outcome_rows(path: Path, told: OutcomeColumns) -> OutcomeRows:
    """Read a file of outcomes. Raises ConfigError where it is none."""
    columns, look = outcome_columns(path, told)
    assert columns.account is not None
    assert columns.arm is not None
    table = TableFile(path, columns.names)
    hashes = table.accounts(columns.account)
    arms, arm_names = _arms(path, table, columns.arm)
    times, is_date = _times(path, table, _column(look, columns.time))
    outcomes = _values(path, table, look, columns.outcome)
    amounts = _values(path, table, look, columns.amount)
    covariates = _values(path, table, look, columns.covariate)
    assert outcomes is not None
    reasons = {
        f"without {columns.account}": hashes == 0,
        f"without {columns.arm}": arms < 0,
        f"without a readable {columns.time}": ~np.isfinite(times),
    }
    is_kept = np.ones(hashes.size, dtype=bool)
    left_out = {}
    for reason, is_so in reasons.items():
        left_out[reason] = int((is_so & is_kept).sum())
        is_kept &= ~is_so
    if not is_kept.any():
        raise ConfigError(
            f"{path}: no row has an account, an arm and a time: of {hashes.size:,} rows "
            + ", ".join(f"{count:,} are {reason}" for reason, count in left_out.items() if count)
        )
    is_crossed, crossed = _crossed(table, columns.account, hashes, arms, is_kept)
    if crossed.are_few:
        left_out["of accounts in more than one arm"] = int((is_crossed & is_kept).sum())
        is_kept &= ~is_crossed
    else:
        hashes = hashes + arms  # shown all the same: an account of its own in each arm
    kept = np.flatnonzero(is_kept)
    kept = kept[np.argsort(times[kept], kind="stable")]
    left_out[f"without {columns.outcome}"] = int(np.isnan(outcomes[kept]).sum())
    _, accounts = np.unique(hashes[kept], return_inverse=True)
    return OutcomeRows(
        columns=columns,
        arm_names=arm_names,
        accounts=accounts.astype(np.int64),
        arms=arms[kept],
        times=times[kept],
        outcomes=outcomes[kept],
        amounts=None if amounts is None else amounts[kept],
        covariates=None if covariates is None else covariates[kept],
        is_date=is_date,
        row_count=int(hashes.size),
        left_out={reason: count for reason, count in left_out.items() if count},
        crossed=crossed,
    )


def _column(look: Look, name: str | None) -> FileColumn:
    found = look.named(name) if name is not None else None
    assert found is not None
    return found


def _arms(path: Path, table: TableFile, name: str) -> tuple[Ints, list[str]]:
    """Codes in the order of the names, -1 where there is none."""
    found = table.coded_texts(name, count_max=ARM_COUNT_MAX)
    if found is None:
        raise ConfigError(
            f"{path}: {name} has more than {ARM_COUNT_MAX} different values: is it the arm? "
            "--arm names the column"
        )
    codes, names = found
    if len(names) < 2:
        has = f'one arm, "{names[0]}"' if names else "no arm"
        raise ConfigError(f"{path}: {name} has {has}: a comparison needs two")
    order = sorted(range(len(names)), key=lambda code: names[code])
    new = np.empty(len(names) + 1, dtype=np.int64)
    new[order], new[-1] = np.arange(len(names)), -1
    return new[codes], [names[code] for code in order]


def _times(path: Path, table: TableFile, column: FileColumn) -> tuple[Floats, bool]:
    """Times of one kind; NaN and NO_NUMBER where there is none."""
    is_date = not column.reads_as_number
    if is_date:
        times = table.instants(column.name)
    else:
        (times,) = np.concatenate([rows.numbers for rows in table.rows([column.name], [], {})]).T
    unread = times == NO_NUMBER
    if unread.sum() > _UNREAD_SHARE_MAX * max(int((~np.isnan(times)).sum()), 1):
        example = next(iter(column.present), "")
        raise ConfigError(
            f'{path}: {column.name} must hold times in ISO 8601 or numbers, got "{example[:60]}"'
        )
    return times, is_date


def _values(path: Path, table: TableFile, look: Look, name: str | None) -> Floats | None:
    """Numbers, or words of yes and no as 1 and 0; NaN where there is none."""
    if name is None:
        return None
    column = _column(look, name)
    if is_of_words(column):
        return _words(path, table, name)
    (found,) = np.concatenate([rows.numbers for rows in table.rows([name], [], {})]).T
    unread = np.abs(found) > _NUMBER_MAX
    if unread.sum() > _UNREAD_SHARE_MAX * max(int((~np.isnan(found)).sum()), 1):
        raise ConfigError(f"{path}: {name} must hold numbers up to {_NUMBER_MAX:g}, or yes and no")
    return np.where(unread, np.nan, found)


def _words(path: Path, table: TableFile, name: str) -> Floats:
    coded = table.coded_texts(name, count_max=_WORD_COUNT_MAX)
    texts = [] if coded is None else coded[1]
    values = [word_value(text) for text in texts]
    if coded is None or None in values:
        strange = [text for text, value in zip(texts, values, strict=True) if value is None]
        raise ConfigError(
            f"{path}: {name} must hold numbers, yes and no, or fraud and genuine; it has "
            + (some_names(text[:60] for text in strange) if strange else "too many other words")
        )
    known = np.array([*(value for value in values if value is not None), np.nan])
    return known[coded[0]]


def _crossed(
    table: TableFile, name: str, hashes: Ints, arms: Ints, is_kept: Flags
) -> tuple[Flags, CrossedAccounts]:
    """Rows of accounts that have more than one arm."""
    different, codes = np.unique(hashes[is_kept], return_inverse=True)
    least = np.full(different.size, ARM_COUNT_MAX, dtype=np.int64)
    most = np.full(different.size, -1, dtype=np.int64)
    np.minimum.at(least, codes, arms[is_kept])
    np.maximum.at(most, codes, arms[is_kept])
    of_two = different[least < most]
    if not of_two.size:
        return np.zeros(hashes.size, dtype=bool), CrossedAccounts(0, different.size)
    names = table.account_texts(name, of_two[:_NAMES_SHOWN])
    return np.isin(hashes, of_two), CrossedAccounts(of_two.size, different.size, names)
