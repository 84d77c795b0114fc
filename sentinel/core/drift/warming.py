"""Compiles the kernels of drift, or loads them, by watching two rows."""

import numpy as np

from sentinel.core.drift.counts.columns import column_of
from sentinel.core.drift.counts.noting import Binning, noted, steps_of
from sentinel.core.drift.counts.open_steps import ArmCounts
from sentinel.core.drift.counts.reference import reference_of
from sentinel.core.drift.counts.segments import Segmentation, SegmentColumn
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.drift.params import DriftParams
from sentinel.core.drift.watch import Watch


def warm() -> None:
    """Whatever a decision, a step and a reference need."""
    values, zeros = np.array([[0.0, 1.0], [1.0, np.nan]]), np.zeros(2, dtype=np.int64)
    probability, is_counted = np.array([0.1, 0.9]), np.ones(2, dtype=np.bool_)
    binning = Binning([column_of(name, values[:, i]) for i, name in enumerate("ab")])
    cells = binning.cells(values, probability)
    split = Segmentation((SegmentColumn("a", 0, ("x",)),))
    rows = noted(
        zeros, zeros, zeros, zeros, zeros, probability, zeros, is_counted, cells,
        split.of_rows(values),
    )  # fmt: skip
    reference = reference_of(
        "ab", values, zeros, zeros, probability, zeros, is_counted, rows_per_account_max=5,
        segmentation=split,
    )  # fmt: skip
    watch = Watch("0.0.0", reference, DriftParams(), segmentation=split)
    for one in steps_of(rows):
        arm = ArmCounts(one.row_count, {}, one.counts, one.scores, one.segments)
        list(watch.after(ClosedStep(one.step, {("0.0.0", ""): arm})))
