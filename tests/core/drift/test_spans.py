"""A span is the sum of its steps."""

from dataclasses import replace

import numpy as np
import pytest

from sentinel.core.drift.counts.noting import Binning
from sentinel.core.drift.counts.spans import SpanCounts
from sentinel.core.drift.counts.steps import ClosedStep
from tests.core.drift.samples import ARM, a_reference, arm_counts


@pytest.fixture(scope="module")
def binning() -> Binning:
    return Binning(a_reference(np.random.default_rng(1), 2_000).features)


def test_a_step_counts_features_of_all_and_scores_of_the_version_that_is_watched(
    binning: Binning,
) -> None:
    rng = np.random.default_rng(2)
    one, other, former, foreign = (arm_counts(rng, binning, n) for n in (10, 20, 30, 5))
    foreign = replace(foreign, counts=foreign.counts.of_columns([0, 1]))
    step = ClosedStep(
        60_000,
        {ARM: one, ("1.0.0", "challenger"): other, ("0.9.0", "champion"): former,
         ("1.0.0", "old cells"): foreign},
    )  # fmt: skip

    found = SpanCounts.of(step, "1.0.0", 2)

    assert found.row_count == sum(found.actions.values()) == 60
    assert found.begin_ms == 60_000
    whole = one.counts + other.counts + former.counts
    assert found.features.cells.tobytes() == whole.cells[:-1].tobytes()
    assert found.features.sizes.tobytes() == whole.sizes.tobytes()
    own = one.counts + other.counts
    assert found.score.cells.tobytes() == own.cells[-1:].tobytes()
    assert found.score.sizes.tobytes() == own.sizes.tobytes()
    assert found.scores.tobytes() == (one.scores + other.scores).tobytes()


def test_spans_add_up_and_leave_their_parts_as_they_were(binning: Binning) -> None:
    rng = np.random.default_rng(3)
    some = [
        SpanCounts.of(ClosedStep(i * 60_000, {ARM: arm_counts(rng, binning, 10 + i)}), "1.0.0", 2)
        for i in range(1, 5)
    ]
    before = [one.features.cells.copy() for one in some]
    total = SpanCounts.empty(2)
    for one in some:
        total.add(one)
    assert total.begin_ms == 60_000
    assert total.row_count == sum(one.row_count for one in some) == 50
    assert total.features.cells.tobytes() == np.sum(before, axis=0).tobytes()
    assert total.score.row_count == total.scores[:, 0].sum() == 50
    assert sum(total.actions.values()) == 50
    for one, cells in zip(some, before, strict=True):
        assert one.features.cells.tobytes() == cells.tobytes()
