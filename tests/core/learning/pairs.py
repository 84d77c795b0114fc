"""Champion and challenger on simulated examples, for the tests of the gate."""

import numpy as np
from numpy.random import Generator
from scipy.special import expit, logit
from scipy.stats import norm

from sentinel.core.learning.gate.evidence import Bools, Evidence, PairedScores
from sentinel.records import Floats, Ints


def binormal(
    rng: Generator,
    count: int,
    *,
    fraud_share: float = 0.02,
    champion_auc: float = 0.9,
    challenger_auc: float = 0.9,
    correlation: float = 0.8,
    rows_a_group: int = 1,
) -> PairedScores:
    """Log-odds that are right of both, from normal scores of which frauds have a higher mean.

    With several rows a group, half of what a model gets wrong is the same for all of them, and a
    group with fraud has a third of its rows fraud.
    """
    groups = np.arange(count) // rows_a_group
    labels = (rng.random(count) < fraud_share).astype(np.int64)
    if rows_a_group > 1:
        labels = (rng.random(groups[-1] + 1) < 3 * fraud_share)[groups] & (
            rng.random(count) < 1 / 3
        )
        labels = labels.astype(np.int64)
    shared = _noise(rng, groups, rows_a_group) * np.sqrt(correlation)
    scores = []
    for auc in (champion_auc, challenger_auc):
        mean = np.sqrt(2) * norm.ppf(auc)
        own = _noise(rng, groups, rows_a_group) * np.sqrt(1 - correlation)
        score = shared + own + mean * labels
        scores.append(logit(fraud_share) + mean * score - mean**2 / 2)
    return PairedScores(
        scores[0],
        scores[1],
        labels,
        np.ones(count),
        groups,
        np.sort(rng.integers(0, 14, count)),
        rng.lognormal(8, 1.5, count).astype(np.int64),
    )


def _noise(rng: Generator, groups: Ints, rows_a_group: int) -> Floats:
    """Standard normal."""
    alone = rng.normal(size=groups.size)
    if rows_a_group == 1:
        return alone
    together: Floats = (alone + rng.normal(size=groups[-1] + 1)[groups]) / np.sqrt(2)
    return together


def evidence(scores: PairedScores, old: PairedScores | None = None) -> Evidence:
    """All the rest beyond doubt: the actions those of the champion, one segment, no selection."""
    nothing: Bools = np.zeros(len(scores), dtype=bool)
    actions = np.digitize(expit(scores.champion), [0.2, 0.8]).astype(np.int64)
    return Evidence(
        recent=scores,
        challenger_probability=expit(scores.challenger),
        champion_actions=actions,
        challenger_actions=actions,
        is_flagged=actions > 0,
        is_selective=nothing,
        is_explored=nothing,
        segments=np.zeros(len(scores), dtype=np.int64),
        segment_names=("all",),
        old=scores if old is None else old,
        latency_ratio=1.0,
    )
