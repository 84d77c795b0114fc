"""What is scripted in the demo, and how its figures are reckoned."""

from dataclasses import replace

import numpy as np
import pytest

from sentinel import config as configuration
from sentinel.app.demo.outcome import (
    COUNTERED_SHARE,
    WINDOW_H,
    Decided,
    by_day,
    demo_figures,
    first_alarm,
    served,
)
from sentinel.app.demo.script import CHARGEBACKS, Script, fitted, records_of, script_of
from sentinel.app.demo.told import Happening, of_alarm, of_model, of_rollout, of_update
from sentinel.codec.records import decode_object
from sentinel.config import profile_path
from sentinel.simulation.chargebacks import DAY_MS
from sentinel.simulation.handbook import LEAKING_SHOP
from sentinel.stored.rollouts import StoredRollout
from sentinel.stored.versions import ModelEvent
from tests.cli.drift_samples import an_alarm

HOUR_MS = 3_600_000
SCRIPT = Script(customer_count=200, day_count=40, pattern_day=10, mistake_day=30)


# --- what is scripted ---------------------------------------------------------------------------


def test_the_same_seed_is_the_same_town_and_another_one_is_not() -> None:
    small = replace(SCRIPT, history_day_count=2, day_count=4, pattern_day=1, mistake_day=2)

    first, again = ([records_of(day) for day in small.played()] for _ in range(2))
    other = [records_of(day) for day in replace(small, seed=2).played()]

    assert first == again
    assert first[0] != other[0]


def test_the_pattern_begins_on_its_day_online_and_goes_on() -> None:
    small = replace(SCRIPT, history_day_count=3)
    of_days = [int((day.scenario == LEAKING_SHOP).sum()) for day in small.played()]

    assert sum(of_days[: small.pattern_day]) == 0
    assert min(of_days[small.pattern_day + 5 :]) > 0
    for day in small.played():
        leaked = day.scenario == LEAKING_SHOP
        assert (day.terminal_id[leaked] % 10 == 0).all()
        channels = [decode_object(value)["channel"] for value in records_of(day)]
        assert {channels[i] for i in np.flatnonzero(leaked)} <= {"online"}


def test_nearly_all_frauds_are_claimed_about_a_week_later_and_some_of_what_was_none() -> None:
    claims, frauds, names = [], 0, set()
    for day in replace(SCRIPT, customer_count=1_000, day_count=30, mistake_day=20).played():
        claims += SCRIPT.claims(day)
        frauds += int(day.is_fraud.sum())
        names |= {f"T{one}" for one in day.transaction_id[day.is_fraud].tolist()}

    true = [one for one in claims if one.transaction_id in names]
    assert len(true) == pytest.approx(CHARGEBACKS.fraud_share * frauds, rel=0.05)
    assert 0 < len(claims) - len(true) < 0.1 * len(true)
    days = [(one.observed_ms - (one.event_time_ms or 0)) / DAY_MS for one in claims]
    assert np.median(days) == pytest.approx(7, abs=0.3)
    assert CHARGEBACKS.delay_days_min <= min(days) <= max(days) <= CHARGEBACKS.delay_days_max


@pytest.mark.parametrize("day_count", [30, 40, 80, 81, 121, 366])
def test_a_story_of_any_length_has_its_parts_in_their_order(day_count: int) -> None:
    script = script_of(1, day_count, 1_000)

    assert 0 < script.pattern_day < script.mistake_day < script.day_count == day_count
    with pytest.raises(ValueError, match="expected 0 < pattern_day"):
        replace(script, pattern_day=script.mistake_day)


def test_a_short_story_has_no_time_for_shadow_and_ramp() -> None:
    config = configuration.load(profile_path("demo"), {})

    assert fitted(script_of(1, 121, 1_000), config) == config
    assert fitted(script_of(1, 40, 1_000), config).rollouts.steps == ("canary",)


# --- figures ------------------------------------------------------------------------------------


def a_decided(*, learnt_day: int, rate: int = 20) -> Decided:
    """So many frauds a day: six in ten are caught, then three, and from that day on again six."""
    times, flagged, static = [], [], []
    for day in range(SCRIPT.day_count):
        for i in range(rate):
            times.append(SCRIPT.at_ms(day) + (i * DAY_MS) // rate)
            old = i % 10 < 6
            is_hit = day >= SCRIPT.pattern_day
            static.append(i % 10 < 3 if is_hit else old)
            flagged.append(i % 10 < 3 if is_hit and day < learnt_day else old)
    scenario = np.ones(len(times), dtype=np.int64)
    return Decided(
        np.array(times), np.full(len(times), 1_000), scenario,
        np.array(flagged, dtype=np.int64), np.array(static, dtype=np.int64),
    )  # fmt: skip


HAPPENED = [
    Happening(SCRIPT.at_ms(3), "drift_alarm", "an old one",
              {"column": "terminal_risk_7d", "side": "up", "since_ms": SCRIPT.at_ms(2)}),
    Happening(SCRIPT.at_ms(12), "drift_alarm", "another matter",
              {"column": "amount", "side": "up", "since_ms": SCRIPT.at_ms(11)}),
    Happening(SCRIPT.at_ms(14), "drift_alarm", "the other way",
              {"column": "terminal_risk_7d", "side": "down", "since_ms": SCRIPT.at_ms(13)}),
    Happening(SCRIPT.at_ms(15), "promoted", "by hand", {"champion": "1.1.0", "who": "ann"}),
    Happening(SCRIPT.at_ms(18), "performance_alarm", "missed",
              {"column": "missed_frauds", "side": "up", "since_ms": SCRIPT.at_ms(10)}),
    Happening(SCRIPT.at_ms(20), "promoted", "learnt", {"champion": "1.2.0", "who": "training"}),
    Happening(SCRIPT.at_ms(31), "mistake", "oh", {"version": "2.0.0"}),
    Happening(SCRIPT.at_ms(31), "promoted", "bad", {"champion": "2.0.0", "who": "pat"}),
    Happening(SCRIPT.at_ms(32), "rolled_back", "gone",
              {"version": "2.0.0", "champion": "1.2.0", "who": "training"}),
]  # fmt: skip


def test_figures_are_those_of_a_story_that_is_known() -> None:
    decided = a_decided(learnt_day=20)
    days = by_day(decided, SCRIPT)

    found = demo_figures(SCRIPT, decided, days, HAPPENED, decimals=2)

    assert found.recall_before == pytest.approx(0.6)
    assert found.recall_low == pytest.approx(0.3)
    assert (found.recall_after, found.static_recall_after) == pytest.approx((0.56, 0.3), abs=0.05)
    lost = sum(7 * 2 * 10.0 for _ in range(10, 40))
    assert found.lost == pytest.approx(lost)
    assert found.saved == pytest.approx(3 * 2 * 10.0 * 20)
    assert (found.alarm, found.hours_to_alarm, found.hours_to_promotion) == ("missed", 192, 240)
    assert found.rolled_back_after_hours == 24
    assert found.static_hours_to_countered is None
    assert found.hours_to_countered == slowly_countered_h(decided)


def slowly_countered_h(decided: Decided) -> float | None:
    """Hour by hour, row by row."""

    def recall(from_ms: int, to_ms: int) -> float:
        some = [
            bool(flag)
            for at, flag in zip(decided.event_time_ms, decided.is_flagged, strict=True)
            if from_ms <= at < to_ms
        ]
        return sum(some) / len(some)

    end_ms, least = SCRIPT.at_ms(SCRIPT.mistake_day + 1), COUNTERED_SHARE * 0.6
    for hour in range(1_000):
        at_ms = SCRIPT.at_ms(SCRIPT.pattern_day) + hour * HOUR_MS
        if at_ms + WINDOW_H * HOUR_MS > end_ms:
            return None
        if min(recall(at_ms, at_ms + WINDOW_H * HOUR_MS), recall(at_ms, end_ms)) >= least:
            return float(hour)
    return None


def test_what_never_comes_back_is_never_countered() -> None:
    decided = a_decided(learnt_day=SCRIPT.day_count)

    found = demo_figures(SCRIPT, decided, by_day(decided, SCRIPT), [], decimals=2)

    assert found.hours_to_countered is None
    assert found.saved == 0
    assert (found.alarm, found.hours_to_alarm, found.rolled_back_after_hours) == ("", None, None)


def test_the_alarm_that_counts_names_the_cause_upwards_and_began_with_the_pattern() -> None:
    alarm = first_alarm(HAPPENED, SCRIPT.at_ms(SCRIPT.pattern_day))

    assert alarm is not None
    assert alarm.what == "missed"


def test_what_served_is_told_without_gaps() -> None:
    found = served(HAPPENED, "1.0.0", SCRIPT.begin_ms)

    assert [one.version for one in found] == ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "1.2.0"]
    assert [one.to_ms for one in found[:-1]] == [one.from_ms for one in found[1:]]
    assert found[-1].to_ms is None


# --- what is told -------------------------------------------------------------------------------


def test_an_alarm_is_told_when_it_opens_and_when_it_is_over() -> None:
    alarm = an_alarm()
    over = replace(alarm, status="closed")

    opened = of_alarm(alarm, None)
    assert opened is not None
    assert opened[0] == "drift_alarm"
    assert of_alarm(replace(alarm, severity="critical"), alarm) is None, "it is known"
    ended = of_alarm(over, alarm)
    assert ended is not None
    assert ended[0] == "alarm_over"
    assert of_alarm(over, over) is None
    assert of_alarm(replace(over, is_superseded=True), alarm) is None, "nobody looked on"


def test_changes_of_the_registry_are_told_that_have_models_serve_or_not() -> None:
    event = ModelEvent(3, 0, "promoted", "1.1.0", "1.1.0", "1.0.0", None, "ann", "w" * 1_000)

    told = of_model(event)
    assert told is not None
    assert told[0] == "promoted"
    assert len(told[1]) < 300
    assert of_model(replace(event, kind="registered")) is None


def test_a_rollout_says_where_it_stands_and_what_keeps_it() -> None:
    one = StoredRollout(1, "1.1.0", "1.0.0", "scheduled", "each day", steps=("canary",))

    assert of_rollout(replace(one, status="running"))[1] == "rollout of 1.1.0, canary begins"
    waits = of_rollout(replace(one, waits_for="ann has to agree"))[1]
    assert waits == "rollout of 1.1.0, canary is next: ann has to agree"


def test_training_is_told_with_why_and_what_the_gate_says() -> None:
    entry = {"id": "update-3-begun", "subject": "update-3", "before": None,
             "after": {"reason": "1 alarm", "champion": "1.0.0"}}  # fmt: skip

    begun = of_update(entry)
    judged = of_update({
        **entry, "id": "update-3-judged", "before": {"reason": "1 alarm"},
        "after": {"outcome": "not_yet", "reason": "too few", "version": ""},
    })  # fmt: skip

    assert begun is not None
    assert begun[:2] == ("training", "training begins: 1 alarm")
    assert judged is not None
    assert judged[:2] == ("gate", "the gate says not yet: too few")
