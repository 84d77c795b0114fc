"""Lengths of time that fit a history: how it is cut for training, and windows of features."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np

from sentinel.core.features.spec import duration_ms
from sentinel.core.learning.params import TrainingParams
from sentinel.records import Floats

DAY_MS = 86_400_000
_UNITS = (("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
_WINDOWS = ("1h", "1d", "7d", "30d")

# Shares of the history's length: what is usual first, then what finds frauds where they are few.
_TEST_SHARES, _CALIBRATION_SHARES, _DELAY_SHARES = (0.2, 0.3, 0.4), (0.2, 0.3), (0.1, 0.0)
_TEST_MAX_MS, _DELAY_MAX_MS = 28 * DAY_MS, 7 * DAY_MS
_FRAUDS_WANTED = 10  # in each part


@dataclass(frozen=True, slots=True)
class TrainingCut:
    """How `sentinel train` should cut the history, as durations; and what was seen of it.

    Attributes
    ----------
    frauds_min
        Rows of the rarer class, frauds as a rule, in the part that has the fewest, among those
        that were looked at; None without labels.
    """

    label_delay: str
    calibration: str
    test: str
    frauds_min: int | None


def duration_text(length_ms: float) -> str:
    """The length as a duration, to a whole number of the largest unit that leaves ten of it."""
    for unit, size in _UNITS:
        if length_ms >= 10 * size or (length_ms > 0 and length_ms % size == 0):
            return f"{round(length_ms / size)}{unit}"
    return f"{max(round(length_ms / 1_000), 0)}s"


def usual_cut() -> TrainingCut:
    """The spans for training of a history that nobody has seen."""
    usual = TrainingParams()
    return TrainingCut(usual.label_delay, usual.calibration, usual.test, None)


def cut(times_ms: Floats, is_fraud: Floats, step_ms: float) -> TrainingCut:
    """The spans for training, of a history that counts time in steps of `step_ms`."""
    there = np.isfinite(times_ms)
    times_ms, is_fraud = times_ms[there], is_fraud[there]
    length_ms = float(times_ms.max() - times_ms.min()) if times_ms.size else 0.0
    best: TrainingCut | None = None
    for shares in product(_TEST_SHARES, _CALIBRATION_SHARES, _DELAY_SHARES):
        found = _cut(times_ms, is_fraud, length_ms, step_ms, *shares)
        if found.frauds_min is None or found.frauds_min >= _FRAUDS_WANTED:
            return found
        if best is None or found.frauds_min > (best.frauds_min or 0):
            best = found
    assert best is not None
    return best


def _cut(
    times_ms: Floats,
    is_fraud: Floats,
    length_ms: float,
    step_ms: float,
    test_share: float,
    calibration_share: float,
    delay_share: float,
) -> TrainingCut:
    test = _whole_steps(min(length_ms * test_share, _TEST_MAX_MS), step_ms, least=1)
    calibration = _whole_steps(min(length_ms * calibration_share, _TEST_MAX_MS), step_ms, least=1)
    delay = _whole_steps(min(length_ms * delay_share, _DELAY_MAX_MS), step_ms, least=0)
    if not np.any(np.isfinite(is_fraud)):
        return TrainingCut(delay, calibration, test, None)
    test_begin = times_ms.max() + 1 - duration_ms(test)
    end = test_begin - duration_ms(delay)
    begin = end - duration_ms(calibration)
    parts = (
        times_ms < begin,
        (times_ms >= begin) & (times_ms < end),
        times_ms >= test_begin,
    )
    classes = [np.sum(is_fraud[part] == kind) for part in parts for kind in (0, 1)]
    return TrainingCut(delay, calibration, test, int(min(classes)))


def _whole_steps(length_ms: float, step_ms: float, *, least: int) -> str:
    """About the length, but whole steps where these are coarse."""
    if step_ms >= 1_000 and length_ms < 20 * step_ms:
        return duration_text(max(round(length_ms / step_ms), least) * step_ms)
    return duration_text(max(length_ms, least * 1_000))


def windows(length_ms: float, step_ms: float) -> list[str]:
    """Windows of features that a history is long enough for: at least one."""
    fitting = [
        window
        for window in _WINDOWS
        if 2 * step_ms <= duration_ms(window) <= max(length_ms / 3, 3_600_000)
    ]
    return fitting or [duration_text(4 * max(step_ms, 3_600_000))]


def longest(durations: Iterable[str]) -> str:
    """The longest of some durations."""
    return max(durations, key=duration_ms)
