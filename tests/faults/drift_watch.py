"""The watch for drift under fire: its windows and alarms held against an undisturbed one's."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sentinel.adapters.kafka import KafkaTail
from sentinel.codec.drift.progress import position_of
from sentinel.codec.drift.references import manifest_entry
from sentinel.codec.stored import decode_stored
from sentinel.config import Config
from sentinel.core.drift.counts.reference import reference_of
from sentinel.core.features.hashing import hash64
from sentinel.engine.tail import read_to_end
from sentinel.operations.data.history import History
from sentinel.operations.stores import open_drift
from sentinel.stored.drift import Alarm, WindowReport
from tests.faults.plan import WatchedBy
from tests.faults.workload import DAY_MS, Workload

REFERENCE_ROW_COUNT = 30_000
SILENT_S_MAX = 60.0
WINDOWS_MAX = 2_000
# Steps of an hour: at this pace of event time a thousand are closed while twenty strikes fall.
SETTINGS = {
    "DRIFT__STEP": "1h",
    "DRIFT__GRACE": "24h",
    "DRIFT__WINDOW_ROWS": "5000",
    "DRIFT__REFERENCE_ROWS_MIN": "2000",
}


def watched(workload: Workload, row_ms: int) -> Workload:
    """A stream that changes now and then, at such a pace.

    Late rows come within the grace, as what a watch counts must not depend on when it reads. Labels
    there are none: what they change in a feature depends on when they come.
    """
    late_ms, trailer_ms = 600_000, 3 * DAY_MS
    return replace(
        workload, row_ms=row_ms, late_ms=late_ms, trailer_ms=trailer_ms, label_share=0.0,
        is_changing=True,
    )  # fmt: skip


def reference_entry(config: Config, workload: Workload) -> dict[str, Any]:
    """For a manifest: what the stream is like, of another seed, as long as it does not change.

    Of scores nothing: those the stream itself has to give.
    """
    calm = replace(
        workload, seed=workload.seed + 1_000, poison_share=0.0, late_share=0.0, is_changing=False
    )
    chunks = [calm.chunk(i) for i in range(-(-REFERENCE_ROW_COUNT // calm.chunk_size))]
    values = [value for chunk in chunks for value in chunk.values]
    rows = History(config).fold(values, [None] * len(values))
    found = reference_of(
        [feature.name for feature in config.features],
        rows.features,
        rows.transactions.event_time_ms,
        hash64(rows.transactions.entities["account"]),
        np.full(len(values), np.nan),
        rows.transactions.amount_minor,
        np.zeros(len(values), dtype=np.bool_),
        rows_per_account_max=config.drift.rows_per_account_max,
    )
    return manifest_entry(found)


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watch has come to.

    Attributes
    ----------
    told
        By alarm, what was last said of it in the topic.
    """

    windows: dict[tuple[str, int], WindowReport]
    alarms: dict[str, Alarm]
    told: dict[str, Alarm]
    said_count: int = 0  # how often anything was


@dataclass(frozen=True, slots=True)
class WatchComparison:
    """Windows and alarms that are not the oracle's, of how many."""

    windows: int
    windows_differing: int
    alarms: int
    alarms_differing: int
    told_differing: int
    said_again: int  # alarms that were told more often than the oracle's
    examples: tuple[str, ...] = ()


async def read(config: Config) -> Watched:
    """What is kept, and what was told."""
    async with open_drift(config.redis) as store:
        windows = await store.windows(WINDOWS_MAX)
        alarms = await store.alarms(WINDOWS_MAX)
    topic = config.topics.full(config.topics.drift_alerts)
    told = await _topic(config, topic)
    return Watched(
        {(one.scale, one.end_ms): one for one in windows},
        {one.id: one for one in alarms},
        {one.id: one for one in told},
        len(told),
    )


async def _topic(config: Config, topic: str) -> list[Alarm]:
    async with KafkaTail(config.kafka, [topic]) as tail:
        batches = read_to_end(tail, topic, timeout_s=SILENT_S_MAX)
        return [decode_stored(Alarm, r.value or b"") async for some in batches for r in some]


async def next_offset(config: Config) -> int:
    """How far the saved watch has read the summaries."""
    async with open_drift(config.redis) as store:
        progress = await store.progress()
    return 0 if progress is None else position_of(progress.book).next_offset


async def ends_of_summaries(config: Config) -> int:
    """How many summaries there are."""
    topic = config.topics.full(config.topics.summaries)
    async with KafkaTail(config.kafka, [topic]) as tail:
        batches = read_to_end(tail, topic, timeout_s=SILENT_S_MAX)
        return max([r.offset + 1 async for records in batches for r in records], default=0)


async def await_read(config: Config, timeout_s: float) -> None:
    """Until all that was counted has been read, and that is saved."""
    async with asyncio.timeout(timeout_s):
        while await next_offset(config) < await ends_of_summaries(config):  # noqa: ASYNC110
            await asyncio.sleep(1.0)


def compare(found: Watched, expected: Watched, *, by: WatchedBy) -> WatchComparison:
    """Hold one watch against another, by what of it must be the same: see `plan.Fault`."""
    windows, expected_windows = found.windows, expected.windows
    alarms, expected_alarms = found.alarms, expected.alarms
    if by != "bits":
        alarms, expected_alarms = (
            {_day_of(one): one for one in some.values() if by == "days"}
            for some in (alarms, expected_alarms)
        )
    different_windows = sorted(
        key
        for key in windows.keys() | expected_windows.keys()
        if not _alike(windows.get(key), expected_windows.get(key), is_exact=by == "bits")
    )
    different = (
        _different(alarms, expected_alarms)
        if by == "bits"
        else sorted(alarms.keys() ^ expected_alarms.keys())
    )
    return WatchComparison(
        windows=len(expected_windows),
        windows_differing=len(different_windows),
        alarms=len(expected_alarms),
        alarms_differing=len(different),
        told_differing=len(_different(found.told, found.alarms)),
        said_again=found.said_count - expected.said_count,
        examples=(
            *(_told_apart(windows.get(k), expected_windows.get(k)) for k in different_windows[:3]),
            *(_told_apart(alarms.get(k), expected_alarms.get(k)) for k in different[:3]),
        ),
    )


def _alike(one: WindowReport | None, other: WindowReport | None, *, is_exact: bool) -> bool:
    if is_exact or one is None or other is None:
        return one == other
    begins = one.begin_ms == other.begin_ms
    return begins and (one.row_count, one.counted) == (other.row_count, other.counted)


def _day_of(alarm: Alarm) -> str:
    """Which column alarmed on which day."""
    return f"{alarm.column} {alarm.part} {alarm.side}, day {alarm.opened_ms // DAY_MS}"


def _different(some: Mapping[str, Alarm], others: Mapping[str, Alarm]) -> list[str]:
    return sorted(
        name for name in some.keys() | others.keys() if some.get(name) != others.get(name)
    )


def _told_apart(one: WindowReport | Alarm | None, other: WindowReport | Alarm | None) -> str:
    """In which fields two differ."""
    if one is None or other is None:
        there = one or other
        names = ("scale", "end_ms", "id", "row_count")
        return f"{'missing' if one is None else 'too many'}: " + ", ".join(
            f"{name} {getattr(there, name)}" for name in names if hasattr(there, name)
        )
    found, expected = asdict(one), asdict(other)
    return "; ".join(
        f"{name} {str(value)[:200]}, expected {str(expected[name])[:200]}"
        for name, value in found.items()
        if value != expected[name] or name in ("scale", "end_ms", "id")
    )
