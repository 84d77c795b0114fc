"""What an experiment ends with."""

import math

import pytest

from sentinel.core.experiments.inference.planned import PlannedTest
from sentinel.core.experiments.inference.sample_ratio import SampleRatio, sample_ratio
from sentinel.core.experiments.inference.verdicts import Better, ExperimentVerdict, verdict_of
from tests.core.experiments.test_planned import looked, seen

RIGHT = sample_ratio([((5_000, 5_000), (0.5, 0.5))])
WRONG = sample_ratio([((6_000, 4_000), (0.5, 0.5))])
QUIET = [1.5, 0.4, 1.3, 1.4, 1.2]  # neither beyond a boundary, nor futile before the end


def verdict(
    test: PlannedTest,
    ratio: SampleRatio = RIGHT,
    better: Better = "higher",
    worth: float = 0.2,
    invalid: str = "",
) -> ExperimentVerdict | None:
    last = seen(0.0, 1e-4)
    return verdict_of(test, ratio, last, better=better, worth=worth, invalid=invalid)


def kind(found: ExperimentVerdict | None) -> str | None:
    return None if found is None else found.kind


@pytest.mark.parametrize(
    ("z", "better", "expected"),
    [
        (3.5, "higher", "promote"),
        (3.5, "lower", "harm"),
        (-3.5, "higher", "harm"),
        (-3.5, "lower", "promote"),
    ],
)
def test_beyond_a_boundary_the_challenger_is_better_or_worse(
    z: float, better: Better, expected: str
) -> None:
    found = verdict(looked([0.0, z, 0.0, 0.0, 0.0]), better=better)

    assert found is not None
    assert found.kind == expected
    assert found.look == 2
    assert "at look 2" in found.why


def test_nothing_is_believed_of_wrong_shares() -> None:
    found = verdict(looked([0.0, 9.0]), WRONG)

    assert found is not None
    assert found.kind == "invalid"
    assert "60 % / 40 % instead of 50 % / 50 %" in found.why
    assert kind(verdict(looked([0.0, 9.0]), invalid="the clock was wrong")) == "invalid"


def test_it_goes_on_until_something_is_found_or_the_end_is_there() -> None:
    test = PlannedTest(looked([]).params)
    assert verdict(test) is None
    test.look(seen(0.0, 1e-4), 0.3)
    assert verdict(test) is None


def test_the_first_stop_counts() -> None:
    assert kind(verdict(looked([0.0, 0.0, 0.0, 9.0, 9.0]))) == "futility"
    assert kind(verdict(looked([5.0, 0.0, 0.0, 0.0, 0.0]))) == "promote"


def test_at_the_end_it_is_said_whether_a_gain_is_excluded() -> None:
    """The control has 0.1, the interval half a width of 2.03 times 0.0045 = 0.009."""
    worth_more, worth_less = verdict(looked(QUIET), worth=0.2), verdict(looked(QUIET), worth=0.05)

    assert kind(worth_more) == "keep"
    assert kind(worth_less) == "undecided"
    assert worth_more is not None
    assert "20 %" in worth_more.why


def test_an_end_at_which_nothing_could_be_tested_leaves_it_undecided() -> None:
    test = PlannedTest(looked([]).params)
    test.look(seen(0.0, 1e-4, positives=3), 1.0)

    found = verdict(test)

    assert found is not None
    assert found.kind == "undecided"
    assert "too few accounts" in found.why


def test_where_several_challengers_share_the_level_their_common_decision_counts() -> None:
    test = looked(QUIET)

    found = verdict_of(test, RIGHT, seen(0.0, 1e-4), better="higher", told_apart_at=5)

    assert kind(found) == "promote"
    assert math.isfinite(RIGHT.e_value)
