"""Each minute: has a column's mean moved, since when, and is it over?

All series of all columns and all segments are looked at together, and the first false alarm of them
all comes after `run_length_minutes` or later, in expectation. That holds for rows of one account
that are alike (they are divided by their design effect), for minutes that are alike (they are
divided once more, by what the stream itself shows), and for a reference that is an estimate: what
is within `reference_errors` of its standard errors, or `floor`, counts as unchanged.

Evidence is a sum over minutes, in whatever order they come and however far apart. A minute without
rows changes nothing, nor does a silence of two weeks, nor a clock that jumps and returns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.detectors.minute_alarms import judged
from sentinel.core.drift.detectors.minute_state import MinuteEvent, MinuteState
from sentinel.core.drift.detectors.mixture import SIZES, UP, look, tilted
from sentinel.core.drift.detectors.series import MinuteReference
from sentinel.records import Floats

_TYPICAL_MINUTES = 1440.0  # over a day, so that the night is not taken for the usual


@dataclass(frozen=True, slots=True)
class MinuteParams:
    """When a minute alarms.

    Attributes
    ----------
    run_length_minutes
        After so many minutes with rows, in expectation, comes the first false alarm of the whole
        stream, or later.
    floor
        A mean so many standard deviations away from the reference's counts as unchanged.
    reference_errors
        So does one within so many standard errors of the reference's mean. With 30 columns three
        are too few: the unluckiest of them alarmed.
    horizon_minutes
        Over about as long the rows of an account count as alike.
    block_minutes
        How alike minutes are is measured between blocks of so many.
    """

    run_length_minutes: float = 43_200.0
    floor: float = 0.03
    reference_errors: float = 4.0
    horizon_minutes: float = 60.0
    block_minutes: int = 30

    def __post_init__(self) -> None:
        if not self.run_length_minutes > 1:
            raise ValueError("run_length_minutes must be above 1")
        if not (self.floor >= 0 and self.reference_errors >= 0):
            raise ValueError("floor and reference_errors must be at least 0")
        if not (self.horizon_minutes >= 1 and self.block_minutes >= 2):
            raise ValueError("horizon_minutes must be at least 1, block_minutes at least 2")


@dataclass(frozen=True, eq=False, slots=True)
class Expected:
    """What the values of a segment's columns should be in a minute, where the season moves them.

    Attributes
    ----------
    shift
        float64 (F,): from the reference's mean, in its standard deviations.
    error
        float64 (F,): the standard error of that; infinite where nothing can be expected yet, and
        then the column's values are not judged in this minute.
    """

    shift: Floats
    error: Floats


def after_minute(
    state: MinuteState,
    references: Sequence[MinuteReference],
    counts: Sequence[GroupCounts | None],
    minute: int,
    params: MinuteParams,
    *,
    expected: Sequence[Expected | None] | None = None,
    rows_per_account_min: float = 1.0,
) -> tuple[MinuteState, tuple[MinuteEvent, ...]]:
    """One minute more.

    Parameters
    ----------
    references, counts
        One of each segment, always in the same order: the whole stream first, if it is watched.
        None where a segment had no rows.
    minute
        Of event time; it names the minute and is not reckoned with, but for what fades.
    expected
        Of each segment; none is the reference's own mean.
    rows_per_account_min
        As many the whole stream has: what a segment's few groups say may be less by chance.
    """
    assert len(references) == len(counts) == len(state.squares)
    state, rows, sums = _seen(state, references, counts, minute, params, rows_per_account_min)
    return after_sums(state, references, rows, sums, minute, params, expected=expected)


def after_sums(
    state: MinuteState,
    references: Sequence[MinuteReference],
    rows: Floats,
    sums: Floats,
    minute: int,
    params: MinuteParams,
    *,
    expected: Sequence[Expected | None] | None = None,
) -> tuple[MinuteState, tuple[MinuteEvent, ...]]:
    """One minute more, of effective rows and the sums of their contrasts, float64 (D,)."""
    factors = state.spread.factors()  # of the minutes before: it may not know this one
    floors, shift = _floors(references, expected, params)
    sums = sums - rows * shift
    # Of a season that is not known yet the hours would look like minutes that are alike.
    is_known = np.isfinite(floors)
    known_rows, known_sums = np.where(is_known, rows, 0.0), np.where(is_known, sums, 0.0)
    spread = state.spread.after(known_rows, known_sums, params.block_minutes)
    rows, sums = rows / factors, sums / factors
    fade = math.exp(-1.0 / params.horizon_minutes)
    state = replace(
        state,
        last_minute=minute,
        spread=spread,
        typical=_typical(state.typical, rows),
        recent=state.recent * fade + np.stack([rows, sums], axis=1),
    )
    state = _looked(state, references, rows, sums, floors, minute)
    return judged(state, references, floors, minute, math.log(params.run_length_minutes))


def _looked(
    state: MinuteState,
    references: Sequence[MinuteReference],
    rows: Floats,
    sums: Floats,
    floors: Floats,
    minute: int,
) -> MinuteState:
    """With the evidence of the minute.

    Of an open alarm the opposite is looked for: that the mean is nearer than it was. Contrasts then
    are not spread as in the reference: of values that one row in a thousand misses, once one in
    thirty does, thirty times as far. So they are taken as the reference's, tilted to that mean.
    """
    sides = np.stack([floors, floors], axis=1)
    opened = np.flatnonzero(state.open_side >= 0)
    side = state.open_side[opened]
    sides[opened, side] = np.inf
    back = np.where(np.isinf(floors[opened]), np.inf, -state.open_floor[opened])
    sides[opened, 1 - side] = back
    support = np.concatenate([reference.support for reference in references])
    masses = np.concatenate([reference.masses for reference in references])
    for d, of_side in zip(opened.tolist(), side.tolist(), strict=True):
        mean = state.open_floor[d] if of_side == UP else -state.open_floor[d]
        support[d], masses[d] = tilted(support[d], masses[d], mean)
    typical = np.where(state.typical > 0, state.typical, 1.0)
    evidence, runs, since = state.evidence.copy(), state.runs.copy(), state.since.copy()
    look(support, masses, rows, sums, typical, sides, SIZES, minute, evidence, runs, since)
    return replace(state, evidence=evidence, runs=runs, since=since)


def _seen(
    state: MinuteState,
    references: Sequence[MinuteReference],
    counts: Sequence[GroupCounts | None],
    minute: int,
    params: MinuteParams,
    rows_per_account_min: float,
) -> tuple[MinuteState, Floats, Floats]:
    """The state with the minute's rows by account, and rows and sums by design effect."""
    elapsed = minute - state.last_minute if state.last_minute >= 0 else 1
    fade = math.exp(-max(elapsed, 1) / params.horizon_minutes)
    sizes, squares = state.sizes * fade, state.squares * fade**2
    rows, sums = [], []
    for place, (reference, one) in enumerate(zip(references, counts, strict=True)):
        if one is None:
            rows.append(np.zeros(reference.series_count))
            sums.append(np.zeros(reference.series_count))
            continue
        sizes[place] += one.sizes
        squares[place] += one.row_count
        found, summed = reference.sums(one)
        rows_per_account = rows_per_account_of(sizes[place], float(squares[place]))
        extra = max(rows_per_account, rows_per_account_min) - 1.0
        design_effects = 1.0 + extra * reference.likeness
        rows.append(found / design_effects)
        sums.append(summed / design_effects)
    # Neighbours are blocks with no more than a block between them.
    is_near = -params.block_minutes <= elapsed <= params.block_minutes
    spread = state.spread if is_near else state.spread.interrupted()
    state = replace(state, sizes=sizes, squares=squares, spread=spread)
    return state, np.concatenate(rows), np.concatenate(sums)


def rows_per_account_of(sizes: Floats, squares: float) -> float:
    """As of `GroupCounts.rows_per_account`, of rows whose weights fade."""
    if squares <= 0:
        return 1.0
    between = ((sizes - sizes.mean()) ** 2).sum() / (1 - 1 / sizes.size)
    return max(1.0, float(between / squares))


def _floors(
    references: Sequence[MinuteReference],
    expected: Sequence[Expected | None] | None,
    params: MinuteParams,
) -> tuple[Floats, Floats]:
    """What counts as unchanged, and what the mean should be; each (D,), in standard deviations."""
    errors = np.concatenate([reference.errors for reference in references])
    shift = np.zeros_like(errors)
    begin = 0
    for place, reference in enumerate(references):
        end = begin + reference.series_count
        one = None if expected is None else expected[place]
        if one is not None:
            is_value = np.array([part == "value" for part in reference.parts], dtype=bool)
            season = np.where(is_value, one.error[reference.places], 0.0)
            errors[begin:end] = np.hypot(errors[begin:end], season)
            is_usual = is_value & np.isfinite(season)
            shift[begin:end] = np.where(is_usual, one.shift[reference.places], 0.0)
        begin = end
    is_known = np.isfinite(errors)
    known = np.where(is_known, errors, 0.0)
    floors = np.maximum(params.reference_errors * known, params.floor)
    return np.where(is_known, floors, np.inf), shift


def _typical(before: Floats, rows: Floats) -> Floats:
    """A slow mean of the effective rows of minutes that had any."""
    slow = before + (rows - before) / _TYPICAL_MINUTES
    return np.where(rows > 0, np.where(before > 0, slow, rows), before)
