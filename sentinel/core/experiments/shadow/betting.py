"""Is the challenger better on the same transactions? Evidence that may be looked at at any time.

Of a fraud that both alert on, or neither, nothing is learnt. Of the others each is a step, +1 if
the challenger alone alerted, -1 if the champion did. While the challenger is not better a bet on +1
wins nothing on average: the product of 1 + s x is an e-process for any stake s in (0, 1), and so is
its mean over stakes. With q = (1 + s) / 2 it is the likelihood ratio q^b (1 - q)^c 2^(b + c) of
McNemar's test. q has the Beta distribution of `PRIOR`, above 1/2.

A step of which the truth was seen with the probability p only weighs 1 / p: E[x] stays what it is,
and the stakes become smaller, so that nothing can be lost beyond what there is.
"""

import numpy as np
from scipy.special import betainc, betaincinv, betaln

from sentinel.records import Floats

PRIOR = 10.0  # both parameters: most sensitive to 6 of 10
_STAKE_COUNT = 64
_LOG_MIN = -700.0  # as little as a float holds: an infinite one could not be told as JSON


def log_evidence(better_count: int, worse_count: int) -> float:
    """log of the evidence that the challenger is better, from steps that all weigh 1.

    Parameters
    ----------
    better_count, worse_count
        Steps +1 and -1.
    """
    assert min(better_count, worse_count) >= 0
    n = better_count + worse_count
    b, c = PRIOR + better_count, PRIOR + worse_count
    with np.errstate(divide="ignore"):  # it may be as good as nil
        above_half = np.log(betainc(c, b, 0.5))  # q > 1/2, as 1 - q < 1/2
    log_prior = betaln(PRIOR, PRIOR) + np.log(0.5)
    found = float(n * np.log(2) + betaln(b, c) + above_half - log_prior)
    return max(found, _LOG_MIN)


def log_evidence_of_steps(steps: Floats, weight_max: float) -> float:
    """The same from steps that weigh more or less.

    Parameters
    ----------
    steps
        float64 (n,): +w or -w, or 0.
    weight_max
        At least 1 and all weights of steps -w; known before them.
    """
    values, counts = np.unique(steps[steps != 0], return_counts=True)
    assert values.size == 0 or values[0] >= -weight_max
    if np.all(np.abs(values) == 1) and weight_max == 1.0:
        return log_evidence(int(counts[values > 0].sum()), int(counts[values < 0].sum()))
    stakes = _stakes() / weight_max
    logs = np.log1p(stakes[:, None] * values[None, :]) @ counts
    return float(np.logaddexp.reduce(logs) - np.log(stakes.size))


def _stakes() -> Floats:
    """2 q - 1 for equally likely q above 1/2, float64 (_STAKE_COUNT,)."""
    middles = (np.arange(_STAKE_COUNT) + 0.5) / _STAKE_COUNT
    found: Floats = 2 * betaincinv(PRIOR, PRIOR, 0.5 + middles / 2) - 1
    return found
