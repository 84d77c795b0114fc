"""The share of frauds in a selection channel: against a grid, and what it must not learn from."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.consensus.channels import (
    BIN_COUNT,
    BIN_NATS,
    CHANNEL_COUNT_MAX,
    COUNT_MAX,
    WIDTH,
    base_of,
    count_in,
    log_odds_in,
    numbered_channels,
)
from sentinel.core.consensus.counting import count_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.verdict import verdict_of
from sentinel.records import Floats
from sentinel.stored.votes import Case, CaseBatch, FeedbackProgress, Vote

PARAMS = ConsensusParams()
TRUSTED = ("chargeback",)
LIMIT = PARAMS.evidence_max


def totals_of(evidence: list[float], probability: float = math.nan) -> Floats:
    totals = np.zeros(WIDTH)
    for one in evidence:
        count_in(totals, one, probability, 1.0)
    return totals


evidences = st.lists(st.floats(-12, 12), max_size=30)


@given(evidences, st.floats(0.001, 0.999), st.floats(0.1, 50))
def test_the_share_is_the_most_probable_one_of_a_grid(
    evidence: list[float], base: float, strength: float
) -> None:
    """Of the likelihood of all evidence times the prior, over log-odds within the limit."""
    middle = BIN_COUNT // 2
    binned = [min(max(round(one / BIN_NATS), -middle), middle) * BIN_NATS for one in evidence]
    grid = np.linspace(-LIMIT, LIMIT, 4_001)
    share = 1 / (1 + np.exp(-grid))
    likelihood = strength * (base * np.log(share) + (1 - base) * np.log1p(-share))
    for one in binned:
        likelihood += np.log(share * math.exp(one) + 1 - share)

    found = log_odds_in(totals_of(evidence), base, strength, LIMIT)

    at = int(np.argmin(np.abs(grid - found)))
    assert likelihood[at] >= likelihood.max() - 1e-4


@given(evidences)
def test_what_is_taken_out_again_leaves_nothing(evidence: list[float]) -> None:
    totals = totals_of(evidence, 0.25)
    for one in evidence:
        count_in(totals, one, 0.25, -1.0)

    assert not totals.any()


def test_a_channel_forgets_what_it_was_like_long_ago() -> None:
    """Three times what is remembered of frauds, then as much of genuine ones."""
    totals = totals_of([6.0] * 12_000 + [-6.0] * 12_000)

    assert totals[:BIN_COUNT].sum() <= COUNT_MAX
    share = 1 / (1 + math.exp(-log_odds_in(totals, 0.5, 2.0, LIMIT)))
    assert share < 0.1


def test_known_probabilities_say_what_to_expect_and_a_base_rate_where_there_are_none() -> None:
    undecided = [0.0] * 50
    told, plain = totals_of(undecided, 0.3), totals_of(undecided)

    share = [1 / (1 + math.exp(-log_odds_in(t, 0.01, 2.0, LIMIT))) for t in (told, plain)]
    assert share == [pytest.approx(0.29, abs=0.01), pytest.approx(0.01, abs=0.001)]
    assert base_of(None, PARAMS) == 0.5
    assert base_of(0.01, PARAMS) == 0.01


def test_there_is_room_for_so_many_channels_and_what_is_beyond_is_unknown() -> None:
    names = [f"c{i}" for i in range(100)]
    found = numbered_channels(names)

    room = CHANNEL_COUNT_MAX - 5
    assert [found[name] for name in ("", "approve", "review", "block", "explored")] == [*range(5)]
    assert [found[name] for name in names[:room]] == [*range(5, CHANNEL_COUNT_MAX)]
    assert {found[name] for name in names[room:]} == {0}
    again = numbered_channels(["review", "c99"], known=names[:room])
    assert (again["review"], again["c99"]) == (2, 0)


def rows(
    labels: list[tuple[str, str, str]], channel: str = "", first: int = 0
) -> list[tuple[Case, Vote]]:
    """(transaction, who, label), in the order of the log."""
    return [
        (Case(name, 1, {}, channel=channel), Vote(who, label, 0, 1.0, 1 + first + i, first + i))
        for i, (name, who, label) in enumerate(labels)
    ]


def counted(
    votes: list[tuple[Case, Vote]], *, base_rate: float | None = None, size: int = 10_000
) -> CaseBatch:
    known = CaseBatch(FeedbackProgress("log", 0, base_rate=base_rate))
    for begin in range(0, len(votes), size):
        work = count_votes(known, votes[begin : begin + size], TRUSTED, PARAMS).work
        known = CaseBatch(
            work.progress, known.cases | work.cases, known.annotators | work.annotators
        )
    return known


@pytest.mark.parametrize("source", ["chargeback/bank", "customer/eve"])
def test_what_brings_itself_up_says_nothing_of_others_of_its_channel(source: str) -> None:
    burst = rows([(f"b{i}", source, "fraud") for i in range(200)])
    burst += rows([(f"b{i}", "i/ann", "fraud") for i in range(200)], first=200)
    one = rows([("t", "i/zed", "genuine")], first=900)

    behind = counted(burst + one)

    assert behind.progress.channels == counted(one).progress.channels
    assert behind.cases["t"].label != "fraud"


def test_what_was_judged_before_it_was_charged_back_goes_on_counting_by_its_votes() -> None:
    votes = rows([("t", "i/ann", "genuine")])
    behind = counted(votes + rows([("t", "chargeback/bank", "fraud")], first=1))

    assert behind.progress.channels == counted(votes).progress.channels
    assert behind.cases["t"].label == "fraud"
    assert behind.cases["t"].evidence == counted(votes).cases["t"].evidence


def test_one_channel_says_nothing_of_another() -> None:
    checks = rows([(f"t{i}", f"i/{i % 3}", "fraud") for i in range(100)], "alerts")
    one = rows([("x", "i/new", "genuine")], "random_check", first=100)

    found = counted(checks + one, base_rate=0.01)

    assert found.cases["x"].posterior == counted(one, base_rate=0.01).cases["x"].posterior
    assert (found.cases["t99"].posterior or 0) > 0.8


def test_a_base_rate_that_does_not_fit_is_left_again() -> None:
    """Two in three alerts are fraud; the model expects one in a thousand anywhere."""
    rng = np.random.default_rng(5)
    truth = rng.random(400) < 0.67
    right = rng.random((400, 2)) < 0.9
    said = [
        (f"t{i}", f"i/{(i + k) % 5}", "fraud" if truth[i] == right[i, k] else "genuine")
        for i in range(400)
        for k in range(2)
    ]
    found = counted(rows(said), base_rate=0.001)

    posterior = np.array([found.cases[f"t{i}"].posterior for i in range(400)])
    majority = np.array([right[i].sum() for i in range(400)])
    agreed = majority != 1
    assert np.mean((posterior > 0.5)[agreed] == truth[agreed]) > 0.95


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60), st.integers(1, 9))
def test_how_votes_are_batched_changes_no_bit_of_any_channel(
    said: list[tuple[int, int]], size: int
) -> None:
    votes = [
        (replace(case, channel=f"c{channel}"), vote)
        for (channel, _), (case, vote) in zip(
            said,
            rows([(f"t{task}", f"i/{task % 7}", "fraud") for _, task in said]),
            strict=True,
        )
    ]

    whole, pieces = counted(votes, base_rate=0.1), counted(votes, base_rate=0.1, size=size)

    assert whole == pieces


@pytest.mark.parametrize("label", ["unsure", "retracted"])
@pytest.mark.parametrize("base_rate", [0.001, 0.999])
def test_no_prior_makes_a_label_by_itself(label: str, base_rate: float) -> None:
    past = rows([(f"t{i}", "i/ann", "genuine") for i in range(50)])
    found = counted(past + rows([("x", "i/bob", label)], first=50), base_rate=base_rate)

    assert (found.cases["x"].label, found.cases["x"].status) == (None, "open")


def test_no_prior_makes_a_label_against_the_votes() -> None:
    assert verdict_of(0.01, 1.4, 0.0, PARAMS) == "open"
    assert verdict_of(0.99, 0.0, 1.4, PARAMS) == "open"
    assert verdict_of(0.99, 1.4, 0.0, PARAMS) == "fraud"
    assert verdict_of(0.01, 0.0, 1.4, PARAMS) == "genuine"
    assert verdict_of(0.995, math.inf, 9.0, PARAMS) == "fraud"
