"""From examples to a candidate: a model that may replace the one in use, if the gate lets it.

Four ways, the cheapest first: the same trees with their probabilities put right; some trees more;
another forest; and two forests as one. All are pure, so that they run in a worker process, and
what cannot be done is a value. Nobody but the caller knows how long it took.

Each cuts off the newest examples first and fits its calibration on those, which no tree has seen:
a model is too sure of the rows it was trained on. `Candidate.trained_until_ms` says where the cut
was, so that the next update begins there, and nothing is lost but for a while.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from sentinel.core.forest.merge import shifted, weighted_sum
from sentinel.core.learning.calibration import Calibration, fit_calibration
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.training_data.examples import Examples
from sentinel.core.learning.training_data.memory import Memory, MemoryParams, empty_memory
from sentinel.core.learning.training_data.replay import TrainingSet
from sentinel.core.learning.training_data.selection import (
    Selection,
    SelectionParams,
    Unfit,
    select,
    unseen,
)
from sentinel.model import Model, fit
from sentinel.records import Floats

Strategy = Literal["recalibrate", "continue", "retrain", "aggregate"]

_NOTHING = MemoryParams(row_count_max=1, fraud_count_max=0, stratum_count=1)


@dataclass(frozen=True, slots=True)
class CandidateParams:
    """How candidates are made.

    Attributes
    ----------
    selection
        Of which examples.
    fit
        Of a retraining. A continuation takes its own number of trees and learning rate.
    tree_count_per_update, continue_learning_rate
        What a continuation adds.
    tree_count_max
        A continuation that would have more trees is not made: each costs time at every score.
    feedback_share
        What the feedback's classifier counts for in an aggregate, the delayed one the rest.
    """

    selection: SelectionParams = field(default_factory=SelectionParams)
    fit: FitParams = field(default_factory=FitParams)
    tree_count_per_update: int = 30
    continue_learning_rate: float = 0.1
    tree_count_max: int = 400
    feedback_share: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.tree_count_per_update <= self.tree_count_max <= 10_000:
            raise ValueError("expected 1 <= tree_count_per_update <= tree_count_max <= 10000")
        if self.fit.tree_count + self.tree_count_per_update > self.tree_count_max:
            raise ValueError("tree_count_max must have room for fit.tree_count and one update")
        if not 0 < self.continue_learning_rate <= 1:
            raise ValueError("continue_learning_rate must be in (0, 1]")
        if not 0 <= self.feedback_share <= 1:
            raise ValueError("feedback_share must be in [0, 1]")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that was made, with what it was made of.

    Attributes
    ----------
    text
        LightGBM's. Its raw scores are log-odds of the whole population, however few of the genuine
        were trained on.
    row_count, fraud_count
        Of the rows that its newest trees were fitted on, those replayed among them; 0 if it has no
        new ones.
    replayed_count
        Of these, the rows from the memory.
    kept_share
        The share of the genuine rows that was trained on.
    calibration_row_count, calibration_fraud_count
        Of the rows that the calibration was fitted on.
    trained_until_ms
        No tree has seen an example whose event time is this or later.
    """

    strategy: Strategy
    text: str
    calibration: Calibration
    tree_count: int
    row_count: int
    fraud_count: int
    replayed_count: int
    kept_share: float
    calibration_row_count: int
    calibration_fraud_count: int
    trained_until_ms: int


@dataclass(frozen=True, slots=True)
class CapReached:
    """A continuation would have so many trees, more than there may be: it is time to retrain."""

    tree_count: int
    tree_count_max: int


def recalibrate(
    parent_text: str, examples: Examples, params: CandidateParams, *, trained_until_ms: int
) -> Candidate | Unfit:
    """The parent's trees, with a calibration fitted on the newest of the examples.

    Parameters
    ----------
    parent_text
        LightGBM's; raises ModelError if it is damaged.
    examples
        Those that a tree of the parent may have seen are left out.
    trained_until_ms
        The parent's.
    """
    held_out = unseen(examples, trained_until_ms, params.selection)
    if isinstance(held_out, Unfit):
        return held_out
    return _calibrated(parent_text, "recalibrate", held_out, trained_until_ms)


def continue_boosting(
    parent_text: str, memory: Memory, new: Examples, params: CandidateParams, *, draw: int
) -> Candidate | Unfit | CapReached:
    """The parent with some trees more, fitted on the new examples and a share of the memory.

    Parameters
    ----------
    parent_text
        LightGBM's; raises ModelError if it is damaged. Its raw scores are log-odds of the whole
        population, as a candidate's are.
    memory
        With or without the new examples.
    new
        Since the parent's `trained_until_ms`.
    draw
        A number for each update, in 0..2**32 - 1: another one replays other rows.
    """
    parent = Model.from_text("parent", parent_text)
    tree_count = parent.tree_count + params.tree_count_per_update
    if tree_count > params.tree_count_max:
        return CapReached(tree_count, params.tree_count_max)
    selected = select(memory, new, params.selection, draw=draw)
    if isinstance(selected, Unfit):
        return selected
    fit_params = replace(
        params.fit,
        tree_count=params.tree_count_per_update,
        learning_rate=params.continue_learning_rate,
        seed=(params.fit.seed + draw) % 2**31,  # or each update would draw the same features
    )
    # Where fewer genuine rows are seen, the odds are higher by as much: the parent is told so, and
    # what the new trees add is the same on the scale of the whole population.
    base = parent.raw_scores(selected.training.rows.features) - np.log(selected.kept_share)
    grown = _fit(selected.training, fit_params, parent.feature_names, base)
    text = weighted_sum([parent_text, grown], [1.0, 1.0])
    return _trained(text, "continue", selected)


def retrain(
    window: Examples,
    feature_names: tuple[str, ...],
    params: CandidateParams,
    *,
    memory: Memory | None = None,
    draw: int = 0,
) -> Candidate | Unfit:
    """A forest from nothing, fitted on the newest examples and a share of the memory, if any.

    Parameters
    ----------
    window
        Examples of which the newest `window_row_count` count.
    feature_names
        One for each column.
    memory
        With or without the examples of the window.
    draw
        As of `continue_boosting`.
    """
    if memory is None:
        memory = empty_memory(_NOTHING, feature_count=window.features.shape[1])
    selected = select(memory, window, params.selection, draw=draw)
    if isinstance(selected, Unfit):
        return selected
    text = _fit(selected.training, params.fit, feature_names, None)
    return _trained(shifted(text, float(np.log(selected.kept_share))), "retrain", selected)


def aggregate(
    feedback: Candidate, delayed: Candidate, examples: Examples, params: CandidateParams
) -> Candidate | Unfit:
    """A classifier of what investigators said and one of delayed labels as one forest.

    The few transactions that were investigated are the newest and all suspicious; the many whose
    labels come late are old and ordinary: pooled, those few are lost among these. So each has a
    classifier of its own, and their scores are averaged (Dal Pozzolo, Boracchi, Caelen, Alippi and
    Bontempi, Credit card fraud detection: a realistic modeling and a novel learning strategy, IEEE
    TNNLS 29, 2018, who average the probabilities; here it is the log-odds, which stay one sum of
    trees). Raises ValueError if their features differ.

    Parameters
    ----------
    examples
        To calibrate on; those that a tree of either may have seen are left out.
    """
    until_ms = max(feedback.trained_until_ms, delayed.trained_until_ms)
    held_out = unseen(examples, until_ms, params.selection)
    if isinstance(held_out, Unfit):
        return held_out
    shares = [params.feedback_share, 1.0 - params.feedback_share]
    text = weighted_sum([feedback.text, delayed.text], shares)
    return _calibrated(text, "aggregate", held_out, until_ms)


def _fit(
    training: TrainingSet, params: FitParams, feature_names: tuple[str, ...], base: Floats | None
) -> str:
    return fit(
        training.rows.features,
        training.labels,
        params=params,
        feature_names=feature_names,
        weights=training.weight,
        base_scores=base,
    )


def _trained(text: str, strategy: Strategy, selected: Selection) -> Candidate:
    found = _calibrated(text, strategy, selected.held_out, selected.until_ms)
    return replace(
        found,
        row_count=len(selected.training.rows),
        fraud_count=int(np.count_nonzero(selected.training.rows.is_fraud)),
        replayed_count=int(np.count_nonzero(selected.training.is_replayed)),
        kept_share=selected.kept_share,
    )


def _calibrated(text: str, strategy: Strategy, held_out: Examples, until_ms: int) -> Candidate:
    """The model with probabilities that fit what it has not seen, and no new trees so far."""
    model = Model.from_text(strategy, text)
    calibration = fit_calibration(
        model.raw_scores(held_out.features),
        held_out.is_fraud.astype(np.int64),
        weights=held_out.weight * held_out.certainty,
    )
    return Candidate(
        strategy=strategy,
        text=text,
        calibration=calibration,
        tree_count=model.tree_count,
        row_count=0,
        fraud_count=0,
        replayed_count=0,
        kept_share=1.0,
        calibration_row_count=len(held_out),
        calibration_fraud_count=int(np.count_nonzero(held_out.is_fraud)),
        trained_until_ms=until_ms,
    )
