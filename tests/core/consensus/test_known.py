"""Votes held against the word of trusted sources, in any order, also when words are taken back."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.consensus.counting import count_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.stored.votes import Annotator, Case, CaseBatch, FeedbackProgress, Vote

PARAMS = ConsensusParams()
TRUSTED = ("chargeback", "gold")
PEOPLE = ("investigator/ann", "investigator/bob", "chargeback/a", "chargeback/b", "gold/q")


def counted(found: CaseBatch, votes: list[tuple[str, Vote]], trusted: tuple[str, ...]) -> CaseBatch:
    """As an instance counts them: on the cases that the votes are about, and all who voted."""
    placed = [(Case(name, 0, {"account": "a"}), vote) for name, vote in votes]
    touched = {name: found.cases[name] for name, _ in votes if name in found.cases}
    work = count_votes(replace(found, cases=touched), placed, trusted, PARAMS).work
    return CaseBatch(work.progress, found.cases | work.cases, found.annotators | work.annotators)


def recounted(cases: dict[str, Case], trusted: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """The slow way: (known, right) of everybody, from the last votes of all cases."""
    known: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for case in cases.values():
        truth, truth_ms = None, -1
        for vote in case.votes:
            says = vote.label in ("fraud", "genuine")
            if vote.source in trusted and says and vote.observed_ms >= truth_ms:
                truth, truth_ms = vote.label, vote.observed_ms
        for vote in case.votes:
            if truth and vote.source not in trusted and vote.label in ("fraud", "genuine"):
                known[vote.annotator] += 1
                right[vote.annotator] += vote.label == truth
    return {name: (known[name], right[name]) for name in known}


def tallies(annotators: dict[str, Annotator]) -> dict[str, tuple[int, int]]:
    return {
        one.name: (one.known_count, one.known_right_count)
        for one in annotators.values()
        if one.known_count or one.known_right_count
    }


said = st.tuples(
    st.sampled_from(["x", "y", "z"]),
    st.builds(
        Vote,
        annotator=st.sampled_from(PEOPLE),
        label=st.sampled_from(["fraud", "genuine", "fraud", "genuine", "unsure", "retracted"]),
        revision=st.integers(0, 2),
        confidence=st.just(1.0),
        observed_ms=st.integers(0, 3),
        offset=st.just(0),
    ),
)
EMPTY = CaseBatch(FeedbackProgress("log", 0))


def numbered(votes: list[tuple[str, Vote]], begin: int = 0) -> list[tuple[str, Vote]]:
    return [(name, replace(vote, offset=i)) for i, (name, vote) in enumerate(votes, begin)]


@given(st.lists(said, min_size=1, max_size=40), st.integers(1, 40))
def test_what_is_counted_as_it_comes_is_what_a_recount_finds(
    votes: list[tuple[str, Vote]], batch_count: int
) -> None:
    """First words, revisions and retractions on either side, in any order and in any batches."""
    work, log = EMPTY, numbered(votes)
    for begin in range(0, len(log), batch_count):
        work = counted(work, log[begin : begin + batch_count], TRUSTED)

        assert tallies(work.annotators) == recounted(work.cases, TRUSTED)


@given(st.lists(said, min_size=1, max_size=20), st.lists(said, min_size=1, max_size=20))
def test_whom_one_trusts_may_change_between(
    first: list[tuple[str, Vote]], second: list[tuple[str, Vote]]
) -> None:
    """Cases that nobody speaks of again keep what they were counted as."""
    work = counted(EMPTY, numbered(first), TRUSTED)
    after = counted(work, numbered(second, len(first)), ("gold",))

    is_counted = {name for name, case in after.cases.items() if case != work.cases.get(name)}
    untouched = {name: case for name, case in after.cases.items() if name not in is_counted}
    touched = {name: case for name, case in after.cases.items() if name in is_counted}
    total = Counter[str]()
    for part in (recounted(untouched, TRUSTED), recounted(touched, ("gold",))):
        for name, (known, right) in part.items():
            total.update({f"{name} known": known, f"{name} right": right})
    found = Counter[str]()
    for name, (known, right) in tallies(after.annotators).items():
        found.update({f"{name} known": known, f"{name} right": right})
    assert +found == +total


def test_cases_stored_before_anything_was_counted_count_when_they_are_spoken_of() -> None:
    ann = Vote("investigator/ann", "genuine", 0, 1.0, 1, 0, counted=0.995)
    bank = Vote("chargeback/a", "fraud", 0, 1.0, 2, 1)
    old = Case("x", 0, {"account": "a"}, (ann, bank), 0.995, "fraud", "fraud")
    stored = CaseBatch(FeedbackProgress("log", 2), {"x": old}, {ann.annotator: Annotator(
        ann.annotator, missed=0.995, accused=0.005, vote_count=1)})  # fmt: skip

    mind_changed = replace(ann, label="fraud", revision=1, offset=2, counted=None)
    work = counted(stored, [("x", mind_changed)], TRUSTED)

    assert tallies(work.annotators) == {"investigator/ann": (1, 1)}


def test_what_a_lost_annotator_had_counted_is_not_taken_from_nothing() -> None:
    ann = Vote("investigator/ann", "fraud", 0, 1.0, 1, 0)
    bank = Vote("gold/q", "fraud", 0, 1.0, 2, 1)
    work = counted(EMPTY, [("x", ann), ("x", bank)], TRUSTED)
    assert tallies(work.annotators) == {"investigator/ann": (1, 1)}

    lost = replace(work, annotators={})
    taken_back = replace(bank, label="retracted", revision=1, offset=2)
    assert tallies(counted(lost, [("x", taken_back)], TRUSTED).annotators) == {}


def test_of_two_trusted_words_of_the_same_time_the_one_read_last_is_the_truth() -> None:
    """As the kernel believes it, whichever of the two it is."""
    ann = Vote("investigator/ann", "fraud", 0, 1.0, 1, 0)
    for labels, expected in ((("genuine", "fraud"), (1, 1)), (("fraud", "genuine"), (1, 0))):
        first, last = (Vote(f"gold/{n}", label, 0, 1.0, 5, n) for n, label in enumerate(labels, 1))
        work = counted(EMPTY, [("x", ann), ("x", first), ("x", last)], TRUSTED)

        assert tallies(work.annotators) == {"investigator/ann": expected}
        assert ((work.cases["x"].posterior or 0) > 0.5) == (labels[1] == "fraud")
