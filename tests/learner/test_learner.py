"""A learner on a small stream: what it takes, what it makes, and what the gate says of that."""

import pickle
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.random import default_rng

from sentinel.codec.records import decode_object, encode, encode_pretty
from sentinel.core.decision import PolicyParams
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.gate.checks import Check
from sentinel.core.learning.gate.judging import Verdict
from sentinel.core.learning.training_data.hold_out import is_held_out
from sentinel.errors import ModelError
from sentinel.learner import attempts, candidates
from sentinel.learner import trainer_state as holdings
from sentinel.learner.learner import Learner
from sentinel.learner.manifests import lineage
from sentinel.learner.params import LearningParams
from sentinel.learner.trainer_state import TrainerState
from sentinel.model import LightGBMError, fit
from sentinel.ports import Attempt, Made, Taken, Updated
from sentinel.records import Example, Floats
from sentinel.serving_model import check_golden, serving_model
from sentinel.stored.versions import Artifact
from tests.engine.examples_stream import (
    BEGIN_MS,
    NAMES,
    PARAMS,
    STEP_MS,
    Records,
    champion_of,
    recalibrated,
    records,
    stream,
)

POLICY = PolicyParams()
COUNT, CHANGED_AT, TRAINED_ON = 24_000, 12_000, 9_000
CONTINUE = replace(PARAMS, strategies=("continue",))


@cache
def changed() -> Records:
    return records(stream(COUNT, changed_at=CHANGED_AT))


@cache
def unchanged() -> Records:
    return records(stream(COUNT))


@cache
def champion() -> Artifact:
    """Trained before the world changed; both streams are the same until then."""
    return champion_of(changed()[:TRAINED_ON])


def learner_of(rows: Records | Callable[[], Records], params: LearningParams = PARAMS) -> Learner:
    """A learner that has taken all of them; those of `changed` and `unchanged` are read once."""
    found = Learner(NAMES, POLICY, params)
    if callable(rows):
        found._state = copy(_held(rows, _keeping(params)))
        found._state._buffer = []
    else:
        found.take(rows)
    return found


def _keeping(params: LearningParams) -> LearningParams:
    """Only what decides which examples are kept, and what of each."""
    return replace(
        PARAMS,
        memory=params.memory,
        window_row_count_max=params.window_row_count_max,
        old_share=params.old_share,
        old_row_count_max=params.old_row_count_max,
    )


@cache
def _held(rows: Callable[[], Records], params: LearningParams) -> TrainerState:
    found = TrainerState(NAMES, params)
    found.take(rows())
    found.mature()  # takes in what was buffered
    return found


@cache
def continued() -> Updated:
    return learner_of(changed, CONTINUE).update(champion(), draw=1)


def artifact(updated: Updated, version: str = "1.1.0") -> Artifact:
    """As the registry gives it back, through JSON."""
    assert updated.made is not None
    manifest = decode_object(encode_pretty(updated.made.manifest))
    return Artifact(version, updated.made.text, manifest)


def attempt(updated: Updated, strategy: str) -> Attempt:
    [found] = [one for one in updated.attempts if one.strategy == strategy]
    return found


def check(verdict: Verdict | None, name: str) -> Check:
    assert verdict is not None
    [found] = [one for one in verdict.checks if one.name == name]
    return found


def outcome(updated: Updated) -> str:
    return "none" if updated.verdict is None else updated.verdict.outcome


def judged_by(updated: Updated) -> Floats:
    """The features of the gate's examples."""
    window = artifact(updated).manifest["window"]["gate"]
    rows = [
        row
        for _, appended_ms, value in changed()
        if appended_ms - 60_000 >= window["first_ms"]
        for row in [np.frombuffer(_bytes_of(value))]
    ]
    assert len(rows) == window["rows"]
    return np.array(rows)


def without_seconds(updated: Updated) -> Any:
    """All that does not depend on how busy the machine was."""
    assert updated.made is not None
    assert updated.verdict is not None
    manifest = {**updated.made.manifest, "metrics": {**updated.made.manifest["metrics"]}}
    checks = manifest["metrics"].pop("checks")
    return (
        [replace(one, seconds=0.0) for one in updated.attempts],
        updated.made.text,
        encode(manifest),
        {name: value for name, value in checks.items() if name != "latency"},
        [one for one in updated.verdict.checks if one.name != "latency"],
    )


def test_a_continuation_that_learnt_what_has_changed_is_promoted() -> None:
    found = continued()

    assert outcome(found) == "promote"
    assert found.made is not None
    assert found.made.strategy == "continue"
    assert found.reason.startswith("continue: auc and average_precision shown to be better")
    [one] = found.attempts
    assert one.outcome == "fitted"
    assert one.tree_count == 45
    assert one.row_count > one.fraud_count > 500
    assert one.average_precision is not None
    assert one.auc is not None
    assert one.average_precision > 0.4
    assert one.auc > 0.85
    assert one.seconds > 0


def test_what_is_made_can_serve_and_says_the_same_there() -> None:
    stored = artifact(continued())

    serving = serving_model(stored, NAMES)

    check_golden(serving, stored.manifest)
    assert len(stored.manifest["golden"]["score"]) == 16
    assert serving.scale is not None
    assert stored.manifest["strategy"] == "continue"
    assert stored.manifest["parent"] == "1.0.0"
    assert stored.manifest["trees"] == serving.model.tree_count == 45


def test_thresholds_on_the_score_go_on_meaning_the_same() -> None:
    """As many of the gate's transactions are above any of them as with the champion."""
    features = judged_by(continued())
    was, now = serving_model(champion(), NAMES), serving_model(artifact(continued()), NAMES)
    before, after = (one.score(one.model.raw_scores(features)) for one in (was, now))

    for threshold in (0.02, 0.05, 0.2, 0.5):
        assert np.mean(after >= threshold) == pytest.approx(np.mean(before >= threshold), abs=0.02)
    raw = now.model.scores_of(now.model.raw_scores(features))
    assert np.mean(raw >= 0.2) - np.mean(before >= 0.2) > 0.03, "without the map they do not"


def test_the_scale_is_handed_on_from_champion_to_champion() -> None:
    parent = artifact(continued())
    found = learner_of(changed, replace(PARAMS, strategies=("retrain",))).update(parent, draw=1)
    features = judged_by(found)

    was, now = serving_model(parent, NAMES), serving_model(artifact(found), NAMES)
    before, after = (one.score(one.model.raw_scores(features)) for one in (was, now))

    for threshold in (0.02, 0.05, 0.2, 0.5):
        assert np.mean(after >= threshold) == pytest.approx(np.mean(before >= threshold), abs=0.02)
    unscaled = was.model.scores_of(was.model.raw_scores(features))
    assert np.mean(unscaled >= 0.2) - np.mean(before >= 0.2) > 0.03, "it had a scale of its own"


def test_a_continuation_is_fitted_on_what_its_parent_has_not_seen_and_a_share_of_the_rest() -> None:
    found = continued().made
    assert found is not None
    until_ms = champion().manifest["trained_until_ms"]
    is_out = is_held_out(hash64([f"T{place}" for place in range(COUNT)]), PARAMS.old_share)
    times_ms = BEGIN_MS + np.arange(COUNT) * STEP_MS

    is_new = ~is_out & (times_ms >= until_ms) & (times_ms < found.manifest["trained_until_ms"])
    trained = found.manifest["trained"]

    assert trained["kept_share"] == 1.0
    assert trained["rows"] - trained["replayed"] == np.count_nonzero(is_new)
    assert 0 < trained["replayed"] < 0.5 * np.count_nonzero(is_new)


def test_the_manifest_says_of_which_examples_it_came() -> None:
    found = continued().made
    assert found is not None
    window, metrics = found.manifest["window"], found.manifest["metrics"]

    assert window["train"]["last_ms"] < found.manifest["trained_until_ms"]
    assert window["calibration"]["first_ms"] == found.manifest["trained_until_ms"]
    assert window["calibration"]["last_ms"] < window["gate"]["first_ms"]
    assert window["gate"]["last_ms"] == BEGIN_MS + (COUNT - 1) * STEP_MS
    assert window["gate"]["rows"] == metrics["rows"] >= 1_000
    assert found.manifest["examples"]["last_offset"] == COUNT - 1
    assert found.manifest["trained"]["frauds"] == continued().attempts[0].fraud_count
    assert found.manifest["hold_out"] == {"share": 0.25, "since_ms": 0}
    assert metrics["auc"] > metrics["champion"]["auc"] + 0.05
    told = metrics["checks"]["average_precision"]
    assert told["interval"][0] < told["measured"] < told["interval"][1]
    assert told["status"] == "passed"
    assert "against the champion's" in told["sentence"]
    assert metrics["checks"]["old_auc"]["allowed"] == [-0.02, None]


def test_all_that_leaves_the_process_can_be_pickled() -> None:
    found = continued()

    assert pickle.loads(pickle.dumps(found)) == found
    taken = Taken(1, 0, 5, 2)
    assert pickle.loads(pickle.dumps(taken)) == taken


def test_the_same_examples_and_draw_give_the_same_and_another_draw_another() -> None:
    again = learner_of(changed, CONTINUE).update(champion(), draw=1)
    other = learner_of(changed, CONTINUE).update(champion(), draw=2)

    assert without_seconds(again) == without_seconds(continued())
    assert other.made is not None
    assert again.made is not None
    assert other.made.text != again.made.text


@pytest.mark.parametrize("seed", [1, 2])
def test_how_examples_are_batched_changes_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor that the memory, the window and what is held out are all too small for them."""
    small = replace(
        CONTINUE,
        memory=replace(PARAMS.memory, row_count_max=1_000),
        window_row_count_max=12_000,
        old_row_count_max=600,
        gate=replace(PARAMS.gate, fraud_count_min=30),
    )
    rows = _with_second_thoughts(changed())
    monkeypatch.setattr(holdings, "_BATCH_ROW_COUNT", 700)
    cuts = np.sort(default_rng(seed).integers(0, len(rows), 60))

    pieces = Learner(NAMES, POLICY, small)
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        pieces.take(rows[begin:end])

    whole = learner_of(rows, small).update(champion(), draw=1)
    assert outcome(whole) == "promote"
    assert without_seconds(pieces.update(champion(), draw=1)) == without_seconds(whole)


def test_a_challenger_of_a_champion_that_knows_all_is_not_promoted() -> None:
    """It was trained on more examples of the same world than there are in the stream."""
    knowing = champion_of(records(stream(30_000, seed=9)))
    until_ms = BEGIN_MS + TRAINED_ON * STEP_MS
    knowing = replace(knowing, manifest={**knowing.manifest, "trained_until_ms": until_ms})

    for seed in (1, 2):
        found = learner_of(unchanged if seed == 1 else records(stream(COUNT, seed=seed))).update(
            knowing, draw=seed
        )

        assert outcome(found) != "promote", found.reason
        assert {one.outcome for one in found.attempts} == {"fitted"}
        assert len(found.attempts) == 4
        assert found.made is not None
        assert check(found.verdict, "improvement").status == "failed"


def test_a_champion_whose_probabilities_are_out_is_recalibrated_and_nothing_else() -> None:
    out = recalibrated(champion(), shift=1.0)
    scale = artifact(continued()).manifest["scale"]
    out = replace(out, manifest={**out.manifest, "scale": scale})

    found = learner_of(unchanged).update(out, draw=1)

    assert outcome(found) == "promote"
    assert [one.strategy for one in found.attempts] == ["recalibrate"]
    assert check(found.verdict, "repair").sentence.startswith("the champion's calibration is out")
    stored = artifact(found)
    assert stored.text == out.text
    assert decode_object(encode(stored.manifest))["scale"] == scale
    intercepts = [one.manifest["calibration"]["intercept"] for one in (out, stored)]
    assert intercepts[1] == pytest.approx(intercepts[0] - 1.0, abs=0.3)
    check_golden(serving_model(stored, NAMES), stored.manifest)
    assert stored.manifest["trained_until_ms"] == out.manifest["trained_until_ms"]


def test_where_frauds_became_more_they_are_first_counted_and_then_learnt() -> None:
    """The next update finds a champion whose probabilities are right, and improves its ranking."""
    held = learner_of(changed)

    first = held.update(champion(), draw=1)
    second = held.update(artifact(first, "1.0.1"), draw=2)

    assert first.made is not None
    assert first.made.strategy == "recalibrate"
    assert outcome(first) == outcome(second) == "promote"
    assert second.made is not None
    assert second.made.strategy != "recalibrate"
    worth = {one.strategy: one.average_precision or 0.0 for one in second.attempts[1:]}
    assert second.made.strategy == max(worth, key=lambda name: worth[name])
    assert second.made.manifest["parent"] == "1.0.1"


def test_a_well_calibrated_champion_is_no_reason_for_a_recalibration() -> None:
    only = replace(PARAMS, strategies=("recalibrate",))

    found = learner_of(unchanged, only).update(champion(), draw=1)

    assert outcome(found) == "refuse"
    assert found.made is None
    assert "is not shown to be out" in found.reason


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (0, "too few mature examples to judge by"),
        (9_500, "too few mature examples"),
        (10_200, "frauds of diff"),
    ],
)
def test_of_too_little_nothing_is_made(count: int, reason: str) -> None:
    """The champion has seen the first; what is judged by must be newer."""
    until = replace(champion(), manifest={**champion().manifest})
    until.manifest["trained_until_ms"] = BEGIN_MS + TRAINED_ON * STEP_MS

    params = replace(PARAMS, gate=replace(PARAMS.gate, fraud_count_min=150))

    found = learner_of(changed()[:count], params).update(until, draw=1)

    assert found.made is None
    assert found.verdict is None
    assert found.attempts == ()
    assert reason in found.reason


def test_too_little_to_train_on_is_told_of_each_strategy() -> None:
    params = replace(
        PARAMS,
        candidates=replace(
            PARAMS.candidates,
            selection=replace(PARAMS.candidates.selection, fraud_count_min=9_999),
        ),
    )

    found = learner_of(unchanged, params).update(champion(), draw=1)

    assert found.made is None
    assert [attempt(found, name).outcome for name in ("continue", "retrain", "aggregate")] == [
        "unfit"
    ] * 3
    assert "retrain: " in found.reason
    assert "at least 9999 of each are needed" in found.reason


def test_a_continuation_with_too_many_trees_leaves_it_to_a_retraining() -> None:
    params = replace(
        PARAMS,
        strategies=("continue", "retrain"),
        candidates=replace(PARAMS.candidates, tree_count_per_update=60, tree_count_max=90),
    )
    grown = learner_of(changed, replace(params, strategies=("continue",)))
    parent = artifact(grown.update(champion(), draw=1))
    until_ms = champion().manifest["trained_until_ms"]
    parent.manifest["trained_until_ms"] = until_ms

    found = learner_of(changed, params).update(parent, draw=1)

    assert attempt(found, "continue").outcome == "unfit"
    assert "time to retrain" in attempt(found, "continue").reason
    assert found.made is not None
    assert found.made.strategy == "retrain"


def test_without_enough_that_was_investigated_there_is_no_aggregate() -> None:
    late = [replace(one, source="chargeback") for one in stream(COUNT, changed_at=CHANGED_AT)]
    params = replace(PARAMS, strategies=("aggregate",))

    found = learner_of(records(late), params).update(champion(), draw=1)
    investigated = learner_of(changed, params).update(champion(), draw=1)

    assert attempt(found, "aggregate").reason.startswith("of the investigated there are no")
    assert investigated.made is not None
    assert investigated.made.strategy == "aggregate"


@pytest.mark.parametrize(
    "error", [ModelError("candidate", "is damaged"), ValueError("bad"), LightGBMError("no split")]
)
def test_a_candidate_that_fails_does_not_keep_the_others(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(attempts, "continue_boosting", fail)
    params = replace(PARAMS, strategies=("continue", "retrain"))

    found = learner_of(changed, params).update(champion(), draw=1)

    assert attempt(found, "continue").outcome == "failed"
    assert attempt(found, "continue").reason == str(error)
    assert attempt(found, "retrain").outcome == "fitted"
    assert found.made is not None
    assert found.made.strategy == "retrain"


def test_a_bug_of_ours_is_no_failed_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError

    monkeypatch.setattr(attempts, "continue_boosting", fail)

    with pytest.raises(AssertionError):
        learner_of(changed, CONTINUE).update(champion(), draw=1)


def test_a_champion_of_other_features_is_an_error() -> None:
    with pytest.raises(ModelError, match="other features"):
        Learner(["other"], POLICY, PARAMS).update(champion(), draw=1)


def test_nothing_is_trained_on_that_is_held_out_or_judged_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No row of any fit, replayed ones among them, and no other row is missing for long."""
    fitted: list[Floats] = []

    def spy(features: Floats, *args: Any, **kwargs: Any) -> str:
        fitted.append(features)
        return fit(features, *args, **kwargs)

    monkeypatch.setattr(candidates, "fit", spy)
    params = replace(PARAMS, strategies=("continue", "retrain", "aggregate"))

    found = learner_of(changed, params).update(champion(), draw=1)

    assert found.made is not None
    begin_ms = found.made.manifest["window"]["gate"]["first_ms"]
    place_of = {_bytes_of(value): place for place, (_, _, value) in enumerate(changed())}
    places = np.array([place_of[row.tobytes()] for rows in fitted for row in rows])
    is_out = is_held_out(hash64([f"T{place}" for place in range(COUNT)]), PARAMS.old_share)
    assert is_out.mean() == pytest.approx(PARAMS.old_share, abs=0.02)
    assert len(fitted) == 3
    assert not is_out[places].any()
    assert (BEGIN_MS + places * STEP_MS < begin_ms).all()
    assert (places < TRAINED_ON // 2).any(), "of the continuation they are replayed"
    assert np.unique(places).size > 0.6 * COUNT * (1 - PARAMS.old_share)


def test_what_a_first_model_has_seen_is_no_old_evidence() -> None:
    """It was trained on all there was: on those it would look better than it is."""
    manifest = {**champion().manifest}
    del manifest["hold_out"], manifest["trained_until_ms"]
    last_ms = BEGIN_MS + 20_000 * STEP_MS
    manifest["window"] = {"train": {"first_ms": BEGIN_MS, "last_ms": last_ms, "rows": 1}}
    first = replace(champion(), manifest=manifest)

    found = learner_of(changed, CONTINUE).update(first, draw=1)

    assert outcome(continued()) == "promote"
    assert check(continued().verdict, "old_auc").status == "passed"
    assert check(found.verdict, "old").status == "too_little"
    assert found.made is not None
    assert found.made.manifest["hold_out"]["since_ms"] == last_ms + 1
    anew = learner_of(changed, replace(PARAMS, strategies=("retrain",))).update(first, draw=1)
    assert anew.made is not None
    assert anew.made.manifest["hold_out"]["since_ms"] == 0
    assert check(anew.verdict, "old").status == "too_little"


def test_a_later_example_of_a_transaction_supersedes_and_one_of_weight_0_withdraws() -> None:
    """Wrong labels, put right later, leave no trace where nothing is remembered of them."""
    examples = stream(COUNT, changed_at=CHANGED_AT)
    is_wrong = np.zeros(COUNT, dtype=bool)
    is_wrong[default_rng(5).choice(np.arange(14_000, COUNT), 2_000, replace=False)] = True
    is_gone = np.zeros(COUNT, dtype=bool)
    is_gone[15_000:15_500] = True
    first = [_other_label(one) if is_wrong[i] else one for i, one in enumerate(examples)]
    second = [one for i, one in enumerate(examples) if is_wrong[i]]
    second += [replace(one, weight=0.0) for i, one in enumerate(examples) if is_gone[i]]
    told_late = records(first) + records(second, first_offset=COUNT)
    told_at_once = [one for i, one in enumerate(changed()) if not is_gone[i]]
    params = replace(CONTINUE, old_row_count_max=100_000)
    plain = replace(params.candidates.selection, replay_ratio_max=0.0)
    params = replace(params, candidates=replace(params.candidates, selection=plain))

    late = learner_of(told_late, params).update(champion(), draw=1)
    at_once = learner_of(told_at_once, params).update(champion(), draw=1)
    wrong = learner_of(records(first), params).update(champion(), draw=1)

    assert late.made is not None
    assert at_once.made is not None
    assert wrong.made is not None
    assert late.made.text == at_once.made.text != wrong.made.text
    assert late.made.manifest["window"] == at_once.made.manifest["window"]
    checks = [[c for c in one.verdict.checks if c.name != "latency"]
              for one in (late, at_once) if one.verdict is not None]  # fmt: skip
    assert checks[0] == checks[1]


def test_what_is_newer_than_any_silence_is_not_learnt_from_nor_judged_by() -> None:
    """There are only frauds among it, of which somebody spoke at once; the others are to come."""
    newer = [
        replace(one, transaction_id=f"N{i}", event_time_ms=one.event_time_ms + COUNT * STEP_MS)
        for i, one in enumerate(stream(3_000))
    ]
    spoken_of = [
        replace(one, source="consensus", features={**one.features, "amount": 9.0})
        for one in newer
        if one.label == "fraud"
    ]
    params = replace(CONTINUE, memory=replace(PARAMS.memory, row_count_max=100_000))
    immature = learner_of(changed() + records(spoken_of, first_offset=COUNT), params)

    found = immature.update(champion(), draw=1)
    without = learner_of(changed, params).update(champion(), draw=1)

    assert found.made is not None
    assert without.made is not None
    assert found.made.manifest["window"] == without.made.manifest["window"]
    assert found.made.text == without.made.text
    told = records([*spoken_of, newer[-1]], first_offset=COUNT)
    mature = learner_of(changed() + told, params).update(champion(), draw=1)
    assert mature.made is not None
    assert mature.made.manifest["window"] != without.made.manifest["window"]


def test_what_cannot_be_read_and_what_is_ahead_of_its_time_is_counted() -> None:
    good, *rest = stream(4)
    ahead, both, last = rest
    held = Learner(NAMES, POLICY, PARAMS)

    taken = held.take(
        [
            (10, good.event_time_ms, encode(good)),
            (11, good.event_time_ms, None),
            (12, good.event_time_ms, b"{"),
            (13, good.event_time_ms, b'{"transaction_id": "T"}'),
            (14, ahead.event_time_ms - 86_400_001, encode(ahead)),
            (15, both.event_time_ms, encode(replace(both, is_selective=True, is_explored=True))),
            (17, last.event_time_ms - 86_400_000, encode(last)),
        ]
    )

    assert taken == Taken(2, 5, last.event_time_ms, 18)
    assert held.take([]) == Taken(0, 0, last.event_time_ms, 18)
    assert Learner(NAMES, POLICY, PARAMS).take([]) == Taken(0, 0, -1, 0)


def test_a_former_champion_that_is_better_is_found_and_one_that_is_not_is_not() -> None:
    held = learner_of(changed)
    better = artifact(continued())
    since_ms = better.manifest["window"]["gate"]["first_ms"]

    regretted = held.compare(better, champion(), since_ms=since_ms)
    content = held.compare(champion(), better, since_ms=since_ms)

    assert regretted is not None
    assert regretted.outcome == "promote"
    assert content is not None
    assert content.outcome == "refuse"


def test_of_too_little_since_then_former_and_champion_are_not_compared() -> None:
    held = learner_of(changed, replace(PARAMS, gate=replace(PARAMS.gate, fraud_count_min=200)))
    newest_ms = BEGIN_MS + (COUNT - 1) * STEP_MS

    for count in (0, 999, 1_010):
        since_ms = newest_ms - count * STEP_MS + 1
        assert held.compare(champion(), artifact(continued()), since_ms=since_ms) is None


def test_nothing_is_compared_on_what_either_was_trained_on() -> None:
    held = learner_of(changed)
    younger = replace(champion(), manifest={**champion().manifest})
    younger.manifest["trained_until_ms"] = BEGIN_MS + (COUNT - 1_500) * STEP_MS

    found = held.compare(champion(), younger, since_ms=0)

    assert check(found, "examples").measured == 1_500


def _with_second_thoughts(rows: Records) -> Records:
    """Some examples again, a while later, with the other label or withdrawn."""
    rng = default_rng(8)
    found: list[tuple[int, bytes | None]] = []
    due: dict[int, list[bytes]] = {}
    examples = stream(COUNT, changed_at=CHANGED_AT)
    for place, (_, appended_ms, value) in enumerate(rows):
        found.append((appended_ms, value))
        found += [(appended_ms, again) for again in due.pop(place, [])]
        if rng.random() < 0.03:
            example = examples[place]
            other = replace(example, weight=0.0) if place % 3 == 0 else _other_label(example)
            due.setdefault(place + int(rng.integers(1, 9_000)), []).append(encode(other))
    return [(offset, appended_ms, value) for offset, (appended_ms, value) in enumerate(found)]


def _other_label(example: Example) -> Example:
    is_fraud = example.label == "fraud"
    return replace(
        example,
        label="genuine" if is_fraud else "fraud",
        posterior=0.001 if is_fraud else 0.999,
    )


def _bytes_of(value: bytes | None) -> bytes:
    assert value is not None
    features = decode_object(value)["features"]
    row: Sequence[float | None] = [features[name] for name in NAMES]
    return np.array(row, dtype=np.float64).tobytes()


def test_made_is_what_the_registry_takes() -> None:
    found = continued().made

    assert isinstance(found, Made)
    assert not {"version", "sha256"} & set(found.manifest)


def test_what_cannot_be_taken_in_is_dropped_whole_and_the_learner_goes_on_as_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would be tried again with each record that comes, and fail again."""
    rows = changed()
    expected, found = learner_of(rows[:3_000]), learner_of(rows[:3_000])
    for learner in (expected, found):
        assert len(learner._state.mature()) > 0
    with monkeypatch.context() as broken:
        broken.setattr(holdings, "with_newest", _fails)
        found.take(rows[3_000:4_000])
        with pytest.raises(ValueError, match="as planned"):
            found.update(champion(), draw=1)

    for learner in (expected, found):
        learner.take(rows[4_000:6_000])

    for name in ("mature", "memory", "held_out"):
        one, other = (getattr(learner._state, name)() for learner in (expected, found))
        assert pickle.dumps(one) == pickle.dumps(other), name


def _fails(*arguments: object) -> None:
    raise ValueError("as planned")


@pytest.mark.parametrize("count", [0, 700, 2_000, 9_600, 9_900, 10_600, 12_000, 24_000])
def test_what_an_update_needs_is_met_exactly_when_it_can_be_judged(count: int) -> None:
    """The champion has seen most of the first 9,000; a gate may take 40 % of what there is."""
    rows = changed()[:count]
    learner = learner_of(rows)

    needs = {one.what: one for one in learner.needs(champion())}
    updated = learner.update(champion(), draw=1)

    judging = [one for one in needs.values() if one.is_required]
    assert len(judging) >= 2
    assert all(one.is_met for one in judging) == (updated.attempts != ()), updated.reason
    examples, frauds, old = (
        next(one for what, one in needs.items() if what.startswith(begin))
        for begin in ("mature examples", "frauds", "older frauds")
    )
    assert (examples.needed, frauds.needed, old.needed) == (1_000, 60, 60)
    # The slow way: from the examples themselves, all of which are mature but for their silence.
    mature = _mature(stream(COUNT, changed_at=CHANGED_AT)[:count])
    since_ms = lineage(champion(), PARAMS.old_share).trained_until_ms
    allowed = min(
        sum(one.event_time_ms >= since_ms for one in mature),
        int(0.4 * len(mature)),
    )
    newest = mature[len(mature) - allowed :]
    assert examples.count == allowed
    assert frauds.count == len({one.account for one in newest if one.label == "fraud"})
    assert not old.is_required


def _mature(examples: list[Example]) -> list[Example]:
    """Up to the newest of those that were presumed: beyond, only what was spoken of is known."""
    presumed = [one.event_time_ms for one in examples if one.source == "presumed"]
    return [one for one in examples if one.event_time_ms <= max(presumed, default=0)]


@pytest.mark.parametrize("fraud_count_min", [60, 400])
def test_old_frauds_are_awaited_exactly_when_the_gate_misses_them(fraud_count_min: int) -> None:
    """Of the accounts whose frauds are held out about 270 are older than the gate's examples."""
    params = replace(
        CONTINUE,
        gate=replace(CONTINUE.gate, fraud_count_min=fraud_count_min),
        gate_fraud_count=max(CONTINUE.gate_fraud_count, fraud_count_min),
    )
    learner = learner_of(changed()[:16_000], params)

    [old] = [one for one in learner.needs(champion()) if not one.is_required]
    verdict = learner.update(champion(), draw=1).verdict

    assert verdict is not None
    assert old.needed == fraud_count_min
    assert old.is_met == all(one.name != "old" for one in verdict.checks)
    assert old.is_met == (fraud_count_min == 60), old.count
