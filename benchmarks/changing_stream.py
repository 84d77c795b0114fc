"""A labelled stream whose frauds change: abruptly, to something new or to what was before.

Features are normal; the log-odds of fraud are a sum of main effects, interactions of two features
and a threshold. A new concept moves some of the main effects to features that told nothing so far:
what told fraud no longer does, and something else does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng
from scipy.optimize import brentq
from scipy.special import expit

from sentinel.core.features.hashing import rehashed
from sentinel.core.learning.training_data.examples import Examples
from sentinel.records import Floats

FEATURE_COUNT = 30
EFFECT_COUNT = 16  # of features with a main effect
STRATUM_COUNT = 4
NAMES = tuple(f"x{i}" for i in range(FEATURE_COUNT))
ROW_MS = 1_000  # one transaction a second

_SALT = 0x73747265616D


@dataclass(frozen=True, slots=True)
class Concept:
    """What makes a fraud.

    Attributes
    ----------
    effects
        float64 (FEATURE_COUNT,): what a feature adds to the log-odds for each unit.
    pairs
        int64 (m, 2): features whose product counts, in all concepts.
    intercept
        Of the log-odds, so that the share of frauds is the same in all concepts.
    """

    effects: Floats
    pairs: np.ndarray
    intercept: float

    def log_odds(self, features: Floats) -> Floats:
        return _signal(self.effects, self.pairs, features) + self.intercept


def concepts(
    count: int, rng: Generator, *, moved_count: int = 1, share: float = 0.03
) -> list[Concept]:
    """Concepts, each of which moves so many main effects of the one before to other features.

    Parameters
    ----------
    share
        Of the transactions that are frauds, in each of them.
    """
    effects = np.zeros(FEATURE_COUNT)
    at = rng.permutation(FEATURE_COUNT)[:EFFECT_COUNT]
    effects[at] = rng.uniform(0.5, 1.0, EFFECT_COUNT) * rng.choice([-1.0, 1.0], EFFECT_COUNT)
    pairs = rng.choice(FEATURE_COUNT, (3, 2), replace=False)
    sample = rng.normal(size=(50_000, FEATURE_COUNT))
    found = [_concept(effects, pairs, sample, share)]
    while len(found) < count:
        effects = _moved(effects, moved_count, rng)
        found.append(_concept(effects, pairs, sample, share))
    return found


def _concept(effects: Floats, pairs: np.ndarray, sample: Floats, share: float) -> Concept:
    signal = _signal(effects, pairs, sample)
    intercept = brentq(lambda by: float(expit(signal + by).mean()) - share, -40.0, 10.0)
    return Concept(effects, pairs, float(intercept))


def _signal(effects: Floats, pairs: np.ndarray, features: Floats) -> Floats:
    products = features[:, pairs[:, 0]] * features[:, pairs[:, 1]]
    found: Floats = features @ effects + 0.8 * products.sum(axis=1)
    return found


def _moved(effects: Floats, count: int, rng: Generator) -> Floats:
    """The effects with some at features that had none: a quarter turn in each pair of features."""
    source = rng.choice(np.flatnonzero(effects), count, replace=False)
    target = rng.choice(np.flatnonzero(effects == 0), count, replace=False)
    after = effects.copy()
    after[target], after[source] = effects[source], 0.0
    return after


def batch(concept: Concept, row_count: int, first: int, rng: Generator) -> Examples:
    """Labelled transactions of one concept; before them the stream has `first` others."""
    features = rng.normal(size=(row_count, FEATURE_COUNT))
    is_fraud = rng.random(row_count) < expit(concept.log_odds(features))
    place = np.arange(first + 1, first + row_count + 1, dtype=np.int64)
    # A few large segments and small ones, which have nothing to do with fraud.
    stratum = rng.choice(STRATUM_COUNT, row_count, p=[0.6, 0.3, 0.08, 0.02]).astype(np.int64)
    return Examples(
        features=features,
        id_hash=rehashed(place, _SALT),
        version=place,
        event_time_ms=place * ROW_MS,
        stratum=stratum,
        is_fraud=is_fraud,
        posterior=is_fraud.astype(np.float64),
        weight=np.ones(row_count),
        is_presumed=np.zeros(row_count, dtype=np.bool_),
    )


@dataclass(frozen=True, slots=True)
class Stream:
    """What a model is first trained on, what comes then, and more of the first for a test."""

    base: Examples
    batches: tuple[Examples, ...]
    old: Examples


def stream(order: Sequence[int], seed: int, *, base_row_count: int, batch_row_count: int) -> Stream:
    """A base of concept 0, and then a batch of each of the concepts in this order."""
    rng = default_rng([seed, *order])
    kinds = concepts(max(order) + 1, default_rng(seed))
    base = batch(kinds[0], base_row_count, 0, rng)
    batches, first = [], base_row_count
    for number in order:
        batches.append(batch(kinds[number], batch_row_count, first, rng))
        first += batch_row_count
    return Stream(base, tuple(batches), batch(kinds[0], batch_row_count, first, rng))
