"""Has a file changed against another one? The tests of the stream, on two files without one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sentinel.adapters.files.opening import some_names
from sentinel.adapters.files.tables import TableFile
from sentinel.core.drift.counts.columns import MISSING, BinnedColumn
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.windows.effects import Effects, effects
from sentinel.core.drift.windows.kinds import Kind, kind_of
from sentinel.core.drift.windows.window_test import ALPHA, ColumnTest, window_test
from sentinel.errors import ConfigError
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.operations.drift.capping import kept_rows, row_counts_max
from sentinel.operations.drift.cells import (
    TEXT_COUNT_MAX,
    Side,
    TextCells,
    boolean_cells,
    counted,
    number_cells,
    text_cells,
)
from sentinel.operations.drift.roles import (
    ColumnRole,
    account_like,
    account_names,
    blank,
    role_of,
    seen,
)
from sentinel.operations.drift.words import what_changed
from sentinel.records import Ints


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """What was found in a column.

    Attributes
    ----------
    what
        The change in words; empty without an alarm.
    missing
        Shares of the reference and of the file.
    psi, wasserstein
        Of `Effects`; wasserstein is None of texts.
    """

    test: ColumnTest
    kind: Kind | None
    what: str
    missing: tuple[float, float]
    psi: float
    wasserstein: float | None


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """What became of a comparison.

    Attributes
    ----------
    columns
        Most suspect first.
    left_out
        Names of columns that were not compared, and why.
    row_counts, counted_rows, rows_per_account
        Of the reference and of the file. Rows of large accounts beyond a share do not count.
    """

    alpha: float
    account: str | None
    row_counts: tuple[int, int]
    counted_rows: tuple[int, int]
    rows_per_account: tuple[float, float]
    columns: list[ColumnDrift]
    left_out: list[tuple[str, str]]
    warnings: list[str]

    @property
    def is_alarm(self) -> bool:
        """Whether any column changed."""
        return any(column.test.alarm for column in self.columns)


@dataclass(frozen=True, slots=True)
class _Looks:
    """Both files as they were looked at, and what their columns are."""

    reference: Look
    file: Look
    roles: dict[str, ColumnRole]

    def pair(self, name: str) -> tuple[FileColumn, FileColumn]:
        return _column(self.reference, name), _column(self.file, name)

    def tested(self, *readings: str) -> list[str]:
        """Names of the columns that are read so."""
        return [
            name
            for reading in readings
            for name, role in self.roles.items()
            if not role.left_out and role.reading == reading
        ]


@np.errstate(over="ignore")  # a number may be the largest there is
def check_drift(
    file: Path,
    reference: Path,
    *,
    account: str | None = None,
    columns: Sequence[str] = (),
    alpha: float = ALPHA,
) -> DriftCheck:
    """Compare a file with a reference.

    Parameters
    ----------
    account
        The column whose equal values make rows alike; None: each row stands for itself.
    columns
        Those to compare; none: all of the reference.
    alpha
        In which share of files without a change any column alarms, at most.

    Raises ConfigError where a file cannot be read, or does not have what is asked for.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"--alpha {alpha}: must lie between 0 and 1")
    looks = _looked(file, reference, account, columns)
    sides = _sides(file, reference, looks, account)
    texts, too_many = _text_cells(looks, sides)
    cells = [number_cells(*looks.pair(n), _fewest(sides)) for n in looks.tested("number")]
    cells += [boolean_cells(name) for name in looks.tested("boolean")]
    counts = (
        counted(sides[0], cells, looks.roles, {n: one.reference for n, one in texts.items()}),
        counted(sides[1], cells, looks.roles, {n: one.file for n, one in texts.items()}),
    )
    cells += [one.column for one in texts.values()]
    tests = window_test(
        cells, counts[1], counts[0], alpha=alpha, rows_are_independent=account is None
    )
    left_out = [(n, role.left_out) for n, role in looks.roles.items() if role.left_out]
    left_out += [(name, f"more than {TEXT_COUNT_MAX:,} different texts") for name in too_many]
    if not columns:
        known = {column.name for column in looks.reference.columns}
        new = [column.name for column in looks.file.columns if column.name not in known]
        left_out += [(name, "the reference does not have it") for name in new]
    return DriftCheck(
        alpha=alpha,
        account=account,
        row_counts=(len(sides[0].accounts), len(sides[1].accounts)),
        counted_rows=(int(sides[0].is_kept.sum()), int(sides[1].is_kept.sum())),
        rows_per_account=(counts[0].rows_per_account(), counts[1].rows_per_account()),
        columns=_findings(cells, tests, counts, looks),
        left_out=left_out,
        warnings=_warnings(looks, account),
    )


def _looked(file: Path, reference: Path, account: str | None, columns: Sequence[str]) -> _Looks:
    looks = seen(reference), seen(file)
    names = [[column.name for column in look.columns] for look in looks]
    _refuse(((reference, names[0]), (file, names[1])), account, columns)
    chosen = [n for n in names[0] if not columns or n in columns]
    like = account_names(looks[0]) if account is None and not columns else []
    roles = {
        name: role_of(_column(looks[0], name), _column(looks[1], name), is_account=name == account)
        for name in chosen
    }
    roles |= {
        name: ColumnRole(name, "text", f"an account, it seems: --account {name}")
        for name in like
        if not roles[name].left_out
    }
    return _Looks(*looks, roles)


def _refuse(
    files: tuple[tuple[Path, list[str]], tuple[Path, list[str]]],
    account: str | None,
    columns: Sequence[str],
) -> None:
    """Raise ConfigError where two files cannot be compared, or not by these columns."""
    (reference, of_reference), (file, of_file) = files
    for path, there in files:
        if not there:
            raise ConfigError(f"{path}: has no column: none of its first lines is a JSON object")
    if not set(of_reference) & set(of_file):
        raise ConfigError(
            f"{file} and {reference} have no column in common: the one has {some_names(of_file)}, "
            f"the other {some_names(of_reference)}"
        )
    for path, there in files:
        if account is not None and account not in there:
            raise ConfigError(
                f"--account {account}: {path} has no such column; it has {some_names(there)}"
            )
    if missing := [name for name in columns if name not in of_reference]:
        raise ConfigError(
            f"--columns: {reference} has no column {missing}; it has {some_names(of_reference)}"
        )


def _column(look: Look, name: str) -> FileColumn:
    return look.named(name) or blank(name, look.seen_count)


def _sides(file: Path, reference: Path, looks: _Looks, account: str | None) -> tuple[Side, Side]:
    """Both files with their accounts: reference, file."""
    pairs = ((reference, looks.reference), (file, looks.file))
    tables = [TableFile(path, [column.name for column in look.columns]) for path, look in pairs]
    if account is None:
        a, b = (
            Side(table, np.arange(1, look.row_count + 1), np.ones(look.row_count, dtype=bool))
            for table, (_, look) in zip(tables, pairs, strict=True)
        )
        return a, b
    hashes = [_own(table.accounts(account)) for table in tables]
    account_counts = np.unique(hashes[0]).size, np.unique(hashes[1]).size
    most = row_counts_max((hashes[0].size, hashes[1].size), account_counts)
    a, b = (
        Side(table, some, kept_rows(some, cap))
        for table, some, cap in zip(tables, hashes, most, strict=True)
    )
    return a, b


def _own(hashes: Ints) -> Ints:
    """Each row without an account is one: the hashes of accounts are odd, theirs are even."""
    return np.where(hashes == 0, 2 * np.arange(1, hashes.size + 1), hashes)


def _fewest(sides: tuple[Side, Side]) -> int:
    return min(int(side.is_kept.sum()) for side in sides)


def _text_cells(looks: _Looks, sides: tuple[Side, Side]) -> tuple[dict[str, TextCells], list[str]]:
    """Cells of the columns of texts; and the names of those with too many texts."""
    names = looks.tested("text")
    if not names:
        return {}, []
    counts = [
        side.table.text_counts(names, side.accounts, count_max=TEXT_COUNT_MAX) for side in sides
    ]
    found, too_many = {}, []
    for name in names:
        reference, file = counts[0][name], counts[1][name]
        if reference is None or file is None:
            too_many.append(name)
        else:
            found[name] = text_cells(name, reference, file)
    return found, too_many


def _findings(
    cells: Sequence[BinnedColumn],
    tests: Sequence[ColumnTest],
    counts: tuple[GroupCounts, GroupCounts],
    looks: _Looks,
) -> list[ColumnDrift]:
    if not cells:
        return []
    reference, file = (side.cells.sum(axis=1) for side in counts)
    measures = effects(cells, file, reference)
    found = [
        _finding(column, tests[f], (reference[f], file[f]), measures, f, looks)
        for f, column in enumerate(cells)
    ]

    def suspicion(one: ColumnDrift) -> tuple[float, float, str]:
        beyond = one.test.psi_beyond_chance if one.test.alarm else -1.0
        return -beyond, one.test.p, one.test.name

    return sorted(found, key=suspicion)


def _finding(
    column: BinnedColumn,
    test: ColumnTest,
    counts: tuple[Ints, Ints],
    measures: Effects,
    f: int,
    looks: _Looks,
) -> ColumnDrift:
    reference, file = looks.pair(column.name)
    kind = kind_of(column, test, counts[1], counts[0], value_count=file.distinct_count)
    missing = [float(some[MISSING] / max(some.sum(), 1)) for some in counts]
    return ColumnDrift(
        test=test,
        kind=kind,
        what="" if kind is None else what_changed(column, test, kind, counts, (reference, file)),
        missing=(missing[0], missing[1]),
        psi=float(measures.psi[f]),
        wasserstein=None if column.kind == "values" else float(measures.wasserstein[f]),
    )


def _warnings(looks: _Looks, account: str | None) -> list[str]:
    found = []
    for name in looks.roles:
        reference, file = looks.pair(name)
        if looks.file.named(name) is None:
            found.append(f"{name} is not in the file: it counts as missing in all its rows")
        elif (
            looks.roles[name].left_out == "times"
            and file.present
            and not _is_alike(reference, file)
        ):
            found.append(f"{name} has times in the reference, and something else in the file")
    if account is None and (like := account_like(looks.reference)) is not None:
        found.append(
            f"{like} comes back with the same values, as an account does: rows of one account are "
            f"alike, and were taken for independent. With --account {like} the rate of false "
            "alarms is kept"
        )
    return found


def _is_alike(reference: FileColumn, file: FileColumn) -> bool:
    return reference.reads_as_number == file.reads_as_number
