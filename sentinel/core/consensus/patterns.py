"""What is odd in how somebody votes."""

import math
from dataclasses import dataclass

from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.standing import Standing
from sentinel.votes import Annotator

VOTE_COUNT_MIN = 20  # fewer say nothing
# One who votes blindly has sensitivity = 1 - specificity, whatever the label they prefer.
BLIND_MAX = 0.1
ONE_SIDED_MIN = 0.98
EXPECTED_COUNT_MIN = 5.0  # votes of the other kind that their cases called for


@dataclass(frozen=True, slots=True)
class Skill:
    """Sensitivity and specificity of one annotator: posterior mean, and a 95 % interval."""

    sensitivity: float
    sensitivity_range: tuple[float, float]
    specificity: float
    specificity_range: tuple[float, float]


def skill_of(annotator: Annotator, params: ConsensusParams) -> Skill:
    """What an annotator's record says, of the votes that have not faded."""
    standing = Standing.of([annotator])
    seen = standing.sensitivity_interval(params)
    cleared = standing.specificity_interval(params)
    return Skill(
        float(standing.sensitivity(params)[0]),
        (float(seen[0][0]), float(seen[1][0])),
        float(standing.specificity(params)[0]),
        (float(cleared[0][0]), float(cleared[1][0])),
    )


def oddities(annotator: Annotator) -> list[str]:
    """What to look into, in words; empty where nothing is odd or too little is known."""
    said = annotator.vote_count - annotator.unsure_count - annotator.retracted_count
    if said < VOTE_COUNT_MIN:
        return []
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
        if informed <= BLIND_MAX:
            found.append("says the contrary" if informed <= -BLIND_MAX else "no better than a coin")
    if annotator.unsure_count > 0.5 * annotator.vote_count:
        found.append("mostly unsure")
    return found


def weight_of(annotator: Annotator, params: ConsensusParams) -> float:
    """Nats that a vote of theirs moves the log-odds on average over both truths; 0 for a coin."""
    skill = skill_of(annotator, params)
    a, b = skill.sensitivity, skill.specificity
    on_fraud = a * math.log(a / (1 - b)) + (1 - a) * math.log((1 - a) / b)
    on_genuine = b * math.log(b / (1 - a)) + (1 - b) * math.log((1 - b) / a)
    return 0.5 * (on_fraud + on_genuine)
