"""When a posterior is a label, and when it is a quarrel."""

from typing import Literal

import numpy as np

from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.standing import Standing
from sentinel.core.consensus.votes import Votes
from sentinel.records import Floats

Verdict = Literal["fraud", "genuine", "contested", "open"]

# Evidence on either side, in nats, from which on annotators are said to contradict each other:
# 2 to 1 for a vote of somebody whose record is a little better than a coin.
CONTRADICTION_MIN = float(np.log(2.0))


def verdict(posterior: float, contradiction: float, params: ConsensusParams) -> Verdict:
    """What one task is, given the evidence on its weaker side."""
    if posterior >= params.fraud_min:
        return "fraud"
    if posterior <= params.genuine_max:
        return "genuine"
    return "contested" if contradiction >= CONTRADICTION_MIN else "open"


def verdicts(
    votes: Votes, posterior: Floats, standing: Standing, params: ConsensusParams
) -> list[Verdict]:
    """What each task is: settled, contested (good votes on both sides), or open (too little)."""
    found = standing.evidence(params).ravel()[votes.kind]
    weighed = votes.weight * found
    count = votes.task_count
    pro = np.bincount(votes.task, np.maximum(weighed, 0.0), minlength=count)
    con = np.bincount(votes.task, np.maximum(-weighed, 0.0), minlength=count)
    weaker = np.minimum(pro, con).tolist()
    return [verdict(p, w, params) for p, w in zip(posterior.tolist(), weaker, strict=True)]
