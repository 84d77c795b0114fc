"""New votes on cases: the posterior behind each, and what is known of everybody afterwards."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import logit

from sentinel.core.consensus.intake import Intake, take
from sentinel.core.consensus.known import agreement, with_known
from sentinel.core.consensus.online import (
    SAYS_FRAUD,
    SAYS_GENUINE,
    SAYS_NOTHING,
    Ballots,
    Settled,
    settle,
)
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.standing import Standing
from sentinel.core.consensus.verdict import verdict
from sentinel.records import Floats, Ints, LabelName
from sentinel.votes import RETRACTED, Annotator, Case, Casework, Vote

_SAYS = {"fraud": SAYS_FRAUD, "genuine": SAYS_GENUINE}


@dataclass(frozen=True, slots=True)
class Change:
    """A label that a vote has brought about.

    Attributes
    ----------
    case
        As it stands behind the vote.
    vote
        The one that settled it.
    supersedes
        The label before, if any.
    vote_count
        Votes that say something, behind it.
    """

    case: Case
    vote: Vote
    posterior: float
    label: LabelName
    supersedes: LabelName | None
    vote_count: int


@dataclass(frozen=True, slots=True)
class CountedVote:
    """A vote that was counted.

    Attributes
    ----------
    said
        The vote of the same annotator that it takes the place of, if any.
    posterior_before, posterior
        Of its transaction; None where nobody had voted.
    """

    transaction_id: str
    vote: Vote
    said: Vote | None
    posterior_before: float | None
    posterior: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What came of votes.

    Attributes
    ----------
    work
        What is to be saved.
    votes
        Those that were counted, in the order of their log.
    changes
        The labels that they have brought about, in the same order.
    """

    work: Casework
    votes: list[CountedVote] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


def count_votes(
    found: Casework,
    votes: Sequence[tuple[Case, Vote]],
    trusted_sources: Collection[str],
    params: ConsensusParams,
) -> Counted:
    """Count votes, in the order of their log.

    Parameters
    ----------
    found
        The cases that the votes are about, as far as there are any yet, and every annotator of
        theirs.
    votes
        Each with its case as the vote places it, which counts where the case is new. A vote that
        its annotator has given before, or has taken back with a later one, is left out.
    """
    intake = take(found.cases, votes)
    if not intake.taken:
        return Counted(replace(found, cases={}, annotators={}))
    cases, rows, taken = intake.cases, intake.rows, intake.taken
    case_names = sorted(cases)
    names = sorted({vote.annotator for _, vote in rows})
    annotators = {name: found.annotators.get(name, Annotator(name)) for name in names}
    ballots = replace(
        _ballots(intake, case_names, names, trusted_sources),
        group=_groups(annotators.values()),
        prior=_priors([cases[name] for name in case_names], params),
    )
    known = [intake.before.get(name) for name in case_names]
    people = [annotators[name] for name in names]
    settled = settle(
        ballots,
        np.array([math.nan if p is None else p for p in known]),
        Standing.of(people),
        found.progress.fraud,
        found.progress.genuine,
        params,
        Standing.of(people, "long_"),
    )
    posteriors = settled.posterior.tolist()
    votes_counted = _counted_votes(intake, posteriors)
    changes = _changes(cases, found.cases, taken, posteriors, params)
    behind = zip(posteriors, settled.contradiction.tolist(), strict=True)
    standing = {  # the last vote on each case says how it stands
        name: (posterior, verdict(posterior, weaker, params))
        for (name, _, _), (posterior, weaker) in zip(taken, behind, strict=True)
    }
    labels = {change.case.transaction_id: change.label for change in changes}
    counted = dict(zip(rows_of(rows), settled.counted.tolist(), strict=True))
    for name, case in cases.items():
        posterior, status = standing.get(name, (case.posterior, case.status))
        cases[name] = replace(
            case,
            votes=_weighed(case, counted, trusted_sources),
            posterior=posterior,
            status=status,
            label=labels.get(name, case.label),
        )
    progress = replace(found.progress, fraud=settled.fraud, genuine=settled.genuine)
    noted = _noted(annotators, names, settled, [vote for _, vote, _ in taken])
    noted = with_known(noted, found.cases.values(), cases.values())
    return Counted(Casework(progress, cases, noted), votes_counted, changes)


def _counted_votes(intake: Intake, posteriors: Sequence[float]) -> list[CountedVote]:
    last = dict(intake.before)
    found = []
    for (name, vote, replaced), posterior in zip(intake.taken, posteriors, strict=True):
        said = intake.rows[replaced][1] if replaced >= 0 else None
        found.append(CountedVote(name, vote, said, last.get(name), posterior))
        last[name] = posterior
    return found


def rows_of(rows: Sequence[tuple[str, Vote]]) -> list[tuple[str, str, int]]:
    """What names each row: its transaction, its annotator, and where it was read."""
    return [(name, vote.annotator, vote.offset) for name, vote in rows]


def _ballots(
    intake: Intake,
    case_names: Sequence[str],
    names: Sequence[str],
    trusted_sources: Collection[str],
) -> Ballots:
    rows, old_count = intake.rows, intake.old_count
    replaced = [row for *_, row in intake.taken]
    task = {name: number for number, name in enumerate(case_names)}
    annotator = {name: number for number, name in enumerate(names)}
    votes = [vote for _, vote in rows]
    return Ballots(
        old_count=old_count,
        task=np.array([task[name] for name, _ in rows], dtype=np.int64),
        annotator=np.array([annotator[vote.annotator] for vote in votes], dtype=np.int64),
        says=np.array([_SAYS.get(vote.label, SAYS_NOTHING) for vote in votes], dtype=np.int64),
        weight=np.array([vote.confidence for vote in votes], dtype=np.float64),
        time_ms=np.array([vote.observed_ms for vote in votes], dtype=np.int64),
        replaces=np.array([-1] * old_count + replaced, dtype=np.int64),
        is_trusted=np.array([vote.source in trusted_sources for vote in votes], dtype=np.bool_),
        counted=np.array([math.nan if v.counted is None else v.counted for v in votes], float),
    )


def _groups(annotators: Iterable[Annotator]) -> Ints:
    """The number of the group of each; who copies nobody is alone in theirs."""
    number: dict[str, int] = {}
    return np.array(
        [number.setdefault(one.group or one.name, len(number)) for one in annotators],
        dtype=np.int64,
    )


def _priors(cases: Sequence[Case], params: ConsensusParams) -> Floats:
    """Log-odds that the score gave, as far as it may count at all."""
    if not params.score_prior:
        return np.full(len(cases), math.nan)
    told = np.array([math.nan if case.prior is None else case.prior for case in cases])
    limit = params.evidence_max
    return np.clip(logit(told), -limit, limit)


def _changes(
    cases: Mapping[str, Case],
    before: Mapping[str, Case],
    taken: Sequence[tuple[str, Vote, int]],
    posteriors: Sequence[float],
    params: ConsensusParams,
) -> list[Change]:
    """The labels that the votes have brought about, in the order of their log."""
    label = {name: case.label for name, case in before.items()}
    said = {n: {v.annotator: v.label for v in case.votes} for n, case in before.items()}
    found = []
    for (name, vote, _), posterior in zip(taken, posteriors, strict=True):
        votes = said.setdefault(name, {})
        votes[vote.annotator] = vote.label
        new: LabelName
        if posterior >= params.fraud_min:
            new = "fraud"
        elif posterior <= params.genuine_max:
            new = "genuine"
        else:
            continue
        old = label.get(name)
        if new != old:
            count = sum(one in _SAYS for one in votes.values())
            found.append(Change(cases[name], vote, posterior, new, old, count))
            label[name] = new
    return found


def _weighed(
    case: Case, counted: Mapping[tuple[str, str, int], float], trusted_sources: Collection[str]
) -> tuple[Vote, ...]:
    """The votes of a case, with how each was counted and whether it agrees with the truth."""
    votes = []
    for vote, agreed in zip(case.votes, agreement(case, trusted_sources), strict=True):
        share = counted.get((case.transaction_id, vote.annotator, vote.offset), math.nan)
        votes.append(vote.weighed(None if math.isnan(share) else share, agreed))
    return tuple(votes)


def _noted(
    annotators: Mapping[str, Annotator],
    names: Sequence[str],
    settled: Settled,
    votes: Sequence[Vote],
) -> dict[str, Annotator]:
    """Everybody's record behind the votes."""
    standing, long_run = settled.standing, settled.long_run
    found = {
        name: replace(
            annotators[name],
            seen=float(standing.seen[i]),
            missed=float(standing.missed[i]),
            cleared=float(standing.cleared[i]),
            accused=float(standing.accused[i]),
            long_seen=float(long_run.seen[i]),
            long_missed=float(long_run.missed[i]),
            long_cleared=float(long_run.cleared[i]),
            long_accused=float(long_run.accused[i]),
        )
        for i, name in enumerate(names)
    }
    said: dict[str, list[Vote]] = {}
    for vote in votes:
        said.setdefault(vote.annotator, []).append(vote)
    for name, theirs in said.items():
        found[name] = _with_votes(found[name], theirs)
    return found


def _with_votes(one: Annotator, votes: Sequence[Vote]) -> Annotator:
    words = Counter(vote.label for vote in votes)
    times_ms = [vote.observed_ms for vote in votes]
    first_ms = min(times_ms)
    return replace(
        one,
        vote_count=one.vote_count + len(votes),
        fraud_count=one.fraud_count + words["fraud"],
        unsure_count=one.unsure_count + words["unsure"],
        retracted_count=one.retracted_count + words[RETRACTED],
        first_ms=min(one.first_ms or first_ms, first_ms),
        last_ms=max(one.last_ms, *times_ms),
    )
