"""When the evidence of minutes becomes an alarm, and when an alarm is over."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from sentinel.core.drift.detectors.minute_state import MinuteEvent, MinuteState
from sentinel.core.drift.detectors.mixture import UP, log_mean
from sentinel.core.drift.detectors.series import MinuteReference
from sentinel.records import Floats, Ints

_LUCK = 2.0  # standard errors by which a change that has alarmed may look too large


def judged(
    state: MinuteState,
    references: Sequence[MinuteReference],
    floors: Floats,
    minute: int,
    limit: float,
) -> tuple[MinuteState, tuple[MinuteEvent, ...]]:
    """What the evidence says by now.

    Parameters
    ----------
    floors
        float64 (D,): what counts as unchanged.
    limit
        log of the run length.
    """
    state, over = _closed(state, references, minute, limit)
    state, alarms = _opened(state, references, floors, minute, limit)
    return state, over + alarms


def _closed(
    state: MinuteState, references: Sequence[MinuteReference], minute: int, limit: float
) -> tuple[MinuteState, tuple[MinuteEvent, ...]]:
    """Alarms that are over.

    The same detector has looked for the opposite, so that with the mean still beyond `open_floor`
    that is said wrongly no more often than an alarm is. To count quiet minutes would promise
    nothing: how many are quiet by chance depends on the rows of a minute.
    """
    over = [
        d
        for d in np.flatnonzero(state.open_side >= 0).tolist()
        if log_mean(state.evidence[d]) >= limit
    ]
    if not over:
        return state, ()
    events = tuple(_event("over", state, references, d, minute) for d in over)
    open_side = state.open_side.copy()
    open_side[over] = -1
    return _reset(replace(state, open_side=open_side), np.array(over, dtype=np.int64)), events


def _opened(
    state: MinuteState,
    references: Sequence[MinuteReference],
    floors: Floats,
    minute: int,
    limit: float,
) -> tuple[MinuteState, tuple[MinuteEvent, ...]]:
    """New alarms.

    After one all evidence starts anew, so that the rate holds for all that follow, too: each takes
    run length times series out of a sum that grows by one a minute and series.
    """
    is_closed = state.open_side < 0
    evidence = np.where(is_closed[:, None, None], state.evidence, 0.0)
    if not evidence.size or log_mean(evidence) < limit:
        return state, ()
    own = np.array([log_mean(one) for one in evidence])
    # The mean is above the limit, so at least the largest is, but for rounding.
    moved = np.flatnonzero(own >= min(limit, own.max()))
    moved = moved[np.argsort(-own[moved], kind="stable")]
    events: list[MinuteEvent] = []
    open_side, open_floor = state.open_side.copy(), state.open_floor.copy()
    for d in moved.tolist():
        event = _event("alarm", state, references, d, minute)
        events.append(replace(event, is_first=not events))
        open_side[d], _, rows = strongest(state, d)
        certain = abs(event.effect) - _LUCK / np.sqrt(rows)
        floor = floors[d] if np.isfinite(floors[d]) else 0.0
        open_floor[d] = max(floor, certain / 2)
    state = _reset(state, np.flatnonzero(is_closed))
    return replace(state, open_side=open_side, open_floor=open_floor), tuple(events)


def strongest(state: MinuteState, d: int) -> tuple[int, tuple[int, int, int], float]:
    """Of a series the side with most evidence, the run on it that is likeliest to be the change,
    and over how many effective rows that went.
    """
    side = int(np.argmax(state.evidence[d].max(axis=1)))
    at = (d, side, int(np.argmax(state.runs[d, side, :, 0])))
    return side, at, max(float(state.runs[at][1]), 1.0)


def _reset(state: MinuteState, at: Ints) -> MinuteState:
    evidence, runs, since = state.evidence.copy(), state.runs.copy(), state.since.copy()
    evidence[at], runs[at], since[at] = 0.0, 0.0, -1
    return replace(state, evidence=evidence, runs=runs, since=since)


def _event(
    kind: Literal["alarm", "over"],
    state: MinuteState,
    references: Sequence[MinuteReference],
    d: int,
    minute: int,
) -> MinuteEvent:
    segment, series = 0, d
    while series >= references[segment].series_count:
        series -= references[segment].series_count
        segment += 1
    reference = references[segment]
    found, at, _ = strongest(state, d)
    side = found if kind == "alarm" else int(state.open_side[d])
    rows, sums = state.runs[at][1:].tolist()
    effect = sums / rows if rows > 0 else 0.0
    return MinuteEvent(
        kind=kind,
        minute=minute,
        segment=segment,
        series=d,
        column=reference.columns[int(reference.places[series])],
        part=reference.parts[series],
        side="up" if side == UP else "down",
        since=int(state.since[at]),
        effect=effect,
        change=effect * float(reference.deviations[series]),
        evidence=log_mean(state.evidence[d]),
        is_first=False,
    )
