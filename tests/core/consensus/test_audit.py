"""What the audit says of votes: all of it, the same however they were batched, and as a chain."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.consensus.audit import audit_entries
from sentinel.core.consensus.counting import count_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.records import AuditEntry
from sentinel.stored.votes import Case, CaseBatch, FeedbackProgress, Vote

PARAMS = ConsensusParams()
TRUSTED = ("chargeback",)
START = CaseBatch(FeedbackProgress("log", 0))

WHO = ("investigator/ann", "investigator/bob", "investigator/cy", "chargeback/bank")
VOTES = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from(WHO),
        st.sampled_from(("fraud", "genuine", "unsure", "retracted")),
        st.integers(0, 2),
    ),
    max_size=30,
)


def placed(said: Sequence[tuple[int, str, str, int]]) -> list[tuple[Case, Vote]]:
    return [
        (
            Case(f"t{number}", 1_000, {"account": "a"}),
            Vote(who, label, revision, 0.9, observed_ms=2_000 + offset, offset=offset),
        )
        for offset, (number, who, label, revision) in enumerate(said)
    ]


def counted(
    votes: Sequence[tuple[Case, Vote]], sizes: Sequence[int]
) -> tuple[CaseBatch, list[AuditEntry]]:
    """Count them in batches of these sizes, the rest in one; all that is known, and the audit."""
    known, entries = START, []
    begin = 0
    for size in [*sizes, len(votes)]:
        found = count_votes(known, votes[begin : begin + size], TRUSTED, PARAMS)
        entries += list(audit_entries(known, found, PARAMS))
        known = CaseBatch(
            found.work.progress,
            known.cases | found.work.cases,
            known.annotators | found.work.annotators,
        )
        begin += size
    return known, entries


@given(said=VOTES, sizes=st.lists(st.integers(1, 7), max_size=6))
def test_votes_and_labels_are_the_same_however_they_were_batched(
    said: list[tuple[int, str, str, int]], sizes: list[int]
) -> None:
    votes = placed(said)
    _, at_once = counted(votes, [])
    _, in_pieces = counted(votes, sizes)

    def without_skills(entries: list[AuditEntry]) -> list[AuditEntry]:
        return [entry for entry in entries if entry.kind != "standing"]

    assert without_skills(in_pieces) == without_skills(at_once)
    assert len({entry.id for entry in in_pieces}) == len(in_pieces)


@given(said=VOTES, sizes=st.lists(st.integers(1, 7), max_size=6))
def test_each_entry_begins_where_the_one_before_of_its_subject_has_ended(
    said: list[tuple[int, str, str, int]], sizes: list[int]
) -> None:
    known, entries = counted(placed(said), sizes)
    skills: dict[str, object] = {}
    label: dict[str, object] = {}
    posterior: dict[str, float | None] = {}
    for entry in entries:
        before, after = entry.before or {}, entry.after or {}
        if entry.kind == "standing":
            assert before == skills.get(entry.subject, {})
            skills[entry.subject] = after
        elif entry.kind == "label":
            assert before.get("label") == label.get(entry.subject)
            label[entry.subject] = after["label"]
        else:
            assert before.get("posterior") == posterior.get(entry.subject)
            posterior[entry.subject] = after["posterior"]
    assert posterior == {name: case.posterior for name, case in known.cases.items()}
    words = {n: "withdrawn" if c.is_withdrawn else c.label for n, c in known.cases.items()}
    assert label == {name: word for name, word in words.items() if word is not None}
    assert set(skills) == set(known.annotators)


def test_a_revision_is_told_with_what_was_said_before() -> None:
    _, entries = counted(
        placed([(0, "investigator/ann", "fraud", 0), (0, "investigator/ann", "genuine", 1)]), []
    )

    votes = [entry for entry in entries if entry.kind == "vote"]
    assert votes[0].before is None
    assert votes[1].before is not None
    assert votes[1].after is not None
    assert (votes[1].before["label"], votes[1].after["label"]) == ("fraud", "genuine")


def test_what_was_counted_before_is_not_told_again() -> None:
    votes = placed([(0, "investigator/ann", "fraud", 0)])
    known, _ = counted(votes, [])
    again = [(case, replace(vote, offset=7)) for case, vote in votes]

    assert list(audit_entries(known, count_votes(known, again, TRUSTED, PARAMS), PARAMS)) == []
