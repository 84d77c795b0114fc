"""A file of voices, judged at once, against the same voices as the stream counts them."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.consensus.batch.judging import Judged, judged
from sentinel.core.consensus.counting import count_votes
from sentinel.core.consensus.known import truth_of
from sentinel.core.consensus.params import ConsensusParams
from sentinel.operations.data.consensus import cases_of
from sentinel.records import Feedback
from sentinel.simulation.investigators import TEAMS, votes_on
from sentinel.stored.votes import Case, CaseBatch, FeedbackProgress, Vote

PARAMS = ConsensusParams()
TRUSTED = ("chargeback", "ground_truth", "gold")
SOURCES = (*TRUSTED, "investigator", "customer", "automated")


def at_once(voices: Sequence[Feedback]) -> tuple[dict[str, Case], Judged]:
    cases = cases_of(voices, TRUSTED, PARAMS)
    return {case.transaction_id: case for case in cases}, judged(cases, TRUSTED, PARAMS)


def one_by_one(voices: Sequence[Feedback]) -> dict[str, Case]:
    votes = [
        (
            Case(voice.transaction_id, 1, {}, channel=voice.selected_by or ""),
            Vote(
                f"{voice.source}/{voice.who}", voice.label, voice.revision, voice.confidence,
                voice.observed_ms, offset, voice.notes,
            ),
        )
        for offset, voice in enumerate(voices)
    ]  # fmt: skip
    return count_votes(CaseBatch(FeedbackProgress("log", 0)), votes, TRUSTED, PARAMS).work.cases


def said_of(case: Case) -> set[tuple[str, str, int]]:
    return {(vote.annotator, vote.label, vote.offset) for vote in case.votes}


voices = st.lists(
    st.builds(
        Feedback,
        transaction_id=st.sampled_from(["t0", "t1", "t2"]),
        label=st.sampled_from(["fraud", "genuine", "unsure", "retracted"]),
        source=st.sampled_from(SOURCES),
        who=st.sampled_from(["a", "b"]),
        observed_ms=st.integers(1, 4),
        revision=st.integers(0, 2),
    ),
    max_size=30,
)


@given(voices)
def test_what_holds_what_settles_and_what_counts_is_the_same_at_once_and_one_by_one(
    said: list[Feedback],
) -> None:
    cases, found = at_once(said)
    stream = one_by_one(said)

    assert {n: said_of(case) for n, case in cases.items()} == {
        name: said_of(case) for name, case in stream.items()
    }
    for (name, case), status, posterior in zip(
        cases.items(), found.verdicts, found.consensus.posterior.tolist(), strict=True
    ):
        truth = truth_of(case, TRUSTED)
        assert truth == truth_of(stream[name], TRUSTED)
        if truth is not None:
            assert (status, stream[name].status) == (truth, truth)
            assert posterior == stream[name].posterior
        elif not any(vote.is_telling for vote in case.votes):
            assert status == stream[name].status == "open"
            assert stream[name].label is None


def test_who_does_not_say_when_has_spoken_last() -> None:
    late = Feedback("t", "fraud", "", "ann", observed_ms=86_400_000)
    untimed = Feedback("t", "genuine", "", "ann")

    for said in ([late, untimed], [untimed, late]):
        (case,) = at_once(said)[0].values()
        assert [vote.label for vote in case.votes] == ["genuine"]


def test_votes_fade_by_their_age_against_the_newest_of_their_task() -> None:
    day_ms = 86_400_000
    said = [
        Feedback("t1", "fraud", "i", "ann", confidence=0.5, observed_ms=day_ms),
        Feedback("t1", "fraud", "i", "bob", observed_ms=3 * day_ms),
        Feedback("t2", "fraud", "i", "ann", observed_ms=day_ms),
    ]
    params = ConsensusParams(vote_half_life_s=86_400.0)

    found = judged(cases_of(said, TRUSTED, params), TRUSTED, params).votes

    weights = list(zip(found.task.tolist(), found.annotator.tolist(), found.weight, strict=True))
    assert weights == [(0, 0, pytest.approx(0.5 * 0.25)), (0, 1, 1.0), (1, 0, 1.0)]


def a_feed(source: str, fraud_share: float, seed: int) -> list[Feedback]:
    """A steady team of eight on 1,500 transactions, and one source's words on a third of them.

    Chargebacks and their like speak of frauds only, and later; some are taken back again.
    """
    rng = np.random.default_rng(seed)
    truth = rng.random(1_500) < fraud_share
    votes = votes_on(truth, TEAMS["honest"](8, rng), rng, votes_min=2, votes_max=4)
    said = [
        Feedback(
            f"t{task:04}", "fraud" if says else "genuine", "investigator", f"i{who}",
            observed_ms=1_000 * task + number,
        )
        for number, (task, who, says) in enumerate(
            zip(votes.task.tolist(), votes.annotator.tolist(), votes.says_fraud.tolist(),
                strict=True)
        )
    ]  # fmt: skip
    for task in np.flatnonzero(truth & (rng.random(truth.size) < 0.33)).tolist():
        claim = Feedback(f"t{task:04}", "fraud", source, "bank", observed_ms=1_000 * task + 200_000)
        said.append(claim)
        if rng.random() < 0.2:
            said.append(Feedback(
                claim.transaction_id, "retracted", source, "bank", revision=1,
                observed_ms=claim.observed_ms + 50_000,
            ))  # fmt: skip
    return sorted(said, key=lambda voice: voice.observed_ms)


@pytest.mark.parametrize("fraud_share", [0.05, 0.3, 0.95])
@pytest.mark.parametrize("source", SOURCES)
def test_a_steady_teams_labels_are_the_same_at_once_and_one_by_one(
    source: str, fraud_share: float
) -> None:
    """Of those that both give; and next to nothing that one leaves open has two sides."""
    said = a_feed(source, fraud_share, seed=3)
    cases, found = at_once(said)
    stream = one_by_one(said)

    labels = [
        (stream[name].label, status)
        for name, status in zip(cases, found.verdicts, strict=True)
        if stream[name].label is not None and status in ("fraud", "genuine")
    ]
    sides = [
        ((stream[name].posterior or 0.0) > 0.5) == (posterior > 0.5)
        for name, posterior in zip(cases, found.consensus.posterior.tolist(), strict=True)
    ]
    assert len(labels) > 900
    assert np.mean([one == other for one, other in labels]) >= 0.98
    assert np.mean(sides) >= 0.97


def test_chargebacks_only_of_frauds_settle_theirs_and_tell_nothing_of_the_others() -> None:
    """In a file as in the stream: 250 chargebacks, sixty single votes, and one who is unsure."""
    said = [Feedback(f"cb{i}", "fraud", "chargeback", "issuer") for i in range(250)]
    said += [
        Feedback(f"t{i}", "fraud" if i % 20 == 0 else "genuine", "investigator", f"inv{i % 5}")
        for i in range(60)
    ]
    said.append(Feedback("quiet", "unsure", "investigator", "inv1"))

    cases, found = at_once(said)
    stream = one_by_one(said)

    status = dict(zip(cases, found.verdicts, strict=True))
    for way in (status, {name: case.status for name, case in stream.items()}):
        assert {way[f"cb{i}"] for i in range(250)} == {"fraud"}
        assert {way[f"t{i}"] for i in range(60)} <= {"open", "genuine"}
        assert way["quiet"] == "open"
    assert found.names == [f"investigator/inv{i}" for i in range(5)], "the issuer is no annotator"
