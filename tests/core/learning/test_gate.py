"""Each reason to refuse alone, what is too little, and how often luck is promoted."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy.special import expit, logit

from sentinel.core.learning.calibration import fit_calibration
from sentinel.core.learning.gate import checks
from sentinel.core.learning.gate.checks import Check, holm
from sentinel.core.learning.gate.delong import compare_auc
from sentinel.core.learning.gate.evidence import Bools, Evidence
from sentinel.core.learning.gate.judging import GateParams, Verdict, judge, judge_recalibration
from sentinel.records import Floats
from tests.core.learning.pairs import binormal, evidence

PARAMS = GateParams(replicate_count=200, review_capacity=20)
COUNT = 10_000


@pytest.fixture(scope="module")
def better() -> Evidence:
    """A challenger that is better beyond doubt, and about which nothing is wrong."""
    scores = binormal(default_rng(13), COUNT, fraud_share=0.04, challenger_auc=0.95)
    old = binormal(default_rng(4), COUNT, fraud_share=0.04, challenger_auc=0.91)
    return evidence(scores, old)


def named(verdict: Verdict, name: str) -> Check:
    [check] = [check for check in verdict.checks if check.name == name]
    return check


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if check.status == "failed"]


def first(count: int) -> Any:
    return np.arange(COUNT) < count


def test_one_that_is_better_and_has_no_fault_is_promoted(better: Evidence) -> None:
    verdict = judge(better, PARAMS)

    assert verdict.outcome == "promote"
    assert {check.status for check in verdict.checks} == {"passed"}
    assert [check.name for check in verdict.checks] == [
        "selective_labels",
        "latency",
        "examples",
        "frauds",
        "flipped_decisions",
        "improvement",
        "auc",
        "average_precision",
        "money_minor",
        "calibration_mean",
        "calibration_error",
        "old_auc",
        "old_average_precision",
        "segment all",
    ]


def test_the_same_evidence_has_the_same_verdict(better: Evidence) -> None:
    assert judge(better, PARAMS) == judge(better, PARAMS)


def test_one_that_is_the_same_is_refused_for_want_of_an_improvement(better: Evidence) -> None:
    scores = replace(better.recent, challenger=better.recent.champion)

    verdict = judge(evidence(scores), PARAMS)

    assert verdict.outcome == "refuse"
    assert failed(verdict) == ["improvement"]
    assert "neither auc nor average_precision" in named(verdict, "improvement").sentence


def test_one_that_is_worse_is_refused_for_all_that_is_worse(better: Evidence) -> None:
    scores = better.recent
    swapped = replace(scores, champion=scores.challenger, challenger=scores.champion)

    verdict = judge(evidence(swapped), PARAMS)

    assert verdict.outcome == "refuse"
    assert failed(verdict) == [
        "improvement",
        "auc",
        "average_precision",
        "money_minor",
        "old_auc",
        "old_average_precision",
        "segment all",
    ]


def test_more_money_lost_is_a_reason_whatever_the_ranking(better: Evidence) -> None:
    """What only the champion has among its first of the day are the large ones."""
    scores = better.recent

    def first_of_day(score: Floats) -> Bools:
        ahead = [
            np.sum((scores.days == d) & (score > s))
            for d, s in zip(scores.days, score, strict=True)
        ]
        return np.array(ahead) < PARAMS.review_capacity

    is_lost = first_of_day(scores.champion) & ~first_of_day(scores.challenger)
    amounts = np.where(is_lost, 1_000_000, 100)

    verdict = judge(evidence(replace(scores, amounts_minor=amounts), better.old), PARAMS)

    assert failed(verdict) == ["money_minor"]
    assert " -" in named(verdict, "money_minor").sentence


@pytest.mark.parametrize(("shift", "says"), [(0.5, "over"), (-0.5, "under")])
def test_a_mean_probability_beside_the_prevalence_is_refused(
    better: Evidence, shift: float, says: str
) -> None:
    shifted = expit(better.recent.challenger + shift)

    verdict = judge(replace(better, challenger_probability=shifted), PARAMS)

    check = named(verdict, "calibration_mean")
    assert verdict.outcome == "refuse"
    assert failed(verdict) == ["calibration_mean"]
    assert check.measured is not None
    assert check.interval is not None
    assert check.interval[0] < check.measured < check.interval[1]
    assert (check.measured > 1.1) == (says == "over")


def test_a_mean_that_is_out_by_what_chance_may_do_waits_for_more(better: Evidence) -> None:
    rows = first(4000)
    few = better.where(rows)
    ratio = few.challenger_probability.mean() / few.recent.labels.mean()
    out = few.challenger_probability * (1.13 / ratio)

    verdict = judge(replace(few, challenger_probability=np.clip(out, 0, 1)), PARAMS)

    assert named(verdict, "calibration_mean").status == "too_little"
    assert verdict.outcome == "not_yet"


def test_a_right_mean_of_wrong_probabilities_is_refused(better: Evidence) -> None:
    flattened = expit(logit(better.challenger_probability) / 2 - 1)
    flattened *= better.recent.labels.mean() / flattened.mean()

    verdict = judge(replace(better, challenger_probability=np.clip(flattened, 0, 1)), PARAMS)

    assert verdict.outcome == "refuse"
    assert failed(verdict) == ["calibration_error"]
    assert named(verdict, "calibration_mean").measured == pytest.approx(1.0)


def test_what_was_learnt_long_ago_must_not_be_forgotten(better: Evidence) -> None:
    forgotten = binormal(default_rng(4), COUNT, fraud_share=0.04, challenger_auc=0.85)

    verdict = judge(replace(better, old=forgotten), PARAMS)

    assert verdict.outcome == "refuse"
    assert failed(verdict) == ["old_auc", "old_average_precision"]


def test_without_old_frauds_it_waits(better: Evidence) -> None:
    assert better.old is not None
    few = better.old.where(first(500))

    for old in (None, few):
        verdict = judge(replace(better, old=old), PARAMS)
        assert verdict.outcome == "not_yet"
        assert named(verdict, "old").status == "too_little"


def test_an_interval_that_reaches_beyond_the_margin_waits(better: Evidence) -> None:
    a_little_worse = binormal(default_rng(6), 4000, fraud_share=0.04, challenger_auc=0.89)
    auc = compare_auc(a_little_worse)
    assert auc is not None
    margin = auc.standard_error - auc.difference
    assert margin > 0

    verdict = judge(
        replace(better, old=a_little_worse),
        replace(PARAMS, old_auc_margin=margin, old_precision_margin=1.0),
    )

    check = named(verdict, "old_auc")
    assert check.status == "too_little"
    assert check.interval is not None
    assert check.interval[0] < -margin < check.interval[1]
    assert verdict.outcome == "not_yet"


def test_one_segment_may_not_pay_for_the_others(better: Evidence) -> None:
    segments = np.where(np.arange(COUNT) % 4 == 0, 1, 0)
    challenger = better.recent.challenger.copy()
    paying = (segments == 1) & (better.recent.labels == 1)
    challenger[paying] -= 2.4

    verdict = judge(
        replace(
            better,
            recent=replace(better.recent, challenger=challenger),
            segments=segments,
            segment_names=("cards", "wires"),
        ),
        PARAMS,
    )

    assert verdict.outcome == "refuse"
    assert failed(verdict) == ["segment wires"]


def test_segments_with_few_frauds_are_named_and_do_not_hold_it_up(better: Evidence) -> None:
    segments = np.zeros(COUNT, dtype=np.int64)
    segments[:500] = 1
    segments[500:510] = 2

    verdict = judge(
        replace(better, segments=segments, segment_names=("cards", "wires", "cheques", "none")),
        PARAMS,
    )

    assert verdict.outcome == "promote"
    assert named(verdict, "segment cards").status == "passed"
    assert named(verdict, "segments").sentence.endswith("wires, cheques, none")
    assert not named(verdict, "segments").is_required


def test_too_many_other_decisions_are_refused(better: Evidence) -> None:
    other = better.challenger_actions.copy()
    other[:600] = (other[:600] + 1) % 3

    verdict = judge(replace(better, challenger_actions=other), PARAMS)

    assert failed(verdict) == ["flipped_decisions"]
    assert named(verdict, "flipped_decisions").measured == 0.06


def test_a_slow_one_is_refused(better: Evidence) -> None:
    verdict = judge(replace(better, latency_ratio=1.6), PARAMS)

    assert verdict.outcome == "refuse"
    assert failed(verdict) == ["latency"]
    assert judge(replace(better, latency_ratio=1.5), PARAMS).outcome == "promote"


def test_labels_that_came_for_an_unknown_reason_are_no_evidence(better: Evidence) -> None:
    flagged = np.flatnonzero(better.is_flagged)
    selective = np.zeros(COUNT, dtype=bool)
    selective[flagged[: flagged.size // 5]] = True

    verdict = judge(replace(better, is_selective=selective), PARAMS)

    check = named(verdict, "selective_labels")
    assert verdict.outcome == "refuse"
    assert failed(verdict) == ["selective_labels"]
    assert check.measured == pytest.approx(0.2, abs=0.01)
    assert "reason that nobody knows the chance of" in check.sentence


def test_where_explored_ones_stand_for_them_selective_labels_are_left_out(
    better: Evidence,
) -> None:
    """They would turn the verdict: the challenger has them all wrong."""
    flagged = default_rng(2).permutation(np.flatnonzero(better.is_flagged))
    selective, explored = np.zeros(COUNT, dtype=bool), np.zeros(COUNT, dtype=bool)
    explored[flagged[:50]] = True
    selective[flagged[50:200]] = True
    challenger = better.recent.challenger.copy()
    challenger[selective] = np.where(better.recent.labels[selective] == 1, -20.0, 20.0)
    misled = replace(
        better,
        recent=replace(better.recent, challenger=challenger, weights=np.where(explored, 4.0, 1.0)),
        is_selective=selective,
        is_explored=explored,
    )

    verdict = judge(misled, PARAMS)

    assert verdict.outcome == "promote"
    assert named(verdict, "examples").measured == COUNT - 150
    assert judge(misled, replace(PARAMS, explored_count_min=51)).outcome == "refuse"


def test_with_few_examples_nothing_is_tested_and_it_waits(better: Evidence) -> None:
    for count, lacking in ((1999, ["examples"]), (1000, ["examples", "frauds"])):
        verdict = judge(better.where(first(count)), PARAMS)

        assert verdict.outcome == "not_yet"
        assert [c.name for c in verdict.checks if c.status == "too_little"] == lacking
        assert len(verdict.checks) == 4


def test_many_frauds_of_few_accounts_are_few(better: Evidence) -> None:
    scores = replace(better.recent, groups=np.arange(COUNT) // 150)

    verdict = judge(replace(better, recent=scores), PARAMS)

    assert verdict.outcome == "not_yet"
    assert named(verdict, "frauds").measured == 67


def test_what_can_be_refused_without_a_test_is_refused_at_once(better: Evidence) -> None:
    verdict = judge(replace(better.where(first(100)), latency_ratio=9.0), PARAMS)

    assert verdict.outcome == "refuse"


def test_weights_decide_what_counts(better: Evidence) -> None:
    """The challenger is better on one half only; all hangs on which one stands for more."""
    half = np.arange(COUNT) % 2 == 0
    challenger = np.where(half, better.recent.challenger, better.recent.champion)
    challenger -= np.where(~half & (better.recent.labels == 1), 1.5, 0.0)
    scores = replace(better.recent, challenger=challenger)

    def difference(weights: Any) -> float:
        verdict = judge(evidence(replace(scores, weights=weights), better.old), PARAMS)
        measured = named(verdict, "auc").measured
        assert measured is not None
        return measured

    assert difference(np.where(half, 9.0, 1.0)) > 0 > difference(np.where(half, 1.0, 9.0))


@pytest.mark.parametrize("rows_a_group", [1, 4])
def test_luck_is_promoted_at_most_as_often_as_is_said(rows_a_group: int) -> None:
    """Of 200 that are no better: 7 % and two standard errors, that is 10.6 %."""
    rng = default_rng(31)
    params = replace(PARAMS, replicate_count=100, review_capacity=5)

    outcomes = [
        judge(
            evidence(binormal(rng, 2500, fraud_share=0.06, rows_a_group=rows_a_group)), params
        ).outcome
        for _ in range(200)
    ]

    assert outcomes.count("promote") <= 21


@pytest.mark.parametrize("rows_a_group", [1, 10])
def test_the_interval_of_the_mean_ratio_is_as_wide_as_it_varies(rows_a_group: int) -> None:
    rng = default_rng(17)
    found = []
    for _ in range(300):
        scores = binormal(rng, 2000, fraud_share=0.1, rows_a_group=rows_a_group)
        scores = replace(scores, weights=np.where(rng.random(2000) < 0.3, 5.0, 1.0))
        found.append(checks.mean_ratio(expit(scores.challenger), scores, (0.9, 1.1), 0.05))

    reach = [(c.interval[1] - c.interval[0]) / 2 for c in found if c.interval is not None]
    spread = np.std([check.measured for check in found if check.measured is not None])
    assert len(reach) == 300
    assert np.mean(reach) / 1.645 == pytest.approx(spread, rel=0.15)


def slow_holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Reject the smallest while it is below level / how many are left."""
    rejected = [False] * len(p_values)
    for left, i in zip(
        range(len(p_values), 0, -1),
        sorted(range(len(p_values)), key=lambda i: p_values[i]),
        strict=True,
    ):
        if left * p_values[i] > level:
            break
        rejected[i] = True
    return rejected


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=6), level=st.floats(0.001, 0.5))
def test_holm_rejects_step_by_step(p_values: list[float], level: float) -> None:
    assert [p <= level for p in holm(p_values)] == slow_holm(p_values, level)


def test_holms_adjusted_values_are_the_known_ones() -> None:
    """As R's p.adjust gives them."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_limit_itself_is_allowed() -> None:
    assert checks.within("x", 0.5, 0.5, "").status == "passed"
    assert checks.within("x", 0.5000001, 0.5, "").status == "failed"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"level": 0.0}, "level must be"),
        ({"level": 0.5}, "level must be"),
        ({"mean_ratio_min": 1.0}, "mean_ratio_min < 1"),
        ({"mean_ratio_max": 1.0}, "1 < mean_ratio_max"),
        ({"example_count_min": 0}, "example_count_min must be"),
        ({"fraud_count_min": 1}, "fraud_count_min must be"),
        ({"segment_fraud_count_min": 1}, "segment_fraud_count_min must be"),
        ({"old_auc_margin": -0.1}, "old_auc_margin must be"),
        ({"old_precision_margin": 1.1}, "old_precision_margin must be"),
        ({"segment_auc_margin": float("nan")}, "segment_auc_margin must be"),
        ({"flipped_share_max": 2.0}, "flipped_share_max must be"),
        ({"selective_share_max": -1.0}, "selective_share_max must be"),
        ({"latency_ratio_max": 0.0}, "latency_ratio_max must be"),
        ({"calibration_error_max": float("inf")}, "calibration_error_max must be"),
        ({"explored_count_min": 0}, "explored_count_min must be"),
        ({"review_capacity": 0}, "review_capacity must be"),
        ({"replicate_count": 99}, "replicate_count must be"),
        ({"replicate_count": 100, "level": 0.01}, "cannot show a level"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_a_gate_that_could_not_judge_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GateParams(**changed)


def test_every_parameter_is_described() -> None:
    assert GateParams.__doc__ is not None
    assert all(field.name in GateParams.__doc__ for field in fields(GateParams))


def recalibrated(seed: int, *, shift: float = 0.0, fraud_share: float = 0.04) -> Verdict:
    """On a champion whose log-odds are out by `shift`, calibrated anew on as many others."""
    scores = binormal(default_rng(seed), COUNT, fraud_share=fraud_share)
    others = binormal(default_rng([seed, 1]), COUNT, fraud_share=fraud_share)
    calibration = fit_calibration(others.champion + shift, others.labels)
    same = evidence(replace(scores, challenger=scores.champion))
    anew = calibration.probability(scores.champion + shift)
    champion = expit(scores.champion + shift)
    return judge_recalibration(replace(same, challenger_probability=anew), champion, PARAMS)


@pytest.mark.parametrize("fraud_share", [0.015, 0.04])
def test_a_champion_whose_probabilities_are_right_is_left_alone(fraud_share: float) -> None:
    verdicts = [recalibrated(seed, fraud_share=fraud_share) for seed in range(100)]

    assert sum(verdict.outcome == "promote" for verdict in verdicts) <= 5
    assert "not shown to be out" in named(verdicts[0], "repair").sentence


@pytest.mark.parametrize("shift", [-0.7, 0.7])
def test_a_champion_whose_probabilities_are_out_is_put_right(shift: float) -> None:
    verdicts = [recalibrated(seed, shift=shift) for seed in range(20)]

    assert sum(verdict.outcome == "promote" for verdict in verdicts) >= 14
    assert not any("repair" in failed(verdict) for verdict in verdicts)
    assert [check.name for check in verdicts[0].checks] == [
        "selective_labels",
        "examples",
        "frauds",
        "repair",
        "calibration_mean",
        "calibration_error",
    ]


def test_a_recalibration_that_is_out_itself_mends_nothing(better: Evidence) -> None:
    low, high = (expit(better.recent.champion + shift) for shift in (-1.0, 1.0))

    verdict = judge_recalibration(replace(better, challenger_probability=low), high, PARAMS)

    assert verdict.outcome == "refuse"
    assert named(verdict, "repair").status == "passed"
    assert "calibration_mean" in failed(verdict)


def test_of_too_few_frauds_no_recalibration_is_judged(better: Evidence) -> None:
    few = better.where(first(1_000))
    probability = few.challenger_probability

    verdict = judge_recalibration(few, np.minimum(2 * probability, 1.0), PARAMS)

    assert verdict.outcome == "not_yet"
    assert named(verdict, "frauds").status == "too_little"


def test_selective_labels_do_not_tell_how_a_recalibration_fits(better: Evidence) -> None:
    """Where explored ones stand for them they are left out, of the champion's share, too."""
    is_fraud = better.recent.labels == 1
    is_selective = is_fraud & (np.arange(COUNT) % 2 == 0)
    is_explored = ~is_selective & first(100)
    told = replace(better, is_selective=is_selective, is_explored=is_explored)
    odds = expit(better.recent.challenger - np.log(2))  # right without them
    twice = replace(told, challenger_probability=odds)

    verdict = judge_recalibration(twice, better.challenger_probability, PARAMS)

    assert verdict.outcome == "promote"
    assert named(verdict, "frauds").measured == np.count_nonzero(is_fraud & ~is_selective)
    unexplored = replace(twice, is_explored=np.zeros(COUNT, dtype=bool))
    refused = judge_recalibration(unexplored, better.challenger_probability, PARAMS)
    assert "selective_labels" in failed(refused)
