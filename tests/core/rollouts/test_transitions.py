"""The life of a rollout: what leads where, what keeps it, and what a person may do."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from sentinel.core.experiments.definition import check_definition
from sentinel.core.rollouts import transitions
from sentinel.core.rollouts.holds import PAUSED, Hold, hold_of, is_given_up
from sentinel.core.rollouts.judging import definition_of, step_judgement
from sentinel.core.rollouts.params import RolloutParams
from sentinel.core.rollouts.transitions import ROLLOUT_TRANSITIONS
from sentinel.stored.experiments import StoredExperiment, StoredVerdict, VerdictName
from sentinel.stored.rollouts import OVER, RolloutStatus, StoredRollout

PARAMS = RolloutParams()
NIGHT_MS = 1_764_540_000_000  # 2025-11-30 22:00 UTC
DAY_MS = 86_400_000


def a_rollout(**changes: Any) -> StoredRollout:
    one = transitions.begun(
        7, "1.2.0", "1.1.0",
        trigger="scheduled", reason="every day", steps=PARAMS.steps_for(is_urgent=False),
        update=3, at_ms=1_000,
    )  # fmt: skip
    return replace(one, **changes)


def through(one: StoredRollout, steps: int) -> StoredRollout:
    for _ in range(steps):
        one = transitions.entered(one, f"rollout-7-{one.next_place}@1", at_ms=2_000)
        one = transitions.step_passed(one, "no harm", at_ms=3_000)
    return one


def test_every_step_is_taken_once_and_in_order_and_then_it_serves() -> None:
    one = through(a_rollout(), 3)

    assert one.next_place == "champion"
    assert [done.step for done in one.passed] == ["shadow", "canary", "ramp"]
    assert {(done.began_ms, done.ended_ms) for done in one.passed} == {(2_000, 3_000)}
    for status in ("promoting", "watching", "served"):
        one = transitions.moved(one, status, at_ms=4_000)
    assert one.is_over


def test_what_no_row_of_the_table_has_cannot_be() -> None:
    allowed = {(one.before, one.after) for one in ROLLOUT_TRANSITIONS}
    for before in get_args(RolloutStatus):
        for after in get_args(RolloutStatus):
            one = a_rollout(status=before)
            if (before, after) in allowed:
                assert transitions.moved(one, after, at_ms=5).status == after
            else:
                with pytest.raises(AssertionError):
                    transitions.moved(one, after, at_ms=5)


def test_nothing_leads_on_from_an_end_and_everything_else_has_one() -> None:
    leads = {one.before for one in ROLLOUT_TRANSITIONS if one.before is not None}

    assert leads == set(get_args(RolloutStatus)) - OVER


def test_every_transition_has_its_row_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "rollouts.md").read_text()
    rows = {
        tuple(cell.strip() for cell in line.strip("|\n").split("|"))
        for line in page.splitlines()
        if line.startswith("|")
    }
    wanted = {
        ((one.before or "–").replace("_", " "), one.after.replace("_", " "), one.when)
        for one in ROLLOUT_TRANSITIONS
    }

    assert wanted <= rows


def hold(one: StoredRollout, **changes: Any) -> Hold | None:
    stated = {
        "now_ms": NIGHT_MS + 12 * 3_600_000,
        "is_paused": False,
        "failed_ms": None,
        "quiet_to_ms": None,
    }
    params = changes.pop("params", PARAMS)
    return hold_of(one, params, **{**stated, **changes})


def test_nothing_keeps_a_rollout_where_nobody_has_said_so() -> None:
    assert hold(a_rollout()) is None


def test_a_person_who_has_to_agree_keeps_that_step_and_no_other() -> None:
    params = replace(PARAMS, approve=("canary", "champion"))
    one = a_rollout()

    assert hold(one, params=params) is None
    kept = hold(through(one, 1), params=params)
    assert kept is not None
    assert kept.needs_person
    agreed = transitions.approved(through(one, 1), "canary", who="ada", at_ms=5)
    assert hold(agreed, params=params) is None
    assert hold(replace(through(one, 3), is_urgent=True), params=params) is not None


def test_quiet_hours_and_a_cool_down_keep_what_is_not_urgent_until_they_end() -> None:
    params = replace(PARAMS, quiet_hours="22:00-06:00")
    one, now_ms = a_rollout(), NIGHT_MS + 60_000

    night = {"params": params, "now_ms": now_ms, "quiet_to_ms": NIGHT_MS + 8 * 3_600_000}
    kept = hold(one, **night)
    assert kept == Hold("quiet hours, 22:00-06:00 UTC", False, NIGHT_MS + 8 * 3_600_000)
    assert hold(replace(one, is_urgent=True), **night) is None
    cooling = hold(one, failed_ms=NIGHT_MS, now_ms=now_ms)
    assert cooling is not None
    assert cooling.until_ms == NIGHT_MS + 21_600_000
    assert hold(through(one, 1), failed_ms=NIGHT_MS, now_ms=now_ms) is None


def test_a_pause_keeps_everything_and_is_not_given_up() -> None:
    one = a_rollout(is_urgent=True)
    kept = hold(one, is_paused=True)
    assert kept is not None
    assert kept.why == PAUSED
    waits = transitions.held(one, kept)

    assert not is_given_up(waits, PARAMS, now_ms=10**15)
    unheard = transitions.held(one, Hold("a person has to agree", True))
    assert is_given_up(unheard, PARAMS, now_ms=1_000 + 14 * DAY_MS + 1)
    assert not is_given_up(unheard, PARAMS, now_ms=1_000 + 14 * DAY_MS)


def test_only_what_is_to_come_can_be_agreed_to() -> None:
    one = through(a_rollout(), 1)

    with pytest.raises(ValueError, match="to come: canary, ramp, champion"):
        transitions.approved(one, "shadow", who="ada", at_ms=5)
    running = transitions.entered(one, "x@1", at_ms=2)
    with pytest.raises(ValueError, match="to come: ramp, champion"):
        transitions.approved(running, "canary", who="ada", at_ms=5)
    with pytest.raises(ValueError, match="nothing to agree to"):
        transitions.approved(replace(one, status="served"), "champion", who="ada", at_ms=5)


def test_what_serves_or_is_over_is_not_aborted() -> None:
    with pytest.raises(ValueError, match="models rollback"):
        transitions.aborted(a_rollout(status="watching"), at_ms=5)
    with pytest.raises(ValueError, match="rolled back"):
        transitions.aborted(a_rollout(status="rolled_back"), at_ms=5)
    assert transitions.aborted(a_rollout(status="running"), at_ms=5).is_over


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("is_urgent", [False, True])
def test_the_experiment_of_each_step_is_one_that_may_run(place: int, is_urgent: bool) -> None:
    one = replace(through(a_rollout(), place), is_urgent=is_urgent)
    definition = definition_of(one, PARAMS)

    check_definition(definition)
    assert definition.name == f"rollout-7-{one.next_place}"
    assert definition.versions == ["1.2.0"]
    assert not definition.may_promote  # the rollout promotes, once every step is behind it
    if one.next_place == "canary":
        assert definition.decides == "guardrails"
        assert definition.duration == ("6h" if is_urgent else "1d")


@pytest.mark.parametrize(
    ("verdict", "equal", "outcome"),
    [
        ("promote", "refuse", "passed"),
        ("keep", "go_on", "passed"),
        ("keep", "refuse", "refused"),
        ("futility", "go_on", "passed"),
        ("undecided", "refuse", "refused"),
        ("harm", "go_on", "refused"),
        ("invalid", "go_on", "refused"),
        ("stopped", "go_on", "refused"),
    ],
)
def test_a_verdict_means_for_the_rollout(verdict: VerdictName, equal: str, outcome: str) -> None:
    definition = definition_of(a_rollout(), PARAMS)
    found = StoredExperiment(definition, "ended", verdict=StoredVerdict(verdict, "because"))

    assert step_judgement(found, equal=equal).outcome == outcome
    assert step_judgement(replace(found, verdict=None), equal=equal).outcome == "running"


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": ("canary", "shadow")},
        {"steps": ("canary", "canary")},
        {"steps": ("blue-green",)},
        {"urgent_on": ("weather",)},
        {"approve": ("everything",)},
        {"equal": "maybe"},
        {"metric": "luck"},
        {"canary_share": 0.2},
        {"ramp_steps": (0.5,)},
        {"ramp_steps": (0.5, 0.25)},
        {"ramp_steps": (0.5, 1.0)},
        {"ramp_step": "7d"},
        {"shadow_for": "1m"},
        {"shadow_for": "soon"},
        {"looks": 0},
        {"wait_s_max": 0.0},
    ],
)
def test_what_cannot_be_rolled_out_by_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^.+$") as caught:
        RolloutParams(**wrong)
    assert "\n" not in str(caught.value)
    json.dumps(str(caught.value))
