"""What is wrong with the label chain is noticed: lost votes, doubled examples, missing labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sentinel.codec.records import encode
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.consensus.params import ConsensusParams
from sentinel.engine.feedback.task import FeedbackParams
from sentinel.records import Feedback, Record
from sentinel.stored.votes import Annotator, Case
from tests.faults.label_oracle import Expected, Found, Offences, compare, expected_of
from tests.faults.labels import TARGETS, plan
from tests.faults.voices import EARLY_CHUNKS, LATE_CHUNKS, Voices

APPENDED_MS = 1_800_000_000_000
TRANSACTIONS = ["t0", "t1", "t2"]


def voice(name: str, who: str, label: str, **others: Any) -> Feedback:
    """Of the bank it settles the matter, of others it does not."""
    return Feedback(
        **{
            "transaction_id": name,
            "label": label,
            "source": "chargeback" if who == "bank" else "investigator",
            "who": who,
            "observed_ms": 2_000,
            "event_time_ms": 1_000,
            "entities": {"account": "a"},
            **others,
        }
    )


SENT = [
    voice("t0", "bank", "fraud"),
    voice("t0", "ann", "genuine"),
    voice("t1", "bank", "genuine"),
    voice("t0", "bank", "genuine", revision=1),
    voice("t2", "bob", "perhaps"),
    voice("ghost", "bank", "fraud"),
]


def log_of(voices: Sequence[Feedback]) -> list[Record]:
    return [Record(i, APPENDED_MS + i, None, encode(one)) for i, one in enumerate(voices)]


def oracle(voices: Sequence[Feedback]) -> Expected:
    return expected_of("", log_of(voices), FeedbackParams(), ConsensusParams())


def all_well(expected: Expected) -> Found:
    """As a run that kept everything leaves it: what a crash repeats may be there again."""
    labels = expected.labels
    return Found(
        progress=expected.progress,
        cases=expected.cases,
        annotators=expected.annotators,
        labels=[*labels[:2], *labels[:1], *labels[1:]],
        archived_labels=[
            (one.feedback_offset, one.transaction_id, one.label, one.posterior) for one in labels
        ],
        decided=set(TRANSACTIONS),
        archived=TRANSACTIONS,
        examples=["feedback-0", "feedback-2", "presumed-x", "feedback-3"],
        votes=[*expected.votes, *expected.votes],
        buried=[4, 4],
    )


def offences(**changes: Any) -> Offences:
    """What is found of a run that differs so much from one that kept everything."""
    expected = oracle(SENT)
    return compare(replace(all_well(expected), **changes), expected, SENT, TRANSACTIONS)


def test_a_run_that_kept_everything_has_no_offences() -> None:
    expected = oracle(SENT)

    assert [label.feedback_offset for label in expected.labels] == [0, 2, 3, 5]
    assert (len(expected.votes), expected.refused) == (5, {4})
    assert offences() == {}


def test_a_lost_vote_is_noticed() -> None:
    """Once against what was sent, where it never came into the log; once against the oracle."""
    expected = oracle([one for one in SENT if one.who != "ann"])
    found = all_well(expected)
    assert "voices lost" in compare(found, expected, SENT, TRANSACTIONS)

    of_t0 = decode_stored(Case, oracle(SENT).cases["t0"])
    data = encode_stored(replace(of_t0, votes=of_t0.votes[1:]))
    found_offences = offences(cases=oracle(SENT).cases | {"t0": data})
    assert found_offences["cases that differ"] == ["t0"]
    assert found_offences["voices lost"] == ["('t0', 'investigator/ann')"]


def test_a_vote_that_counts_twice_is_noticed() -> None:
    """In the annotator's record; and where the log has it twice as if it were two votes."""
    bank = decode_stored(Annotator, oracle(SENT).annotators["chargeback/bank"])
    data = encode_stored(replace(bank, vote_count=bank.vote_count + 1))
    found_offences = offences(annotators=oracle(SENT).annotators | {"chargeback/bank": data})
    assert found_offences == {"annotators that differ": ["chargeback/bank"]}

    later = replace(SENT[1], observed_ms=2_001)
    expected = oracle([*SENT, later])
    found = compare(all_well(expected), expected, SENT, TRANSACTIONS)
    assert found["voices counted twice"] == ["('t0', 'investigator/ann')"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"archived": ["t0", "t1"]}, {"archived decisions missing": ["t2"]}),
        ({"archived": [*TRANSACTIONS, "t1"]}, {"archived decisions doubled": ["t1"]}),
        ({"decided": {"t0", "t1"}}, {"transactions not decided": ["t2"]}),
        ({"examples": ["feedback-0", "feedback-3"]}, {"examples missing": ["feedback-2"]}),
        (
            {"examples": ["feedback-0", "feedback-2", "feedback-3", "feedback-2"]},
            {"examples doubled": ["feedback-2"]},
        ),
        (
            {"examples": ["feedback-0", "feedback-2", "feedback-3", "feedback-5"]},
            {"examples of nothing": ["feedback-5"]},
        ),
        (
            {"examples": ["feedback-0", "feedback-2", "feedback-3", "presumed-x", "presumed-x"]},
            {"presumed examples doubled": ["presumed-x"]},
        ),
        ({"votes": [f"feedback-{i}-vote" for i in (0, 1, 2, 3)]},
         {"votes that the audit misses": ["feedback-5-vote"]}),
        ({"votes": [f"feedback-{i}-vote" for i in (0, 1, 2, 3, 4, 5)]},
         {"votes of the audit that do not count": ["feedback-4-vote"]}),
        ({"buried": []}, {"feedback that was not refused": ["4"]}),
        ({"buried": [4, 2]}, {"feedback that was not refused": ["2"]}),
        ({"progress": b"{}"}, {"progress that differs": ["b'{}'"]}),
    ],
)  # fmt: skip
def test_what_is_missing_doubled_or_of_nothing_is_named(
    changes: dict[str, Any], named: Offences
) -> None:
    assert offences(**changes) == named


def test_labels_that_are_missing_wrong_or_out_of_order_are_named() -> None:
    labels = oracle(SENT).labels

    assert offences(labels=labels[1:]) == {"labels missing": ["0"]}
    assert offences(labels=[labels[1], labels[0], *labels[2:]]) == {"labels out of order": ["0"]}
    other = replace(labels[1], posterior=0.5)
    assert offences(labels=[labels[0], other, *labels[2:]]) == {"labels that differ": ["2"]}
    assert offences(labels=[*labels, other]) == {"labels repeated in other words": ["2"]}
    stray = replace(labels[1], feedback_offset=9)
    assert offences(labels=[*labels, stray]) == {"labels of no vote": ["9"]}


def test_archived_labels_are_there_once_and_as_they_were_published() -> None:
    expected = oracle(SENT)
    rows = list(all_well(expected).archived_labels)

    assert list(offences(archived_labels=rows[1:])) == ["archived labels missing"]
    assert list(offences(archived_labels=[*rows, rows[0]])) == ["archived labels doubled"]
    changed = [(*rows[0][:3], 0.5), *rows[1:]]
    assert list(offences(archived_labels=changed)) == [
        "archived labels missing",
        "archived labels of nothing",
    ]


def test_a_voice_that_names_its_transaction_only_counts_once_somebody_has_placed_it() -> None:
    bare = voice("t1", "ann", "fraud", event_time_ms=None, entities=None)
    sent = [bare, voice("t1", "bob", "fraud"), replace(bare, who="cyd")]
    placed_again = [
        replace(one, event_time_ms=1_000, entities={"account": "a"}) for one in (bare, sent[2])
    ]

    expected = oracle([*sent, *placed_again])

    assert list(expected.votes) == ["feedback-1-vote", "feedback-2-vote", "feedback-3-vote"]


def test_a_seed_makes_the_same_voices_and_blows_again() -> None:
    assert Voices(3).voices(9) == Voices(3).voices(9) != Voices(4).voices(9)
    assert plan(7, 20) == plan(7, 20) != plan(8, 20)
    assert [set(TARGETS)] * 3 == [
        {blow.targets for blow in plan(7, 9)[i : i + 3]} for i in (0, 3, 6)
    ]


def test_the_voices_have_everything_in_them_that_can_be_said() -> None:
    stream, end = Voices(1), 60
    by_chunk = [stream.voices(number, end) for number in range(end + LATE_CHUNKS + 1)]
    voices = [one for chunk in by_chunk for one in chunk]
    sent = {one.name: i for i in range(end) for one in stream.transactions(i)}

    assert {one.label for one in voices} == {"fraud", "genuine", "unsure", "retracted", "perhaps"}
    assert {one.revision for one in voices} == {0, 1}
    assert {one.transaction_id for one in voices if one.transaction_id not in sent} != set()
    assert any(one.event_time_ms is None for one in voices)
    assert any(one.observed_ms == 0 for one in voices)
    assert len({encode(one) for one in voices}) < len(voices), "some are repeated"
    early = [
        (number, one)
        for number, chunk in enumerate(by_chunk)
        for one in chunk
        if sent.get(one.transaction_id, 0) > number
    ]
    assert early
    assert stream.voices(end + LATE_CHUNKS + 1, end) == []
    assert EARLY_CHUNKS < LATE_CHUNKS
