"""New votes on cases: the posterior behind each, and what is known of everybody afterwards."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import logit

from sentinel.core.consensus.channels import (
    OF_DECISIONS,
    UNKNOWN,
    WIDTH,
    ChannelSelection,
    numbered_channels,
)
from sentinel.core.consensus.intake import VoteIntake, take
from sentinel.core.consensus.known import agreement, with_known
from sentinel.core.consensus.online import Ballots, Settled, settle_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.core.consensus.verdict import Verdict, label_as, verdicts
from sentinel.core.consensus.vote_kernels import SAYS_FRAUD, SAYS_GENUINE, SAYS_NOTHING
from sentinel.records import WITHDRAWN, Floats, Ints, LabelWord
from sentinel.stored.votes import RETRACTED, Annotator, Case, CaseBatch, FeedbackProgress, Vote

_SAYS = {"fraud": SAYS_FRAUD, "genuine": SAYS_GENUINE}


@dataclass(frozen=True, slots=True)
class LabelChange:
    """A label that a vote has brought about, or that it has undone.

    Attributes
    ----------
    case
        As it stands behind the vote.
    vote
        The one that settled it.
    label
        "withdrawn" where nothing is held to be true any more.
    supersedes
        What was said before, if anything.
    vote_count
        Votes that say something, behind it.
    """

    case: Case
    vote: Vote
    posterior: float
    label: LabelWord
    supersedes: LabelWord | None
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

    work: CaseBatch
    votes: list[CountedVote] = field(default_factory=list)
    changes: list[LabelChange] = field(default_factory=list)


def count_votes(
    found: CaseBatch,
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
    case_names = sorted(intake.cases)
    names = sorted({vote.annotator for _, vote in intake.rows})
    annotators = {name: found.annotators.get(name, Annotator(name)) for name in names}
    listed = [intake.cases[name] for name in case_names]
    opened = [intake.cases[name] for name, *_ in intake.taken]  # in the order of the log
    channel = numbered_channels((case.channel for case in opened), found.progress.channels)
    ballots = replace(
        _ballots(intake, case_names, names, trusted_sources, params),
        group=_groups(annotators.values()),
        prior=_priors(listed, params),
    )
    people = [annotators[name] for name in names]
    settled = settle_votes(
        ballots,
        _numbers(intake.before.get(name) for name in case_names),
        AnnotatorSkills.of(people),
        params,
        AnnotatorSkills.of(people, "long_"),
        replace(
            selection_of(listed, found.progress.base_rate, channel),
            totals=_channel_totals(found.progress, channel),
        ),
    )
    statuses = verdicts(settled.posterior, settled.pro, settled.con, params)
    changes = _changes(intake, found.cases, settled.posterior.tolist(), statuses)
    cases = _standing(intake, case_names, settled, statuses, changes, trusted_sources)
    noted = _noted(annotators, names, settled, [vote for _, vote, _ in intake.taken])
    noted = with_known(noted, found.cases.values(), cases.values())
    channels = _channels(settled.selection.totals, channel)
    work = CaseBatch(replace(found.progress, channels=channels), cases, noted)
    return Counted(work, _counted_votes(intake, settled.posterior.tolist()), changes)


def _standing(
    intake: VoteIntake,
    case_names: Sequence[str],
    settled: Settled,
    statuses: Sequence[Verdict],
    changes: Sequence[LabelChange],
    trusted_sources: Collection[str],
) -> dict[str, Case]:
    """The cases as they stand behind the votes; the last vote on each says how."""
    counted = dict(zip(rows_of(intake.rows), settled.counted.tolist(), strict=True))
    behind = zip(intake.taken, settled.posterior.tolist(), statuses, strict=True)
    stands = {name: (posterior, status) for (name, *_), posterior, status in behind}
    words = {change.case.transaction_id: change.label for change in changes}
    selection = settled.selection
    evidences, brought_up = selection.evidence.tolist(), selection.is_brought_up.tolist()
    found = {}
    for name, evidence, is_brought_up in zip(case_names, evidences, brought_up, strict=True):
        case = intake.cases[name]
        posterior, status = stands.get(name, (case.posterior, case.status))
        word = words.get(name, WITHDRAWN if case.is_withdrawn else case.label)
        found[name] = replace(
            case,
            votes=_weighed(case, counted, trusted_sources),
            posterior=posterior,
            status=status,
            label=None if word == WITHDRAWN else word,
            is_withdrawn=word == WITHDRAWN,
            evidence=None if math.isnan(evidence) else evidence,
            is_brought_up=is_brought_up,
        )
    return found


def _counted_votes(intake: VoteIntake, posteriors: Sequence[float]) -> list[CountedVote]:
    last = dict(intake.before)
    found = []
    for (name, vote, replaced), posterior in zip(intake.taken, posteriors, strict=True):
        _, said = intake.rows[replaced] if replaced >= 0 else (name, None)
        found.append(CountedVote(name, vote, said, last.get(name), posterior))
        last[name] = posterior
    return found


def rows_of(rows: Sequence[tuple[str, Vote]]) -> list[tuple[str, str, int]]:
    """What names each row: its transaction, its annotator, and where it was read."""
    return [(name, vote.annotator, vote.offset) for name, vote in rows]


def _ballots(
    intake: VoteIntake,
    case_names: Sequence[str],
    names: Sequence[str],
    trusted_sources: Collection[str],
    params: ConsensusParams,
) -> Ballots:
    rows, old_count = intake.rows, intake.old_count
    replaced = [row for *_, row in intake.taken]
    task = {name: number for number, name in enumerate(case_names)}
    annotator = {name: number for number, name in enumerate(names)}
    votes = [vote for _, vote in rows]
    self_selected = {*trusted_sources, *params.self_selected_sources}
    return Ballots(
        old_count=old_count,
        task=np.array([task[name] for name, _ in rows], dtype=np.int64),
        annotator=np.array([annotator[vote.annotator] for vote in votes], dtype=np.int64),
        says=np.array([_SAYS.get(vote.label, SAYS_NOTHING) for vote in votes], dtype=np.int64),
        weight=np.array([vote.confidence for vote in votes], dtype=np.float64),
        time_ms=np.array([vote.observed_ms for vote in votes], dtype=np.int64),
        replaces=np.array([-1] * old_count + replaced, dtype=np.int64),
        is_trusted=np.array([vote.source in trusted_sources for vote in votes], dtype=np.bool_),
        counted=_numbers(vote.counted for vote in votes),
        is_self_selected=np.array([vote.source in self_selected for vote in votes], np.bool_),
    )


def selection_of(
    cases: Sequence[Case], base_rate: float | None, channel: Mapping[str, int] | None = None
) -> ChannelSelection:
    """How cases came to be looked at, and which of them count in their channel.

    `channel` numbers the channels; None: as they come. What is counted in them is left empty.
    """
    if channel is None:
        channel = numbered_channels(case.channel for case in cases)
    return ChannelSelection(
        channel=np.array([channel.get(case.channel, 0) for case in cases], dtype=np.int64),
        probability=_numbers(case.prior for case in cases),
        evidence=_numbers(case.evidence for case in cases),
        is_brought_up=np.array([case.is_brought_up for case in cases], dtype=np.bool_),
        totals=np.zeros((max(channel.values()) + 1, WIDTH)),
        base_rate=base_rate,
    )


def _numbers(values: Iterable[float | None]) -> Floats:
    """Not a number where there is none."""
    return np.array([math.nan if x is None else x for x in values], dtype=np.float64)


def _channel_totals(progress: FeedbackProgress, channel: Mapping[str, int]) -> Floats:
    """What is counted in each channel so far, float64 (n_channels, WIDTH)."""
    totals = np.zeros((max(channel.values()) + 1, WIDTH))
    for name, counts in progress.channels.items():
        if len(counts) == WIDTH:
            totals[channel[name]] = counts
    return totals


def _channels(totals: Floats, channel: Mapping[str, int]) -> dict[str, list[float]]:
    """What is counted in each channel that has a number of its own, to be kept.

    One of decisions always has; it is kept from its first transaction on.
    """
    return {
        name: totals[number].tolist()
        for name, number in channel.items()
        if (number or name == UNKNOWN) and (name not in OF_DECISIONS or totals[number].any())
    }


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
    limit = params.evidence_max
    return np.clip(logit(_numbers(case.prior for case in cases)), -limit, limit)


def _changes(
    intake: VoteIntake,
    before: Mapping[str, Case],
    posteriors: Sequence[float],
    statuses: Sequence[Verdict],
) -> list[LabelChange]:
    """The labels that the votes have brought about or undone, in the order of their log."""
    held: dict[str, LabelWord | None] = {
        name: WITHDRAWN if case.is_withdrawn else case.label for name, case in before.items()
    }
    said = {n: {v.annotator: v.label for v in case.votes} for n, case in before.items()}
    found = []
    for (name, vote, _), posterior, status in zip(intake.taken, posteriors, statuses, strict=True):
        votes = said.setdefault(name, {})
        votes[vote.annotator] = vote.label
        old = held.get(name)
        new: LabelWord | None = label_as(status) or (None if old is None else WITHDRAWN)
        if new is not None and new != old:
            count = sum(one in _SAYS for one in votes.values())
            found.append(LabelChange(intake.cases[name], vote, posterior, new, old, count))
            held[name] = new
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
    skills, long_run = settled.skills, settled.long_run
    found = {
        name: replace(
            annotators[name],
            seen=float(skills.tp[i]),
            missed=float(skills.fn[i]),
            cleared=float(skills.tn[i]),
            accused=float(skills.fp[i]),
            long_seen=float(long_run.tp[i]),
            long_missed=float(long_run.fn[i]),
            long_cleared=float(long_run.tn[i]),
            long_accused=float(long_run.fp[i]),
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
