"""Each strategy tried once, and which of the candidates is best on what none of them has seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

import numpy as np

from sentinel.core.learning.evaluation import auc, average_precision
from sentinel.core.learning.training_data.columns import Columns
from sentinel.core.learning.training_data.memory import Memory
from sentinel.core.learning.training_data.selection import Unfit
from sentinel.errors import ModelError
from sentinel.learner.candidates import (
    Candidate,
    CandidateParams,
    CapReached,
    aggregate,
    continue_boosting,
    recalibrate,
    retrain,
)
from sentinel.model import LightGBMError, Model
from sentinel.ports import Attempt
from sentinel.serving_model import ServingModel
from sentinel.stored.versions import Artifact

_Found = Candidate | Unfit | CapReached


@dataclass(frozen=True, slots=True)
class Material:
    """What candidates are made of.

    Attributes
    ----------
    champion, serving
        The parent of those that have one, as stored and ready to score.
    champion_until_ms
        No tree of it has seen an example whose event time is this or later.
    rows
        Ascending by event time: older than the gate's, and without those that are never trained on.
    memory
        Of what is remembered nothing is as new as the newest of `rows` that trains.
    draw
        A number for each update: another one replays other rows.
    """

    champion: Artifact
    serving: ServingModel
    champion_until_ms: int
    rows: Columns
    memory: Memory
    features: tuple[str, ...]
    draw: int


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts, and the candidates of those that were fitted, by strategy."""

    attempts: tuple[Attempt, ...]
    candidates: dict[str, Candidate]


def attempted(strategies: Sequence[str], material: Material, params: CandidateParams) -> Attempts:
    """One attempt for each of the strategies; one that fails does not keep the others."""
    attempts: list[Attempt] = []
    made: dict[str, Candidate] = {}
    for strategy in strategies:
        begun_s = perf_counter()
        outcome: Literal["unfit", "failed"] = "unfit"
        try:
            found = _WAYS[strategy](material, params, made)
        except (ModelError, ValueError, LightGBMError) as error:
            outcome, found = "failed", Unfit(str(error) or type(error).__name__)
        seconds = perf_counter() - begun_s
        if isinstance(found, Candidate):
            made[strategy] = found
            attempts.append(_fitted(found, seconds))
        else:
            reason = _reason(found)
            attempts.append(Attempt(strategy, outcome, reason, None, None, 0, 0, 0, seconds))
    return Attempts(tuple(attempts), made)


def measured(found: Attempts, rows: Columns) -> Attempts:
    """The same with what each is worth on those of the rows that no tree of any has seen.

    Parameters
    ----------
    rows
        Older than the gate's, those that are never trained on among them.
    """
    until_ms = max((one.trained_until_ms for one in found.candidates.values()), default=0)
    examples = rows.examples.take(rows.examples.event_time_ms >= until_ms)
    labels, weights = examples.is_fraud.astype(np.int64), examples.weight
    attempts = []
    for attempt in found.attempts:
        candidate = found.candidates.get(attempt.strategy)
        if candidate is not None:
            model = Model.from_text(attempt.strategy, candidate.text)
            raw = model.raw_scores(examples.features)
            attempt = replace(
                attempt,
                average_precision=average_precision(raw, labels, weights=weights),
                auc=auc(raw, labels, weights=weights),
            )
        attempts.append(attempt)
    return replace(found, attempts=tuple(attempts))


def best(found: Attempts) -> Candidate | None:
    """The one of the highest average precision, of equal ones the cheapest; None if none is."""
    worth = {
        attempt.strategy: -1.0 if attempt.average_precision is None else attempt.average_precision
        for attempt in found.attempts
    }
    return max(found.candidates.values(), key=lambda one: worth[one.strategy], default=None)


def _recalibrated(
    material: Material, params: CandidateParams, made: dict[str, Candidate]
) -> Candidate | Unfit:
    """By the examples that calibrate the others, too: older ones are of another time."""
    examples = material.rows.examples
    first = int((1.0 - params.selection.calibration_share) * len(examples))
    until_ms = material.champion_until_ms
    rows = examples.take(np.arange(first, len(examples)))
    return recalibrate(material.champion.text, rows, params, trained_until_ms=until_ms)


def _continued(material: Material, params: CandidateParams, made: dict[str, Candidate]) -> _Found:
    examples = material.rows.examples
    new = examples.take(examples.event_time_ms >= material.champion_until_ms)
    return continue_boosting(
        material.champion.text, material.memory, new, params, draw=material.draw
    )


def _retrained(
    material: Material, params: CandidateParams, made: dict[str, Candidate]
) -> Candidate | Unfit:
    return retrain(
        material.rows.examples,
        material.features,
        params,
        memory=material.memory,
        draw=material.draw,
    )


def _aggregated(
    material: Material, params: CandidateParams, made: dict[str, Candidate]
) -> Candidate | Unfit:
    """Of what investigators said of what was flagged, and of everything."""
    of_feedback = material.rows.take(material.rows.is_investigated & material.rows.is_flagged)
    feedback = retrain(of_feedback.examples, material.features, params, draw=material.draw)
    if isinstance(feedback, Unfit):
        return Unfit(f"of the investigated {feedback.reason}")
    delayed = made.get("retrain") or _retrained(material, params, made)
    if isinstance(delayed, Unfit):
        return delayed
    return aggregate(feedback, delayed, material.rows.examples, params)


_WAYS: dict[str, Callable[[Material, CandidateParams, dict[str, Candidate]], _Found]] = {
    "recalibrate": _recalibrated,
    "continue": _continued,
    "retrain": _retrained,
    "aggregate": _aggregated,
}


def _fitted(found: Candidate, seconds: float) -> Attempt:
    return Attempt(
        found.strategy,
        "fitted",
        "",
        None,
        None,
        found.tree_count,
        found.row_count,
        found.fraud_count,
        seconds,
    )


def _reason(found: Unfit | CapReached) -> str:
    if isinstance(found, Unfit):
        return found.reason
    return (
        f"it would have {found.tree_count} trees, at most {found.tree_count_max} are allowed: it "
        "is time to retrain"
    )
