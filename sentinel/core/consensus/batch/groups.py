"""Annotators who always vote alike: together they count as one.

Dawid–Skene takes votes for independent, given the truth. Copies of one opinion are not, and six of
them would outvote three honest annotators.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.batch.votes import Votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.records import Floats, Ints

# Below, agreement is not surprising enough to say anything.
COMMON_COUNT_MIN = 25
# Honest annotators stumble over the same hard tasks, so they agree a little more than independence
# allows, but not always. On two public crowds (rte, sentiment) no pair comes near both limits.
AGREEMENT_MIN = 0.98
SURPRISE_MIN = 3.5  # standard deviations above what independence expects
ANNOTATOR_COUNT_MAX = 2_000  # the busiest: three square matrices of floats


def groups(
    votes: Votes, posterior: Floats, skills: AnnotatorSkills, params: ConsensusParams
) -> Ints:
    """The number of each annotator's group, int64 (m,); who copies nobody is alone in theirs."""
    m = votes.annotator_count
    count = np.bincount(votes.annotator, minlength=m)
    busiest = np.argsort(-count, kind="stable")[:ANNOTATOR_COUNT_MAX]
    place = np.full(m, -1, dtype=np.int64)
    place[busiest] = np.arange(busiest.size)
    common, agreed, expected, variance = np.zeros((4, busiest.size, busiest.size))
    _count_pairs(
        votes.task,
        place[votes.annotator],
        votes.says_fraud,
        posterior,
        skills.sensitivity(params)[busiest],
        skills.specificity(params)[busiest],
        common,
        agreed,
        expected,
        variance,
    )
    share = np.divide(agreed, common, out=np.zeros_like(common), where=common > 0)
    surprise = np.divide(
        agreed - expected,
        np.sqrt(variance),
        out=np.zeros_like(common),
        where=variance > 0,
    )
    is_copy = (common >= COMMON_COUNT_MIN) & (share >= AGREEMENT_MIN) & (surprise >= SURPRISE_MIN)
    group = np.arange(m, dtype=np.int64)
    for i, j in np.argwhere(is_copy).tolist():
        a, b = group[busiest[i]], group[busiest[j]]
        group[group == max(a, b)] = min(a, b)
    return group


def shared_weight(votes: Votes, group: Ints) -> Floats:
    """The weight of each vote when those of one group on one task share one vote, float64 (n,)."""
    pair = votes.task * votes.annotator_count + group[votes.annotator]
    _, number, count = np.unique(pair, return_inverse=True, return_counts=True)
    weight: Floats = votes.weight / count[number]
    return weight


@numba.njit(cache=True, nogil=True)
def _count_pairs(
    task: Ints,
    annotator: Ints,
    says_fraud: NDArray[np.bool_],
    posterior: Floats,
    sensitivity: Floats,
    specificity: Floats,
    common: Floats,
    agreed: Floats,
    expected: Floats,
    variance: Floats,
) -> None:
    """Add what each two votes on a task say of their annotators i < j, at [i, j]."""
    begin = 0
    for end in range(1, task.size + 1):
        if end < task.size and task[end] == task[begin]:
            continue
        p = posterior[task[begin]]
        for x in range(begin, end):
            for y in range(x + 1, end):
                i, j = min(annotator[x], annotator[y]), max(annotator[x], annotator[y])
                if i < 0 or i == j:
                    continue
                on_fraud = sensitivity[i] * sensitivity[j]
                on_fraud += (1 - sensitivity[i]) * (1 - sensitivity[j])
                on_genuine = specificity[i] * specificity[j]
                on_genuine += (1 - specificity[i]) * (1 - specificity[j])
                q = p * on_fraud + (1 - p) * on_genuine
                common[i, j] += 1
                agreed[i, j] += says_fraud[x] == says_fraud[y]
                expected[i, j] += q
                variance[i, j] += q * (1 - q)
        begin = end
