"""Votes counted one after the other, compiled: what `online.py` is about, row by row."""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.channels import count_in, log_odds_in
from sentinel.records import Floats, Ints

SAYS_NOTHING, SAYS_GENUINE, SAYS_FRAUD = -1, 0, 1

# Columns of an annotator's record, as of `AnnotatorSkills.columns`: the fast one, then the slow.
_TP, _FN, _TN, _FP = range(4)
SLOW = 4

# What comes of each new vote, by the row of the output.
POSTERIOR, PRO, CON = range(3)
OUT_COUNT = 3


class VoteNumbers(NamedTuple):
    """The parameters that the kernels read, each a number.

    Attributes
    ----------
    right, wrong
        Votes that everybody is believed to have given before the first one.
    fast_fading, slow_fading
        What a vote leaves of the counts before it, in either record.
    half_life_ms
        After so long a vote counts half beside a newer one; 0 for never.
    limit
        Nats that one vote may add, and that are believed of a channel.
    trusted
        The posterior where a trusted source says that it is fraud.
    base, strength
        The share of frauds that is expected of any channel, and the weight of that belief.
    """

    right: float
    wrong: float
    fast_fading: float
    slow_fading: float
    half_life_ms: float
    limit: float
    trusted: float
    base: float
    strength: float


@numba.njit(cache=True, nogil=True)
def _add(record: Floats, annotator: int, says: int, share: float, weight: float) -> None:
    """Count a vote, or take one back with a negative weight, on what is fraud with a share."""
    on_fraud, on_genuine = (_TP, _FP) if says == SAYS_FRAUD else (_FN, _TN)
    for pace in (0, SLOW):
        at = pace + on_fraud
        record[annotator, at] = max(record[annotator, at] + weight * share, 0.0)
        at = pace + on_genuine
        record[annotator, at] = max(record[annotator, at] + weight * (1.0 - share), 0.0)


@numba.njit(cache=True, nogil=True)
def _evidence(record: Floats, says: int, right: float, wrong: float, limit: float) -> float:
    tp, fn, tn, fp = record[_TP], record[_FN], record[_TN], record[_FP]
    sensitivity = (right + tp) / (right + wrong + tp + fn)
    specificity = (right + tn) / (right + wrong + tn + fp)
    if says == SAYS_FRAUD:
        found = np.log(sensitivity) - np.log1p(-specificity)
    else:
        found = np.log1p(-sensitivity) - np.log(specificity)
    return max(-limit, min(limit, found))


@numba.njit(cache=True, nogil=True)
def _alike(
    rows: Ints,
    row: int,
    annotator: Ints,
    says: Ints,
    is_active: NDArray[np.bool_],
    group: Ints,
) -> int:
    """How many of a transaction's votes that say something are of the group of this one's."""
    count = 0
    for i in rows:
        if is_active[i] and says[i] != SAYS_NOTHING:
            count += group[annotator[i]] == group[annotator[row]]
    return count


@numba.njit(cache=True, nogil=True)
def _weigh(
    rows: Ints,
    annotator: Ints,
    says: Ints,
    weight: Floats,
    time_ms: Ints,
    is_trusted: NDArray[np.bool_],
    is_active: NDArray[np.bool_],
    group: Ints,
    record: Floats,
    numbers: VoteNumbers,
) -> tuple[float, float]:
    """The evidence for and against fraud of one transaction, from those of its rows that are
    active, in nats; infinite where a trusted source has spoken.
    """
    newest = np.int64(0)
    for i in rows:
        if is_active[i]:
            newest = max(newest, time_ms[i])
    pro, con, word, word_ms = 0.0, 0.0, SAYS_NOTHING, np.int64(-1)
    for i in rows:
        if not is_active[i] or says[i] == SAYS_NOTHING:
            continue
        if is_trusted[i]:
            if time_ms[i] >= word_ms:
                word, word_ms = says[i], time_ms[i]
            continue
        left = weight[i] / _alike(rows, i, annotator, says, is_active, group)
        if numbers.half_life_ms > 0:
            left *= 2.0 ** (-(newest - time_ms[i]) / numbers.half_life_ms)
        fast = record[annotator[i], :SLOW]
        evidence = _evidence(fast, says[i], numbers.right, numbers.wrong, numbers.limit)
        pro += max(left * evidence, 0.0)
        con += max(-left * evidence, 0.0)
    if word == SAYS_FRAUD:
        return np.inf, con
    if word == SAYS_GENUINE:
        return pro, np.inf
    return pro, con


@numba.njit(cache=True, nogil=True)
def _posterior(pro: float, con: float, prior: float, trusted: float) -> float:
    """The probability of fraud; infinite evidence is the word of a trusted source."""
    if np.isinf(pro):
        return trusted
    if np.isinf(con):
        return 1.0 - trusted
    return float(1.0 / (1.0 + np.exp(con - pro - prior)))


@numba.njit(cache=True, nogil=True)
def _any(rows: Ints, is_active: NDArray[np.bool_], what: NDArray[np.bool_]) -> bool:
    """Whether it holds for any of the rows that are active."""
    for i in rows:  # noqa: SIM110 -- a kernel
        if is_active[i] and what[i]:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def count_votes_in(  # noqa: C901 -- one pass over the votes
    task: Ints,
    annotator: Ints,
    says: Ints,
    weight: Floats,
    time_ms: Ints,
    replaces: Ints,
    is_trusted: NDArray[np.bool_],
    is_self_selected: NDArray[np.bool_],
    channel: Ints,
    probability: Floats,
    task_prior: Floats,
    group: Ints,
    old_count: int,
    by_task: Ints,
    begins: Ints,
    numbers: VoteNumbers,
    record: Floats,
    counted: Floats,
    posterior: Floats,
    shared: Floats,
    is_brought_up: NDArray[np.bool_],
    channels: Floats,
    out: Floats,
) -> None:
    is_active, is_telling = np.zeros(task.size, dtype=np.bool_), says != SAYS_NOTHING
    is_active[:old_count] = True
    for row in range(old_count, task.size):
        t = task[row]
        old = replaces[row]
        if old >= 0:
            is_active[old] = False
            if not np.isnan(counted[old]):
                _add(record, annotator[old], says[old], counted[old], -weight[old])
                counted[old] = np.nan
        is_active[row] = True
        if says[row] != SAYS_NOTHING and not is_trusted[row]:
            record[annotator[row], :SLOW] *= numbers.fast_fading
            record[annotator[row], SLOW:] *= numbers.slow_fading
        rows = by_task[begins[t] : begins[t + 1]]
        totals, evidence = channels[channel[t]], shared[t]
        if not np.isnan(evidence):
            count_in(totals, evidence, probability[t], -1.0)
        elif is_self_selected[row]:
            is_brought_up[t] = True
        prior = task_prior[t]
        if np.isnan(prior):
            prior = log_odds_in(totals, numbers.base, numbers.strength, numbers.limit)
        pro, con = _weigh(
            rows, annotator, says, weight, time_ms, is_trusted, is_active, group, record, numbers
        )
        p = _posterior(pro, con, prior, numbers.trusted)
        # What says nothing, and takes nothing back, moves no record: what votes of long ago were
        # counted with has faded from it, and would be moved by as much as if they were new.
        moves = says[row] != SAYS_NOTHING or old >= 0
        for i in rows:
            if moves and is_active[i] and says[i] != SAYS_NOTHING and not is_trusted[i]:
                if not np.isnan(counted[i]):
                    _add(record, annotator[i], says[i], counted[i], -weight[i])
                _add(record, annotator[i], says[i], p, weight[i])
                counted[i] = p
        if not (is_brought_up[t] or _any(rows, is_active, is_self_selected)):
            shared[t] = pro - con if _any(rows, is_active, is_telling) else np.nan
        if not np.isnan(shared[t]):
            count_in(totals, shared[t], probability[t], 1.0)
        posterior[t] = p
        new = row - old_count
        out[POSTERIOR, new], out[PRO, new], out[CON, new] = p, pro, con
