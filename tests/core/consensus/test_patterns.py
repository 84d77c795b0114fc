"""What is odd in how somebody votes."""

import pytest

from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.patterns import oddities, skill_of, weight_of
from sentinel.votes import Annotator

PARAMS = ConsensusParams()


def person(seen: float, missed: float, cleared: float, accused: float, **others: int) -> Annotator:
    said = round(seen + missed + cleared + accused)
    counts = {"vote_count": said, "fraud_count": round(seen + accused), **others}
    return Annotator("x/y", seen, missed, cleared, accused, **counts)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (person(20, 2, 30, 2), []),
        (person(0, 10, 30, 0), ["clears everything"]),
        (person(20, 0, 0, 20), ["says fraud of everything"]),
        (person(10, 10, 15, 15), ["no better than a coin"]),
        (person(2, 18, 3, 27), ["says the contrary"]),
        (person(20, 2, 30, 2, vote_count=200, unsure_count=146), ["mostly unsure"]),
        (person(0, 1, 40, 0), []),  # there was next to no fraud to see
        (person(0, 9, 9, 0), []),  # too few to say
    ],
)
def test_what_is_odd_is_said(one: Annotator, expected: list[str]) -> None:
    assert oddities(one) == expected


def test_skill_is_the_mean_of_its_beta_within_its_interval() -> None:
    skill = skill_of(person(16, 4, 30, 10), PARAMS)

    assert skill.sensitivity == pytest.approx(20 / 25)
    assert skill.specificity == pytest.approx(34 / 45)
    assert skill.sensitivity_range[0] < 0.8 < skill.sensitivity_range[1]


def test_the_better_one_sees_the_more_a_vote_weighs_and_a_coin_weighs_nothing() -> None:
    weights = [weight_of(person(n, 5, n, 5), PARAMS) for n in (10, 20, 40, 80)]

    assert weights == sorted(weights)
    assert weight_of(person(1, 4, 1, 4), PARAMS) == pytest.approx(0.0, abs=1e-9)
