"""Adaptive windowing against a window that keeps every outcome."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.core.drift.detectors.adwin import AdwinParams, AdwinState, after_outcomes
from sentinel.core.drift.storing import state_of, state_values

PARAMS = AdwinParams()


class SlowAdwin:
    """The window as a list of lists of outcomes, the oldest first."""

    def __init__(self, params: AdwinParams) -> None:
        self.params, self.seen = params, 0
        self.parts: list[list[int]] = []

    def add(self, outcome: int) -> bool:
        self.seen += 1
        self.parts.append([outcome])
        size = 1
        while sum(len(part) == size for part in self.parts) > self.params.sums_a_level:
            at = next(i for i, part in enumerate(self.parts) if len(part) == size)
            self.parts[at : at + 2] = [self.parts[at] + self.parts[at + 1]]
            size *= 2
        if self.seen % self.params.look_every:
            return False
        was_cut = False
        while self._differs():
            del self.parts[0]
            was_cut = True
        return was_cut

    def _differs(self) -> bool:
        least = self.params.part_min
        whole = [y for part in self.parts for y in part]
        if len(whole) < 2 * least:
            return False
        variance = float(np.var(whole))
        confidence = math.log(2 * math.log(len(whole)) / self.params.delta)
        at = 0
        for part in self.parts:
            at += len(part)
            old, new = whole[:at], whole[at:]
            if len(old) < least or len(new) < least:
                continue
            both = 1 / (len(old) - least + 1) + 1 / (len(new) - least + 1)
            bound = math.sqrt(2 * both * variance * confidence) + 2 / 3 * both * confidence
            if abs(np.mean(old) - np.mean(new)) > bound:
                return True
        return False


@given(st.integers(0, 2**32 - 1), st.integers(1, 599))
@settings(max_examples=12, deadline=None)
def test_it_cuts_where_a_window_that_keeps_everything_does_and_goes_on_when_stored(
    seed: int, at: int
) -> None:
    rng = default_rng(seed)
    rates = np.repeat(rng.random(3), 200)
    outcomes = (rng.random(600) < rates).astype(np.int8)
    slow = SlowAdwin(PARAMS)
    expected = [i + 1 for i, outcome in enumerate(outcomes.tolist()) if slow.add(outcome)]

    state, first = after_outcomes(AdwinState.fresh(PARAMS), outcomes[:at], PARAMS)
    state = state_of(AdwinState.fresh(PARAMS), state_values(state))
    state, second = after_outcomes(state, outcomes[at:], PARAMS)

    assert [*first.tolist(), *second.tolist()] == expected
    assert state.width == sum(map(len, slow.parts))
    assert state.total == sum(map(sum, slow.parts))


def test_a_rate_that_doubles_cuts_the_window() -> None:
    rng = default_rng(1)
    outcomes = (rng.random(6_000) < np.repeat([0.1, 0.3], 3_000)).astype(np.int8)

    state, places = after_outcomes(AdwinState.fresh(PARAMS), outcomes, PARAMS)

    assert any(3_000 < place < 3_400 for place in places.tolist())
    assert state.width < 4_000


@pytest.mark.parametrize("wrong", [{"delta": 0.0}, {"look_every": 0}, {"part_min": 0}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AdwinParams(**wrong)  # type: ignore[arg-type]
