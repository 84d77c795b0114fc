"""Candidates from examples: what they are trained on, what they say, and when there is none."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.random import default_rng
from scipy.special import expit

from sentinel.core.features.hashing import hash64
from sentinel.core.forest.text import read_sections
from sentinel.core.learning.evaluation import average_precision
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.training_data.examples import Examples
from sentinel.core.learning.training_data.memory import Memory, MemoryParams, empty_memory
from sentinel.core.learning.training_data.replay import ReplayParams
from sentinel.core.learning.training_data.selection import SelectionParams, Unfit
from sentinel.errors import ModelError
from sentinel.learner.candidates import (
    Candidate,
    CandidateParams,
    CapReached,
    aggregate,
    continue_boosting,
    recalibrate,
    retrain,
)
from sentinel.model import Model
from sentinel.records import Floats

NAMES = ("amount", "count_1h", "known_frauds", "age_ms")
OLD, NEW = 0, 1  # the column that tells frauds, before and after the world has changed
PARAMS = CandidateParams(
    selection=SelectionParams(calibration_share=0.25),
    fit=FitParams(tree_count=20, leaf_count_max=8, learning_rate=0.1),
    tree_count_per_update=10,
    tree_count_max=50,
)


def examples(count: int, *, first: int = 0, signal: int = OLD, seed: int = 1) -> Examples:
    """One transaction a second, of which about a tenth is fraud."""
    rng = default_rng([seed, first, signal])
    features = rng.normal(size=(count, len(NAMES)))
    features[rng.random(features.shape) < 0.02] = np.nan
    is_fraud = rng.random(count) < expit(2.0 * np.nan_to_num(features[:, signal]) - 3.4)
    places = np.arange(first, first + count, dtype=np.int64)
    return Examples(
        features=features,
        id_hash=hash64([f"T{place}" for place in places]),
        version=places,
        event_time_ms=places * 1_000,
        stratum=places % 2,
        is_fraud=is_fraud,
        posterior=np.where(is_fraud, 0.95, 0.01),
        weight=np.ones(count),
        is_presumed=~is_fraud,
    )


def memory_of(*parts: Examples) -> Memory:
    found = empty_memory(MemoryParams(row_count_max=4_000, stratum_count=2), feature_count=4)
    for part in parts:
        found = found.with_examples(part)
    return found


def made(found: Candidate | Unfit | CapReached) -> Candidate:
    assert isinstance(found, Candidate), found
    return found


@cache
def parent() -> Candidate:
    return made(retrain(examples(6_000), NAMES, PARAMS))


def raw(candidate: Candidate, features: Floats) -> Floats:
    return Model.from_text("v", candidate.text).raw_scores(features)


def probability(candidate: Candidate, rows: Examples) -> Floats:
    return candidate.calibration.probability(raw(candidate, rows.features))


def precision(candidate: Candidate, rows: Examples) -> float:
    found = average_precision(raw(candidate, rows.features), rows.is_fraud.astype(np.int64))
    assert found is not None
    return found


WAYS: dict[str, Callable[[CandidateParams], Candidate | Unfit | CapReached]] = {
    "recalibrate": lambda params: recalibrate(
        parent().text, examples(2_000, first=6_000), params, trained_until_ms=0
    ),
    "continue": lambda params: continue_boosting(
        parent().text, memory_of(examples(6_000)), examples(4_000, first=6_000), params, draw=3
    ),
    "retrain": lambda params: retrain(
        examples(4_000, first=6_000), NAMES, params, memory=memory_of(examples(6_000)), draw=3
    ),
    "aggregate": lambda params: aggregate(
        parent(),
        made(retrain(examples(4_000, first=2_000), NAMES, params)),
        examples(6_000, first=3_000),
        params,
    ),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@every_way
def test_the_same_arguments_give_the_same_candidate(
    way: Callable[[CandidateParams], Candidate],
) -> None:
    assert made(way(PARAMS)) == made(way(PARAMS))


@every_way
def test_probabilities_fit_what_no_tree_has_seen(
    way: Callable[[CandidateParams], Candidate],
) -> None:
    later = examples(20_000, first=50_000)

    found = probability(made(way(PARAMS)), later)

    # A fraud counts for 0.95 of one and a genuine row for 0.99.
    assert found.mean() / later.is_fraud.mean() == pytest.approx(0.95 / 0.99, abs=0.15)


@pytest.mark.parametrize("way", ["continue", "retrain"])
def test_with_fewer_genuine_rows_the_raw_scores_mean_the_same(way: str) -> None:
    """Log-odds of the whole population, before any calibration, whatever share was kept."""
    later = examples(20_000, first=50_000)
    few = replace(PARAMS, selection=replace(PARAMS.selection, genuine_per_fraud=2.0))

    candidate = made(WAYS[way](few))

    assert candidate.kept_share < 0.6
    assert candidate.row_count == pytest.approx(3 * candidate.fraud_count, rel=0.05)
    assert candidate.row_count < 0.7 * made(WAYS[way](PARAMS)).row_count
    assert expit(raw(candidate, later.features)).mean() == pytest.approx(
        later.is_fraud.mean(), rel=0.15
    )


def test_a_recalibration_leaves_the_trees_and_follows_the_rate_of_frauds() -> None:
    rare = examples(8_000, first=6_000)
    rare = rare.take(~rare.is_fraud | (rare.version % 4 == 0))

    found = made(recalibrate(parent().text, rare, PARAMS, trained_until_ms=6_000_000))

    assert found.text == parent().text
    assert found.row_count == found.fraud_count == found.replayed_count == 0
    assert found.calibration_row_count == len(rare)
    before, after = (probability(one, rare).mean() for one in (parent(), found))
    assert after < 0.4 * before
    assert after == pytest.approx(rare.is_fraud.mean(), rel=0.1)


def test_nothing_calibrates_that_a_tree_may_have_seen() -> None:
    rows = examples(6_000)
    until_ms = parent().trained_until_ms

    found = made(recalibrate(parent().text, rows, PARAMS, trained_until_ms=until_ms))

    assert until_ms == 4_500_000
    assert found.calibration_row_count == parent().calibration_row_count == 1_500
    assert found.calibration == parent().calibration
    assert parent().row_count == 4_500


def test_weights_and_certainty_count_in_calibrating() -> None:
    rows = examples(6_000)
    doubled = replace(rows, weight=np.where(rows.is_fraud, 2.0, 1.0))

    one, two = (
        made(recalibrate(parent().text, some, PARAMS, trained_until_ms=0))
        for some in (rows, doubled)
    )

    assert two.calibration.intercept - one.calibration.intercept == pytest.approx(
        np.log(2), abs=0.15
    )


def test_a_continuation_adds_trees_to_its_parent_and_leaves_those_as_they_are() -> None:
    found = made(WAYS["continue"](PARAMS))

    before, after = (read_sections(text).trees for text in (parent().text, found.text))
    assert after[: len(before)] == before
    assert found.tree_count == len(after) == parent().tree_count + 10
    assert found.trained_until_ms == 9_000_000
    assert found.replayed_count > 0
    assert found.row_count == 3_000 + found.replayed_count


def test_a_continuation_learns_what_is_new_and_forgets_less_with_a_memory() -> None:
    new = examples(4_000, first=6_000, signal=NEW)
    later_old, later_new = (examples(4_000, first=50_000, signal=signal) for signal in (OLD, NEW))
    memory = memory_of(examples(6_000), new)
    alone = replace(PARAMS, selection=replace(PARAMS.selection, replay_ratio_max=0.0))

    with_memory = made(continue_boosting(parent().text, memory, new, PARAMS, draw=1))
    without = made(continue_boosting(parent().text, memory, new, alone, draw=1))

    assert without.replayed_count == 0
    assert precision(with_memory, later_new) > precision(parent(), later_new) + 0.05
    assert precision(with_memory, later_old) > precision(without, later_old) + 0.01


def test_another_draw_replays_other_rows() -> None:
    memory, new = memory_of(examples(6_000)), examples(4_000, first=6_000)

    one, two = (continue_boosting(parent().text, memory, new, PARAMS, draw=d) for d in (1, 2))

    assert made(one).text != made(two).text


def test_past_the_cap_the_answer_is_that_it_is_time_to_retrain() -> None:
    candidate: Candidate | Unfit | CapReached = parent()
    for draw in range(3):
        new = examples(2_000, first=6_000 + 2_000 * draw)
        candidate = continue_boosting(
            made(candidate).text, memory_of(examples(6_000)), new, PARAMS, draw=draw
        )
    assert made(candidate).tree_count == 50

    after = continue_boosting(made(candidate).text, memory_of(), new, PARAMS, draw=9)

    assert after == CapReached(tree_count=60, tree_count_max=50)


def test_a_retraining_sees_the_newest_of_a_window_and_its_raw_scores_do_not_depend_on_order() -> (
    None
):
    rows = examples(6_000)
    params = replace(PARAMS, selection=replace(PARAMS.selection, window_row_count=2_000))

    found = made(retrain(rows, NAMES, params))
    shuffled = made(retrain(rows.take(default_rng(1).permutation(6_000)), NAMES, params))

    assert found.row_count == 1_500
    assert found.trained_until_ms == 5_500_000
    assert found == shuffled
    assert found.tree_count == 20


def test_an_aggregate_is_the_weighted_mean_of_both_classifiers() -> None:
    one, other = parent(), made(retrain(examples(6_000, signal=NEW), NAMES, PARAMS))
    later = examples(3_000, first=6_000)

    found = made(aggregate(one, other, later, replace(PARAMS, feedback_share=0.3)))

    x = later.features
    assert np.allclose(raw(found, x), 0.3 * raw(one, x) + 0.7 * raw(other, x), rtol=0, atol=1e-12)
    assert found.tree_count == 40
    assert found.calibration_row_count == 3_000


def test_an_aggregate_calibrates_on_what_neither_has_seen() -> None:
    early, late = parent(), made(retrain(examples(8_000), NAMES, PARAMS))

    for pair in ((early, late), (late, early)):
        found = made(aggregate(*pair, examples(8_000), PARAMS))

        assert found.trained_until_ms == late.trained_until_ms == 6_000_000
        assert found.calibration_row_count == 2_000


def with_labels(rows: Examples, is_fraud: bool) -> Examples:
    labels = np.full(len(rows), is_fraud)
    return replace(rows, is_fraud=labels, posterior=labels * 1.0)


@pytest.mark.parametrize(
    "rows",
    [
        examples(0),
        examples(50),
        with_labels(examples(4_000), is_fraud=False),
        with_labels(examples(4_000), is_fraud=True),
        replace(examples(4_000), weight=np.zeros(4_000)),
    ],
    ids=["none", "few", "no fraud", "nothing genuine", "all withdrawn"],
)
def test_too_few_examples_are_a_value(rows: Examples) -> None:
    text = parent().text

    found = (
        recalibrate(text, rows, PARAMS, trained_until_ms=0),
        continue_boosting(text, memory_of(), rows, PARAMS, draw=0),
        retrain(rows, NAMES, PARAMS),
        aggregate(parent(), parent(), rows, PARAMS),
    )

    assert all(isinstance(one, Unfit) and one.reason for one in found)


def test_a_damaged_parent_is_a_model_error() -> None:
    text = parent().text[:5_000]

    with pytest.raises(ModelError):
        continue_boosting(text, memory_of(), examples(4_000), PARAMS, draw=0)
    with pytest.raises(ModelError):
        recalibrate(text, examples(4_000), PARAMS, trained_until_ms=0)


def test_what_goes_to_a_worker_process_and_back_survives_it() -> None:
    for value in (memory_of(examples(100)), examples(10), PARAMS, parent(), Unfit("why")):
        again = pickle.loads(pickle.dumps(value))

        assert repr(again) == repr(value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tree_count_per_update": 0}, "tree_count_per_update"),
        ({"tree_count_max": 20_000}, "tree_count_max"),
        ({"tree_count_max": 210}, "room for fit.tree_count and one update"),
        ({"continue_learning_rate": 0.0}, "continue_learning_rate"),
        ({"feedback_share": 1.5}, "feedback_share"),
        ({"feedback_share": float("nan")}, "feedback_share"),
    ],
)
def test_params_that_cannot_work_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CandidateParams(**values)


def test_replay_may_be_switched_off() -> None:
    none = replace(PARAMS.selection, replay=ReplayParams(replay_share=0.0), replay_ratio_max=0.0)

    found = made(WAYS["continue"](replace(PARAMS, selection=none)))

    assert found.replayed_count == 0
