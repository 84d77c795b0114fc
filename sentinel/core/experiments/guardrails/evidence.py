"""Evidence against a limit, which may be looked at after every count.

An e-process: as long as the limit is kept its expectation is at most 1, so that it reaches 1 /
alpha in at most the share alpha of all experiments, ever (Ville's inequality). It is a mixture over
how far the limit may be exceeded, and over the period in which that began: all those behind the
first t together weigh log 2 / log (t + 2). Without the second an arm that was well for a week would
have gathered so much evidence in its favour that it would break unseen for as long again.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from sentinel.records import Floats

# How many times the limit, in odds: what the evidence is most sensitive to.
EXCESS = np.log(np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0]))
_PAGE, _HITS, _COUNT, _EXPECTED, _SINCE = range(5)


@dataclass(frozen=True, eq=False, slots=True)
class Gain:
    """What some counts say against a limit.

    Attributes
    ----------
    ratios
        float64 (K,): log of their likelihood ratio, by excess.
    hits, count, expected
        What happened, of how many, and how often it would have at the limit.
    """

    ratios: Floats
    hits: int
    count: int
    expected: float


@dataclass(frozen=True, eq=False, slots=True)
class LimitEvidence:
    """What has been gathered against one limit.

    Attributes
    ----------
    log_begun
        float64 (K,): log of the weighted evidence of all periods that have begun, by excess.
    runs
        float64 (K, 5): Page's sum by excess; since it was last at zero the hits, the count and the
        hits to be expected; and the period in which that began.
    period_count
        Periods that have begun.
    """

    log_begun: Floats
    runs: Floats
    period_count: int = 0

    @classmethod
    def fresh(cls) -> Self:
        """Before the first period."""
        return cls(np.full(EXCESS.size, -np.inf), np.zeros((EXCESS.size, 5)))

    def after(self, period: int, gain: Gain) -> Self:
        """With the counts of a period, all or some of them.

        Parameters
        ----------
        period
            From 0; those that are left out have had no counts, and counts that come late count as
            of the last one.
        """
        period = max(period, self.period_count - 1)
        log_begun = self.log_begun
        if period + 1 > self.period_count:
            begins = _weight_behind(self.period_count) - _weight_behind(period + 1)
            log_begun = np.logaddexp(log_begun, math.log(begins))
        runs = self.runs.copy()
        runs[runs[:, _PAGE] <= 0] = (0.0, 0.0, 0.0, 0.0, period)
        runs[:, _PAGE] += gain.ratios
        runs[:, _HITS : _EXPECTED + 1] += (gain.hits, gain.count, gain.expected)
        return type(self)(log_begun + gain.ratios, runs, period + 1)

    @property
    def log_e(self) -> float:
        """log of the evidence; 0 before anything was counted."""
        begun = np.logaddexp.reduce(self.log_begun) - math.log(EXCESS.size)
        return float(np.logaddexp(begun, math.log(_weight_behind(self.period_count))))

    def run(self) -> tuple[int, int, float, int]:
        """Where it is strongest: hits, count, hits expected at the limit, since which period."""
        _, hits, count, expected, since = self.runs[np.argmax(self.runs[:, _PAGE])].tolist()
        return int(hits), int(count), expected, int(since)


def _weight_behind(period_count: int) -> float:
    """Of all periods behind so many: falling as slowly as it can, so that late harm is seen."""
    return math.log(2) / math.log(period_count + 2)


def gain(hits: int, count: int, log_odds: float, size: float = 1.0) -> Gain:
    """What hits among a count say against a limit.

    For hits that are at most as likely as the limit says, whatever came before, the expectation of
    the likelihood ratio is at most 1: it grows with the chance of a hit, and is 1 at the limit.

    Parameters
    ----------
    log_odds
        Of a hit, at the limit.
    size
        By which the excess is multiplied, in (0, 1].
    """
    assert 0 <= hits <= count
    excess = EXCESS * size
    miss = np.logaddexp(0.0, log_odds) - np.logaddexp(0.0, log_odds + excess)
    return Gain(hits * excess + count * miss, hits, count, count / (1 + math.exp(-log_odds)))
