"""What holds for all experiments."""

from dataclasses import dataclass, field

from sentinel.core.experiments.guardrails.params import GuardrailParams
from sentinel.core.features.spec import duration_ms

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class ExperimentParams:
    """Experiments. Durations are of event time.

    Attributes
    ----------
    secret
        The key of assignment. Who knows it can tell the arm of any account.
    """

    secret: str = field(default="", repr=False)
    holdout: float = 0.0  # the share of the accounts that are in no experiment
    look: str = "1d"  # how often outcomes are looked at, counted from the start
    # What an account's transaction costs beside its fraud, in minor units: metric `cost`.
    review_cost_minor: int = 0
    block_cost_minor: int = 0  # of a genuine one that is blocked

    guardrails: GuardrailParams = field(default_factory=GuardrailParams)

    def __post_init__(self) -> None:
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout must be in [0, 1), got {self.holdout}")
        if duration_ms(self.look) < _MINUTE_MS:
            raise ValueError(f'look must be at least "1m", got "{self.look}"')
        if min(self.review_cost_minor, self.block_cost_minor) < 0:
            raise ValueError("review_cost_minor and block_cost_minor must not be negative")

    @property
    def look_ms(self) -> int:
        """Between two looks, in milliseconds."""
        return duration_ms(self.look)
