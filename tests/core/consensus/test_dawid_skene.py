"""Consensus of many votes at once, against a plain implementation and public data."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from sentinel.core.consensus.batch.dawid_skene import fit
from sentinel.core.consensus.batch.votes import Votes, numbers_of, temporal_weight
from sentinel.core.consensus.params import ConsensusParams
from sentinel.records import Floats
from sentinel.simulation.investigators import TEAMS, cases

PARAMS = ConsensusParams()
PUBLIC = Path(__file__).parents[4] / "shared" / "data" / "consensus"

Vote = tuple[int, int, bool, float]  # task, annotator, says fraud, weight


def votes_of(votes: list[Vote], task_count: int = 6, annotator_count: int = 4) -> Votes:
    columns = list(zip(*votes, strict=True)) or [(), (), (), ()]
    return Votes.of(
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=np.int64),
        np.array(columns[2], dtype=np.bool_),
        np.array(columns[3], dtype=np.float64),
        task_count=task_count,
        annotator_count=annotator_count,
    )


def slowly(votes: list[Vote], task_count: int, params: ConsensusParams) -> list[float]:
    """The same, one vote at a time, as the paper writes it."""
    posterior = []
    for task in range(task_count):
        weights = [w for t, _, _, w in votes if t == task]
        fraud = [w for t, _, says, w in votes if t == task and says]
        posterior.append(sum(fraud) / sum(weights) if sum(weights) > 0 else 0.5)
    for _ in range(params.iteration_count_max):
        new = one_round(votes, posterior, params)
        moved = max(abs(a - b) for a, b in zip(new, posterior, strict=True))
        posterior = new
        if moved <= params.tolerance:
            break
    return posterior


def one_round(votes: list[Vote], posterior: list[float], params: ConsensusParams) -> list[float]:
    def rate(annotator: int, truth: bool) -> float:
        """How often this annotator is right on transactions of this truth."""
        shares = [
            (w * (posterior[t] if truth else 1 - posterior[t]), says == truth)
            for t, a, says, w in votes
            if a == annotator
        ]
        right = sum(share for share, is_right in shares if is_right)
        total = sum(share for share, _ in shares) + params.right_prior + params.wrong_prior
        return (params.right_prior + right) / total

    fraud, genuine = params.fraud_prior, params.genuine_prior
    judged = [posterior[t] for t in {t for t, *_ in votes}]  # of the others nothing is known
    prevalence = (fraud + sum(judged)) / (fraud + genuine + len(judged))
    prior = math.log(prevalence / (1 - prevalence))
    log_odds = [max(-params.evidence_max, min(params.evidence_max, prior))] * len(posterior)
    for t, a, says, w in votes:
        sensitivity, specificity = rate(a, True), rate(a, False)
        on_fraud = sensitivity if says else 1 - sensitivity
        on_genuine = 1 - specificity if says else specificity
        step = math.log(on_fraud / on_genuine)
        log_odds[t] += w * max(-params.evidence_max, min(params.evidence_max, step))
    return [1 / (1 + math.exp(-x)) for x in log_odds]


vote = st.tuples(
    st.integers(0, 5), st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0])
)


@given(st.lists(vote, max_size=25))
def test_the_posterior_is_that_of_a_plain_implementation(votes: list[Vote]) -> None:
    params = ConsensusParams(evidence_max=1.2)

    found = fit(votes_of(votes), params).posterior

    assert found.tolist() == pytest.approx(slowly(votes, 6, params), abs=1e-9)


@given(st.lists(vote, max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_the_votes_changes_no_bit(votes: list[Vote], random: object) -> None:
    shuffled = list(votes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis hands out a Random

    first, second = (fit(votes_of(v), PARAMS) for v in (votes, shuffled))

    assert first.posterior.tolist() == second.posterior.tolist()
    assert first.skills.tp.tolist() == second.skills.tp.tolist()


def test_tasks_without_votes_have_the_prior() -> None:
    found = fit(votes_of([(0, 0, True, 1.0), (0, 1, True, 1.0)]), PARAMS)

    assert found.posterior[0] > 0.9
    assert found.posterior[1:] == pytest.approx(expit(found.prior[0]))


def test_known_tasks_keep_their_value_and_judge_the_annotators() -> None:
    """A chargeback says what was true: who contradicts it is believed less, and the contrary."""
    votes = [(task, 0, True, 1.0) for task in range(5)]
    votes += [(task, 1, False, 1.0) for task in range(6)]
    known = np.array([1.0, 1.0, 1.0, 1.0, math.nan, math.nan])

    found = fit(votes_of(votes), PARAMS, known)

    assert found.posterior[:4].tolist() == [1.0] * 4
    assert found.posterior[4] > fit(votes_of(votes), PARAMS).posterior[4] + 0.2
    sensitivity = found.skills.sensitivity(PARAMS)
    assert sensitivity[0] > 0.85
    assert sensitivity[1] < 0.5


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Over 200 annotators, with known truth, so that nothing else is unsure."""
    rng = np.random.default_rng(3)
    true_rate = rng.beta(PARAMS.right_prior, PARAMS.wrong_prior, 200)
    truth = rng.random(400) < 0.5
    task, annotator = (axis.ravel() for axis in np.indices((400, 200)))
    shown = rng.random(task.size) < 0.1
    task, annotator = task[shown], annotator[shown]
    is_right = rng.random(task.size) < true_rate[annotator]
    votes = Votes.of(task, annotator, is_right == truth[task], task_count=400, annotator_count=200)

    skills = fit(votes, PARAMS, truth.astype(float)).skills

    for low, high in (skills.sensitivity_interval(PARAMS), skills.specificity_interval(PARAMS)):
        share = np.mean((low <= true_rate) & (true_rate <= high))
        assert share == pytest.approx(0.95, abs=0.04)


def test_no_annotator_moves_the_odds_further_than_allowed() -> None:
    rng = np.random.default_rng(5)
    found = cases(TEAMS["honest"](30, rng), rng, task_count=3_000)
    params = ConsensusParams(evidence_max=1.0)

    evidence = fit(found.votes, params).skills.evidence(params)

    assert np.abs(evidence).max() == 1.0


def log_loss(posterior: Floats, truth: Floats) -> float:
    p = np.clip(np.where(truth == 1, posterior, 1 - posterior), 1e-12, 1)
    return float(-np.log(p).mean())


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public data sets are not here")
@pytest.mark.parametrize(("name", "accuracy_min"), [("rte", 0.9225), ("sentiment", 0.955)])
def test_public_crowds_are_judged_as_well_as_published(name: str, accuracy_min: float) -> None:
    """Accuracy of crowd-kit's Dawid–Skene: .9275 on rte, .960 on sentiment."""
    table = pl.read_csv(PUBLIC / f"{name}_votes.csv.gz").cast(
        {"task": pl.String, "worker": pl.String}
    )
    truth = pl.read_csv(PUBLIC / f"{name}_truth.csv.gz")
    tasks, task = numbers_of(table["task"].to_list())
    workers, worker = numbers_of(table["worker"].to_list())
    votes = Votes.of(
        task,
        worker,
        table["label"].to_numpy() == 1,
        task_count=len(tasks),
        annotator_count=len(workers),
    )
    by_name = dict(zip(truth["task"].cast(pl.String), truth["truth"], strict=True))
    expected = np.array([by_name[name] for name in tasks])

    found = fit(votes, PARAMS).posterior

    assert np.mean((found > 0.5) == expected) >= accuracy_min
    assert log_loss(found, expected) < 0.4


@pytest.mark.parametrize(
    ("name", "accuracy_min"),
    [
        ("honest", 0.95),
        ("20 % adversarial", 0.95),
        ("40 % spam", 0.90),
        ("half one-sided", 0.90),
        ("ring of six clears", 0.93),
        ("six copy one", 0.94),
    ],
)
def test_difficult_teams_are_seen_through(name: str, accuracy_min: float) -> None:
    accuracies = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        found = cases(TEAMS[name](30, rng), rng)
        accuracies.append(np.mean((fit(found.votes, PARAMS).posterior > 0.5) == found.truth))

    assert np.mean(accuracies) >= accuracy_min


def test_votes_fade_by_half_in_their_half_life() -> None:
    assert temporal_weight(np.array([-5.0, 0.0, 10.0, 20.0]), 10.0).tolist() == [1, 1, 0.5, 0.25]
    assert temporal_weight(np.array([1e9]), 0.0).tolist() == [1]
