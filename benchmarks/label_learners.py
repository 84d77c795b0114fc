"""The learners of delayed labels, each through the stream: features, alerts, feedback, fits."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy.special import expit

from benchmarks.handbook_file import LABEL_DELAY_DAYS, Payments
from benchmarks.label_stream import LabelStream
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.training_data.undersampling import is_kept, kept_share
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints

CARDS_CHECKED = 100
NO_ROWS: Ints = np.empty(0, dtype=np.int64)

Method = Literal["static", "delayed", "feedback", "pooled", "aggregated", "one forest"]


@dataclass(frozen=True, slots=True)
class Learner:
    """How one learns, and whether its features are told its feedback or delayed labels alone."""

    name: str
    method: Method
    features_get_feedback: bool = True


LEARNERS = (
    Learner("static", "static", features_get_feedback=False),
    Learner("static, features fed", "static"),
    Learner("delayed", "delayed", features_get_feedback=False),
    Learner("delayed, features fed", "delayed"),
    Learner("feedback", "feedback"),
    Learner("pooled", "pooled"),
    Learner("aggregated", "aggregated"),
    Learner("one forest", "one forest"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is played.

    Attributes
    ----------
    first_day, end_day
        Alerts are made on these days.
    judged_from
        The first day whose alerts are judged.
    feedback_days, delayed_days
        How many days of either kind of labels are learnt from: 15 and 16 in the paper.
    genuine_per_fraud
        At most so many genuine rows to a fraud are trained on.
    """

    first_day: int = 45
    judged_from: int = 92
    end_day: int = 183
    feedback_days: int = 15
    delayed_days: int = 16
    genuine_per_fraud: float = 10.0
    fit: FitParams = field(
        default_factory=lambda: FitParams(
            tree_count=50,
            leaf_count_max=16,
            learning_rate=0.1,
            feature_share=0.5,
            bin_count_max=63,
        )
    )

    @property
    def kept_days(self) -> int:
        """How many days back labels are learnt from."""
        return max(self.feedback_days, self.delayed_days + LABEL_DELAY_DAYS + 1)


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model; `to_even_odds` takes the share of frauds that it was trained on out.

    As the paper's forests do, whose trees see as many frauds as genuine rows: frauds are far more
    frequent in feedback than in the stream, so that plain probabilities could not be averaged.
    """

    model: Model
    to_even_odds: float

    def log_odds(self, features: Floats) -> Floats:
        """As if half of all were fraud, float64 (n,)."""
        return self.model.raw_scores(features) + self.to_even_odds


class Run:
    """One learner through the days.

    Parameters
    ----------
    stream
        Not begun yet; its features must be kept for as long as labels are learnt from.
    id_hash
        int64 (n,): says which genuine rows are left out of a training, see `id_hashes`.
    seed
        Of the fits.
    """

    def __init__(
        self, learner: Learner, stream: LabelStream, setting: Setting, id_hash: Ints, seed: int
    ) -> None:
        self._learner = learner
        self._stream = stream
        self._rows = stream.rows
        self._setting = setting
        self._id_hash = id_hash
        self._seed = seed
        self._static: Classifier | None = None
        self._feedback: list[Ints] = []  # rows of the cards that were checked, day by day

    def precision(self) -> Floats:
        """Of the alerts: the share of the cards with a fraud on the day, float64 (days,)."""
        found = []
        for day in range(min(self._setting.end_day, self._rows.day_count)):
            today = self._stream.days(day, day + 1)
            features = self._stream.next_day(self._told_to_features())
            if day >= self._setting.first_day:
                customer = self._rows.customer[today]
                cards = riskiest(self._scores(day, features), customer, CARDS_CHECKED)
                self._feedback.append(today[np.isin(customer, cards)])
                found.append(_precision(self._rows, self._feedback[-1]))
        return np.array(found)

    def _told_to_features(self) -> Ints:
        """Rows that yesterday's checks gave labels of."""
        if self._learner.features_get_feedback and self._feedback:
            return self._feedback[-1]
        return NO_ROWS

    def _scores(self, day: int, features: Floats) -> Floats:
        """Of today's rows, from labels known this morning."""
        match self._learner.method:
            case "static":
                self._static = self._static or self._required(self._delayed(day))
                return self._static.log_odds(features)
            case "delayed":
                return self._required(self._delayed(day)).log_odds(features)
            case "pooled":
                pool = np.union1d(self._delayed(day), self._recent())
                return self._required(pool).log_odds(features)
            case method:
                own = self._fitted(self._recent())
                if own is None:  # on the first days there is no feedback of both kinds yet
                    return self._required(self._delayed(day)).log_odds(features)
                if method == "feedback":
                    return own.log_odds(features)
                of_delayed = self._required(self._delayed(day)).log_odds(features)
                return combined(method, own.log_odds(features), of_delayed)

    def _delayed(self, day: int) -> Ints:
        """Rows whose labels have come on the morning of a day, of the last days that have any."""
        end = day - LABEL_DELAY_DAYS
        return self._stream.days(end - self._setting.delayed_days, end)

    def _recent(self) -> Ints:
        """Rows that the last days' alerts gave feedback on."""
        return np.concatenate([NO_ROWS, *self._feedback[-self._setting.feedback_days :]])

    def _required(self, at: Ints) -> Classifier:
        found = self._fitted(at)
        assert found is not None, "the delayed labels are of one kind"
        return found

    def _fitted(self, at: Ints) -> Classifier | None:
        """A classifier of these rows; None if there are not frauds and genuine ones."""
        is_fraud = self._rows.label[at] == 1
        if is_fraud.all() or not is_fraud.any():
            return None
        share = kept_share(is_fraud, genuine_per_fraud=self._setting.genuine_per_fraud)
        kept = at[is_kept(self._id_hash[at], is_fraud, share)]
        labels = self._rows.label[kept]
        params = replace(self._setting.fit, seed=self._seed)
        names = self._stream.names
        text = fit(self._stream.features(kept), labels, params=params, feature_names=names)
        odds = labels.mean() / (1.0 - labels.mean())
        return Classifier(Model.from_text("learner", text), -float(np.log(odds)))


def id_hashes(rows: Payments, seed: int) -> Ints:
    """By which genuine rows are left out: the same for all learners, others by seed."""
    return hash64([f"{seed}/{number}" for number in rows.transaction.tolist()])


def riskiest(scores: Floats, cards: Ints, k: int) -> Ints:
    """The k cards with the highest maximum score, the highest first; of equal ones the lower."""
    card, position = np.unique(cards, return_inverse=True)
    top = np.full(card.size, -np.inf)
    np.maximum.at(top, position, scores)
    found: Ints = card[np.argsort(-top, kind="stable")[:k]]
    return found


def combined(
    method: Literal["aggregated", "one forest"], feedback: Floats, delayed: Floats
) -> Floats:
    """The mean of probabilities, or of the log-odds themselves, same shape."""
    if method == "aggregated":
        return (expit(feedback) + expit(delayed)) / 2
    return (feedback + delayed) / 2


def best_precision(rows: Payments, day: int) -> float:
    """What alerts on all the cards with a fraud would have: few days have a hundred."""
    at = np.flatnonzero(rows.days(day, day + 1))
    return min(_precision(rows, at), 1.0)


def _precision(rows: Payments, checked: Ints) -> float:
    is_fraud = rows.label[checked] == 1
    return np.unique(rows.customer[checked[is_fraud]]).size / CARDS_CHECKED
