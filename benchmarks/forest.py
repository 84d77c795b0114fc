"""Claim: our kernel scores at least 2.5 times as many rows a second as LightGBM, and equal ones.

Both engines score the same rows, in turns, in one process and on one thread. Every call gets other
rows, of which 3 % of the values are missing: a row scored again and again would flatter LightGBM,
whose branches the processor then foresees.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np

from sentinel.core.forest import forest
from sentinel.core.forest.forest import ForestTables
from sentinel.core.learning.params import FitParams
from sentinel.model import fit
from sentinel.records import Floats, Ints

SEED = 1
FEATURE_COUNT = 30
MISSING_SHARE = 0.03
BATCH_COUNTS = (1, 16, 64, 1024)


class Case(NamedTuple):
    """A size of model, and the ratios that we claim for it, by rows in the batch."""

    tree_count: int
    leaf_count: int
    ratio_min: dict[int, float]


CASES = (Case(200, 31, {1: 5.0, 64: 2.5}), Case(500, 63, {1: 5.0, 64: 3.0}))


class Quartiles(NamedTuple):
    """Lower quartile, median and upper quartile."""

    low: float
    median: float
    high: float


class Result(NamedTuple):
    """Microseconds a row, and how many times faster the kernel is, of one model and batch."""

    trees: int
    leaves: int
    batch: int
    lightgbm_us: Quartiles
    kernel_us: Quartiles
    ratio: Quartiles
    ratio_min: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: under 45 s")
    options = parser.parse_args()
    row_count, round_count = (15_000, 15) if options.quick else (60_000, 60)
    features, labels = history(row_count)
    print("us per row: median (quartiles)", flush=True)
    print(f"{'model':>7} {'batch':>5} {'LightGBM':>22} {'kernel':>22} {'ratio':>22}  claim")
    results = [
        result
        for case in CASES
        for result in measured(case, features, labels, round_count=round_count)
    ]
    if options.json:
        options.json.write_text(json.dumps(report(results), indent=2) + "\n")


def history(row_count: int) -> tuple[Floats, Ints]:
    """Rows with skewed, whole-numbered and ordinary columns, of which some are missing."""
    rng = np.random.default_rng(SEED)
    features = rng.normal(size=(row_count, FEATURE_COUNT))
    features[:, 5] = np.exp(features[:, 5])
    features[:, 6] = rng.integers(0, 20, row_count)
    signal = features[:, :6] @ np.linspace(1.0, 0.2, 6) + features[:, 7] * features[:, 8]
    labels = (signal + rng.normal(size=row_count) > 2.5).astype(np.int64)
    features[rng.random(features.shape) < MISSING_SHARE] = np.nan
    return features, labels


def measured(case: Case, features: Floats, labels: Ints, *, round_count: int) -> list[Result]:
    params = FitParams(tree_count=case.tree_count, leaf_count_max=case.leaf_count)
    names = [f"f{i}" for i in range(FEATURE_COUNT)]
    text = fit(features, labels, params=params, feature_names=names)
    booster = lightgbm.Booster(model_str=text)
    tables = forest.build_tables(text)
    assert isinstance(tables, ForestTables)
    forest.warm(tables)

    def by_lightgbm(rows: Floats) -> Any:
        return booster.predict(rows, raw_score=True, num_threads=1)

    def by_kernel(rows: Floats) -> Floats:
        return forest.raw_scores(tables, rows)

    assert np.array_equal(by_lightgbm(features), by_kernel(features))
    results = []
    for batch_count in BATCH_COUNTS:
        result = compared(case, batch_count, features, by_lightgbm, by_kernel, round_count)
        print(line(result), flush=True)
        results.append(result)
    return results


def compared(
    case: Case,
    batch_count: int,
    features: Floats,
    by_lightgbm: Callable[[Floats], Any],
    by_kernel: Callable[[Floats], Any],
    round_count: int,
) -> Result:
    """Time both on the same batches, round by round, each going first in every other round."""
    call_count = max(1, 1024 // batch_count)
    rng = np.random.default_rng(SEED)
    seconds = np.empty((round_count, 2))
    for i in range(round_count):
        starts = rng.integers(0, len(features) - batch_count, call_count)
        batches = [features[start : start + batch_count].copy() for start in starts]
        for engine in (0, 1) if i % 2 else (1, 0):
            seconds[i, engine] = elapsed_s((by_lightgbm, by_kernel)[engine], batches)
    us = seconds * 1e6 / (call_count * batch_count)
    return Result(
        trees=case.tree_count,
        leaves=case.leaf_count,
        batch=batch_count,
        lightgbm_us=quartiles(us[:, 0]),
        kernel_us=quartiles(us[:, 1]),
        ratio=quartiles(us[:, 0] / us[:, 1]),
        ratio_min=case.ratio_min.get(batch_count),
    )


def elapsed_s(score: Callable[[Floats], Any], batches: list[Floats]) -> float:
    start = time.perf_counter()
    for batch in batches:
        score(batch)
    return time.perf_counter() - start


def quartiles(values: Floats) -> Quartiles:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return Quartiles(float(low), float(median), float(high))


def line(result: Result) -> str:
    columns = [
        f"{values.median:.2f} ({values.low:.2f}-{values.high:.2f})"
        for values in (result.lightgbm_us, result.kernel_us, result.ratio)
    ]
    claim = ""
    if result.ratio_min is not None:
        holds = result.ratio.median >= result.ratio_min
        claim = f">= {result.ratio_min} {'holds' if holds else 'FAILS'}"
    name = f"{result.trees}x{result.leaves}"
    return f"{name:>7} {result.batch:>5} " + " ".join(f"{c:>22}" for c in columns) + f"  {claim}"


def report(results: list[Result]) -> dict[str, object]:
    return {
        "benchmark": "forest",
        "machine": {"processor": platform.machine(), "python": platform.python_version()},
        "lightgbm": lightgbm.__version__,
        "seed": SEED,
        "results": [
            {
                key: value._asdict() if isinstance(value, Quartiles) else value
                for key, value in result._asdict().items()
            }
            for result in results
        ],
    }


if __name__ == "__main__":
    main()
