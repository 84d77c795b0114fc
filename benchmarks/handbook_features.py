"""The Handbook's 15 published features, and all that Sentinel's own feature engine computes.

The published ones are computed at once for all rows, by binary search in time: the engine keeps no
more than `events_max` events of an entity, the published table has no such bound.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.handbook_file import DAY_MS, LABEL_DELAY_DAYS, Payments
from sentinel.adapters.files import TransactionFile
from sentinel.config import Config
from sentinel.operations.data.history import History
from sentinel.records import Floats, Ints

CONFIG = Path(__file__).parents[1] / "config" / "handbook.toml"
WINDOW_DAYS = (1, 7, 30)
MONDAY_MS = -3 * DAY_MS  # 1970-01-01 was a Thursday

PUBLISHED_NAMES = (
    "TX_AMOUNT",
    "TX_DURING_WEEKEND",
    "TX_DURING_NIGHT",
    *(f"CUSTOMER_ID_{stat}_{d}DAY_WINDOW" for d in WINDOW_DAYS for stat in ("NB_TX", "AVG_AMOUNT")),
    *(f"TERMINAL_ID_{stat}_{d}DAY_WINDOW" for d in WINDOW_DAYS for stat in ("NB_TX", "RISK")),
)


def published_features(rows: Payments) -> Floats:
    """The published table, float64 (n, 15), in the order of `PUBLISHED_NAMES`."""
    of_day_ms = rows.event_time_ms % DAY_MS
    weekday = (rows.event_time_ms - MONDAY_MS) // DAY_MS % 7
    columns = [rows.amount, weekday >= 5, of_day_ms // 3_600_000 <= 6]
    for days in WINDOW_DAYS:
        begin, end = windows(rows.customer, rows.event_time_ms, 0, days, with_current=True)
        count, amount = end - begin, _sums(rows.customer, rows.amount, begin, end)
        columns += [count, amount / count]
    for days in WINDOW_DAYS:
        begin, end = windows(
            rows.terminal, rows.event_time_ms, LABEL_DELAY_DAYS, days, with_current=False
        )
        count = end - begin
        frauds = _sums(rows.terminal, rows.label.astype(np.float64), begin, end)
        columns += [count, np.divide(frauds, count, out=np.zeros(count.size), where=count > 0)]
    return np.column_stack(columns).astype(np.float64)


def windows(
    key: Ints, time_ms: Ints, delay_days: int, days: int, *, with_current: bool
) -> tuple[Ints, Ints]:
    """Where (t - delay - days, t - delay] of a row's own key begins and ends.

    Positions are in the order that sorts by key and, within it, as the rows stand.

    Parameters
    ----------
    key, time_ms
        int64 (n,); times ascend.
    with_current
        The window ends with the row itself, whatever else has its time; else with the delay.
    """
    order = np.argsort(key, kind="stable")
    span_ms = int(time_ms[-1]) - int(time_ms[0]) + 1
    shift_ms = (delay_days + days) * DAY_MS
    # One ascending line for all keys, with room between them for the longest look back.
    place = np.unique(key, return_inverse=True)[1] * (span_ms + shift_ms) + time_ms - time_ms[0]
    line = place[order]
    end = np.searchsorted(line, place - delay_days * DAY_MS, side="right")
    if with_current:
        end[order] = np.arange(key.size) + 1
    begin = np.searchsorted(line, place - shift_ms, side="right")
    return begin, end


def _sums(key: Ints, values: Floats, begin: Ints, end: Ints) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(values[np.argsort(key, kind="stable")])])
    found: Floats = total[end] - total[begin]
    return found


def engine_features(file: Path, config: Config, cache: Path) -> Floats:
    """What `sentinel train` would learn from, float64 (n, f): the file through `History`.

    The result is kept in `cache`, under a name that tells file and features, and read from there.
    """
    about = file.stat()
    said = f"{file.resolve()} {about.st_size} {about.st_mtime_ns} {config.entities}"
    said += f" {config.features} {config.training.label_delay} {config.schema}"
    kept = cache / f"features-{hashlib.sha256(said.encode()).hexdigest()[:16]}.npy"
    if not kept.exists():
        history = History(config)
        source = TransactionFile(file, config.schema, label_column="TX_FRAUD")
        parts = [history.fold(c.values, c.is_fraud).features for c in source.chunks()]
        assert history.refusals.count == 0
        cache.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.concatenate(parts))
    found: Floats = np.load(kept, mmap_mode="r")
    return found


@contextmanager
def cache_folder(path: Path | None) -> Iterator[Path]:
    """A folder for features: this one, else one that is gone in the end."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
