"""What is odd in how somebody votes."""

import math
from dataclasses import dataclass

from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.stored.votes import Annotator

VOTE_COUNT_MIN = 20  # fewer say nothing
# One who votes blindly has sensitivity = 1 - specificity, whatever the label they prefer.
BLIND_MAX = 0.1
ONE_SIDED_MIN = 0.98
EXPECTED_COUNT_MIN = 5.0  # votes of the other kind that their cases called for
DRIFT_Z_MIN = 3.0
DRIFT_COUNT_MIN = 10.0  # votes before, and lately: a rate of fewer says too little


@dataclass(frozen=True, slots=True)
class Skill:
    """Sensitivity and specificity of one annotator: posterior mean, and a 95 % interval."""

    sensitivity: float
    sensitivity_range: tuple[float, float]
    specificity: float
    specificity_range: tuple[float, float]


def skill_of(annotator: Annotator, params: ConsensusParams) -> Skill:
    """What an annotator's record says, of the votes that have not faded."""
    skills = AnnotatorSkills.of([annotator])
    seen = skills.sensitivity_interval(params)
    cleared = skills.specificity_interval(params)
    return Skill(
        float(skills.sensitivity(params)[0]),
        (float(seen[0][0]), float(seen[1][0])),
        float(skills.specificity(params)[0]),
        (float(cleared[0][0]), float(cleared[1][0])),
    )


def agreement_of(annotator: Annotator) -> float | None:
    """Expected share of their recent votes that say what is held true; None without any."""
    right = annotator.seen + annotator.cleared
    total = right + annotator.missed + annotator.accused
    return right / total if total > 0 else None


@dataclass(frozen=True, slots=True)
class Drift:
    """A rate of one annotator before and lately: posterior means, and their difference.

    Attributes
    ----------
    z
        Standard deviations that the recent rate is above the earlier one; 0 where too little is
        known.
    """

    before: float
    recent: float
    z: float


def sensitivity_drift(annotator: Annotator, params: ConsensusParams) -> Drift:
    """How often they see a fraud, before and lately."""
    one = annotator
    return _drift((one.seen, one.missed), (one.long_seen, one.long_missed), one, params)


def specificity_drift(annotator: Annotator, params: ConsensusParams) -> Drift:
    """How often they clear a genuine transaction, before and lately."""
    one = annotator
    return _drift((one.cleared, one.accused), (one.long_cleared, one.long_accused), one, params)


def _drift(
    recent: tuple[float, float],
    long_run: tuple[float, float],
    annotator: Annotator,
    params: ConsensusParams,
) -> Drift:
    """How a rate has moved, from expected counts (right, wrong) of the fast and the slow record.

    The fast record is a part of the slow one, so it is taken out of it first: what is left is what
    was before. Still every vote is in both, in the one more the newer it is, while the variance of
    the difference is taken for the sum of those of the two Beta posteriors, as if they were
    independent. For a steady annotator whose records are full it is a quarter less than that, so
    this errs on the side of saying nothing: of 4,000 simulated steady people, looked at 18 times,
    one was ever told to have changed; of 200 whose skill fell from 0.9 to 0.4 after 300 votes, half
    were found after 50 votes more and all after 150 (tests/core/consensus/test_patterns.py).
    """
    one = annotator
    # Those who were stored before there was a slow record have an empty one.
    right, wrong = (
        max(all_votes - new, 0.0) for all_votes, new in zip(long_run, recent, strict=True)
    )
    before = right, wrong
    count = one.seen + one.missed + one.cleared + one.accused
    now, now_variance = _beta(recent, _whole(count, params.half_life_votes), params)
    past, past_variance = _beta(before, 1.0, params)
    if min(sum(recent), sum(before)) < DRIFT_COUNT_MIN:
        return Drift(past, now, 0.0)
    return Drift(past, now, (now - past) / math.sqrt(now_variance + past_variance))


def _whole(count: float, half_life_votes: float) -> float:
    """Whole votes that vary as little as one of so many faded ones: from 1 to 2.

    Kish's effective size (sum w)^2 / sum w^2 of n weights that fade by `a` each, over their sum,
    which `count` is: (1 + a) / (1 + a^n), where a^n = 1 - count (1 - a).
    """
    a = 2.0 ** (-1.0 / half_life_votes)
    return (1.0 + a) / (1.0 + max(1.0 - count * (1.0 - a), 0.0))


def _beta(
    counts: tuple[float, float], whole: float, params: ConsensusParams
) -> tuple[float, float]:
    """Mean and variance of the posterior of a rate, from counts (right, wrong)."""
    right, wrong = counts
    a, b = params.right_prior + whole * right, params.wrong_prior + whole * wrong
    return a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))


def oddities(annotator: Annotator, params: ConsensusParams) -> list[str]:
    """What to look into, in words; empty where nothing is odd or too little is known."""
    said = annotator.vote_count - annotator.unsure_count - annotator.retracted_count
    if said < VOTE_COUNT_MIN:
        return []
    moved = _moved(annotator, params)
    found = []
    on_fraud = annotator.seen + annotator.missed
    on_genuine = annotator.cleared + annotator.accused
    share = annotator.fraud_count / said
    if share >= ONE_SIDED_MIN and on_genuine >= EXPECTED_COUNT_MIN:
        found.append("says fraud of everything")
    if share <= 1 - ONE_SIDED_MIN and on_fraud >= EXPECTED_COUNT_MIN:
        found.append("clears everything")
    if not found and min(on_fraud, on_genuine) >= EXPECTED_COUNT_MIN:
        # Youden's index, without the prior, which thinks well of everybody: 0 for a coin.
        informed = annotator.seen / on_fraud + annotator.cleared / on_genuine - 1
        if informed <= -BLIND_MAX:
            found.append("says the contrary since lately" if moved else "says the contrary")
            moved = []
        elif informed <= BLIND_MAX:
            found.append("no better than a coin")
    found += moved
    if annotator.group:
        others = "" if annotator.group == annotator.name else f", as {annotator.group}"
        found.append(f"always votes as others do{others}")
    if annotator.unsure_count > 0.5 * annotator.vote_count:
        found.append("mostly unsure")
    return found


def _moved(annotator: Annotator, params: ConsensusParams) -> list[str]:
    """Which skill is not what it was, in words."""
    found = []
    for what, drift in (
        ("sees frauds", sensitivity_drift(annotator, params)),
        ("clears genuine", specificity_drift(annotator, params)),
    ):
        if abs(drift.z) >= DRIFT_Z_MIN:
            word = "better" if drift.z > 0 else "worse"
            found.append(f"{what} {word} than before ({drift.before:.2f} to {drift.recent:.2f})")
    return found


def weight_of(annotator: Annotator, params: ConsensusParams) -> float:
    """Nats that a vote of theirs moves the log-odds on average over both truths; 0 for a coin."""
    skill = skill_of(annotator, params)
    a, b = skill.sensitivity, skill.specificity
    on_fraud = a * math.log(a / (1 - b)) + (1 - a) * math.log((1 - a) / b)
    on_genuine = b * math.log(b / (1 - a)) + (1 - b) * math.log((1 - b) / a)
    return 0.5 * (on_fraud + on_genuine)
