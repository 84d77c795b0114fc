"""When a posterior is a label, and when it is a quarrel."""

from typing import Literal

import numpy as np

from sentinel.core.consensus.params import ConsensusParams
from sentinel.records import Floats, LabelName

Verdict = Literal["fraud", "genuine", "contested", "open"]

# Evidence on either side, in nats, from which on annotators are said to contradict each other:
# 2 to 1 for a vote of somebody whose record is a little better than a coin.
CONTRADICTION_MIN = float(np.log(2.0))


def verdict_of(posterior: float, pro: float, con: float, params: ConsensusParams) -> Verdict:
    """What one task is, given the evidence for and against fraud.

    A label needs evidence on its own side: no prior makes one by itself, or against the votes.
    """
    if posterior >= params.fraud_min and pro > con:
        return "fraud"
    if posterior <= params.genuine_max and con > pro:
        return "genuine"
    return "contested" if min(pro, con) >= CONTRADICTION_MIN else "open"


def verdicts(posterior: Floats, pro: Floats, con: Floats, params: ConsensusParams) -> list[Verdict]:
    """What each task is: settled, contested (good votes on both sides), or open (too little)."""
    found = zip(posterior.tolist(), pro.tolist(), con.tolist(), strict=True)
    return [verdict_of(p, for_fraud, against, params) for p, for_fraud, against in found]


def label_as(status: Verdict) -> LabelName | None:
    """What is held to be true of a task that stands so."""
    return status if status == "fraud" or status == "genuine" else None
