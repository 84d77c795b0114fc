"""Counters and fixed-bucket histograms: cheap enough for the hot path, bounded in memory."""

import math
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Twenty buckets for each factor of ten keep a quantile within 6 % (10**(1/40)) of the truth.
_BUCKETS_PER_DECADE = 20
_LOWEST = 1e-6
_DECADES = 10


class Histogram:
    """Counts of non-negative values in logarithmic buckets from 1e-6 to 1e4."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(_BUCKETS_PER_DECADE * _DECADES + 2, np.int64)

    @classmethod
    def of_counts(cls, counts: NDArray[np.int64]) -> "Histogram":
        """One with these counts, such as the difference of two: what was observed meanwhile."""
        histogram = cls()
        histogram._counts += counts
        return histogram

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many values lie in each bucket, as of now."""
        return self._counts.copy()

    def observe(self, value: float, count: int = 1) -> None:
        """Count one value, or so many of the same."""
        self._counts[self._bucket(value)] += count

    def observe_many(self, values: NDArray[np.float64]) -> None:
        """Count each of the values."""
        if values.size:
            scaled = np.log10(np.maximum(values, _LOWEST) / _LOWEST) * _BUCKETS_PER_DECADE
            index = np.clip(scaled.astype(np.int64) + 1, 0, self._counts.size - 1)
            self._counts += np.bincount(index, minlength=self._counts.size)

    def _bucket(self, value: float) -> int:
        scaled = math.log10(max(value, _LOWEST) / _LOWEST) * _BUCKETS_PER_DECADE
        return min(int(scaled) + 1, self._counts.size - 1)

    @property
    def count(self) -> int:
        """How many values were observed."""
        return int(self._counts.sum())

    def quantile(self, q: float) -> float | None:
        """The value below which a share q of the values lie; None while there are none."""
        total = self.count
        if total == 0:
            return None
        index = int(np.searchsorted(np.cumsum(self._counts), q * total))
        return float(_LOWEST * 10 ** ((max(index - 1, 0) + 0.5) / _BUCKETS_PER_DECADE))


SCORE_BUCKET_COUNT = 20


@dataclass(slots=True)
class Metrics:
    """What one instance counts about itself since it started."""

    transactions: int = 0
    decisions: int = 0
    alerts: int = 0
    unexplained: int = 0  # alerts that went out without reasons
    dead_letters: int = 0
    late: int = 0
    replayed: int = 0  # folded again silently after a start or a rebalance
    labels_applied: int = 0
    misplaced: int = 0  # of those looked at, in another partition than the account's
    feedback: int = 0
    unplaced: int = 0  # of it, left to the archive, which knows when the transaction was
    contradicted: int = 0  # of it, named another entity than the case: the case's was taken
    degraded: int = 0
    explored: int = 0  # reviewed, though the policy would have blocked
    shadowed: int = 0  # scored by the shadow, too
    unscored: int = 0  # decided without a score, as no model could give one
    scoring_failures: int = 0  # a model that served could not score what came
    shadow_failures: int = 0  # the same of one that scored beside
    examples: int = 0  # that the trainer has taken
    examples_refused: int = 0  # of them, not readable, dated into the future, or left out
    examples_stumbled: int = 0  # of these, left out as the learner failed at them
    updates: Counter[str] = field(default_factory=Counter)  # of the model, by what the gate said
    probability_sum: float = 0.0  # over all decisions
    deployments: int = 0  # another model took over, a rollback among them
    deployment_failures: int = 0  # a model that should serve could not be loaded
    state_unreadable: int = 0
    commits: int = 0
    blobs_saved: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    dead_letter_reasons: Counter[str] = field(default_factory=Counter)
    scores: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(SCORE_BUCKET_COUNT, np.int64)
    )
    latency_s: Histogram = field(default_factory=Histogram)  # append of record to decision sent
    engine_s: Histogram = field(default_factory=Histogram)  # record handed over to decision sent
    loop_lag_s: Histogram = field(default_factory=Histogram)
    batch_size: Histogram = field(default_factory=Histogram)
    first_record_s: float | None = None  # monotonic
    last_decision_s: float | None = None
    first_record_cpu_s: float = 0.0  # processor time of the process, at the same moments
    last_decision_cpu_s: float = 0.0
    stage_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def lap(self, stage: str, since_s: float) -> float:
        """Add the time since `since_s` (monotonic) to a stage; returns the time now."""
        now_s = time.perf_counter()
        self.stage_s[stage] += now_s - since_s
        return now_s

    def count_scores(self, probability: NDArray[np.float64]) -> None:
        """Count probabilities in [0, 1] into equal buckets."""
        index = np.minimum(
            (probability * SCORE_BUCKET_COUNT).astype(np.int64), SCORE_BUCKET_COUNT - 1
        )
        self.scores += np.bincount(index, minlength=SCORE_BUCKET_COUNT)
