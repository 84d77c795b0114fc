"""Whom to ask next: the annotator whose vote would leave the least doubt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.records import Floats, Ints
from sentinel.stored.votes import Annotator, Case


@dataclass(frozen=True, slots=True)
class Question:
    """A case that is not settled, and whom to ask of it; None where nobody is left to ask."""

    case: Case
    ask: Annotator | None


def questions(
    cases: Sequence[Case],
    candidates: Sequence[Annotator],
    params: ConsensusParams,
    *,
    capacity: int,
) -> list[Question]:
    """Whom of the candidates to ask of each case, in the order of the cases.

    Nobody is asked of a case that they have voted on, whatever they said, or of more than
    `capacity`.
    """
    assert all(case.posterior is not None for case in cases), "a case begins with a vote"
    skills = AnnotatorSkills.of(candidates)
    voted = [{vote.annotator for vote in case.votes} for case in cases]
    has_voted = np.array([[one.name in names for one in candidates] for names in voted], dtype=bool)
    asked = whom_to_ask(
        np.array([case.posterior for case in cases], dtype=np.float64),
        skills.sensitivity(params),
        skills.specificity(params),
        has_voted.reshape(len(cases), len(candidates)),
        np.full(len(candidates), capacity, dtype=np.int64),
    )
    people = [None if number < 0 else candidates[number] for number in asked.tolist()]
    return [Question(case, one) for case, one in zip(cases, people, strict=True)]


def entropy(posterior: Floats) -> Floats:
    """Doubt in nats, of any shape: 0 when certain, ln 2 at one half."""
    return np.asarray(-(xlogy(posterior, posterior) + xlogy(1 - posterior, 1 - posterior)), float)


def expected_entropy(posterior: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """Doubt that is left on average when an annotator has voted, float64 (n_tasks, m)."""
    p = posterior[:, None]
    left = np.zeros((posterior.size, sensitivity.size))
    for on_fraud, on_genuine in (
        (sensitivity, 1 - specificity),
        (1 - sensitivity, specificity),
    ):
        joint = p * on_fraud
        total = joint + (1 - p) * on_genuine
        left += total * entropy(np.divide(joint, total, out=np.zeros_like(joint), where=total > 0))
    return left


def whom_to_ask(
    posterior: Floats,
    sensitivity: Floats,
    specificity: Floats,
    has_voted: NDArray[np.bool_],
    capacity: Ints,
) -> Ints:
    """For each task the annotator to ask, or -1 when nobody is left who would help.

    Greedy: the task and annotator that gain most come first. Nobody is asked about a task twice or
    for more than they have capacity.

    Parameters
    ----------
    posterior
        float64 (n_tasks,).
    sensitivity, specificity
        float64 (m,).
    has_voted
        bool (n_tasks, m).
    capacity
        int64 (m,): votes that each can still give.
    """
    gain = entropy(posterior)[:, None] - expected_entropy(posterior, sensitivity, specificity)
    gain[has_voted] = -1.0
    left = capacity.copy()
    asked = np.full(posterior.size, -1, dtype=np.int64)
    for at in np.argsort(-gain, axis=None, kind="stable").tolist():
        task, annotator = divmod(at, sensitivity.size)
        if gain[task, annotator] <= 0:
            break
        if asked[task] < 0 and left[annotator] > 0:
            asked[task] = annotator
            left[annotator] -= 1
    return asked
