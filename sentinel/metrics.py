"""Counters and fixed-bucket histograms: cheap enough for the hot path, bounded in memory."""

import math
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# Twenty buckets for each factor of ten keep a quantile within 6 % (10**(1/40)) of the truth.
_BUCKETS_PER_DECADE = 20
_LOWEST = 1e-6
_DECADES = 10


class Histogram:
    """Counts of non-negative values in logarithmic buckets from 1e-6 to 1e4."""

    def __init__(self) -> None:
        self.total = 0.0  # of the values; not known where counts alone were given
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
        self.total += value * count

    def observe_many(self, values: NDArray[np.float64]) -> None:
        """Count each of the values."""
        if values.size:
            scaled = np.log10(np.maximum(values, _LOWEST) / _LOWEST) * _BUCKETS_PER_DECADE
            index = np.clip(scaled.astype(np.int64) + 1, 0, self._counts.size - 1)
            self._counts += np.bincount(index, minlength=self._counts.size)
            self.total += float(values.sum())

    def _bucket(self, value: float) -> int:
        scaled = math.log10(max(value, _LOWEST) / _LOWEST) * _BUCKETS_PER_DECADE
        return min(int(scaled) + 1, self._counts.size - 1)

    @staticmethod
    def upper_edge(place: int) -> float:
        """What the values in the bucket at this place are below; of the last one nothing is."""
        return float(_LOWEST * 10 ** (place / _BUCKETS_PER_DECADE))

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

# What a batch spends its time on.
Stage = Literal[
    "decode", "load", "features", "score", "encode", "publish", "summarise", "pack", "others"
]


@dataclass(frozen=True, slots=True)
class Metric:
    """What is counted or measured: who shows it, on a page or in a view, has it from here.

    Attributes
    ----------
    kind
        How often something was, the total of a measure, or a `Histogram` of one.
    group
        The capability that it is of.
    label
        By what it is split; empty where it is one number.
    title
        What the view calls it; empty where nobody watches it.
    quantiles
        Of a histogram, those that are reported and shown.
    """

    name: str
    kind: Literal["counter", "sum", "histogram"]
    group: str
    unit: str
    what: str
    label: str = ""
    title: str = ""
    quantiles: tuple[float, ...] = ()

    @property
    def reported_as(self) -> str:
        """Its name in the report of a run: seconds are told there in milliseconds."""
        return self.name.removesuffix("_s") + "_ms" if self.unit == "seconds" else self.name


_KEY = "metric"


def _count(group: str, what: str, *, title: str = "") -> Any:
    described = ("counter", group, "count", what, "", title)
    return field(default=0, metadata={_KEY: described})


def _split(group: str, label: str, what: str, *, title: str = "") -> dict[str, Any]:
    return {_KEY: ("counter", group, "count", what, label, title)}


def _totals() -> dict[str, float]:
    return defaultdict(float)


def _sum(group: str, unit: str, label: str, what: str) -> dict[str, Any]:
    return {_KEY: ("sum", group, unit, what, label)}


def _measured(
    group: str, unit: str, what: str, *, title: str = "", quantiles: tuple[float, ...] = ()
) -> dict[str, Any]:
    return {_KEY: ("histogram", group, unit, what, "", title, quantiles)}


@dataclass(slots=True)
class Metrics:
    """What one instance counts about itself since it started."""

    transactions: int = _count("scoring", "transactions that were read and decoded")
    decisions: int = _count("scoring", "decisions that were published", title="decisions")
    actions: Counter[str] = field(
        default_factory=Counter, metadata=_split("scoring", "action", "decisions", title="actions")
    )
    amount_minor: dict[str, float] = field(
        default_factory=_totals,
        metadata=_sum("scoring", "minor units", "action", "of money, decided on"),
    )
    alerts: int = _count("scoring", "alerts that were published")
    unexplained: int = _count("scoring", "alerts that went out without reasons")
    dead_letters: int = _count("scoring", "records that could not be used", title="dead letters")
    dead_letter_reasons: Counter[str] = field(
        default_factory=Counter, metadata=_split("scoring", "reason", "dead letters, by why")
    )
    late: int = _count("scoring", "decided too late to be counted into the state", title="late")
    unsummarised: int = _count("drift", "decisions that no summary counts: there were too many")
    summaries: int = _count("drift", "summaries read, where the control plane is")
    summaries_refused: int = _count(
        "drift", "summaries that are not usable: damaged, or of other steps"
    )
    drift_steps: int = _count("drift", "steps of event time that were judged")
    drift_late: int = _count("drift", "decisions whose step was closed when they came")
    drift_windows: int = _count("drift", "windows that were tested")
    drift_alarms: int = _count("drift", "alarms that were opened", title="drift alarms")
    experiment_looks: int = _count("experiments", "looks at what has matured")
    guardrail_trips: int = _count("experiments", "stopped at once by a guardrail")
    duplicates: int = _count(
        "scoring", "transactions decided again, and not counted into the state again"
    )
    in_history: int = _count(
        "scoring", "transactions decided and not counted: the history of the start has them"
    )
    degraded: int = _count("scoring", "decisions with something missing")
    explored: int = _count("scoring", "reviewed, though the policy would have blocked")
    replayed: int = _count(
        "scoring", "transactions folded again silently after a start or a rebalance"
    )
    misplaced: int = _count(
        "scoring", "of the transactions looked at, in another partition than the account's"
    )
    feedback: int = _count("feedback", "records of feedback")
    unplaced: int = _count(
        "feedback", "feedback left to the archive, which knows when the transaction was"
    )
    contradicted: int = _count(
        "feedback", "feedback that named another entity than the case: the case's was taken"
    )
    labels_applied: int = _count(
        "feedback", "labels that are in the features", title="labels learnt"
    )
    shadowed: int = _count("serving", "transactions scored by the shadow, too")
    unscored: int = _count("serving", "decisions without a score, as no model could give one")
    scoring_failures: int = _count("serving", "a model that served could not score what came")
    shadow_failures: int = _count("serving", "a shadow could not score what came")
    version_decisions: Counter[str] = field(
        default_factory=Counter, metadata=_split("serving", "version", "decisions")
    )
    version_alerts: Counter[str] = field(
        default_factory=Counter,
        metadata=_split("serving", "version", "decisions to review or to block"),
    )
    version_failures: Counter[str] = field(
        default_factory=Counter,
        metadata=_split("serving", "version", "the version could not score what came"),
    )
    deployments: int = _count("serving", "another model took over; rollbacks count")
    deployment_failures: int = _count("serving", "a model that should serve could not be loaded")
    examples: int = _count("learning", "examples that the trainer has taken")
    examples_refused: int = _count(
        "learning", "examples that are not readable, dated into the future, or left out"
    )
    examples_stumbled: int = _count("learning", "examples left out as the learner failed at them")
    updates: Counter[str] = field(
        default_factory=Counter,
        metadata=_split("learning", "outcome", "updates of the model, by what the gate said"),
    )
    commits: int = _count("state", "commits of offsets")
    blobs_saved: int = _count("state", "rows of entities that the store has taken")
    entities_shed: int = _count("state", "entities that left memory as it was near its limit")
    state_unreadable: int = _count("state", "rows of entities that the store gave back damaged")
    version_probability_sum: dict[str, float] = field(
        default_factory=_totals,
        metadata=_sum("serving", "probability", "version", "of decisions"),
    )
    version_score_s: dict[str, float] = field(
        default_factory=_totals,
        metadata=_sum("serving", "seconds", "version", "that the version took to score"),
    )
    scores: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(SCORE_BUCKET_COUNT, np.int64)
    )
    latency_s: Histogram = field(
        default_factory=Histogram,
        metadata=_measured(
            "scoring",
            "seconds",
            "from the append of a record to its decision",
            title="latency",
            quantiles=(0.5, 0.99),
        ),
    )
    engine_s: Histogram = field(
        default_factory=Histogram,
        metadata=_measured(
            "scoring",
            "seconds",
            "from when a record was handed over to its decision",
            quantiles=(0.5, 0.99),
        ),
    )
    loop_lag_s: Histogram = field(
        default_factory=Histogram,
        metadata=_measured(
            "process",
            "seconds",
            "by how much the event loop was late",
            title="loop lag",
            quantiles=(0.99,),
        ),
    )
    batch_size: Histogram = field(
        default_factory=Histogram, metadata=_measured("scoring", "transactions", "that a batch had")
    )
    first_record_s: float | None = None  # monotonic
    last_decision_s: float | None = None
    first_record_cpu_s: float = 0.0  # processor time of the process, at the same moments
    last_decision_cpu_s: float = 0.0
    stage_s: dict[str, float] = field(
        default_factory=_totals,
        metadata=_sum("scoring", "seconds", "stage", "of the loop that batches took"),
    )

    def counted(self) -> dict[str, Any]:
        """Every counter by its name; one that is split is numbers by label."""
        values = {one.name: getattr(self, one.name) for one in COUNTERS}
        return {name: dict(v) if isinstance(v, Counter) else v for name, v in values.items()}

    def quantiles(self, metric: Metric) -> dict[str, float | None]:
        """Of a histogram those that are shown, by name, such as p99; in milliseconds if of time."""
        scale = 1000 if metric.unit == "seconds" else 1
        values = {q: getattr(self, metric.name).quantile(q) for q in metric.quantiles}
        return {
            f"p{q * 100:g}": None if value is None else value * scale for q, value in values.items()
        }

    def lap(self, stage: Stage, since_s: float) -> float:
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


METRICS = tuple(
    Metric(one.name, *one.metadata[_KEY]) for one in fields(Metrics) if _KEY in one.metadata
)
COUNTERS = tuple(one for one in METRICS if one.kind == "counter")
HISTOGRAMS = tuple(one for one in METRICS if one.kind == "histogram")
