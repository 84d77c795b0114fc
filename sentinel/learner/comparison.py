"""What champion and challenger say of the same examples, as the gate wants it."""

from dataclasses import dataclass
from time import thread_time

import numpy as np

from sentinel.core.decision import PolicyParams, actions
from sentinel.core.learning.gate.evidence import Evidence, PairedScores
from sentinel.core.learning.scale import ScoreMap, fit_score_map
from sentinel.core.learning.training_data.columns import SEGMENT_NAMES, Columns
from sentinel.model import Model
from sentinel.records import Floats
from sentinel.serving_model import ServingModel

_DAY_MS = 86_400_000
# Few enough to be quick, and more than the branches of a tree can be predicted for.
_TIMED_ROW_COUNT = 4_096
_REPEAT_COUNT = 9
_COPY_COUNT_MAX = 100


@dataclass(frozen=True, slots=True)
class Compared:
    """The evidence, and what of it only champion or challenger has.

    Attributes
    ----------
    champion_probability
        float64 (n,): of the recent examples.
    rows
        The recent examples themselves.
    challenger_raw
        float64 (n,): as the challenger's trees give it.
    """

    evidence: Evidence
    champion_probability: Floats
    rows: Columns
    challenger_raw: Floats


def compared(
    champion: ServingModel,
    challenger: ServingModel,
    recent: Columns,
    old: Columns,
    policy: PolicyParams,
) -> Compared:
    """Both models on the same examples, which neither was trained on; at least one is recent."""
    features = recent.examples.features
    champion_raw = champion.model.raw_scores(features)
    challenger_raw = challenger.model.raw_scores(features)
    champion_probability = champion.probability(champion_raw)
    challenger_probability = challenger.probability(challenger_raw)
    evidence = Evidence(
        recent=_paired(recent, champion.scaled(champion_raw), challenger_raw),
        challenger_probability=challenger_probability,
        champion_actions=actions(champion_probability, policy),
        challenger_actions=actions(challenger_probability, policy),
        is_flagged=recent.is_flagged,
        is_selective=recent.is_selective,
        is_explored=recent.is_explored,
        segments=recent.segment,
        segment_names=SEGMENT_NAMES,
        old=_old(champion, challenger, old),
        latency_ratio=latency_ratio(champion.model, challenger.model, features),
    )
    return Compared(evidence, champion_probability, recent, challenger_raw)


def score_map(found: Compared) -> ScoreMap:
    """From the challenger's raw scores to the scale on which the champion's are served.

    Examples that stand for several transactions are there as often: the thresholds of users are
    about shares of all transactions.
    """
    weight = found.rows.examples.weight
    count = np.minimum(np.rint(weight / weight.min()), _COPY_COUNT_MAX).astype(np.int64)
    champion = np.repeat(found.evidence.recent.champion, count)
    return fit_score_map(champion, np.repeat(found.challenger_raw, count))


def latency_ratio(champion: Model, challenger: Model, features: Floats) -> float:
    """What scoring takes the challenger, divided by what it takes the champion.

    In processor time of this thread, since scoring goes before training; the median of some pairs
    of timings, each one after the other: what else the machine does in a while concerns both.
    """
    some = np.ascontiguousarray(features[-_TIMED_ROW_COUNT:])
    ratios = []
    for _ in range(_REPEAT_COUNT):
        begun_s = thread_time()
        champion.raw_scores(some)
        between_s = thread_time()
        challenger.raw_scores(some)
        ratios.append((thread_time() - between_s) / (between_s - begun_s))
    return float(np.median(ratios))


def _old(champion: ServingModel, challenger: ServingModel, rows: Columns) -> PairedScores | None:
    if len(rows) == 0:
        return None
    champion_raw, challenger_raw = (
        one.model.raw_scores(rows.examples.features) for one in (champion, challenger)
    )
    return _paired(rows, champion.scaled(champion_raw), challenger_raw)


def _paired(rows: Columns, champion: Floats, challenger: Floats) -> PairedScores:
    return PairedScores(
        champion=champion,
        challenger=challenger,
        labels=rows.examples.is_fraud.astype(np.int64),
        weights=rows.examples.weight,
        groups=np.unique(rows.group, return_inverse=True)[1].astype(np.int64),
        days=rows.examples.event_time_ms // _DAY_MS,
        amounts_minor=np.abs(rows.amount_minor),  # what was at stake, in either direction
    )
