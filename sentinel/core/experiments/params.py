"""What holds for all experiments."""

from dataclasses import dataclass, field

from sentinel.core.experiments.guardrails.params import GuardrailParams


@dataclass(frozen=True, slots=True)
class ExperimentParams:
    """What experiments have in common.

    Attributes
    ----------
    secret
        The key of assignment. Who knows it can tell the arm of any account.
    """

    secret: str = field(default="", repr=False)
    holdout: float = 0.0  # the share of the accounts that are in no experiment
    # What an account's transaction costs beside its fraud, in minor units: metric `cost`.
    review_cost_minor: int = 0
    block_cost_minor: int = 0  # of a genuine one that is blocked
    guardrails: GuardrailParams = field(default_factory=GuardrailParams)

    def __post_init__(self) -> None:
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout must be in [0, 1), got {self.holdout}")
        if min(self.review_cost_minor, self.block_cost_minor) < 0:
            raise ValueError("review_cost_minor and block_cost_minor must not be negative")
