"""A stream of three countries, of which one can change."""

from collections.abc import Iterator

import numpy as np

from sentinel.core.drift.counts.noting import Binning, NotedRows, noted, steps_of
from sentinel.core.drift.counts.open_steps import ArmCounts
from sentinel.core.drift.counts.reference import Reference, reference_of
from sentinel.core.drift.counts.segments import Segmentation, SegmentColumn
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from sentinel.records import Floats
from tests.core.drift.samples import ARM, START_MS, accounts

NAMES = ("amount", "distance", "country", "channel")
SEGMENTATION = Segmentation(
    (
        SegmentColumn("country", 2, ("DE", "FR", "IT")),
        SegmentColumn("channel", 3, ("web", "shop")),
    )
)
DE, FR, IT, OTHER = range(4)


def features(rng: np.random.Generator, n: int) -> Floats:
    """Of NAMES, as nothing has changed."""
    found = rng.normal(size=(n, 4))
    found[rng.random(n) < 0.01, 1] = np.nan
    found[:, 2] = rng.choice([0, 1, 2, 3, np.nan], n, p=[0.5, 0.3, 0.15, 0.04, 0.01])
    found[:, 3] = rng.choice(2, n)
    return found


def of_rows(found: Floats, rng: np.random.Generator) -> NotedRows:
    """Rows of one step, noted in the cells of `BINNING`."""
    n, none = len(found), np.zeros(len(found), dtype=np.int64)
    probability = rng.beta(1, 20, n)
    return noted(
        none, none, none, none, none, probability, accounts(rng, n), np.ones(n, dtype=np.bool_),
        BINNING.cells(found, probability), SEGMENTATION.of_rows(found),
    )  # fmt: skip


def reference(
    n: int = 30_000, *, seed: int = 1, segmentation: Segmentation = SEGMENTATION
) -> Reference:
    rng = np.random.default_rng(seed)
    probability = rng.beta(1, 20, n)
    return reference_of(
        NAMES, features(rng, n), START_MS - 30 * 24 * HOUR_MS + np.arange(n), accounts(rng, n),
        probability, rng.integers(1, 10_000, n), probability > 0.2, rows_per_account_max=5,
        segmentation=segmentation,
    )  # fmt: skip


REFERENCE = reference()
BINNING = Binning(REFERENCE.features)


def arm_of(found: Floats, rng: np.random.Generator) -> ArmCounts:
    [one] = steps_of(of_rows(found, rng))
    return ArmCounts(len(found), {"approve": len(found)}, one.counts, one.scores, one.segments)


def steps(
    rng: np.random.Generator,
    count: int,
    *,
    first: int = 0,
    rows: int = 120,
    missing_in: int | None = None,
    share: float = 0.3,
) -> Iterator[ClosedStep]:
    """Hours that follow each other; in one country a share of distances is missing."""
    for number in range(first, first + count):
        found = features(rng, rows)
        if missing_in is not None:
            found[(found[:, 2] == missing_in) & (rng.random(rows) < share), 1] = np.nan
        yield ClosedStep(START_MS + number * HOUR_MS, {ARM: arm_of(found, rng)})
