"""Rules of thumb: what becomes of a transaction of which no model can say anything."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sentinel.core.decision import ACTIONS, BLOCK, REVIEW, Codes
from sentinel.records import Ints

FallbackAction = Literal["approve", "review", "block"]
FallbackAfter = Literal["rules", "refuse"]

# In `rule_hits` of a decision, by the action that the rule has raised it to.
RULES = {REVIEW: "fallback_review_amount", BLOCK: "fallback_block_amount"}

_SEVERITY_OF = np.array([0, 1, 2])  # low, medium, high by action: critical is for what is known


@dataclass(frozen=True, slots=True)
class FallbackParams:
    """What decides once no version can score.

    Attributes
    ----------
    after
        What comes after the last version that can score: "rules" decides by the rest of this
        section; "refuse" takes no more records, which wait until a version can score again.
    action
        Of every transaction without a score.
    review_amount_minor_min, block_amount_minor_min
        From this amount on, in minor units, it is at least reviewed, or blocked; 0 turns it off.
        What is paid back (a negative amount) counts as what is paid.
    """

    after: FallbackAfter = "rules"
    action: FallbackAction = "approve"
    review_amount_minor_min: int = 0
    block_amount_minor_min: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("after", get_args(FallbackAfter)), ("action", ACTIONS)):
            if (found := getattr(self, name)) not in choices:
                raise ValueError(f'{name} must be one of {choices}, got "{found}"')
        if min(self.review_amount_minor_min, self.block_amount_minor_min) < 0:
            raise ValueError(
                "review_amount_minor_min and block_amount_minor_min must not be negative"
            )
        if 0 < self.block_amount_minor_min < self.review_amount_minor_min:
            raise ValueError("review_amount_minor_min must not be above block_amount_minor_min")


APPROVING = FallbackParams()


@dataclass(frozen=True, slots=True)
class Ruled:
    """What the rules make of n transactions.

    Attributes
    ----------
    action, severity
        int64 (n,).
    hits
        By row, the rule that has raised its action; rows that only have the default are not in it.
    """

    action: Codes
    severity: Codes
    hits: dict[int, str]


def ruled(amount_minor: Ints, params: FallbackParams) -> Ruled:
    """What becomes of transactions of these amounts, int64 (n,): rules raise the default action."""
    default = ACTIONS.index(params.action)
    by_amount = np.zeros_like(amount_minor)
    for code, least in (
        (REVIEW, params.review_amount_minor_min),
        (BLOCK, params.block_amount_minor_min),
    ):
        if least > 0:
            by_amount[np.abs(amount_minor) >= least] = code
    action = np.maximum(by_amount, default)
    raised = np.flatnonzero(by_amount > default)
    hits = {row: RULES[int(by_amount[row])] for row in raised.tolist()}
    return Ruled(action, _SEVERITY_OF[action], hits)
