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

import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.channels import ChannelSelection, base_of
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.core.consensus.vote_kernels import (
    CON,
    OUT_COUNT,
    POSTERIOR,
    PRO,
    SLOW,
    VoteNumbers,
    count_votes_in,
)
from sentinel.records import Floats, Ints


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
    skills
        Of every annotator, behind all of them.
    long_run
        The same from the slow record: every count is at least that of `skills`.
    counted
        float64 (n,): the posterior with which each row is counted now.
    selection
        With what is counted in each channel behind all of them.
    """

    posterior: Floats
    pro: Floats
    con: Floats
    skills: AnnotatorSkills
    long_run: AnnotatorSkills
    counted: Floats
    selection: ChannelSelection


def settle_votes(
    ballots: Ballots,
    before: Floats,
    skills: AnnotatorSkills,
    params: ConsensusParams,
    long_run: AnnotatorSkills | None = None,
    selection: ChannelSelection | None = None,
) -> Settled:
    """Count the new votes, one after the other.

    Parameters
    ----------
    before
        float64 (n_tasks,): the posterior of each transaction so far; not a number where nobody
        voted.
    skills
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
    fast = skills.columns()
    slow = fast if long_run is None else np.maximum(fast, long_run.columns())
    record = np.concatenate((fast, slow), axis=1)
    counted, posterior = ballots.counted.copy(), before.astype(float)
    shared, is_brought_up = selection.evidence.copy(), selection.is_brought_up.copy()
    channels = selection.totals.copy()
    by_task = np.argsort(ballots.task, kind="stable")
    begins = np.searchsorted(ballots.task[by_task], np.arange(before.size + 1))
    numbers = _numbers(params, selection.base_rate)
    group = np.arange(len(record)) if ballots.group is None else ballots.group
    prior = np.full(before.size, np.nan) if ballots.prior is None else ballots.prior
    assert group.shape == (len(record),)
    assert prior.shape == before.shape == shared.shape
    out = np.empty((OUT_COUNT, ballots.task.size - ballots.old_count))
    rows = (ballots.task, ballots.annotator, ballots.says, ballots.weight, ballots.time_ms)
    brought = ballots.is_trusted if ballots.is_self_selected is None else ballots.is_self_selected
    marks = (ballots.is_trusted, brought)
    tasks = (selection.channel, selection.probability, prior)
    count_votes_in(
        *rows, ballots.replaces, *marks, *tasks, group, ballots.old_count, by_task, begins,
        numbers, record, counted, posterior, shared, is_brought_up, channels, out,
    )  # fmt: skip
    people, long_run = AnnotatorSkills(*record[:, :SLOW].T), AnnotatorSkills(*record[:, SLOW:].T)
    found = replace(selection, evidence=shared, is_brought_up=is_brought_up, totals=channels)
    return Settled(out[POSTERIOR], out[PRO], out[CON], people, long_run, counted, found)


def _numbers(params: ConsensusParams, base_rate: float | None) -> VoteNumbers:
    found = VoteNumbers(
        right=params.right_prior,
        wrong=params.wrong_prior,
        fast_fading=2.0 ** (-1.0 / params.half_life_votes),
        slow_fading=2.0 ** (-1.0 / params.long_half_life_votes),
        half_life_ms=1000.0 * params.vote_half_life_s,
        limit=params.evidence_max,
        trusted=params.trusted_posterior,
        base=base_of(base_rate, params),
        strength=params.fraud_prior + params.genuine_prior,
    )
    return VoteNumbers(*map(float, found))  # or a whole number would compile another kernel
