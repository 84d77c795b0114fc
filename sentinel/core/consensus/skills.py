"""What an annotator's record says: how often they see a fraud, and how often a genuine payment.

Two coins for each: one number for both would take a reviewer who clears everything for a good one,
since most transactions are genuine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import betaincinv

from sentinel.core.consensus.params import ConsensusParams
from sentinel.records import Floats
from sentinel.stored.votes import Annotator

_STORED = ("seen", "missed", "cleared", "accused")  # tp, fn, tn, fp, as annotators are kept


@dataclass(frozen=True, slots=True)
class AnnotatorSkills:
    """Expected counts of m annotators, each float64 (m,): without the prior, decayed by age.

    Attributes
    ----------
    tp, fn
        Votes "fraud" and "genuine" on what was fraud.
    tn, fp
        Votes "genuine" and "fraud" on what was genuine.
    """

    tp: Floats
    fn: Floats
    tn: Floats
    fp: Floats

    @classmethod
    def of(cls, annotators: Sequence[Annotator], prefix: str = "") -> Self:
        """As their records stand; with the prefix "long_" the slow ones."""

        def column(name: str) -> Floats:
            return np.array([getattr(one, prefix + name) for one in annotators], dtype=np.float64)

        return cls(*(column(name) for name in _STORED))

    def columns(self) -> Floats:
        """The four counts side by side, float64 (m, 4), a copy."""
        return np.stack((self.tp, self.fn, self.tn, self.fp), axis=1).astype(float)

    def sensitivity(self, params: ConsensusParams) -> Floats:
        """The probability of "fraud" on a fraud, posterior mean, float64 (m,)."""
        return _share(self.tp, self.fn, params)

    def specificity(self, params: ConsensusParams) -> Floats:
        """The probability of "genuine" on a genuine transaction, posterior mean, float64 (m,)."""
        return _share(self.tn, self.fp, params)

    def sensitivity_interval(
        self, params: ConsensusParams, level: float = 0.95
    ) -> tuple[Floats, Floats]:
        """The equal-tailed interval that holds the sensitivity with this probability."""
        return _interval(self.tp, self.fn, params, level)

    def specificity_interval(
        self, params: ConsensusParams, level: float = 0.95
    ) -> tuple[Floats, Floats]:
        """The equal-tailed interval that holds the specificity with this probability."""
        return _interval(self.tn, self.fp, params, level)

    def evidence(self, params: ConsensusParams) -> Floats:
        """What a vote "genuine" and one "fraud" of each adds to the log-odds, float64 (m, 2).

        Within ±`evidence_max`.
        """
        sensitivity, specificity = self.sensitivity(params), self.specificity(params)
        says_genuine = np.log1p(-sensitivity) - np.log(specificity)
        says_fraud = np.log(sensitivity) - np.log1p(-specificity)
        limit = params.evidence_max
        return np.clip(np.stack((says_genuine, says_fraud), axis=1), -limit, limit)


def _share(right: Floats, wrong: Floats, params: ConsensusParams) -> Floats:
    a, b = params.right_prior, params.wrong_prior
    return (a + right) / (a + b + right + wrong)


def _interval(
    right: Floats, wrong: Floats, params: ConsensusParams, level: float
) -> tuple[Floats, Floats]:
    assert 0 < level < 1
    tail = (1 - level) / 2
    a, b = params.right_prior + right, params.wrong_prior + wrong
    return np.asarray(betaincinv(a, b, tail)), np.asarray(betaincinv(a, b, 1 - tail))
