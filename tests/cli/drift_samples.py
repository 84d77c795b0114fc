"""What is kept of drift, as tests want it: alarms, windows, a reference."""

from dataclasses import replace
from typing import Any

import numpy as np

from sentinel.adapters.memory import MemoryDatabase, MemoryDocuments
from sentinel.codec.drift.references import stored_reference
from sentinel.core.drift.counts.columns import CELL_COUNT
from sentinel.core.drift.counts.reference import Reference, reference_of
from sentinel.core.drift.params import DriftParams
from sentinel.ports import DriftStore
from sentinel.stored.drift import (
    Alarm,
    ColumnFinding,
    DriftProgress,
    Harm,
    Scale,
    Suppression,
    WindowReport,
)
from sentinel.stores import StoredDrift, StoredModels
from tests.engine.samples import a_config

NOW_MS = 1_788_256_800_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NAMES = ["amount", "hour", "country", "account_count_7d", "terminal_rate_28d"]
HARM = Harm(precision=(0.52, 0.61), recall=(0.40, 0.55), missed_amount_minor=(5.12, 3.41))


CONFIG = replace(a_config(), drift=DriftParams())


def an_alarm(number: int = 1, **others: Any) -> Alarm:
    since_ms = NOW_MS - 6 * HOUR_MS
    alarm = Alarm(
        id=f"1.0.0-amount-value-{number}",
        detector="steps",
        column="amount",
        part="value",
        side="up",
        version="1.0.0",
        since_ms=since_ms,
        opened_ms=since_ms + HOUR_MS // 2,
        changed_ms=NOW_MS - HOUR_MS,
        effect=0.42,
        change=0.11,
        severity="warning",
        kind="location",
        words="median 21.5 -> 34.2",
    )
    return replace(alarm, **others)


def a_window(
    scale: Scale = "hour",
    end_ms: int = NOW_MS,
    *,
    changed: dict[str, float] | None = None,
    names: list[str] | None = None,
    **others: Any,
) -> WindowReport:
    """A window in which these columns have changed, each with its effect."""
    changed = {} if changed is None else changed
    width_ms = {"rows": HOUR_MS // 3, "hour": HOUR_MS, "day": DAY_MS, "week": 7 * DAY_MS}[scale]
    findings = [_finding(name, changed.get(name)) for name in names or NAMES]
    findings.sort(key=lambda one: one.p)
    causes = [[name] for name in changed]
    window = WindowReport(
        scale=scale,
        begin_ms=end_ms - width_ms,
        end_ms=end_ms,
        version="1.0.0",
        row_count=120_000,
        counted=100_000,
        actions={"approve": 119_000, "review": 900, "block": 100},
        findings=findings,
        causes=causes,
        harm=HARM if changed else None,
    )
    return replace(window, **others)


def _finding(name: str, effect: float | None) -> ColumnFinding:
    if effect is None:
        return ColumnFinding(name, 0.73, False, 0.004)
    return ColumnFinding(
        name, 1e-12, True, effect, "location", "median 21.5 -> 34.2", psi=0.21, cells=cells(effect)
    )


def cells(effect: float) -> tuple[list[float], list[float]]:
    """Shares of a window and of its reference, of cells that go up with their number."""
    reference = np.zeros(CELL_COUNT)
    reference[:32] = 1 / 33
    reference[32] = 1 / 33
    window = reference * (1 + effect * np.linspace(-1, 1, CELL_COUNT))
    return (window / window.sum()).tolist(), reference.tolist()


def a_reference(row_count: int = 2_000, names: list[str] | None = None) -> Reference:
    rng = np.random.default_rng(1)
    names = NAMES if names is None else names
    features = rng.normal(30.0, 10.0, (row_count, len(names)))
    features[:, 1:2] = rng.integers(0, 8, (row_count, 1))
    features[::50, 0] = np.nan
    times_ms = NOW_MS - 40 * DAY_MS + np.arange(row_count) * 60_000
    accounts = rng.integers(0, 500, row_count)
    probability, amount_minor = rng.random(row_count), rng.integers(100, 9_999, row_count)
    return reference_of(
        names, features, times_ms, accounts, probability, amount_minor, probability > 0.9,
        rows_per_account_max=5,
    )  # fmt: skip


def stores() -> tuple[StoredDrift, StoredModels]:
    """In memory, with nothing in them."""
    kept = MemoryDatabase(), MemoryDatabase()
    return StoredDrift(MemoryDocuments(kept[0])), StoredModels(MemoryDocuments(kept[1]))


async def fill(drift: DriftStore, *, at_ms: int = NOW_MS) -> None:
    """A watch that has been at work for a while."""
    await drift.progress()
    await drift.save(DriftProgress(version="1.0.0", book={"closed_to_ms": NOW_MS}))
    await drift.keep_reference("1.0.0", stored_reference(a_reference()))
    for alarm in (
        an_alarm(),
        an_alarm(
            2,
            column="country",
            part="unseen",
            severity="critical",
            harm=HARM,
            kind="new_category",
            segment='channel "web"',
        ),
        an_alarm(3, column="hour", status="closed", closed_ms=NOW_MS, severity="info"),
    ):
        await drift.put_alarm(None, alarm)
    for i in range(30):
        changed = {"amount": 0.05 + 0.03 * (30 - i) / 6, "country": 0.3} if i < 6 else {}
        await drift.keep_window(a_window("hour", NOW_MS - i * HOUR_MS, changed=changed))
    for i in range(9):
        changed = {"amount": 0.12} if i == 0 else {}
        await drift.keep_window(a_window("day", NOW_MS - i * DAY_MS, changed=changed))
    until_ms = at_ms + 7 * DAY_MS
    quiet = Suppression("hour", until_ms, "ann", "a holiday")
    await drift.suppress(None, quiet, now_ms=at_ms)
