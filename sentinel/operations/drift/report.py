"""Windows and alarms in detail."""

from dataclasses import dataclass

import numpy as np

from sentinel.config import Config
from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    MISSING,
    OTHER,
    SCORE,
    UNSEEN,
    BinnedColumn,
    score_column,
)
from sentinel.operations.drift.acting import found_alarm
from sentinel.operations.drift.references import found_reference
from sentinel.operations.drift.status import SCALES, DriftStatus, drift_status
from sentinel.operations.models.registry import now_ms
from sentinel.operations.said import checked_text
from sentinel.operations.stores import open_drift, open_models
from sentinel.ports import DriftStore, ModelStore
from sentinel.stored.drift import ALARM_COUNT_MAX, WINDOW_COUNT_MAX, Alarm, WindowReport


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Windows and alarms.

    Attributes
    ----------
    made_ms
        When, in processing time.
    alarms
        Whatever became of them, the newest first.
    windows
        The newest first.
    cell_names
        By column of the reference, what each of its cells holds, as a person reads it.
    """

    made_ms: int
    status: DriftStatus
    alarms: list[Alarm]
    windows: list[WindowReport]
    cell_names: dict[str, list[str]]


async def read_report(config: Config, alarm: str = "") -> DriftReport:
    """All that is kept, or of one alarm what concerns its column. Raises ConfigError."""
    async with open_drift(config.redis) as drift, open_models(config.redis) as models:
        return await drift_report(drift, models, config, alarm=alarm, now_ms=now_ms())


async def drift_report(
    drift: DriftStore, models: ModelStore, config: Config, *, alarm: str = "", now_ms: int
) -> DriftReport:
    """The report by what is kept."""
    status = await drift_status(drift, models, config, now_ms=now_ms)
    windows = await drift.windows(len(SCALES) * WINDOW_COUNT_MAX)
    if alarm:
        alarms = [await found_alarm(drift, checked_text("--alarm", alarm))]
    else:
        alarms = await drift.alarms(ALARM_COUNT_MAX)
    return DriftReport(now_ms, status, alarms, windows, await _cell_names(drift, models, status))


async def _cell_names(
    drift: DriftStore, models: ModelStore, status: DriftStatus
) -> dict[str, list[str]]:
    names = {SCORE: cell_names(score_column())}
    if status.version is not None:
        found = await found_reference(drift, models, status.version)
        if found is not None:
            names |= {one.name: cell_names(one) for one in found.reference.features}
    return names


def cell_names(column: BinnedColumn) -> list[str]:
    """What each of CELL_COUNT cells holds; empty of those that hold nothing."""
    edges = column.edges[np.isfinite(column.edges)].tolist()
    names = [""] * CELL_COUNT
    if column.kind == "values":
        named = column.names if len(column.names) == len(edges) else map(_number, edges)
        names[: len(edges)] = named
        names[UNSEEN] = "unseen"
        names[OTHER] = "other"
    elif edges:
        names[0] = f"≤ {_number(edges[0])}"
        for i in range(1, len(edges)):
            names[i] = f"{_number(edges[i - 1])} to {_number(edges[i])}"
        names[len(edges)] = f"> {_number(edges[-1])}"
    else:
        names[0] = "any value"
    names[MISSING] = "missing"
    return names


def _number(value: float) -> str:
    return f"{value:.5g}"
