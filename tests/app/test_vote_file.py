"""Files of votes: the last word of each, as the stream takes it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.app.vote_file import VoteFile, vote_file
from sentinel.codec.voices import Voices
from sentinel.core.consensus.intake import take
from sentinel.records import Feedback
from sentinel.votes import Case, Vote

DAY_MS = 86_400_000


def said(task: str, who: str, label: str, **others: Any) -> Feedback:
    return Feedback(task, label, **{"source": "", "who": who, **others})


def read(*voices: Feedback, **options: Any) -> VoteFile:
    pieces = [Voices([], list(voices[:2]), {}), Voices([], list(voices[2:]), {})]
    return vote_file(pieces, **options)


def told(found: VoteFile) -> set[tuple[str, str, bool]]:
    """Who says what of which, by their names."""
    votes = found.votes
    return {
        (found.tasks[t], found.workers[a], bool(s))
        for t, a, s in zip(votes.task, votes.annotator, votes.says_fraud, strict=True)
    }


def test_tasks_and_workers_have_names_and_what_is_no_vote_is_counted() -> None:
    found = read(
        said("t1", "ann", "fraud"),
        said("t1", "bob", "genuine"),
        said("t2", "ann", "unsure"),
        said("t2", "issuer", "retracted", source="chargeback"),
    )

    assert told(found) == {("t1", "ann", True), ("t1", "bob", False)}
    assert found.tasks == ["t1", "t2"]
    assert found.workers == ["ann", "bob", "chargeback/issuer"]
    assert found.sources == ["", "", "chargeback"]
    assert (found.unsure_count, found.retracted_count) == (1, 1)


def test_nobody_who_says_anything_is_no_votes() -> None:
    found = read()

    assert (len(found.votes), found.tasks, found.workers) == (0, [], [])


words = st.builds(
    said,
    st.sampled_from(["t1", "t2"]),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["fraud", "genuine", "unsure", "retracted"]),
    source=st.sampled_from(["a", "b"]),
    revision=st.integers(0, 2),
    observed_ms=st.integers(1, 3),
)


@given(st.lists(words, max_size=12))
def test_the_last_word_is_the_one_that_the_stream_holds(voices: list[Feedback]) -> None:
    votes = [
        (
            Case(voice.transaction_id, 0, {}),
            Vote(
                f"{voice.source}/{voice.who}",
                voice.label,
                voice.revision,
                voice.confidence,
                voice.observed_ms,
                offset,
            ),
        )
        for offset, voice in enumerate(voices)
    ]
    stream = {
        (name, vote.annotator, vote.label == "fraud")
        for name, case in take({}, votes).cases.items()
        for vote in case.votes
        if vote.is_telling
    }

    assert told(read(*voices)) == stream


def test_who_does_not_say_when_has_spoken_last() -> None:
    late = said("t", "ann", "fraud", observed_ms=DAY_MS)

    assert told(read(late, said("t", "ann", "genuine"))) == {("t", "ann", False)}
    assert told(read(said("t", "ann", "genuine"), late)) == {("t", "ann", False)}


def test_votes_fade_by_their_age_against_the_newest_of_their_task() -> None:
    found = read(
        said("t1", "ann", "fraud", observed_ms=DAY_MS, confidence=0.5),
        said("t1", "bob", "fraud", observed_ms=3 * DAY_MS),
        said("t1", "cyd", "fraud"),
        said("t2", "ann", "fraud", observed_ms=DAY_MS),
        vote_half_life_s=86_400.0,
    )

    by_name = dict(
        zip(
            [(found.tasks[t], found.workers[a]) for t, a in
             zip(found.votes.task, found.votes.annotator, strict=True)],
            found.votes.weight,
            strict=True,
        )
    )  # fmt: skip
    assert by_name == {
        ("t1", "ann"): pytest.approx(0.5 * 0.25),
        ("t1", "bob"): 1.0,
        ("t1", "cyd"): 1.0,
        ("t2", "ann"): 1.0,
    }
    assert math.isclose(np.sum(read(said("t", "a", "fraud", confidence=0.3)).votes.weight), 0.3)
