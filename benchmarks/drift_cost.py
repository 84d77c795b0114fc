"""What the watch for drift costs where decisions are made, and where it is watched.

python -m benchmarks.drift_cost [--quick] [--json FILE]

24 features (20 numbers, 4 of few values, 3 per cent missing) and the score; 64 groups of accounts.
Then split by two of the features of few values. Thread time, medians of batches in turns. Whole
instances with and without: benchmarks/throughput with SENTINEL__DRIFT__ENABLED=false, in turns.
"""

import argparse
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sentinel.codec.drift.counts import pack_counts, unpack_counts
from sentinel.core.drift.counts.noting import Binning, NotedRows, noted, steps_of
from sentinel.core.drift.counts.open_steps import ArmCounts
from sentinel.core.drift.counts.reference import Reference, reference_of
from sentinel.core.drift.counts.segments import Segmentation, SegmentColumn
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.drift.params import DriftParams
from sentinel.core.drift.watch import Watch
from sentinel.records import Floats, Ints

FEATURE_COUNT = 24
STEP_MS = 60_000
VERSION = "1.0.0"
SPLIT_BY = tuple(SegmentColumn(f"f{i}", i, tuple("abcdefgh")) for i in (20, 21))


def rows(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Ints]:
    """Features, probabilities of fraud, and hashes of accounts."""
    features = rng.normal(size=(n, FEATURE_COUNT))
    features[:, 20:] = rng.integers(0, 8, size=(n, 4))
    features[rng.random(features.shape) < 0.03] = np.nan
    return features, rng.beta(0.5, 20.0, n), rng.integers(1, 2**40, n)


def a_reference(rng: np.random.Generator, n: int = 100_000) -> Reference:
    """Of so many rows."""
    features, probability, accounts = rows(n, rng)
    names = [f"f{i}" for i in range(FEATURE_COUNT)]
    times = np.arange(n, dtype=np.int64) * 100
    amounts = rng.integers(100, 100_000, n)
    alerts = probability > 0.2
    return reference_of(
        names, features, times, accounts, probability, amounts, alerts, rows_per_account_max=5
    )


def median_us(call: Callable[[], object], count: int) -> float:
    """Microseconds of thread time."""
    took = []
    for _ in range(count):
        begin_ns = time.thread_time_ns()
        call()
        took.append(time.thread_time_ns() - begin_ns)
    return float(np.median(took)) / 1000


def _drained(call: Callable[[Any], Iterable[object]], argument: object) -> None:
    deque(call(argument), maxlen=0)


def note(
    binning: Binning,
    batch: tuple[Floats, Floats, Ints],
    step: int = 0,
    segmentation: Segmentation | None = None,
) -> NotedRows:
    """What happens to a batch on its way: its rows are noted."""
    features, probability, accounts = batch
    n = len(features)
    zeros, counted = np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.bool_)
    cells = binning.cells(features, probability)
    steps = np.full(n, step)
    segments = None if segmentation is None else segmentation.of_rows(features)
    return noted(zeros, steps, zeros, zeros, zeros, probability, accounts, counted, cells, segments)


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures."""
    rng, repeat = np.random.default_rng(1), 20 if quick else 400
    reference = a_reference(rng, 20_000 if quick else 100_000)
    binning = Binning(reference.features)
    found: dict[str, Any] = {"note_us": {}, "cells_us": {}, "summary": {}}
    for n in (1, 60, 512, 2_048):
        batch = rows(n, rng)
        found["cells_us"][n] = median_us(partial(binning.cells, *batch[:2]), repeat) / n
        found["note_us"][n] = median_us(partial(note, binning, batch), repeat) / n
    for n in (20, 512, 5_000, 60_000):
        noted_rows = note(binning, rows(n, rng))
        [counted] = steps_of(noted_rows)
        data = pack_counts(counted.counts)
        few = max(5, repeat // 20)
        found["summary"][n] = {
            "bytes": len(data) * 4 // 3,  # as JSON has them
            "count_us": median_us(partial(_drained, steps_of, noted_rows), few) / n,
            "pack_ms": median_us(partial(pack_counts, counted.counts), few) / 1000,
            "unpack_ms": median_us(partial(unpack_counts, data), few) / 1000,
        }
    found["segments"] = with_segments(binning, rng, repeat)
    found["step_ms"] = step_ms(reference, binning, rng, 20 if quick else 300)
    return found


def with_segments(
    binning: Binning, rng: np.random.Generator, repeat: int
) -> dict[str, dict[str, float]]:
    """By columns to split by: what noting a row takes, and bytes of a summary of 60,000 rows."""
    found = {}
    batch, many = rows(512, rng), rows(60_000, rng)
    for count in range(len(SPLIT_BY) + 1):
        split = Segmentation(SPLIT_BY[:count])
        [one] = steps_of(note(binning, many, segmentation=split))
        packed = [pack_counts(part) for part in (one.counts, one.segments) if part is not None]
        found[f"{count} columns"] = {
            "note_us": median_us(partial(note, binning, batch, segmentation=split), repeat) / 512,
            "bytes": sum(map(len, packed)) * 4 // 3,
        }
    return found


def step_ms(reference: Reference, binning: Binning, rng: np.random.Generator, count: int) -> float:
    """One step of 600 rows, from its counts to what the detectors say; milliseconds."""
    watch = Watch(VERSION, reference, DriftParams())
    took = []
    for number in range(count):
        [one] = steps_of(note(binning, rows(600, rng), number))
        arm = ArmCounts(one.row_count, {}, one.counts, one.scores)
        step = ClosedStep(number * STEP_MS, {(VERSION, "champion"): arm})
        took.append(median_us(partial(_drained, watch.after, step), 1))
    return float(np.median(took)) / 1000


def table(found: dict[str, Any]) -> str:
    """For a person."""
    lines = ["rows in a batch   cells, us/row   noted, us/row"]
    for n, took in found["cells_us"].items():
        lines.append(f"{n:>15,}{took:>16.3f}{found['note_us'][n]:>16.3f}")
    lines.append("rows in a summary   bytes   count, us/row   pack, ms   unpack, ms")
    for n, one in found["summary"].items():
        lines.append(
            f"{n:>17,}{one['bytes']:>8,}{one['count_us']:>16.3f}{one['pack_ms']:>11.2f}"
            f"{one['unpack_ms']:>13.2f}"
        )
    for name, split in found["segments"].items():
        noting = f"{split['note_us']:.3f} us/row to note"
        lines.append(f"split by {name}: {noting}, {split['bytes']:,} bytes of 60,000 rows")
    lines.append(f"one step of 600 rows through all detectors: {found['step_ms']:.2f} ms")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repetitions, for a test")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    found = measure(quick=options.quick)
    print(table(found))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
