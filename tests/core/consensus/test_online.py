"""Votes as they come: close to all at once, and quicker to notice a skill that is lost."""

import numpy as np
import pytest

from sentinel.core.consensus.dawid_skene import fit
from sentinel.core.consensus.online import settle
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.standing import Standing
from sentinel.core.consensus.votes import Votes
from sentinel.records import Floats
from sentinel.simulation.investigators import TEAMS, Cases, cases

NOBODY = Standing(*(np.zeros(30) for _ in range(4)))


def streamed(
    found: Cases, standing: Standing, params: ConsensusParams, rng: np.random.Generator
) -> Floats:
    """Posteriors when the votes come one after the other, in some order, in blocks of 200."""
    votes = found.votes
    order = rng.permutation(len(votes))
    counted = np.full(len(votes), np.nan)
    posterior = np.full(votes.task_count, 0.3)
    has_come = np.zeros(len(votes), dtype=np.bool_)
    for begin in range(0, order.size, 200):
        now = order[begin : begin + 200]
        has_come[now] = True
        is_touched = np.isin(votes.task, votes.task[now])
        at = np.flatnonzero(has_come & is_touched)
        batch = Votes(
            votes.task[at], votes.annotator[at], votes.says_fraud[at], votes.weight[at],
            votes.task_count, votes.annotator_count,
        )  # fmt: skip
        settled = settle(batch, counted[at], standing, float(posterior.mean()), params)
        standing = settled.standing
        counted[at] = settled.posterior[batch.task]
        posterior[batch.task] = settled.posterior[batch.task]
    return posterior


@pytest.mark.parametrize("name", ["honest", "20 % adversarial", "half one-sided"])
def test_a_stream_comes_close_to_all_at_once_in_any_order(name: str) -> None:
    """Stated tolerance: one task in fifty is judged otherwise, when the annotators are known."""
    params = ConsensusParams(half_life_votes=1e6)
    rng = np.random.default_rng(1)
    team = TEAMS[name](30, rng)
    past, present = cases(team, rng), cases(team, rng)
    known = fit(past.votes, params).standing
    at_once = fit(present.votes, params).posterior

    for seed in range(2):
        online = streamed(present, known, params, np.random.default_rng(seed))
        assert np.mean((online > 0.5) != (at_once > 0.5)) <= 0.02
        right, best = (np.mean((p > 0.5) == present.truth) for p in (online, at_once))
        assert right >= best - 0.01


def test_what_is_counted_again_unchanged_changes_nothing() -> None:
    params = ConsensusParams()
    rng = np.random.default_rng(2)
    votes = cases(TEAMS["honest"](30, rng), rng, task_count=50).votes
    first = settle(votes, np.full(len(votes), np.nan), NOBODY, 0.3, params)
    posterior = first.posterior[votes.task]

    again = settle(votes, posterior, first.standing, 0.3, params)

    back = settle(votes, again.posterior[votes.task], again.standing, 0.3, params)
    assert back.standing.seen.sum() == pytest.approx(again.standing.seen.sum(), rel=0.05)
    assert (back.standing.seen + back.standing.missed).sum() + (
        back.standing.cleared + back.standing.accused
    ).sum() == pytest.approx(len(votes)), "each vote counts once"


def after_a_collapse(half_life_votes: float, seed: int) -> tuple[float, float]:
    """Accuracy before and after half of twenty fall from .92 to .55."""
    rng = np.random.default_rng(seed)
    params = ConsensusParams(half_life_votes=half_life_votes)
    standing, fraud, genuine = Standing(*(np.zeros(20) for _ in range(4))), 1.0, 1.0
    right: list[bool] = []
    for block in range(200):
        truth = rng.random(20) < 0.3
        skill = np.full(20, 0.92)
        skill[: 10 if block >= 100 else 0] = 0.55
        task = np.repeat(np.arange(20), 3)
        who = np.concatenate([rng.choice(20, 3, replace=False) for _ in range(20)])
        says = (rng.random(60) < skill[who]) == truth[task]
        votes = Votes.of(task, who, says, task_count=20, annotator_count=20)
        settled = settle(votes, np.full(60, np.nan), standing, fraud / (fraud + genuine), params)
        standing = settled.standing
        fraud += settled.posterior.sum()
        genuine += 20 - settled.posterior.sum()
        right += ((settled.posterior > 0.5) == truth).tolist()
    return float(np.mean(right[:2000])), float(np.mean(right[2200:]))


def test_records_that_fade_notice_a_skill_that_is_lost() -> None:
    fading = np.mean([after_a_collapse(50.0, seed) for seed in range(4)], axis=0)
    lasting = np.mean([after_a_collapse(1e9, seed) for seed in range(4)], axis=0)

    assert fading[1] >= 0.88
    assert fading[1] >= lasting[1] + 0.03
    assert fading[0] >= lasting[0] - 0.005, "and costs next to nothing before"
