"""Votes as they come: the posterior of the transaction that each is about, and records that fade.

Incremental EM (Neal, Hinton: A view of the EM algorithm that justifies incremental, sparse, and
other variants, 1998): each vote remembers with which posterior it was counted into its annotator's
record; when the posterior moves, the record moves by the difference. Records fade by half each
`half_life_votes` votes of the annotator's own, so that a skill that is lost is noticed. A second
record beside it fades slowly, by half each `long_half_life_votes`; it weighs nothing, and is what
the first one is compared with (`patterns.py`).

One vote after the other, in the order of their log: what comes of it does not depend on how the
votes were batched, so a replay comes to the same.
"""

from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.channels import ChannelSelection, base_of, count_in, log_odds_in
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.standing import Standing
from sentinel.records import Floats, Ints

SAYS_NOTHING, SAYS_GENUINE, SAYS_FRAUD = -1, 0, 1


@dataclass(frozen=True, slots=True)
class Ballots:
    """All votes on some transactions: n rows, those that were counted before, then the new ones.

    Attributes
    ----------
    old_count
        The first so many rows were counted before; the others are new, in the order of their log.
    task, annotator
        int64 (n,).
    says
        int64 (n,): SAYS_NOTHING (unsure, or taken back), SAYS_GENUINE or SAYS_FRAUD.
    weight
        float64 (n,), in [0, 1]: the stated confidence.
    time_ms
        int64 (n,): when it was observed.
    replaces
        int64 (n,): the row that a new one takes the place of, or -1.
    is_trusted
        bool (n,): of a source whose word is enough. The newest such vote settles the matter.
    counted
        float64 (n,): the posterior with which the row was counted into its annotator's record; not
        a number for one that was not.
    is_self_selected
        bool (n,): of a source that speaks of what it noticed itself, trusted ones included. What it
        has spoken of says nothing about the share of frauds among other transactions. None: only
        the trusted ones do.
    group
        int64 (m,): of each annotator; those of one group share one vote on a transaction. None:
        everybody is alone in theirs.
    prior
        float64 (n_tasks,): log-odds of fraud before any vote; not a number, or None for all, where
        nothing but the share of frauds in its channel is known.
    """

    old_count: int
    task: Ints
    annotator: Ints
    says: Ints
    weight: Floats
    time_ms: Ints
    replaces: Ints
    is_trusted: NDArray[np.bool_]
    counted: Floats
    is_self_selected: NDArray[np.bool_] | None = None
    group: Ints | None = None
    prior: Floats | None = None

    def __post_init__(self) -> None:
        n = self.task.size
        assert all(
            column.shape == (n,)
            for column in (self.annotator, self.says, self.weight, self.time_ms, self.replaces)
        )
        assert self.is_trusted.shape == self.counted.shape == (n,)
        assert np.all(self.replaces < np.arange(n)), "what is replaced came before"


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of the new votes.

    Attributes
    ----------
    posterior
        float64 (n_new,): of the transaction behind each new vote.
    pro, con
        float64 (n_new,): nats of evidence for and against fraud, behind each new vote; infinite
        where a trusted source has spoken.
    standing
        Of every annotator, behind all of them.
    long_run
        The same from the slow record: every count is at least that of `standing`.
    counted
        float64 (n,): the posterior with which each row is counted now.
    selection
        With what is counted in each channel behind all of them.
    """

    posterior: Floats
    pro: Floats
    con: Floats
    standing: Standing
    long_run: Standing
    counted: Floats
    selection: ChannelSelection


def settle_votes(
    ballots: Ballots,
    before: Floats,
    standing: Standing,
    params: ConsensusParams,
    long_run: Standing | None = None,
    selection: ChannelSelection | None = None,
) -> Settled:
    """Count the new votes, one after the other.

    Parameters
    ----------
    before
        float64 (n_tasks,): the posterior of each transaction so far; not a number where nobody
        voted.
    standing
        Of the annotators, float64 (m,) each.
    long_run
        The slow record of the annotators, float64 (m,) each; None where none was kept yet. The fast
        record is a part of it, so it begins with no less than that.
    selection
        How the transactions came to be looked at, and what was found of others so far; None where
        nothing is known of that.
    """
    if selection is None:
        selection = ChannelSelection.unknown(before.size)
    fast = standing.columns()
    slow = fast if long_run is None else np.maximum(fast, long_run.columns())
    record = np.concatenate((fast, slow), axis=1)
    counted, posterior = ballots.counted.copy(), before.astype(float)
    shared, is_brought_up = selection.evidence.copy(), selection.is_brought_up.copy()
    channels = selection.totals.copy()
    by_task = np.argsort(ballots.task, kind="stable")
    begins = np.searchsorted(ballots.task[by_task], np.arange(before.size + 1))
    numbers = np.array(
        [
            params.right_prior,
            params.wrong_prior,
            2.0 ** (-1.0 / params.half_life_votes),
            2.0 ** (-1.0 / params.long_half_life_votes),
            1000.0 * params.vote_half_life_s,
            params.evidence_max,
            params.trusted_posterior,
            base_of(selection.base_rate, params),
            params.fraud_prior + params.genuine_prior,
        ]
    )
    group = np.arange(len(record)) if ballots.group is None else ballots.group
    prior = np.full(before.size, np.nan) if ballots.prior is None else ballots.prior
    assert group.shape == (len(record),)
    assert prior.shape == before.shape == shared.shape
    out = np.empty((3, ballots.task.size - ballots.old_count))
    rows = (ballots.task, ballots.annotator, ballots.says, ballots.weight, ballots.time_ms)
    brought = ballots.is_trusted if ballots.is_self_selected is None else ballots.is_self_selected
    marks = (ballots.is_trusted, brought)
    tasks = (selection.channel, selection.probability, prior)
    _settle(
        *rows, ballots.replaces, *marks, *tasks, group, ballots.old_count, by_task, begins,
        numbers, record, counted, posterior, shared, is_brought_up, channels, out,
    )  # fmt: skip
    people, long_run = Standing(*record[:, :4].T), Standing(*record[:, 4:].T)
    found = replace(selection, evidence=shared, is_brought_up=is_brought_up, totals=channels)
    return Settled(out[0], out[1], out[2], people, long_run, counted, found)


@numba.njit(cache=True, nogil=True)
def _add(record: Floats, annotator: int, says: int, share: float, weight: float) -> None:
    """Count a vote, or take one back with a negative weight, on what is fraud with a share."""
    on_fraud, on_genuine = (0, 3) if says == SAYS_FRAUD else (1, 2)
    for pace in (0, 4):  # the fast record, then the slow one
        at = pace + on_fraud
        record[annotator, at] = max(record[annotator, at] + weight * share, 0.0)
        at = pace + on_genuine
        record[annotator, at] = max(record[annotator, at] + weight * (1.0 - share), 0.0)


@numba.njit(cache=True, nogil=True)
def _evidence(record: Floats, says: int, right: float, wrong: float, limit: float) -> float:
    seen, missed, cleared, accused = record
    sensitivity = (right + seen) / (right + wrong + seen + missed)
    specificity = (right + cleared) / (right + wrong + cleared + accused)
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
    numbers: Floats,
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
        if numbers[4] > 0:
            left *= 2.0 ** (-(newest - time_ms[i]) / numbers[4])
        fast = record[annotator[i], :4]
        evidence = _evidence(fast, says[i], numbers[0], numbers[1], numbers[5])
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
def _settle(  # noqa: C901 -- one pass over the votes
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
    numbers: Floats,
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
            record[annotator[row], :4] *= numbers[2]
            record[annotator[row], 4:] *= numbers[3]
        rows = by_task[begins[t] : begins[t + 1]]
        totals, evidence = channels[channel[t]], shared[t]
        if not np.isnan(evidence):
            count_in(totals, evidence, probability[t], -1.0)
        elif is_self_selected[row]:
            is_brought_up[t] = True
        prior = task_prior[t]
        if np.isnan(prior):
            prior = log_odds_in(totals, numbers[7], numbers[8], numbers[5])
        pro, con = _weigh(
            rows, annotator, says, weight, time_ms, is_trusted, is_active, group, record, numbers
        )
        p = _posterior(pro, con, prior, numbers[6])
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
        out[0, row - old_count], out[1, row - old_count], out[2, row - old_count] = p, pro, con
