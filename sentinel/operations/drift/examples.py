"""Transactions that show what an alarm is about: from the archive, in the cells that grew most."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.adapters.archive import ParquetArchive
from sentinel.archive.files import looked_again
from sentinel.config import Config
from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    MISSING,
    SCORE,
    UNSEEN,
    BinnedColumn,
    edges_of,
    score_column,
)
from sentinel.core.drift.counts.counting import mark_cells
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import Segmentation
from sentinel.core.drift.params import segmentation_of
from sentinel.core.drift.windows.effects import ridits
from sentinel.operations.drift.naming import cell_names
from sentinel.operations.why import FEATURE
from sentinel.records import Floats, Ints
from sentinel.stored.drift import Alarm, WindowReport

EXAMPLE_COUNT_MAX = 20
ALARM_COUNT_MAX = 10  # of a report that have examples
_FILE_COUNT_MAX = 1_000
_ROW_COUNT_MAX = 100_000  # of a file
_ENOUGH = 50 * EXAMPLE_COUNT_MAX  # rows to choose from: of these the best, each of another account
_COLUMNS = (
    *("transaction_id", "account", "event_time_ms", "amount_minor", "currency"),
    *("probability", "action"),
)


@dataclass(frozen=True, slots=True)
class ExampleTransaction:
    """A decision among those that an alarm is about.

    Attributes
    ----------
    value
        Of the feature, or the score; None where it is missing.
    cell
        What stands for it in counts: a span, a value by its name, "missing".
    """

    transaction_id: str
    account: str
    event_time_ms: int
    amount_minor: int
    currency: str | None
    probability: float
    action: str
    value: float | None
    cell: str


@dataclass(frozen=True, slots=True)
class AlarmExamples:
    """Of one alarm: transactions, or why there are none."""

    found: list[ExampleTransaction] = field(default_factory=list)
    why: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class _Wanted:
    """Which decisions show an alarm.

    Attributes
    ----------
    gains
        float64 (CELL_COUNT,): by how much each cell has grown; only where that is above 0.
    names
        Of the cells.
    split
        Only the segment of this number of this split, by this column; None for all.
    """

    alarm: Alarm
    column: BinnedColumn
    source: str
    gains: Floats
    names: Sequence[str]
    split: tuple[str, Segmentation, int] | None


def shown_transactions(
    files: ParquetArchive,
    config: Config,
    alarms: Sequence[Alarm],
    windows: Sequence[WindowReport],
    references: Mapping[str, Reference],
) -> dict[str, AlarmExamples]:
    """At most EXAMPLE_COUNT_MAX transactions of each alarm, by its name.

    Those of the cells that grew most come first, the newest of them before, each account once as
    long as there are others.

    Parameters
    ----------
    alarms
        No more than ALARM_COUNT_MAX are looked at.
    references
        By version.
    """
    found = {}
    for alarm in alarms[:ALARM_COUNT_MAX]:
        wanted = _wanted(config, alarm, windows, references.get(alarm.version))
        if isinstance(wanted, str):
            found[alarm.id] = AlarmExamples(why=wanted)
            continue
        chosen = looked_again(lambda one=wanted: _chosen(files, one))  # type: ignore[misc]
        nothing = (
            "" if chosen else f"no such decision is in the archive, {config.archive.directory}: "
            "`sentinel archive run` keeps them"
        )  # fmt: skip
        found[alarm.id] = AlarmExamples(chosen, nothing)
    return found


def _wanted(
    config: Config,
    alarm: Alarm,
    windows: Sequence[WindowReport],
    reference: Reference | None,
) -> _Wanted | str:
    """What to look for; or why nothing is."""
    if alarm.detector == "examples":
        return "it is about decisions whose labels have come, and about no column"
    columns = (score_column(), *(reference.features if reference is not None else ()))
    column = next((one for one in columns if one.name == alarm.column), None)
    if column is None:
        return f"the reference of version {alarm.version} is not there: no cell of it is known"
    is_score = alarm.column == SCORE
    gains = _gains_of_window(alarm, windows)
    if gains is None:
        gains = _gains_of_part(alarm, _reference_cells(reference, alarm.column))
    values = next((one.values for one in config.features if one.name == alarm.column), ())
    return _Wanted(
        alarm, column, "probability" if is_score else FEATURE + alarm.column, gains,
        cell_names(column, values), _split(config, alarm),
    )  # fmt: skip


def _split(config: Config, alarm: Alarm) -> tuple[str, Segmentation, int] | None:
    """By what the rows of a segment are told; None of the whole stream."""
    split = segmentation_of(config.features, config.drift)
    begin = 0
    for column in split.columns:
        one = Segmentation((replace(column, place=0),))
        if alarm.segment in one.names:
            return FEATURE + column.name, one, one.names.index(alarm.segment)
        begin += len(one.names)
    return None


def _gains_of_window(alarm: Alarm, windows: Sequence[WindowReport]) -> Floats | None:
    """By the newest window that calls the column changed, and has seen the alarm's time."""
    for window in windows:
        if window.version != alarm.version or window.end_ms <= alarm.since_ms:
            continue
        if alarm.closed_ms is not None and window.begin_ms >= alarm.closed_ms:
            continue
        for finding in window.findings:
            if finding.name == alarm.column and finding.alarm and finding.cells is not None:
                now, before = (np.array(one) for one in finding.cells)
                if now.shape == before.shape == (CELL_COUNT,):
                    gains: Floats = now - before
                    return gains
    return None


def _reference_cells(reference: Reference | None, column: str) -> Ints:
    found = np.zeros(CELL_COUNT, dtype=np.int64)
    if reference is not None and column == SCORE:
        found += reference.scores.cells[0].sum(axis=0)
    elif reference is not None:
        names = [one.name for one in reference.features]
        found += reference.counts.cells[names.index(column)].sum(axis=0)
    return found


def _gains_of_part(alarm: Alarm, reference: Ints) -> Floats:
    """By what the detector says: up are the values of the upper half, the highest before."""
    sign = 1.0 if alarm.side == "up" else -1.0
    gains = np.zeros(CELL_COUNT)
    if alarm.part == "value":
        gains[:MISSING] = ridits(reference[:MISSING]) - 0.5
    else:
        gains[:] = -1.0
        gains[MISSING if alarm.part == "missing" else UNSEEN] = 1.0
    return sign * gains


def _chosen(files: ParquetArchive, wanted: _Wanted) -> list[ExampleTransaction]:
    """The best of those that were appended last."""
    candidates: list[tuple[float, ExampleTransaction]] = []
    for number, rows in enumerate(_rows(files, wanted)):
        candidates += rows
        if len(candidates) >= _ENOUGH or number >= _FILE_COUNT_MAX:
            break
    candidates.sort(key=lambda one: (-one[0], -one[1].event_time_ms, one[1].transaction_id))
    return _of_many_accounts([one for _, one in candidates])


def _of_many_accounts(ordered: Sequence[ExampleTransaction]) -> list[ExampleTransaction]:
    first: dict[str, ExampleTransaction] = {}
    for one in ordered:
        first.setdefault(one.account, one)
    chosen = {id(one) for one in first.values()}
    others = [one for one in ordered if id(one) not in chosen]
    return [*first.values(), *others][:EXAMPLE_COUNT_MAX]


def _rows(
    files: ParquetArchive, wanted: _Wanted
) -> Iterator[list[tuple[float, ExampleTransaction]]]:
    """Of each file the rows in cells that grew, with by how much."""
    alarm = wanted.alarm
    end_ms = alarm.closed_ms if alarm.closed_ms is not None else 1 << 62
    names = [*_COLUMNS, wanted.source, *([wanted.split[0]] if wanted.split else [])]
    columns = list(dict.fromkeys(names))
    for found in files.between(alarm.since_ms, end_ms, columns, row_count_max=_ROW_COUNT_MAX):
        frame = found.filter(found["probability"].is_not_null())  # the rest no model has decided
        values = frame[wanted.source].to_numpy().astype(np.float64)
        cells = np.empty((1, values.size), dtype=np.uint8)
        mark_cells(np.ascontiguousarray(values[:, np.newaxis]), *edges_of([wanted.column]), cells)
        is_wanted = wanted.gains[cells[0]] > 0
        if wanted.split is not None:
            name, split, segment = wanted.split
            codes = frame[name].to_numpy().astype(np.float64)
            is_wanted &= split.of_rows(codes[:, np.newaxis])[0] == segment
        at = np.flatnonzero(is_wanted)
        at = at[np.argsort(-wanted.gains[cells[0, at]], kind="stable")][:_ENOUGH]
        told = frame.select(_COLUMNS)
        yield [
            (
                float(wanted.gains[cells[0, i]]),
                ExampleTransaction(
                    **told.row(i, named=True),
                    value=None if np.isnan(values[i]) else float(values[i]),
                    cell=wanted.names[cells[0, i]],
                ),
            )
            for i in at.tolist()
        ]
