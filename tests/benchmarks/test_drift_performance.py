"""The benchmark of performance detectors gives those of which all is known what they deserve."""

from functools import partial

import numpy as np
import pytest
from numpy.random import default_rng

from benchmarks import drift_performance
from benchmarks.drift_performance import KINDS, PLAIN, Kind, _same, judged
from tests.core.drift.test_example_detector import slow_likeness


def test_who_never_alarms_finds_nothing_and_who_always_does_is_wrong_as_often() -> None:
    rng = default_rng(1)

    never, always = (
        judged(KINDS[0], name, partial(_same, PLAIN[name]), 1, 20, rng)
        for name in ("never", "every 1,000")
    )

    assert (never["false / 100,000"], never["median delay"], never["missed"]) == (0, np.inf, 1)
    assert (always["false / 100,000"], always["median delay"], always["missed"]) == (100, 1_000, 0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_streams_have_the_rates_and_the_likeness_that_they_are_said_to_have(kind: Kind) -> None:
    outcomes, accounts = kind.draw(default_rng(2), 40_000, 0.05)
    changed, _ = kind.changed(default_rng(3))

    assert outcomes.mean() == pytest.approx(0.05, abs=0.006)
    assert changed[: drift_performance.CHANGE].mean() == pytest.approx(0.05, abs=0.015)
    assert changed[drift_performance.CHANGE :].mean() == pytest.approx(0.08, abs=0.012)
    if kind.likeness:
        found = slow_likeness(outcomes.astype(float), accounts)
        assert found == pytest.approx(kind.likeness, abs=0.03)
