"""Does feedback deserve a classifier of its own? Dal Pozzolo's learners on the Handbook's stream.

Each day the 100 riskiest cards are checked: what was paid with them that day has its label on the
next; all other labels come after a week. From the same stream learn

    static      one classifier of the first delayed labels, never trained again
    delayed     a classifier D_t of the delayed labels of the last days, each day anew
    feedback    a classifier F_t of the feedback of the last days, each day anew
    pooled      one classifier of both kinds of labels, each day anew
    aggregated  the mean of the probabilities of an F_t and D_t
    one forest  the same with the mean of their log-odds, which is one model again

each with the feedback on its own alerts. What is compared is the precision of the alerts: how many
of the 100 cards have a fraud that day (A. Dal Pozzolo, Adaptive machine learning for credit card
fraud detection, PhD thesis, ULB 2015, chapter 6; Dal Pozzolo, Boracchi, Caelen, Alippi and
Bontempi, Credit card fraud detection and concept-drift adaptation with delayed supervised
information, IJCNN 2015). There on private data: aggregated 0.69-0.75, pooled 0.57-0.68, static
0.48-0.58.

The features are those of `config/handbook.toml` with all labels a week late, for all learners
alike: that feedback reaches them, too, as it does in a running Sentinel, is not played here.

    python -m benchmarks.delayed_labels --data FILE [--seeds N] [--json FILE] [--quick]
"""

import argparse
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.handbook_features import CONFIG, cache_folder, engine_features
from benchmarks.handbook_file import LABEL_DELAY_DAYS, Payments, payments_of, read_frame
from benchmarks.harness import facts, header, print_table, write_json
from sentinel import config as configuration
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.undersampling import is_kept, kept_share
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints

CARDS_CHECKED = 100
LEARNERS = ("static", "delayed", "feedback", "pooled", "aggregated", "one forest")
COMPARED = (
    ("aggregated", "pooled"),
    ("pooled", "static"),
    ("aggregated", "static"),
    ("aggregated", "delayed"),
    ("one forest", "aggregated"),
)
PUBLISHED = {"static": "0.48-0.58", "pooled": "0.57-0.68", "aggregated": "0.69-0.75"}


@dataclass(frozen=True, slots=True)
class Setting:
    """What is played.

    Attributes
    ----------
    first_day, end_day
        Alerts are made on these days. Before the first feedback has been for `feedback_days`,
        no day is judged.
    feedback_days, delayed_days
        How many days of either kind of labels are learnt from: 15 and 16 in the paper.
    genuine_per_fraud
        So many genuine rows to a fraud are trained on.
    """

    first_day: int = 45
    end_day: int = 183
    feedback_days: int = 15
    delayed_days: int = 16
    genuine_per_fraud: float = 10.0
    fit: FitParams = field(
        default_factory=lambda: FitParams(tree_count=50, leaf_count_max=16, learning_rate=0.2)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the features here")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="25 days, one seed")
    options = parser.parse_args()
    setting = Setting(end_day=70) if options.quick else Setting()
    seeds = range(1 if options.quick else options.seeds)
    about = facts(0)
    print(header(about))
    rows = payments_of(read_frame(options.data))
    with cache_folder(options.cache) as cache:
        config = configuration.load(CONFIG, {})
        features = engine_features(options.data, config, cache)
        found = []
        for seed in seeds:
            found.append(Stream(rows, features, setting, seed).played())
            means = (f"{n} {p[setting.feedback_days :].mean():.3f}" for n, p in found[-1].items())
            print(f"  seed {seed}: {', '.join(means)}", flush=True)
    precision = {name: np.mean([one[name] for one in found], axis=0) for name in LEARNERS}
    print_precision({name: values[setting.feedback_days :] for name, values in precision.items()})
    figures: dict[str, Any] = {
        "about": about,
        "setting": asdict(setting),
        "seeds": len(seeds),
        "precision by seed and day": [{k: v.tolist() for k, v in one.items()} for one in found],
    }
    write_json(options.json, figures)


@dataclass(frozen=True, slots=True)
class Learner:
    """A classifier; `to_even_odds` takes the share of frauds that it was trained on out.

    As the paper's forests do, whose trees see as many frauds as genuine rows: feedback is half
    fraud and the rest of the stream is not, so that plain probabilities could not be averaged.
    """

    model: Model
    to_even_odds: float

    def log_odds(self, features: Floats) -> Floats:
        """Raw scores as if half of all were fraud, float64 (n,)."""
        return self.model.raw_scores(features) + self.to_even_odds


class Stream:
    """One run of all learners over the same days.

    Parameters
    ----------
    features
        float64 (n, f) of `rows`.
    seed
        Of the fits, and of which genuine rows are left out.
    """

    def __init__(self, rows: Payments, features: Floats, setting: Setting, seed: int) -> None:
        self._rows = rows
        self._features = features
        self._setting = setting
        self._seed = seed
        self._names = [f"f{j}" for j in range(features.shape[1])]
        self._id_hash = hash64([f"{seed}/{number}" for number in rows.transaction.tolist()])
        self._feedback: dict[str, list[Ints]] = {name: [] for name in LEARNERS}

    def played(self) -> dict[str, Floats]:
        """The precision of each learner's alerts, float64 (days,)."""
        end = min(self._setting.end_day, self._rows.day_count)
        days = range(self._setting.first_day, end)
        found: dict[str, list[float]] = {name: [] for name in LEARNERS}
        static = self._required(self._delayed(days[0]))
        for day in days:
            today = np.flatnonzero(self._rows.days(day, day + 1))
            for name, scores in self._scores(static, day, today).items():
                cards = riskiest(scores, self._rows.customer[today], CARDS_CHECKED)
                is_checked = np.isin(self._rows.customer[today], cards)
                self._feedback[name].append(today[is_checked])
                found[name].append(self._precision(today[is_checked]))
        return {name: np.array(values) for name, values in found.items()}

    def _scores(self, static: "Learner", day: int, today: Ints) -> dict[str, Floats]:
        """Of today's rows by each learner, from labels known this morning."""
        features = np.asarray(self._features[today])
        late = self._delayed(day)
        of_delayed = self._required(late).log_odds(features)
        scores = {"static": static.log_odds(features), "delayed": of_delayed}
        for name in ("feedback", "aggregated", "one forest"):
            own = self._fitted(self._recent(name))
            # On the first days there is no feedback of both kinds yet.
            scores[name] = (
                of_delayed if own is None else combined(name, own.log_odds(features), of_delayed)
            )
        pool = np.union1d(late, self._recent("pooled"))
        scores["pooled"] = self._required(pool).log_odds(features)
        return scores

    def _delayed(self, day: int) -> Ints:
        """Rows whose labels have come on the morning of a day, of the last days that have any."""
        end = day - LABEL_DELAY_DAYS
        return np.flatnonzero(self._rows.days(end - self._setting.delayed_days, end))

    def _recent(self, name: str) -> Ints:
        """Rows that the learner's last alerts gave feedback on."""
        recent = self._feedback[name][-self._setting.feedback_days :]
        return np.concatenate([np.empty(0, dtype=np.int64), *recent])

    def _required(self, at: Ints) -> "Learner":
        found = self._fitted(at)
        assert found is not None, "the delayed labels are of one kind"
        return found

    def _fitted(self, at: Ints) -> "Learner | None":
        """A classifier of these rows and of so many genuine ones; None if one kind is missing."""
        is_fraud = self._rows.label[at] == 1
        if is_fraud.all() or not is_fraud.any():
            return None
        share = kept_share(is_fraud, genuine_per_fraud=self._setting.genuine_per_fraud)
        at = at[is_kept(self._id_hash[at], is_fraud, share)]
        labels = self._rows.label[at]
        params = replace(self._setting.fit, seed=self._seed)
        text = fit(np.asarray(self._features[at]), labels, params=params, feature_names=self._names)
        odds = labels.mean() / (1.0 - labels.mean())
        return Learner(Model.from_text("learner", text), -float(np.log(odds)))

    def _precision(self, checked: Ints) -> float:
        is_fraud = self._rows.label[checked] == 1
        return np.unique(self._rows.customer[checked[is_fraud]]).size / CARDS_CHECKED


def print_precision(precision: dict[str, Floats]) -> None:
    """How precise the alerts of each learner were, and how sure the differences are."""
    print_table(
        ["learner", "precision of 100 alerts", "s.e. over days", "published, private data"],
        [
            [name, f"{days.mean():.3f}", f"{standard_error(days):.3f}", PUBLISHED.get(name, "")]
            for name, days in precision.items()
        ],
    )
    differences = [(f"{a} - {b}", precision[a] - precision[b]) for a, b in COMPARED]
    print_table(
        ["difference", "mean of days", "s.e. over days"],
        [[name, f"{d.mean():+.4f}", f"{standard_error(d):.4f}"] for name, d in differences],
    )


def riskiest(scores: Floats, cards: Ints, k: int) -> Ints:
    """The k cards with the highest maximum score, the highest first; of equal ones the lower."""
    card, position = np.unique(cards, return_inverse=True)
    top = np.full(card.size, -np.inf)
    np.maximum.at(top, position, scores)
    found: Ints = card[np.argsort(-top, kind="stable")[:k]]
    return found


def combined(name: str, feedback: Floats, delayed: Floats) -> Floats:
    """What a learner makes of the raw scores of its two classifiers, same shape."""
    match name:
        case "feedback":
            return feedback
        case "aggregated":
            return (expit(feedback) + expit(delayed)) / 2
        case _:
            return (feedback + delayed) / 2


def standard_error(values: Floats) -> float:
    """Of the mean of independent values."""
    return float(np.std(values, ddof=1) / np.sqrt(values.size))


if __name__ == "__main__":
    main()
