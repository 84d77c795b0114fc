"""What counting votes has changed, for those who must be able to follow it later."""

from collections.abc import Iterator, Sequence
from typing import Any

from sentinel.core.consensus.counting import Counted, CountedVote, LabelChange
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.core.logs import feedback_name, log_id
from sentinel.records import AuditEntry
from sentinel.stored.votes import CONSENSUS, Annotator, CaseBatch, Vote


def audit_entries(
    found: CaseBatch, counted: Counted, params: ConsensusParams
) -> Iterator[AuditEntry]:
    """Every vote and label in the order of the log, then the skills of all whose record moved.

    An entry is named by where the vote was read: feedback that is counted again after a crash
    gives the same votes and labels, and of skills another span of the same way.

    Parameters
    ----------
    found
        What was known before the votes were counted.
    """
    log = log_id(counted.work.progress.log)
    changes = {change.vote.offset: change for change in counted.changes}
    for one in counted.votes:
        name = feedback_name(log, one.vote.offset)
        yield _vote_entry(name, one)
        if one.vote.offset in changes:
            yield _label_entry(name, changes[one.vote.offset])
    if not counted.votes:
        return
    last = counted.votes[-1].vote
    after = counted.work.annotators
    moved = sorted(name for name in after if after[name] != found.annotators.get(name))
    rates = _rates([after[name] for name in moved], params)
    known = [name for name in moved if name in found.annotators]
    rates_before = dict(
        zip(known, _rates([found.annotators[name] for name in known], params), strict=True)
    )
    for name, rate in zip(moved, rates, strict=True):
        yield AuditEntry(
            id=f"{feedback_name(log, last.offset)}-standing-{name}",
            kind="standing",
            subject=name,
            who=CONSENSUS,
            at_ms=last.observed_ms,
            before=rates_before.get(name),
            after=rate,
        )


def _vote_entry(name: str, one: CountedVote) -> AuditEntry:
    vote = one.vote
    said = {} if one.said is None else _said(one.said)
    return AuditEntry(
        id=f"{name}-vote",
        kind="vote",
        subject=one.transaction_id,
        who=vote.annotator,
        at_ms=vote.observed_ms,
        before={**said, "posterior": one.posterior_before}
        if said or one.posterior_before
        else None,
        after={**_said(vote), "posterior": one.posterior},
    )


def _label_entry(name: str, change: LabelChange) -> AuditEntry:
    return AuditEntry(
        id=f"{name}-label",
        kind="label",
        subject=change.case.transaction_id,
        who=change.vote.annotator,
        at_ms=change.vote.observed_ms,
        before=None if change.supersedes is None else {"label": change.supersedes},
        after={
            "label": change.label,
            "posterior": change.posterior,
            "vote_count": change.vote_count,
        },
    )


def _said(vote: Vote) -> dict[str, Any]:
    return {
        "label": vote.label,
        "confidence": vote.confidence,
        "revision": vote.revision,
        "notes": vote.notes,
    }


def _rates(annotators: Sequence[Annotator], params: ConsensusParams) -> list[dict[str, Any]]:
    skills = AnnotatorSkills.of(annotators)
    rates = zip(
        annotators,
        skills.sensitivity(params).tolist(),
        skills.specificity(params).tolist(),
        strict=True,
    )
    return [
        {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "vote_count": one.vote_count,
            "seen": one.seen,
            "missed": one.missed,
            "cleared": one.cleared,
            "accused": one.accused,
            "known_count": one.known_count,
            "known_right_count": one.known_right_count,
        }
        for one, sensitivity, specificity in rates
    ]
