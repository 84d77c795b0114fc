"""The stream lived through day by day: models kept up in several ways, each tested, then trained.

Every morning the labels of one more day have come, a week late; then a strategy may update its
model, which scores that day's transactions. So each score is of a model that knew nothing later
than a week before (prequential evaluation with delayed labels).

    static     trained once, before the first day
    monthly    trained anew on all labels every 28 days
    weekly     the same every 7 days
    daily      each day some trees more, fitted on the day's labels and a share of a bounded memory;
               when there would be more trees than the cap, it is trained anew from the memory
"""

import time
from dataclasses import dataclass, field

import numpy as np

from benchmarks.handbook_file import LABEL_DELAY_DAYS, Payments
from benchmarks.handbook_folds import WEEK
from sentinel.core.features.hashing import hash64
from sentinel.core.forest.merge import shifted
from sentinel.core.learning.evaluation import auc, average_precision
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.training_data.examples import Examples
from sentinel.core.learning.training_data.memory import MemoryParams, empty_memory
from sentinel.core.learning.training_data.selection import SelectionParams
from sentinel.core.learning.training_data.undersampling import is_kept, kept_share
from sentinel.learner.candidates import (
    Candidate,
    CandidateParams,
    CapReached,
    continue_boosting,
    retrain,
)
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints

STRATEGIES = ("static", "monthly", "weekly", "daily")
NEVER = 10**6
RETRAIN_DAYS = {"static": NEVER, "monthly": 28, "weekly": WEEK, "daily": NEVER}


@dataclass(frozen=True, slots=True)
class OnlineParams:
    """What is played.

    Attributes
    ----------
    first_day, end_day
        The days that are scored.
    warmup_days
        At the start of the file; not learnt from, as the windows of their features are not full.
    genuine_per_fraud, fit
        Of the trainings anew: so many genuine rows to a fraud.
    candidate, memory
        Of the daily updates. A day of the past weighs about as much as the new one, a month of
        it back: nothing in this stream says that last week matters more.
    """

    first_day: int = 60
    end_day: int = 183
    warmup_days: int = 14
    genuine_per_fraud: float = 10.0
    fit: FitParams = field(
        default_factory=lambda: FitParams(tree_count=100, learning_rate=0.1, feature_share=0.5)
    )
    tree_count_per_update: int = 5
    tree_count_max: int = 300
    memory: MemoryParams = field(
        default_factory=lambda: MemoryParams(row_count_max=100_000, stratum_count=1)
    )

    @property
    def candidate(self) -> CandidateParams:
        """How the daily updates are made."""
        return CandidateParams(
            selection=SelectionParams(
                replay_ratio_max=30.0,
                genuine_per_fraud=self.genuine_per_fraud,
                # Only order is judged here, so that few rows may calibrate.
                calibration_share=0.1,
                calibration_fraud_count_min=1,
            ),
            fit=self.fit,
            tree_count_per_update=self.tree_count_per_update,
            continue_learning_rate=self.fit.learning_rate,
            tree_count_max=self.tree_count_max,
        )


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of one strategy.

    Attributes
    ----------
    scores
        float64 (n,): of the rows of the days that were scored, in their order.
    training_s
        Seconds of processor time, over all updates.
    update_count, retrain_count
        How often trees were added, and how often all were grown anew.
    tree_count
        Of the last model.
    """

    scores: Floats
    training_s: float
    update_count: int
    retrain_count: int
    tree_count: int


def lived(
    strategy: str, rows: Payments, features: Floats, names: tuple[str, ...], params: OnlineParams
) -> Lived:
    """Score, then train, through all days by one strategy."""
    keeper = (Daily if strategy == "daily" else Anew)(
        Stream(rows, features, names), params, RETRAIN_DAYS[strategy]
    )
    scores, training_s = [], 0.0
    for day in range(params.first_day, min(params.end_day, rows.day_count)):
        began = time.process_time()
        keeper.update(day)
        training_s += time.process_time() - began
        scores.append(keeper.model().raw_scores(keeper.stream.features_of(day)))
    return Lived(
        np.concatenate(scores),
        training_s,
        keeper.update_count,
        keeper.retrain_count,
        keeper.model().tree_count,
    )


@dataclass(frozen=True, slots=True)
class Stream:
    """The rows with their features, float64 (n, f), of these names."""

    rows: Payments
    features: Floats
    names: tuple[str, ...]

    def features_of(self, day: int) -> Floats:
        return np.asarray(self.features[self.rows.days(day, day + 1)])

    def known(self, begin: int, morning: int) -> Ints:
        """Rows since the day `begin` whose labels have come by the morning of a day."""
        return np.flatnonzero(self.rows.days(begin, morning - LABEL_DELAY_DAYS))


class Anew:
    """Trains on all that is known, every so many days."""

    def __init__(self, stream: Stream, params: OnlineParams, retrain_days: int) -> None:
        self.stream = stream
        self.params = params
        self.update_count = 0
        self.retrain_count = 0
        self.text = ""
        self._retrain_days = retrain_days
        self._model: Model | None = None

    def model(self) -> Model:
        """The one in use."""
        assert self._model is not None, "update comes first"
        return self._model

    def update(self, day: int) -> None:
        """What there is to do in the morning of a day."""
        if (day - self.params.first_day) % self._retrain_days == 0:
            self.retrain(day)

    def retrain(self, day: int) -> None:
        rows = self.stream.rows
        at = self.stream.known(self.params.warmup_days, day)
        id_hash = hash64([str(number) for number in rows.transaction[at].tolist()])
        is_fraud = rows.label[at] == 1
        share = kept_share(is_fraud, genuine_per_fraud=self.params.genuine_per_fraud)
        at = at[is_kept(id_hash, is_fraud, share)]
        features = np.asarray(self.stream.features[at])
        text = fit(
            features, rows.label[at], params=self.params.fit, feature_names=self.stream.names
        )
        # As log-odds of all rows, as those that continue it are.
        self.use(shifted(text, float(np.log(share))))
        self.retrain_count += 1

    def use(self, text: str) -> None:
        self.text = text
        self._model = Model.from_text("online", text)


class Daily(Anew):
    """Adds trees each day; trains anew from its memory when there would be too many."""

    def __init__(self, stream: Stream, params: OnlineParams, retrain_days: int) -> None:
        super().__init__(stream, params, retrain_days)
        self._memory = empty_memory(params.memory, feature_count=len(stream.names))
        self._seen_until = params.warmup_days
        self._trained_until_ms = 0

    def update(self, day: int) -> None:
        self._remember(day)
        if not self.text:
            self.retrain(day)
            self._trained_until_ms = self._newest_ms(day) + 1
            return
        new, candidate = self._untrained(day), self.params.candidate
        found = continue_boosting(self.text, self._memory, new, candidate, draw=day)
        if isinstance(found, CapReached):
            found = retrain(new, self.stream.names, candidate, memory=self._memory, draw=day)
            self.retrain_count += isinstance(found, Candidate)
        if isinstance(found, Candidate):  # else the labels of some days more are waited for
            self.use(found.text)
            self._trained_until_ms = found.trained_until_ms
            self.update_count += 1

    def _remember(self, day: int) -> None:
        """Take in the labels that came."""
        new = examples_of(self.stream, self.stream.known(self._seen_until, day))
        self._memory = self._memory.with_examples(new)
        self._seen_until = day - LABEL_DELAY_DAYS

    def _untrained(self, day: int) -> Examples:
        """Known rows that no tree has seen."""
        at = self.stream.known(self.params.warmup_days, day)
        times = self.stream.rows.event_time_ms[at]
        return examples_of(self.stream, at[times >= self._trained_until_ms])

    def _newest_ms(self, day: int) -> int:
        at = self.stream.known(self.params.warmup_days, day)
        return int(self.stream.rows.event_time_ms[at[-1]])


def examples_of(stream: Stream, at: Ints) -> Examples:
    """Labelled rows as a trainer holds them; each is its transaction's only version."""
    rows = stream.rows
    is_fraud = rows.label[at] == 1
    zeros, ones = np.zeros(at.size, dtype=np.int64), np.ones(at.size)
    return Examples(
        features=np.asarray(stream.features[at]),
        id_hash=hash64([str(number) for number in rows.transaction[at].tolist()]),
        version=zeros,
        event_time_ms=rows.event_time_ms[at],
        stratum=zeros,
        is_fraud=is_fraud,
        posterior=is_fraud.astype(np.float64),
        weight=ones,
        is_presumed=np.zeros(at.size, dtype=np.bool_),
    )


@dataclass(frozen=True, slots=True)
class Week:
    """How good the scores of one week are; the last may be shorter."""

    first_day: int
    average_precision: float
    auc: float


def by_week(rows: Payments, scores: Floats, params: OnlineParams) -> list[Week]:
    """The quality of `scores` of the days that were scored, week by week."""
    days = rows.day[rows.days(params.first_day, params.end_day)]
    labels = rows.label[rows.days(params.first_day, params.end_day)]
    found = []
    for first in range(params.first_day, int(days[-1]) + 1, WEEK):
        at = (days >= first) & (days < first + WEEK)
        precision, area = average_precision(scores[at], labels[at]), auc(scores[at], labels[at])
        assert precision is not None
        assert area is not None
        found.append(Week(first, precision, area))
    return found
