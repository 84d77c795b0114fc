"""How the watch for drift stands: what is watched, how far, and what is open."""

from dataclasses import dataclass
from typing import Any

from sentinel.config import Config
from sentinel.core.drift.telling import worst_first
from sentinel.errors import ConfigError
from sentinel.operations.drift.references import (
    ReferenceFacts,
    found_reference,
    told_reference,
    watched_version,
)
from sentinel.operations.models.registry import now_ms
from sentinel.operations.stores import open_drift, open_models
from sentinel.ports import DriftStore, ModelStore
from sentinel.stored.drift import (
    ALARM_COUNT_MAX,
    WINDOW_COUNT_MAX,
    Alarm,
    Scale,
    Suppression,
    WindowReport,
)

SCALES: tuple[Scale, ...] = ("rows", "hour", "day", "week")


@dataclass(frozen=True, slots=True)
class DriftStatus:
    """How the watch stands.

    Attributes
    ----------
    version
        Whose reference is compared with, or that of the champion; None without any.
    watched_to_ms
        In event time; None before anything was.
    lacking
        What is missing for it to tell anything, in sentences.
    alarms
        Those that are not over, the worst first.
    closed_count
        Alarms that are over, of those that are kept.
    windows
        The newest of each scale.
    """

    is_enabled: bool
    version: str | None
    watched_to_ms: int | None
    reference: ReferenceFacts | None
    lacking: list[str]
    alarms: list[Alarm]
    closed_count: int
    suppressions: list[Suppression]
    windows: list[WindowReport]


async def read_status(config: Config) -> DriftStatus:
    """How the watch stands now."""
    async with open_drift(config.redis) as drift, open_models(config.redis) as models:
        return await drift_status(drift, models, config, now_ms=now_ms())


async def drift_status(
    drift: DriftStore, models: ModelStore, config: Config, *, now_ms: int
) -> DriftStatus:
    """How the watch stands, by what is kept."""
    progress = await drift.progress()
    version = await watched_version(drift, models)
    damaged = []
    try:
        found = await found_reference(drift, models, version) if version else None
    except ConfigError as error:
        found, damaged = None, [str(error)]
    alarms = await drift.alarms(ALARM_COUNT_MAX)
    told = await drift.suppressions()
    to_ms = _closed_to_ms(progress.book) if progress is not None else None
    reference = None if found is None else told_reference(found, version)
    return DriftStatus(
        is_enabled=config.drift.enabled,
        version=version or None,
        watched_to_ms=to_ms,
        reference=reference,
        lacking=damaged or _lacking(config, version, to_ms, reference),
        alarms=worst_first(one for one in alarms if not one.is_over),
        closed_count=sum(one.is_over for one in alarms),
        suppressions=[one for one in told if one.until_ms > now_ms],
        windows=newest_of_each(await drift.windows(len(SCALES) * WINDOW_COUNT_MAX)),
    )


def newest_of_each(windows: list[WindowReport]) -> list[WindowReport]:
    """The newest window of each scale, narrow ones first."""
    newest: dict[Scale, WindowReport] = {}
    for window in windows:
        if window.scale not in newest or window.end_ms > newest[window.scale].end_ms:
            newest[window.scale] = window
    return [newest[scale] for scale in SCALES if scale in newest]


def _closed_to_ms(book: dict[str, Any]) -> int | None:
    """How far steps are closed; a book that says nothing of it is as good as none."""
    found = book.get("closed_to_ms")
    return found if isinstance(found, int) and found > 0 else None


def _lacking(
    config: Config, version: str, to_ms: int | None, reference: ReferenceFacts | None
) -> list[str]:
    if not config.drift.enabled:
        return ["nothing is watched: drift.enabled is false"]
    found = []
    if not version:
        found.append("no model serves yet: there is nothing to watch")
    elif to_ms is None:
        found.append("nothing has been watched yet: that begins with the first whole step")
    if version and (reference is None or not reference.is_whole):
        found.append(lacking_reference(config, version, reference))
    return found


def lacking_reference(config: Config, version: str, reference: ReferenceFacts | None) -> str:
    """What a version is not yet compared with, and what becomes of that."""
    gathers = (
        "it gathers a day of decisions, and at least "
        f"{config.drift.reference_rows_min:,} of them, to compare with"
    )
    if reference is None or reference.row_count == 0:
        return f"version {version} has no reference yet, and nothing alarms until then: {gathers}"
    return f"the score of version {version} has no reference yet: {gathers}"
