"""How long does it take to find all decisions on one card, before and after `archive compact`?

    python -m benchmarks.archive_lookup [--count N] [--days N] [--json FILE] [--quick]

Decisions with 24 features on 200,000 accounts, as the archiver writes them: in the order of their
offsets, once a day of N rows in files of 100,000, and the same in one file; once many days of
100,000 rows. Each is looked up in as it is, then joined and sorted by `compact` in a process of its
own, whose memory and seconds are told, and looked up in again: as much must be found. Everything is
in the page cache; the first look of each is left out.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.harness import facts, header, print_table, write_json
from sentinel import archive
from sentinel.adapters.archive import ArchiveParams, ParquetArchive
from sentinel.adapters.archive.writing import write_frame
from sentinel.archive import Segment

SEED = 11
FEATURE_COUNT = 24
ACCOUNT_COUNT = 200_000
FILE_ROW_COUNT = 100_000
LOOK_COUNT = 30
FIRST_DAY = date(2026, 3, 1)
DAY_MS = 86_400_000
LOG = "0a1b2c3d"


@dataclass(frozen=True)
class Looks:
    """Milliseconds that each look took."""

    median_ms: float
    least_ms: float
    most_ms: float
    row_count: int

    def words(self) -> str:
        return f"{self.median_ms:,.1f} ({self.least_ms:,.1f}-{self.most_ms:,.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=4_000_000, help="decisions of the one day")
    parser.add_argument("--days", type=int, default=90, help="of 100,000 decisions each")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="400,000 decisions, 5 days")
    options = parser.parse_args()
    count, day_count = (400_000, 5) if options.quick else (options.count, options.days)
    about = facts(SEED)
    figures: dict[str, Any] = {}
    rows = []
    for name, make in (
        (f"{count // FILE_ROW_COUNT} files of one day", lambda at: one_day(at, count)),
        ("one file of one day", lambda at: one_file(at, count)),
        (f"{day_count} days", lambda at: many_days(at, day_count)),
    ):
        found = measured(make)
        figures[name] = found
        took = f"{found['compact_s']:.1f}", f"{found['memory_mb']:,.0f}"
        rows.append([name, found["before"].words(), found["after"].words(), *took])
    print(f"\nAll decisions on one card of {ACCOUNT_COUNT:,}, {count:,} decisions a day or "
          f"{FILE_ROW_COUNT:,}: ms, median of {LOOK_COUNT} cards (least-most)")  # fmt: skip
    print(f"  {header(about)}")
    print_table(("", "as archived", "after compact", "compact, s", "memory, MB"), rows)
    told = {
        name: {
            key: vars(value) if isinstance(value, Looks) else value for key, value in one.items()
        }
        for name, one in figures.items()
    }
    write_json(options.json, {"benchmark": "archive_lookup", **about, "count": count, **told})


def measured(make: Callable[[Path], None]) -> dict[str, Any]:
    """One archive, looked up in before and after."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        before = looks(folder)
        context = multiprocessing.get_context("spawn")
        told: Any = context.Queue()
        process = context.Process(target=joined, args=(folder, told))
        process.start()
        compact_s, memory_mb = told.get(timeout=3_600)
        process.join()
        after = looks(folder)
    if before.row_count != after.row_count:
        raise SystemExit(f"{before.row_count} rows were found before, {after.row_count} after")
    return {"before": before, "after": after, "compact_s": compact_s, "memory_mb": memory_mb}


def looks(folder: Path) -> Looks:
    """Look some accounts up, the same ones each time."""
    accounts = np.random.default_rng(SEED).integers(0, ACCOUNT_COUNT, LOOK_COUNT + 1)
    took_ms, row_count = [], 0
    for number in accounts.tolist():
        begun_s = time.perf_counter()
        row_count += len(archive.history(folder, f"C{number:08}"))
        took_ms.append((time.perf_counter() - begun_s) * 1000)
    kept = took_ms[1:]
    return Looks(float(np.median(kept)), min(kept), max(kept), row_count)


def joined(folder: Path, told: Any) -> None:
    """`sentinel archive compact`, with what it took."""
    files = ParquetArchive(ArchiveParams(directory=str(folder)))
    begun_s = time.monotonic()
    files.compact("decisions", 10_000_000)
    told.put((time.monotonic() - begun_s, most_memory_mb()))


def most_memory_mb() -> float:
    """The most that this process has held; `getrusage` tells of its parent where that had more."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def one_day(folder: Path, count: int) -> None:
    for first in range(0, count, FILE_ROW_COUNT):
        write(folder, FIRST_DAY, first, min(FILE_ROW_COUNT, count - first))


def one_file(folder: Path, count: int) -> None:
    write(folder, FIRST_DAY, 0, count)


def many_days(folder: Path, day_count: int) -> None:
    for number in range(day_count):
        day = FIRST_DAY + timedelta(days=number)
        write(folder, day, number * FILE_ROW_COUNT, FILE_ROW_COUNT)


def write(folder: Path, day: date, first: int, count: int) -> None:
    """Decisions at offsets from `first` on, as a file of their day."""
    last = first + count - 1
    segment = Segment(0, first, last, last, day, folder, LOG)
    path = folder / "decisions" / f"date={day}" / segment.name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frame(decisions(day, first, count), path)


def decisions(day: date, first: int, count: int) -> pl.DataFrame:
    """With the columns of an archived file, and values as random as they come."""
    rng = np.random.default_rng((SEED, first))
    offset = np.arange(first, first + count)
    time_ms = (day - date(1970, 1, 1)).days * DAY_MS + np.arange(count) * DAY_MS // count
    texts = {"action": "approve", "severity": "low", "model_version": "1.0.0", "arm": "champion",
             "schema_version": "349fea-8efbfd", "config_version": "51ae1015dc67",
             "degraded": ""}  # fmt: skip
    return pl.DataFrame(
        {
            "partition": np.zeros(count, dtype=np.int32),
            "offset": offset,
            "appended_ms": time_ms,
            "event_time_ms": time_ms,
            "account": rng.integers(0, ACCOUNT_COUNT, count),
            "terminal": rng.integers(0, 10_000, count),
            "amount_minor": rng.integers(100, 100_000, count),
            **{name: rng.random(count) for name in ("score", "probability", "propensity")},
            **{f"feature_f{i}": rng.random(count) for i in range(FEATURE_COUNT)},
        }
    ).with_columns(
        decision_id=pl.format("transactions-0-{}", "offset"),
        transaction_id=pl.format("T{}", "offset"),
        account=pl.format("C{}", pl.col("account").cast(pl.String).str.zfill(8)),
        entity_terminal=pl.format("M{}", "terminal"),
        explore_share=pl.lit(None, dtype=pl.Float64),
        explored=pl.lit(value=False),
        **{name: pl.lit(text) for name, text in texts.items()},
    ).drop("terminal")  # fmt: skip


if __name__ == "__main__":
    main()
