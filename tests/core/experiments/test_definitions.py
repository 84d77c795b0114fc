"""What an experiment may be, and what may become of it."""

from dataclasses import replace
from typing import Any

import pytest

from sentinel.core.decision import PolicyParams
from sentinel.core.experiments import transitions
from sentinel.core.experiments.definition import (
    check_definition,
    policy_over,
    shares_of,
    starts_of,
)
from sentinel.stored.experiments import (
    ArmSpec,
    Definition,
    StoredExperiment,
    StoredVerdict,
)
from sentinel.stored.routing import RoutingPlan

ARMS = (ArmSpec("control", 0.5), ArmSpec("challenger", 0.5, "1.1.0"))
SPLIT = Definition("fast", "split", ARMS)


def of(**changes: Any) -> Definition:
    return replace(SPLIT, **changes)


BAD = {
    "name must be 1 to 40": of(name="Fast!"),
    "name must be": of(name=""),
    "layer must be": of(layer="[bold]"),
    "design must be one of": of(design="guess"),
    "has 2 to 8 arms, got 1": of(arms=ARMS[:1]),
    "has 2 to 8 arms, got 9": of(arms=tuple(ArmSpec(f"a{i}", 1 / 9) for i in range(9))),
    "same name": of(arms=(ARMS[0], replace(ARMS[1], name="control"))),
    "arms are named with": of(arms=(ARMS[0], replace(ARMS[1], name="a+b"))),
    "must sum to 1, got 0.9": of(arms=(ArmSpec("a", 0.5), ArmSpec("b", 0.4))),
    r"must be in \(0, 1\]": of(arms=(ArmSpec("a", 1.0), ArmSpec("b", 0.0))),
    "a canary takes at most 0.1": of(design="canary"),
    "a ramp has at least two steps": of(design="ramp"),
    "and nothing else has steps": of(steps=(0.1, 0.5)),
    "must ascend": of(design="ramp", steps=(0.5, 0.1, 0.5)),
    "the last step of a ramp is the share": of(design="ramp", steps=(0.1, 0.4)),
    "arm challenger sets": of(arms=(ARMS[0], replace(ARMS[1], policy={"review": 1.0}))),
    "has two arms: the champion": of(design="shadow", arms=(ARMS[0], replace(ARMS[1], version=""))),
    "no arm has a policy": of(
        design="shadow",
        arms=(
            ArmSpec("champion", 1.0),
            ArmSpec("challenger", 0.5, "1.1.0", {"review_min": 0.1}),
        ),
    ),
    "a shadow experiment has no steps": of(
        design="shadow",
        arms=(ArmSpec("champion", 1.0), ArmSpec("challenger", 0.5, "1.1.0")),
        steps=(0.1, 0.5),
    ),
    "traffic must be in": of(traffic=0.0),
    "metric must be one of": of(metric="luck"),
    "looks must be in 1..100": of(looks=101),
    "a whole number and one of": of(duration="a while"),
    "at least a minute a look": of(duration="5m"),
    "alpha must be in": of(alpha=float("nan")),
    "effect must be in": of(effect=0.0),
    "have no values": of(segments={"country": ()}),
}


@pytest.mark.parametrize("words", BAD)
def test_what_is_no_experiment_is_refused_with_what_is_allowed(words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_definition(BAD[words])


def test_what_an_arm_sets_lies_over_the_policy_and_must_fit_it() -> None:
    base = PolicyParams(review_min=0.2, block_min=0.8)
    assert policy_over(base, {}) is base
    assert policy_over(base, {"review_min": 0.1}).review_min == 0.1
    assert policy_over(base, {"explore_amount_minor_max": 5.0}).explore_amount_minor_max == 5
    with pytest.raises(ValueError, match="review_min <= block_min"):
        policy_over(base, {"review_min": 0.9})


def test_shares_of_a_ramp_grow_from_where_each_arm_begins() -> None:
    ramp = Definition(
        "r",
        "ramp",
        (ArmSpec("control", 0.5), ArmSpec("a", 0.3, "1.1.0"), ArmSpec("b", 0.2, "1.2.0")),
        steps=(0.05, 0.5),
    )
    check_definition(ramp)
    assert shares_of(ramp, 0) == pytest.approx((0.95, 0.03, 0.02))
    assert shares_of(ramp, 1) == pytest.approx((0.5, 0.3, 0.2))
    assert starts_of(ramp) == pytest.approx((0.0, 0.3))


def go(
    found: StoredExperiment | None, plan: RoutingPlan, *steps: transitions.Step
) -> tuple[StoredExperiment, RoutingPlan]:
    for step in steps:
        changed = step(found, plan)
        found = changed.experiment
        plan = plan if changed.plan is None else changed.plan
    assert found is not None
    return found, plan


START = transitions.start(
    at_ms=5, champion="1.0.0", key_check="k", holdout=0.0, servable=["1.0.0", "1.1.0"]
)


def test_a_life_from_a_draft_to_its_end_and_the_next_definition() -> None:
    one, plan = go(None, RoutingPlan(), transitions.create(SPLIT), START)
    assert (one.status, one.control, one.started_ms) == ("running", "1.0.0", 5)
    assert [arm.version for arm in plan.experiments[0].arms] == ["1.0.0", "1.1.0"]
    one, plan = go(one, plan, transitions.pause)
    assert plan.experiments[0].is_paused
    one, plan = go(one, plan, transitions.resume, transitions.stop(StoredVerdict("keep", "so")))
    assert (one.status, plan.experiments, plan.key_check) == ("ended", (), "")
    again, _ = go(one, plan, transitions.create(SPLIT))
    assert (again.status, again.definition.number, again.look) == ("draft", 2, 0)
    edited, _ = go(again, plan, transitions.create(of(looks=5)))
    assert (edited.definition.number, edited.definition.looks) == (2, 5)


def test_a_winner_waits_and_is_settled() -> None:
    one, plan = go(None, RoutingPlan(), transitions.create(SPLIT), START)
    won = transitions.stop(StoredVerdict("promote", "so", "challenger"), is_waiting=True)
    one, plan = go(one, plan, won)
    assert (one.status, plan.experiments) == ("waiting", ())
    one, _ = go(one, plan, transitions.settle)
    assert one.status == "ended"


def test_a_ramp_goes_up_and_back_and_not_beyond() -> None:
    ramp = of(design="ramp", steps=(0.1, 0.5))
    one, plan = go(None, RoutingPlan(), transitions.create(ramp), START, transitions.ramp())
    assert (one.step, plan.experiments[0].step) == (1, 1)
    assert plan.experiments[0].arms[1].share == 0.5
    assert plan.experiments[0].arms[0].version == "1.0.0"
    with pytest.raises(ValueError, match="has 2 steps and is at the 2nd: there is no 3rd"):
        go(one, plan, transitions.ramp())
    one, plan = go(one, plan, transitions.ramp(0))
    assert plan.experiments[0].arms[1].share == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (transitions.pause, "is a draft: only one that is running can be paused"),
        (transitions.resume, "only one that is paused can be resumed"),
        (transitions.settle, "only one that is waiting for a person can be settled"),
        (transitions.ramp(), "only one that is running can be ramped"),
    ],
)
def test_a_step_that_cannot_be_says_from_where_it_can(step: transitions.Step, words: str) -> None:
    draft, plan = go(None, RoutingPlan(), transitions.create(SPLIT))
    with pytest.raises(ValueError, match=words):
        step(draft, plan)
    with pytest.raises(ValueError, match="there is no experiment of that name"):
        step(None, plan)


def test_what_runs_is_not_changed_and_an_unknown_model_does_not_start() -> None:
    one, plan = go(None, RoutingPlan(), transitions.create(SPLIT), START)
    with pytest.raises(ValueError, match="fixed until it is over"):
        go(one, plan, transitions.create(SPLIT))
    unknown = of(arms=(ARMS[0], replace(ARMS[1], version="9.9.9")))
    with pytest.raises(ValueError, match=r"model 9\.9\.9 is none that can serve"):
        go(None, RoutingPlan(), transitions.create(unknown), START)


def test_eight_run_at_once_and_no_more() -> None:
    plan = RoutingPlan()
    for number in range(8):
        aa = Definition(
            f"aa{number}", "split", (ArmSpec("a", 0.5), ArmSpec("b", 0.5)), layer=f"l{number}"
        )
        _, plan = go(None, plan, transitions.create(aa), START)
    with pytest.raises(ValueError, match="8 experiments run already"):
        go(None, plan, transitions.create(SPLIT), START)
