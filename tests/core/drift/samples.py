"""Small streams for tests of drift: rows that are drawn, counted in steps."""

from collections.abc import Iterator

import numpy as np

from sentinel.core.drift.counts.noting import Binning, noted, steps_of
from sentinel.core.drift.counts.open_steps import Arm, ArmCounts
from sentinel.core.drift.counts.reference import Reference, reference_of
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.drift.params import DriftParams
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from sentinel.records import Floats, Ints

VERSION = "1.0.0"
ARM: Arm = (VERSION, "champion")
NAMES = ("amount", "channel")
START_MS = 1_700_006_400_000  # a day begins
HOURLY = DriftParams(step="1h", window_rows=1_000, reference_rows_min=1_000)


def features(rng: np.random.Generator, n: int, *, shift: float = 0.0) -> Floats:
    """Of NAMES: a normal one whose mean is shifted, and one of three values; a few are missing."""
    amount = rng.normal(shift, 1.0, n)
    amount[rng.random(n) < 0.02] = np.nan
    return np.stack([amount, rng.choice(3, n, p=[0.6, 0.3, 0.1]).astype(float)], axis=1)


def accounts(rng: np.random.Generator, n: int) -> Ints:
    """Hashes; few have a second row."""
    return rng.integers(-(2**62), 2**62, max(n, 1))[rng.integers(0, max(n, 1), n)]


def a_reference(rng: np.random.Generator, n: int = 20_000, *, is_scored: bool = True) -> Reference:
    """Of a stream that is not shifted."""
    probability = rng.beta(1, 20, n) if is_scored else np.full(n, np.nan)
    return reference_of(
        NAMES,
        features(rng, n),
        START_MS - 30 * 24 * HOUR_MS + np.arange(n) * HOUR_MS // 20,
        accounts(rng, n),
        probability,
        rng.integers(1, 10_000, n),
        np.nan_to_num(probability) > 0.2,
        rows_per_account_max=5,
    )


def arm_counts(
    rng: np.random.Generator, binning: Binning, n: int, *, shift: float = 0.0
) -> ArmCounts:
    """Of n rows of one step."""
    probability = rng.beta(1, 20, n)
    rows = noted(
        partition=np.zeros(n, dtype=np.int64),
        step=np.zeros(n, dtype=np.int64),
        key=np.zeros(n, dtype=np.int64),
        action=(probability > 0.2).astype(np.int64),
        amount_minor=rng.integers(1, 10_000, n),
        probability=probability,
        account_hashes=accounts(rng, n),
        is_counted=np.ones(n, dtype=np.bool_),
        cells=binning.cells(features(rng, n, shift=shift), probability),
    )
    [one] = steps_of(rows)
    actions = {
        name: int(k) for name, k in zip(("approve", "review"), one.actions, strict=False) if k
    }
    return ArmCounts(n, actions, one.counts, one.scores)


def steps(
    rng: np.random.Generator,
    binning: Binning,
    count: int,
    *,
    rows: int = 60,
    shift: float = 0.0,
    begin_ms: int = START_MS,
    step_ms: int = HOUR_MS,
) -> Iterator[ClosedStep]:
    """Steps that follow each other, each with so many rows."""
    for number in range(count):
        arms = {ARM: arm_counts(rng, binning, rows, shift=shift)}
        yield ClosedStep(begin_ms + number * step_ms, arms)
