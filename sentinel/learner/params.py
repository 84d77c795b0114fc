"""What a model update is made of, and how it is judged."""

from dataclasses import dataclass, field
from typing import get_args

from sentinel.core.learning.gate.judging import GateParams
from sentinel.core.learning.training_data.columns import STRATUM_COUNT
from sentinel.core.learning.training_data.memory import MemoryParams
from sentinel.learner.candidates import CandidateParams, Strategy

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True, slots=True)
class LearningParams:
    """How models are updated.

    Attributes
    ----------
    strategies
        Which are tried, in this order, the cheapest first.
    candidates, memory, gate
        How each is made, what is remembered for it, and when it is promoted.
    window_row_count_max
        So many of the newest examples are held whole, to train on and for the gate.
    gate_fraud_count
        The gate takes the newest examples, as many as hold frauds of so many different accounts,
        but at least `gate.example_count_min`.
    gate_share_max
        Of the examples held whole the gate takes no larger share.
    old_share
        The share of transactions that is never trained on: what was learnt long ago is tested on
        them.
    old_row_count_max
        Of these no more are kept, frauds for the half of it at most.
    """

    strategies: tuple[str, ...] = STRATEGIES
    candidates: CandidateParams = field(default_factory=CandidateParams)
    memory: MemoryParams = field(default_factory=MemoryParams)
    gate: GateParams = field(default_factory=GateParams)
    window_row_count_max: int = 200_000
    gate_fraud_count: int = 150
    gate_share_max: float = 0.5
    old_share: float = 0.1
    old_row_count_max: int = 50_000

    def __post_init__(self) -> None:
        known = [name for name in STRATEGIES if name in self.strategies]
        if not known or list(self.strategies) != known:
            raise ValueError(f"strategies must be some of {list(STRATEGIES)}, in this order")
        if not 0 < self.gate_share_max < 1:
            raise ValueError("gate_share_max must be in (0, 1)")
        if not 0 < self.old_share <= 0.5:
            raise ValueError("old_share must be in (0, 0.5]")
        if self.memory.stratum_count < STRATUM_COUNT:
            raise ValueError(f"memory.stratum_count must be at least {STRATUM_COUNT}")
        if self.gate_fraud_count < self.gate.fraud_count_min:
            raise ValueError("gate_fraud_count must be at least gate.fraud_count_min")
        self._check_rooms()

    def _check_rooms(self) -> None:
        """Whether what is held has room for what is asked of it."""
        of_gate = int(self.gate_share_max * self.window_row_count_max)
        if of_gate < self.gate.example_count_min:
            raise ValueError(
                "window_row_count_max * gate_share_max must be at least gate.example_count_min"
            )
        if self.window_row_count_max - of_gate < self.candidates.selection.row_count_min:
            raise ValueError(
                "window_row_count_max * (1 - gate_share_max) must be at least "
                "candidates.selection.row_count_min"
            )
        if self.old_row_count_max < 2 * self.gate.fraud_count_min:
            raise ValueError("old_row_count_max must be at least twice gate.fraud_count_min")
