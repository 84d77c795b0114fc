"""Feeds of labels as they come in the field, one-sided and all: what each makes of the same votes.

    python -m benchmarks.label_feeds handbook_transactions.parquet [--json FILE] [--quick]

Trains on the first days as `sentinel train` does, and scores the later ones with features that knew
every fraud after a week. Then people say of those days what they say in each of these feeds, and
the code that the instance runs counts it, in its order and in pieces of 500, without a broker.
Eight investigators, of whom one throws a coin; another one does so from the middle on; two or three
vote on each transaction that is checked.

alerts            each day the 100 cards with the highest scores; chargebacks of 80 % of the frauds
                  and of 0.05 % of the genuine payments
alerts, told      the same, with the decision's action and probability, as the archive places votes
top scores only   each day the 20 cards with the highest scores
no chargebacks    the alerts alone
burst first       5,000 chargebacks of earlier frauds before the first vote, then as alerts
95 % genuine      checks of which one in twenty is fraud
95 % fraud        checks of which one in twenty is genuine
one vote each     the alerts, each judged by one investigator

What is judged is the posterior behind the last vote on each transaction that was not charged back
by then, against the truth and against the majority of the same votes; before the middle and after.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.consensus import quality
from benchmarks.handbook_features import cache_folder, engine_features
from benchmarks.handbook_file import Payments, payments_of, read_frame
from benchmarks.handbook_stream import CONFIG
from benchmarks.harness import facts, header, print_table, write_json
from benchmarks.label_play import (
    CARD_COUNT,
    CHARGEBACKS,
    FALLEN_SKILL,
    FALLING,
    INVESTIGATOR_COUNT,
)
from benchmarks.label_quality import Bools, accuracy, fraud_share_of_votes
from sentinel import config as configuration
from sentinel.core.consensus.batch.votes import Votes
from sentinel.core.consensus.counting import count_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.engine.feedback.task import FeedbackParams
from sentinel.operations.models.train import train
from sentinel.records import Feedback, Floats, Ints
from sentinel.serving_model import serving_model
from sentinel.simulation.alert_centre import Scored, checked_daily, investigated
from sentinel.simulation.chargebacks import DAY_MS, Chargebacks, chargebacks
from sentinel.simulation.investigators import Collapse, Team, one_careless, votes_on
from sentinel.stored.versions import Artifact
from sentinel.stored.votes import Annotator, Case, CaseBatch, FeedbackProgress, Vote

SEED = 11
ENGINE = configuration.load(CONFIG, {})
PARAMS = ConsensusParams()
TRUSTED = FeedbackParams().trusted_sources
PIECE_COUNT = 500
BURST_COUNT = 5_000
BLOCK_MIN, REVIEW_MIN = 0.9, 0.5  # calibrated probabilities, as the built-in policy has them
NO_CLAIMS = Chargebacks(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Feed:
    """What is checked, int64 rows by time, by how many, and what is charged back."""

    checked: Ints
    claims: Chargebacks
    votes_min: int = 2
    votes_max: int = 3
    burst_count: int = 0
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """A feed's votes, and what became of them.

    Attributes
    ----------
    posterior
        float64 (n_tasks,): behind the last vote on each; not a number of what was charged back.
    settled
        bool (n_tasks,): whether that makes a label.
    is_before
        bool (n_tasks,): before the skill of one collapses.
    """

    votes: Votes
    truth: Bools
    posterior: Floats
    settled: Bools
    is_before: Bools


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--train-days", type=int, default=100)
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="where to keep features")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="8 days, trained on 30, one seed")
    options = parser.parse_args()
    about = facts(SEED)
    payments = payments_of(read_frame(options.file))
    train_days, end_day = (30, 38) if options.quick else (options.train_days, payments.day_count)
    with cache_folder(options.cache) as folder:
        features = engine_features(options.file, ENGINE, folder)
        scored = scored_later(payments, features, train_days, end_day)
    figures = measured(scored, range(1 if options.quick else options.seeds))
    show(figures, header(about))
    write_json(options.json, {"benchmark": "label_feeds", **about, "feeds": figures})


def scored_later(payments: Payments, features: Floats, train_days: int, end_day: int) -> Scored:
    """The days from `train_days` on, with the probabilities of a model of those before."""
    before, later = payments.days(0, train_days), payments.days(train_days, end_day)
    accounts = payments.customer[before].astype(str).tolist()
    text, manifest = train(
        features[before], payments.label[before], payments.event_time_ms[before], accounts, ENGINE
    )
    names = [feature.name for feature in ENGINE.features]
    model = serving_model(Artifact("1.0.0", text, manifest), names)
    score = np.concatenate(
        [
            model.probability(model.model.raw_scores(np.ascontiguousarray(features[rows])))
            for rows in np.array_split(np.flatnonzero(later), 40)
        ]
    )
    return Scored(
        transaction_id=payments.transaction[later].astype(str).tolist(),
        event_time_ms=payments.event_time_ms[later],
        card=payments.customer[later],
        entities={
            "account": payments.customer[later].astype(str).tolist(),
            "terminal": payments.terminal[later].astype(str).tolist(),
        },
        is_fraud=payments.label[later] == 1,
        score=score,
    )


def measured(scored: Scored, seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """Every feed: the mean of each figure over the seeds."""
    found: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        for name, feed in feeds(scored, np.random.default_rng([SEED, seed])).items():
            play = played(scored, feed, np.random.default_rng([SEED, seed, 1]))
            for window, chosen in (("before", play.is_before), ("after", ~play.is_before)):
                found.setdefault(f"{name}, {window}", []).append(figures_of(play, chosen))
    return {
        name: {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
        for name, runs in found.items()
    }


def feeds(scored: Scored, rng: np.random.Generator) -> dict[str, Feed]:
    """What is checked and charged back in each."""
    alerts = _daily(scored, CARD_COUNT)
    claims = chargebacks(scored.is_fraud, rng, CHARGEBACKS)
    plain = Feed(alerts, claims)
    return {
        "alerts": plain,
        "alerts, told": replace(plain, is_told=True),
        "top scores only": replace(plain, checked=_daily(scored, CARD_COUNT // 5)),
        "no chargebacks": replace(plain, claims=NO_CLAIMS),
        "burst first": replace(plain, burst_count=BURST_COUNT),
        "95 % genuine": replace(plain, checked=_mixed(scored, rng, alerts.size, 0.05)),
        "95 % fraud": replace(plain, checked=_mixed(scored, rng, alerts.size, 0.95)),
        "one vote each": replace(plain, votes_min=1, votes_max=1),
    }


def _daily(scored: Scored, card_count: int) -> Ints:
    return checked_daily(scored.score, scored.day, scored.card, card_count=card_count)


def _mixed(scored: Scored, rng: np.random.Generator, count: int, fraud_share: float) -> Ints:
    """So many rows at most, drawn so that this share of them is fraud."""
    frauds, genuine = (np.flatnonzero(scored.is_fraud == is_fraud) for is_fraud in (True, False))
    count = min(count, int(frauds.size / fraud_share), int(genuine.size / (1 - fraud_share)))
    fraud_count = round(count * fraud_share)
    chosen = [rng.choice(frauds, fraud_count, replace=False)]
    chosen.append(rng.choice(genuine, count - fraud_count, replace=False))
    return np.sort(np.concatenate(chosen))


def played(scored: Scored, feed: Feed, rng: np.random.Generator) -> Played:
    """Let the people of a feed speak, and count what they say."""
    team: Team = one_careless(INVESTIGATOR_COUNT, rng)
    checked, truth = feed.checked, scored.is_fraud[feed.checked]
    middle = (scored.day[0] + scored.day[-1] + 1) // 2
    is_before = scored.day[checked] < middle
    collapse = Collapse(
        from_task=int(np.count_nonzero(is_before)),
        who=np.arange(INVESTIGATOR_COUNT) == FALLING,
        skill=FALLEN_SKILL,
    )
    votes = votes_on(
        truth, team, rng, votes_min=feed.votes_min, votes_max=feed.votes_max, collapse=collapse
    )
    said = [
        *_burst(scored, feed.burst_count),
        *investigated(scored, checked, votes, feed.claims, rng),
    ]
    if feed.is_told:
        ids = scored.transaction_id
        probabilities = dict(zip(ids, scored.score.tolist(), strict=True))
        said = [_told(probabilities, voice) for voice in said]
    task = {scored.transaction_id[row]: i for i, row in enumerate(checked.tolist())}
    posterior, settled = counted(said, task, float(scored.is_fraud.mean()))
    return Played(votes, truth, posterior, settled, is_before)


def _burst(scored: Scored, count: int) -> list[Feedback]:
    """Chargebacks of frauds that happened before all of this."""
    time_ms = int(scored.event_time_ms[0]) - 30 * DAY_MS
    return [
        Feedback(
            f"earlier {number}",
            "fraud",
            "chargeback",
            "issuer",
            observed_ms=time_ms + DAY_MS + number,
            event_time_ms=time_ms,
            entities={"account": f"earlier {number}"},
        )
        for number in range(count)
    ]


def _told(probabilities: Mapping[str, float], voice: Feedback) -> Feedback:
    """The voice with the probability and the action of its decision."""
    if voice.transaction_id not in probabilities:
        return voice
    probability = probabilities[voice.transaction_id]
    action = "block" if probability >= BLOCK_MIN else "review"
    if probability < REVIEW_MIN:
        action = "approve"
    return replace(voice, probability=probability, selected_by=action)


def counted(
    said: Sequence[Feedback], task: dict[str, int], base_rate: float
) -> tuple[Floats, Bools]:
    """The posterior of each task behind its last vote, and whether that makes a label."""
    posterior, settled = np.full(len(task), np.nan), np.zeros(len(task), dtype=np.bool_)
    progress = FeedbackProgress("log", 0, base_rate=base_rate)
    cases: dict[str, Case] = {}
    people: dict[str, Annotator] = {}
    for begin in range(0, len(said), PIECE_COUNT):
        piece = [
            _placed(voice, begin + i) for i, voice in enumerate(said[begin : begin + PIECE_COUNT])
        ]
        names = {case.transaction_id for case, _ in piece}
        before = CaseBatch(progress, {n: cases[n] for n in names if n in cases}, people)
        work = count_votes(before, piece, TRUSTED, PARAMS).work
        progress = work.progress
        cases |= work.cases
        people |= work.annotators
        for name in names & task.keys():
            found = cases[name]
            if all(vote.source == "investigator" for vote in found.votes):
                posterior[task[name]] = found.posterior
                settled[task[name]] = found.label is not None
    return posterior, settled


def _placed(voice: Feedback, offset: int) -> tuple[Case, Vote]:
    case = Case(
        voice.transaction_id,
        voice.event_time_ms or 0,
        voice.entities or {},
        prior=voice.probability,
        channel=voice.selected_by or "",
    )
    name = f"{voice.source}/{voice.who}"
    return case, Vote(name, voice.label, 0, voice.confidence, voice.observed_ms, offset)


def figures_of(play: Played, chosen: Bools) -> dict[str, float]:
    """Of the tasks that were judged and not charged back by then."""
    chosen = chosen & ~np.isnan(play.posterior)
    posterior, truth = play.posterior[chosen], play.truth[chosen]
    found = quality(posterior, truth)
    settled = play.settled[chosen]
    return {
        "checked": float(chosen.sum()),
        "frauds": float(truth.mean()),
        "accuracy": accuracy(posterior, truth),
        "majority": accuracy(fraud_share_of_votes(play.votes)[chosen], truth),
        "log_loss": found["log_loss"],
        "calibration_error": found["calibration_error"],
        "settled": float(settled.mean()),
        "settled_right": accuracy(posterior[settled], truth[settled]),
    }


def show(figures: dict[str, dict[str, float]], about: str) -> None:
    """A row for each feed and window."""
    print(f"\nvotes of eight investigators in feeds of the field\n  {about}")
    names = next(iter(figures.values()))
    rows = [[name, *(f"{found[key]:.3f}" for key in names)] for name, found in figures.items()]
    print_table(("feed", *(key.replace("_", " ") for key in names)), rows)


if __name__ == "__main__":
    main()
