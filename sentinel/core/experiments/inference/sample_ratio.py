"""Do the arms have the accounts that their shares promise? If not, nothing else can be believed.

The sequential test of Lindon and Malek (2022): accounts of an arm are multinomial with the shares,
against a Dirichlet mixture around them. Its e-value may be looked at after each account: where the
shares are right it ever reaches 1,000 in one of 1,000 experiments, at most.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from sentinel.records import Floats

CONCENTRATION = 1_000.0
ALARM = 1_000.0


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Accounts by arm against their shares.

    Attributes
    ----------
    counts, shares
        Of all steps together: accounts of each arm, and what share of them it should have.
    log_e
        The logarithm of the evidence against the shares.
    """

    counts: tuple[int, ...]
    shares: tuple[float, ...]
    log_e: float

    @property
    def e_value(self) -> float:
        """The evidence against the shares, as far as a float holds it."""
        return math.exp(min(self.log_e, 700.0))

    @property
    def is_alarm(self) -> bool:
        """Whether the arms do not have what their shares promise. It stays, once it was so."""
        return self.log_e >= math.log(ALARM)


def sample_ratio(
    steps: Sequence[tuple[Sequence[int], Sequence[float]]], before: SampleRatio | None = None
) -> SampleRatio:
    """Judge the counts of accounts.

    Parameters
    ----------
    steps
        Of each step of a ramp: accounts by arm, and the shares of the arms in it. An account counts
        once, in the step in which it was first seen, and in the arm that it had then.
    before
        What was found at the look before: the largest evidence so far counts.
    """
    assert steps
    logs = [float(log_evidence(counts, shares)) for counts, shares in steps]
    # Both are e-values: the product is strong when all steps are wrong, the mean when one is.
    together, largest = sum(logs), max(logs)
    mean = largest + math.log(sum(math.exp(one - largest) for one in logs) / len(logs))
    log_e = float(np.logaddexp(together, mean)) - math.log(2)
    counts = np.sum([counts for counts, _ in steps], axis=0)
    expected = np.sum([np.sum(some) * np.asarray(shares) for some, shares in steps], axis=0)
    total = expected.sum()
    of = expected / total if total else np.asarray(steps[-1][1])
    if before is not None:
        log_e = max(log_e, before.log_e)
    return SampleRatio(tuple(map(int, counts)), tuple(map(float, of)), log_e)


def log_evidence(
    counts: ArrayLike, shares: Sequence[float], concentration: float = CONCENTRATION
) -> Floats:
    """The logarithm of the likelihood of the mixture over that of the shares.

    Parameters
    ----------
    counts
        Of each arm, (..., arms).
    """
    c, p = np.asarray(counts, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    assert c.shape[-1:] == p.shape
    assert (p > 0).all()
    assert abs(p.sum() - 1) < 1e-6
    prior = concentration * p
    mixture = gammaln(concentration) - gammaln(concentration + c.sum(axis=-1))
    mixture += (gammaln(prior + c) - gammaln(prior)).sum(axis=-1)
    return mixture - xlogy(c, p).sum(axis=-1)
