"""Windows and alarms in detail."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from sentinel.adapters.archive import ParquetArchive
from sentinel.config import Config
from sentinel.core.drift.counts.columns import SCORE, score_column
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.telling import worst_first
from sentinel.errors import ConfigError
from sentinel.operations.drift.acting import found_alarm
from sentinel.operations.drift.examples import ALARM_COUNT_MAX as SHOWN_COUNT_MAX
from sentinel.operations.drift.examples import AlarmExamples, shown_transactions
from sentinel.operations.drift.naming import cell_names
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
    examples
        Transactions that show an alarm, by its name: of the worst that are open, or of the one that
        was asked for.
    """

    made_ms: int
    status: DriftStatus
    alarms: list[Alarm]
    windows: list[WindowReport]
    cell_names: dict[str, list[str]]
    examples: dict[str, AlarmExamples] = field(default_factory=dict)


async def read_report(config: Config, alarm: str = "") -> DriftReport:
    """All that is kept, or of one alarm what concerns its column. Raises ConfigError."""
    files = ParquetArchive(config.archive)
    async with open_drift(config.redis) as drift, open_models(config.redis) as models:
        return await drift_report(drift, models, config, alarm=alarm, now_ms=now_ms(), files=files)


async def drift_report(
    drift: DriftStore,
    models: ModelStore,
    config: Config,
    *,
    alarm: str = "",
    now_ms: int,
    files: ParquetArchive | None = None,
) -> DriftReport:
    """The report by what is kept; without an archive there are no examples."""
    status = await drift_status(drift, models, config, now_ms=now_ms)
    windows = await drift.windows(len(SCALES) * WINDOW_COUNT_MAX)
    if alarm:
        alarms = shown = [await found_alarm(drift, checked_text("--alarm", alarm))]
    else:
        alarms = await drift.alarms(ALARM_COUNT_MAX)
        shown = worst_first(one for one in alarms if not one.is_over)[:SHOWN_COUNT_MAX]
    versions = {status.version, *(one.version for one in shown)}
    references = await _references(drift, models, (one for one in versions if one))
    names = _cell_names(config, references.get(status.version or ""))
    found = {}
    if files is not None:
        found = await asyncio.to_thread(
            shown_transactions, files, config, shown, windows, references
        )
    return DriftReport(now_ms, status, alarms, windows, names, found)


async def _references(
    drift: DriftStore, models: ModelStore, versions: Iterable[str]
) -> dict[str, Reference]:
    """Of versions that have one; that it is damaged, the status says."""
    references = {}
    for version in versions:
        try:
            found = await found_reference(drift, models, version)
        except ConfigError:
            continue
        if found is not None:
            references[version] = found.reference
    return references


def _cell_names(config: Config, reference: Reference | None) -> dict[str, list[str]]:
    names = {SCORE: cell_names(score_column())}
    values = {one.name: one.values for one in config.features}
    if reference is not None:
        names |= {one.name: cell_names(one, values.get(one.name, ())) for one in reference.features}
    return names
