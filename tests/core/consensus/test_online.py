"""Votes as they come: close to all at once, and quicker to notice a skill that is lost."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sentinel.core.consensus.batch.dawid_skene import fit
from sentinel.core.consensus.online import Ballots, Settled, settle_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.core.consensus.vote_kernels import SAYS_FRAUD, SAYS_GENUINE, SAYS_NOTHING
from sentinel.records import Floats, Ints
from sentinel.simulation.investigators import TEAMS, Cases, cases, half_collapsing

PARAMS = ConsensusParams()


def nobody(count: int) -> AnnotatorSkills:
    return AnnotatorSkills(*(np.zeros(count) for _ in range(4)))


def new_ballots(task: Ints, annotator: Ints, says_fraud: NDArray[np.bool_]) -> Ballots:
    """Votes that all come now."""
    n = task.size
    return Ballots(
        0, task, annotator, says_fraud.astype(np.int64), np.ones(n), np.zeros(n, np.int64),
        np.full(n, -1), np.zeros(n, np.bool_), np.full(n, np.nan),
    )  # fmt: skip


def streamed(
    found: Cases, skills: AnnotatorSkills, params: ConsensusParams, rng: np.random.Generator
) -> Floats:
    """Posteriors when the votes come one after the other, in some order."""
    votes = found.votes
    order = rng.permutation(len(votes))
    ballots = new_ballots(votes.task[order], votes.annotator[order], votes.says_fraud[order])
    unknown = np.full(votes.task_count, np.nan)
    settled = settle_votes(ballots, unknown, skills, params)
    posterior = unknown.copy()
    posterior[ballots.task] = settled.posterior  # the last of each stays
    return posterior


@pytest.mark.parametrize("name", ["honest", "20 % adversarial", "half one-sided"])
def test_a_stream_comes_close_to_all_at_once_in_any_order(name: str) -> None:
    """Stated tolerance: one task in fifty is judged otherwise, when the annotators are known."""
    params = ConsensusParams(half_life_votes=1e6, fraud_prior=30.0, genuine_prior=70.0)
    rng = np.random.default_rng(1)
    team = TEAMS[name](30, rng)
    past, present = cases(team, rng), cases(team, rng)
    known = fit(past.votes, params).skills
    at_once = fit(present.votes, params).posterior

    for seed in range(2):
        online = streamed(present, known, params, np.random.default_rng(seed))
        assert np.mean((online > 0.5) != (at_once > 0.5)) <= 0.02
        right, best = (np.mean((p > 0.5) == present.truth) for p in (online, at_once))
        assert right >= best - 0.01


Row = tuple[int, int, int, bool, int]  # task, annotator, says, is trusted, time in seconds


def in_one(rows: list[Row], params: ConsensusParams) -> Settled:
    """All rows as new; a second vote of an annotator on a task replaces the first."""
    ballots = ballots_of(rows, in_order(rows), 0, [math.nan] * len(rows))
    return settle_votes(ballots, np.full(4, np.nan), nobody(3), params)


def in_order(rows: list[Row]) -> list[int]:
    """The row that each takes the place of, or -1."""
    last: dict[tuple[int, int], int] = {}
    replaces = []
    for number, (task, annotator, *_) in enumerate(rows):
        replaces.append(last.get((task, annotator), -1))
        last[task, annotator] = number
    return replaces


def ballots_of(rows: list[Row], replaces: list[int], old: int, counted: list[float]) -> Ballots:
    columns = list(zip(*rows, strict=True)) or [()] * 5
    task, annotator, says, trusted, time_s = (np.array(column) for column in columns)
    return Ballots(
        old, task.astype(int), annotator.astype(int), says.astype(int), np.ones(len(rows)),
        1000 * time_s.astype(int), np.array(replaces, dtype=int), trusted.astype(bool),
        np.array(counted, dtype=float),
    )  # fmt: skip


rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from([SAYS_NOTHING, SAYS_GENUINE, SAYS_FRAUD]),
        st.sampled_from([False, False, False, True]),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=14,
)


@given(rows, st.integers(0, 14))
def test_how_votes_are_batched_changes_no_bit(given_rows: list[Row], cut: int) -> None:
    """The first batch as it was stored, and then the second, against both in one."""
    params = ConsensusParams(vote_half_life_s=3.0, half_life_votes=4.0)
    whole = in_one(given_rows, params)
    cut = min(cut, len(given_rows))
    first = in_one(given_rows[:cut], params)
    posterior = np.full(4, np.nan)
    for (task, *_), p in zip(given_rows[:cut], first.posterior, strict=True):
        posterior[task] = p
    last = {(row[0], row[1]): number for number, row in enumerate(given_rows[:cut])}
    kept = sorted(last.values())  # what was replaced is not stored
    stored = [given_rows[number] for number in kept]
    place = {(row[0], row[1]): number for number, row in enumerate(stored)}
    counted = [float(first.counted[number]) for number in kept]
    replaces = [-1] * len(stored)
    for row in given_rows[cut:]:
        replaces.append(place.get((row[0], row[1]), -1))
        place[row[0], row[1]] = len(replaces) - 1

    second = settle_votes(
        ballots_of(
            stored + given_rows[cut:], replaces, len(stored),
            counted + [math.nan] * (len(given_rows) - cut),
        ),
        posterior, first.skills, params, first.long_run, first.selection,
    )  # fmt: skip

    together = np.concatenate([first.posterior, second.posterior])
    assert together.tolist() == whole.posterior.tolist()
    assert second.skills.tp.tolist() == whole.skills.tp.tolist()
    assert second.long_run.columns().tolist() == whole.long_run.columns().tolist()
    assert second.selection.totals.tolist() == whole.selection.totals.tolist()
    assert second.selection.evidence.tobytes() == whole.selection.evidence.tobytes()


@given(rows, st.integers(0, 2**32 - 1))
def test_the_slow_record_weighs_nothing_and_holds_all_of_the_fast_one(
    given_rows: list[Row], seed: int
) -> None:
    params = ConsensusParams(half_life_votes=4.0)
    rng = np.random.default_rng(seed)
    ballots = ballots_of(given_rows, in_order(given_rows), 0, [math.nan] * len(given_rows))
    recent = AnnotatorSkills(*rng.uniform(0, 9, (4, 3)))
    plain, other = (
        settle_votes(ballots, np.full(4, np.nan), recent, params, long_run)
        for long_run in (None, AnnotatorSkills(*rng.uniform(0, 900, (4, 3))))
    )

    assert other.posterior.tolist() == plain.posterior.tolist()
    assert other.counted.tobytes() == plain.counted.tobytes()
    assert other.skills.columns().tolist() == plain.skills.columns().tolist()
    for found in (plain, other):
        assert np.all(found.long_run.columns() >= found.skills.columns())


def test_both_records_fade_at_their_pace() -> None:
    """Against the sum over votes, where each vote is alone on its transaction."""
    params = ConsensusParams(half_life_votes=3.0)
    rng, n = np.random.default_rng(5), 40
    says_fraud = rng.random(n) < 0.4
    found = settle_votes(
        new_ballots(np.arange(n), np.zeros(n, np.int64), says_fraud), np.full(n, np.nan),
        nobody(1), params,
    )  # fmt: skip

    votes_later = np.arange(n)[::-1]
    for record, half_life in ((found.skills, 3.0), (found.long_run, 30.0)):
        left = 0.5 ** (votes_later / half_life)
        p, q = found.posterior * left, (1 - found.posterior) * left
        sums = [p[says_fraud], p[~says_fraud], q[~says_fraud], q[says_fraud]]
        assert record.columns()[0] == pytest.approx([part.sum() for part in sums])


def test_the_newest_word_of_a_trusted_source_settles_it_and_judges_the_others() -> None:
    found = in_one(
        [
            (0, 0, SAYS_GENUINE, False, 0),
            (0, 1, SAYS_FRAUD, True, 5),
            (0, 2, SAYS_GENUINE, True, 3),
        ],
        PARAMS,
    )

    assert found.posterior[0] < 0.5
    assert found.posterior[1:].tolist() == [0.995, 0.995]
    assert found.skills.fn[0] == pytest.approx(0.995)
    assert found.skills.tp.tolist() == [0, 0, 0], "those who are trusted have no record"


def test_a_vote_taken_back_leaves_no_trace_but_its_age() -> None:
    patient = ConsensusParams(half_life_votes=1e12)
    found = in_one([(0, 0, SAYS_FRAUD, False, 0), (0, 0, SAYS_NOTHING, False, 1)], patient)

    assert found.skills.tp[0] == pytest.approx(0.0, abs=1e-9)
    assert found.skills.fp[0] == pytest.approx(0.0, abs=1e-9)


def after_a_collapse(half_life_votes: float, seed: int) -> tuple[float, float]:
    """Accuracy before half of the investigators collapse, and behind the next 200 tasks."""
    shown = half_collapsing(np.random.default_rng(seed))
    votes, n = shown.votes, shown.truth.size
    settled = settle_votes(
        new_ballots(votes.task, votes.annotator, votes.says_fraud), np.full(n, np.nan),
        nobody(20), ConsensusParams(half_life_votes=half_life_votes),
    )  # fmt: skip
    is_right = (settled.posterior[2::3] > 0.5) == shown.truth
    return float(np.mean(is_right[: n // 2])), float(np.mean(is_right[n // 2 + 200 :]))


def test_records_that_fade_notice_a_skill_that_is_lost() -> None:
    fading = np.mean([after_a_collapse(50.0, seed) for seed in range(4)], axis=0)
    lasting = np.mean([after_a_collapse(1e9, seed) for seed in range(4)], axis=0)

    assert fading[1] >= 0.88
    assert fading[1] >= lasting[1] + 0.03
    assert fading[0] >= lasting[0] - 0.005, "and costs next to nothing before"


def test_those_of_one_group_share_one_vote() -> None:
    """Three who copy each other move the posterior as far as one of them alone."""
    three = new_ballots(np.zeros(3, np.int64), np.arange(3), np.ones(3, np.bool_))
    alone = new_ballots(np.zeros(1, np.int64), np.arange(1), np.ones(1, np.bool_))
    unknown = np.array([np.nan])

    together = settle_votes(
        replace(three, group=np.zeros(3, dtype=np.int64)), unknown, nobody(3), PARAMS
    )
    one = settle_votes(alone, unknown, nobody(1), PARAMS)
    each = settle_votes(three, unknown, nobody(3), PARAMS)

    assert together.posterior[0] == one.posterior[0]
    assert together.posterior[-1] == pytest.approx(one.posterior[0], abs=0.02)
    assert each.posterior[-1] > 0.95


def test_a_prior_takes_the_place_of_the_share_of_frauds() -> None:
    ballots = new_ballots(np.arange(2), np.zeros(2, np.int64), np.ones(2, np.bool_))
    prior = np.array([np.nan, np.log(0.01 / 0.99)])

    found = settle_votes(replace(ballots, prior=prior), np.full(2, np.nan), nobody(1), PARAMS)
    plain = settle_votes(ballots, np.full(2, np.nan), nobody(1), PARAMS)

    assert found.posterior[0] == plain.posterior[0]
    assert found.posterior[1] < 0.1 < plain.posterior[1]
