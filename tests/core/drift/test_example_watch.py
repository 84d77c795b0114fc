"""Examples are judged once, when they are mature."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sentinel.codec.drift.example_watches import example_values, example_watch_of
from sentinel.core.drift.detectors.examples import ExampleEvent
from sentinel.core.drift.outcomes.examples import (
    FALSE_ALERTS,
    MISSED_FRAUDS,
    ExamplePosition,
    ExampleWatch,
)
from sentinel.errors import RecordError
from sentinel.records import HISTORY_ARM, Example

DAY_MS = 86_400_000
MATURITY_MS = 7 * DAY_MS
STEP_MS = 60_000


def an_example(number: int, *, is_fraud: bool, is_alert: bool, **others: object) -> Example:
    example = Example(
        id=f"e{number}",
        transaction_id=f"t{number}",
        decision_id=f"transactions-0-{number}",
        event_time_ms=100 * DAY_MS + number * STEP_MS,
        account=f"a{number}",
        amount_minor=1_000,
        score=0.5,
        probability=0.5 if is_alert else 0.01,
        action="review" if is_alert else "approve",
        model_version="1.0.0",
        arm="champion",
        features={},
        label="fraud" if is_fraud else "genuine",
        posterior=1.0,
        source="chargeback",
        label_delay_ms=DAY_MS,
        propensity=1.0,
        weight=1.0,
    )
    return replace(example, **others)  # type: ignore[arg-type]


def a_watch(position: ExamplePosition | None = None) -> ExampleWatch:
    return ExampleWatch(
        "1.0.0", position or ExamplePosition(), maturity_ms=MATURITY_MS, run_length=100_000
    )


def stream(count: int, *, worse_from: int, seed: int = 1) -> list[Example]:
    """Alerts half of which are frauds, and frauds a fifth of which are missed: later a half."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        is_fraud = bool(rng.random() < 0.5)
        missed = rng.random() < (0.5 if i >= worse_from else 0.2)
        made.append(an_example(i, is_fraud=is_fraud, is_alert=not (is_fraud and missed)))
    return made


def played(watch: ExampleWatch, examples: list[Example], begin: int = 0) -> list[ExampleEvent]:
    return [event for i, one in enumerate(examples[begin:], begin) for event in watch.take(i, one)]


def test_more_missed_frauds_alarm_some_hundred_mature_examples_later_and_not_before() -> None:
    watch, worse_from = a_watch(), 16_000
    events = played(watch, stream(30_000, worse_from=worse_from))
    alarms = [one for one in events if one.kind == "alarm"]
    assert alarms[0].name == MISSED_FRAUDS
    begun_ms = 100 * DAY_MS + worse_from * STEP_MS
    assert 0 <= alarms[0].since - begun_ms < 300 * STEP_MS
    assert {one.name for one in alarms} <= {MISSED_FRAUDS, "fraud_odds", FALSE_ALERTS}


def test_what_nobody_decided_is_no_missed_fraud() -> None:
    """Examples of the history that the first model is made of are approved, all of them."""
    watch = a_watch()
    history = [
        an_example(i, is_fraud=True, is_alert=False, arm=HISTORY_ARM, event_time_ms=DAY_MS + i)
        for i in range(2_000)
    ]
    played(watch, history)
    decided = stream(20_000, worse_from=20_000)
    played(watch, [*history, *decided], begin=len(history))

    missed = next(one for one in watch.bases if one.name == MISSED_FRAUDS)
    assert missed.rate == pytest.approx(0.2, abs=0.05)


def test_nothing_is_judged_before_it_is_mature() -> None:
    watch = a_watch()
    young = [replace(one, event_time_ms=100 * DAY_MS) for one in stream(3_000, worse_from=0)]
    played(watch, young)
    assert watch.bases == ()
    assert watch.performance().example_count == 0


def test_the_last_word_before_maturity_counts_and_one_taken_back_does_not() -> None:
    watch = a_watch()
    first = an_example(0, is_fraud=False, is_alert=True)
    watch.take(0, first)
    watch.take(1, replace(first, label="fraud", supersedes="genuine"))
    watch.take(2, an_example(1, is_fraud=True, is_alert=True))
    watch.take(3, replace(an_example(1, is_fraud=True, is_alert=True), label="withdrawn"))
    watch.take(4, an_example(20_000, is_fraud=False, is_alert=True))  # and time goes on
    found = watch.performance()
    assert (found.example_count, found.fraud_count) == (1.0, 1.0)
    watch.take(5, replace(first, supersedes="fraud"))  # too late
    assert watch.performance().example_count == 1.0


def test_decisions_of_another_version_are_not_its_own() -> None:
    watch = a_watch()
    others = [replace(one, model_version="2.0.0") for one in stream(2_000, worse_from=0)]
    played(watch, others)
    watch.take(2_000, an_example(40_000, is_fraud=False, is_alert=True))
    assert watch.performance().example_count == 0


@pytest.mark.parametrize("cut", [10, 9_000, 12_500, 17_000, 17_900])
def test_whoever_takes_over_finds_the_same_to_the_bit(cut: int) -> None:
    examples = stream(20_000, worse_from=14_000)
    whole = a_watch()
    expected = played(whole, examples)
    first = a_watch()
    before = played(first, examples[:cut])
    told = json.loads(json.dumps(example_values(first)))
    second = example_watch_of(told, "1.0.0", maturity_ms=MATURITY_MS, run_length=100_000)
    after = played(second, examples, second.position().reads_from)
    assert [*before, *after][-len(expected) :] == expected
    assert example_values(second) == example_values(whole)


def test_another_version_goes_on_reading_where_the_last_one_was() -> None:
    watch = a_watch()
    played(watch, stream(2_000, worse_from=0))
    told = example_values(watch)
    other = example_watch_of(told, "2.0.0", maturity_ms=MATURITY_MS, run_length=100_000)
    assert other.version == "2.0.0"
    assert other.bases == ()


@pytest.mark.parametrize(
    "damage",
    [
        {"position": {"next_offset": "x"}},
        {"bases": [{"name": "other", "worse": "up", "rate": 0.1}]},
        {"bases": [{"name": "false_alerts", "worse": "up", "rate": 7.0}]},
        {"bases": 3},
    ],
)
def test_a_damaged_watch_is_refused(damage: dict[str, object]) -> None:
    told = {**example_values(a_watch()), **damage}
    with pytest.raises(RecordError):
        example_watch_of(told, "1.0.0", maturity_ms=MATURITY_MS, run_length=100_000)
