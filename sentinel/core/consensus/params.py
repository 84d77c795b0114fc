"""What is believed of annotators before they have voted, and when a posterior makes a label."""

import math
from dataclasses import dataclass

# The half-life of the slow record, in those of the fast one, which is compared with it: nine tenths
# of what the slow one holds are then from before.
LONG_HALF_LIFE = 10.0


@dataclass(frozen=True, slots=True)
class ConsensusParams:
    """Dawid–Skene with Beta priors, and the thresholds of a label.

    Attributes
    ----------
    fraud_min, genuine_max
        A posterior at or above the first makes the label fraud, at or below the second genuine.
    right_prior, wrong_prior
        Right and wrong votes that every annotator is thought to have behind them, on fraud and on
        genuine transactions alike: Beta(4, 1) in both.
    fraud_prior, genuine_prior
        Fraud and genuine transactions that are thought to have been judged before in each selection
        channel. Where a model says what share of frauds to expect, only their sum counts: it is the
        weight of that.
    half_life_votes
        An annotator's record counts half after so many more votes of theirs.
    vote_half_life_s
        A vote counts half when it is so much older than the newest on its transaction; 0 turns
        this off.
    trusted_posterior
        How sure the word of a trusted source makes: chargebacks are near gold, not gold.
    evidence_max
        The most that one annotator, or what is believed before any vote, may add to or take from
        the log-odds: 4.6 is 100 to 1.
    self_selected_sources
        Sources that speak of what they have noticed themselves, beside the trusted ones: that such
        a transaction was fraud says nothing about others.
    score_prior
        Whether the calibrated probability of the decision, where feedback has told it, is what is
        believed before any vote, within `evidence_max`. Off: a label must not echo the model.
    refit_after_votes
        After so many votes the newest cases are judged anew at once; 0 never does.
    iteration_count_max, tolerance
        The fit ends after so many rounds, or when no posterior moves by more.
    """

    fraud_min: float = 0.95
    genuine_max: float = 0.05
    right_prior: float = 4.0
    wrong_prior: float = 1.0
    fraud_prior: float = 1.0
    genuine_prior: float = 1.0
    half_life_votes: float = 50.0
    vote_half_life_s: float = 0.0
    trusted_posterior: float = 0.995
    evidence_max: float = math.log(100.0)
    self_selected_sources: tuple[str, ...] = ("customer",)
    score_prior: bool = False
    refit_after_votes: int = 5_000
    iteration_count_max: int = 200
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 < self.genuine_max < self.fraud_min < 1:
            raise ValueError("genuine_max and fraud_min must be in (0, 1), the second above")
        priors = (self.right_prior, self.wrong_prior, self.fraud_prior, self.genuine_prior)
        if min(priors) <= 0:
            raise ValueError("the priors must be positive")
        if not self.fraud_min <= self.trusted_posterior <= 1:
            raise ValueError("trusted_posterior must be in [fraud_min, 1]")
        if 1 - self.trusted_posterior > self.genuine_max:
            raise ValueError("trusted_posterior must be at least 1 - genuine_max")
        if self.half_life_votes < 1 or self.vote_half_life_s < 0:
            raise ValueError("half_life_votes must be at least 1, vote_half_life_s at least 0")
        if not all(self.self_selected_sources):
            raise ValueError("self_selected_sources must not hold an empty name")
        if self.refit_after_votes < 0:
            raise ValueError("refit_after_votes must be at least 0")
        if self.evidence_max <= 0 or self.tolerance <= 0 or self.iteration_count_max < 1:
            raise ValueError("evidence_max, tolerance, iteration_count_max must be positive")

    @property
    def long_half_life_votes(self) -> float:
        """The half-life of the slow record of each annotator, in votes of theirs."""
        return LONG_HALF_LIFE * self.half_life_votes
