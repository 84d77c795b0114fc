"""An update goes through its states in one order only, and its record can be kept."""

import itertools
from dataclasses import replace
from typing import Any, get_args

import pytest

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.learning.triggers import Trigger
from sentinel.engine.registry.lifecycle import (
    Update,
    UpdateState,
    audit_entry_of,
    begun_entry,
    update_of,
)

STATES: tuple[UpdateState, ...] = get_args(UpdateState)
ALLOWED: set[tuple[UpdateState, UpdateState]] = {
    ("idle", "training"),
    ("idle", "rolling"),
    ("idle", "watching"),
    ("training", "made"),
    ("training", "idle"),
    ("made", "waiting"),
    ("made", "rolling"),
    ("made", "promoting"),
    ("made", "idle"),
    ("waiting", "rolling"),
    ("waiting", "promoting"),
    ("rolling", "promoting"),
    ("rolling", "idle"),
    ("waiting", "idle"),
    ("promoting", "waiting"),
    ("promoting", "watching"),
    ("promoting", "idle"),
    ("watching", "idle"),
}
WHOLE = Update(
    log="memory",
    state="watching",
    number=7,
    trigger="demand",
    reason="asked for by ann é",
    strategy="recalibrate",
    version="1.2.0",
    verdict="promote",
    outcome="retrain: better",
    updated_ms=1_750_000_000_000,
    examples_to=4_000,
    control_to=3,
    champion="1.1.0",
    watch_until_ms=1_750_600_000_000,
)


@pytest.mark.parametrize("pair", sorted(ALLOWED))
def test_a_state_leads_to_the_next_and_everything_else_stays(
    pair: tuple[UpdateState, UpdateState],
) -> None:
    before, after = pair

    moved = Update(state=before, number=3, version="1.0.1").to(after, outcome="as it should")

    assert moved == Update(state=after, number=3, version="1.0.1", outcome="as it should")


@pytest.mark.parametrize("pair", sorted(set(itertools.product(STATES, STATES)) - ALLOWED))
def test_no_other_state_can_follow(pair: tuple[UpdateState, UpdateState]) -> None:
    before, after = pair

    with pytest.raises(AssertionError, match=f"{before} does not lead to {after}"):
        Update(state=before).to(after)


@pytest.mark.parametrize(
    ("noted", "to"),
    [
        ({"log": "c/1", "control_log": "c/2"}, (4_000, 3)),
        ({"log": "c/9", "control_log": "c/2"}, (0, 3)),
        ({"log": "c/1", "control_log": "c/9"}, (4_000, 0)),
        ({"log": "c/1"}, (4_000, 3)),  # of before the log of commands was noted
        ({"log": "c"}, (4_000, 3)),  # of before topics had names of their own
        ({"log": "other"}, (0, 0)),
    ],
)
def test_each_offset_holds_in_its_own_log(noted: dict[str, Any], to: tuple[int, int]) -> None:
    """The topic of commands may be created anew alone: it was obeyed no more."""
    found = update_of(encode_stored(replace(WHOLE, **noted)), "c/1", "c/2")

    assert (found.examples_to, found.control_to) == to
    assert (found.log, found.control_log) == ("c/1", "c/2")
    begun = replace(found, state="idle").next(
        Trigger("demand", "asked"), updated_ms=1, examples_to=1, control_to=1, champion="1.0.0"
    )
    assert begun.control_log == "c/2"


@pytest.mark.parametrize("update", [Update(), WHOLE])
def test_a_record_comes_back_as_it_was_kept(update: Update) -> None:
    stored = encode_stored(update)

    assert decode_stored(Update, stored) == update
    assert encode_stored(decode_stored(Update, stored)) == stored


def test_every_state_comes_back_as_it_was_kept() -> None:
    for state in STATES:
        assert decode_stored(Update, encode_stored(Update(state=state))).state == state


def test_what_is_told_of_an_update_depends_on_nothing_that_changes_on_the_way() -> None:
    """It may be told again later, and has to be the same then."""
    finished = WHOLE.to("idle", outcome="it serves")

    told = audit_entry_of(finished, "finished", {"outcome": finished.outcome})

    assert told == audit_entry_of(WHOLE, "finished", {"outcome": "it serves"})
    assert (told.id, told.subject, told.who) == ("update-7-finished", "update-7", "training")
    assert told.before == {"trigger": "demand", "reason": "asked for by ann é"}
    assert told.after == {"version": "1.2.0", "outcome": "it serves"}


def test_that_an_update_was_begun_is_told_with_the_reason_at_whatever_state_it_is_told() -> None:
    interrupted = Update(state="training", number=7, trigger="demand", reason="asked for by ann")

    told = begun_entry(interrupted)

    assert told == begun_entry(interrupted.to("idle", outcome="it was interrupted"))
    assert (told.id, told.subject, told.who) == ("update-7-begun", "update-7", "training")
    assert told.before is None
    assert told.after == {"trigger": "demand", "reason": "asked for by ann", "champion": ""}


def test_the_next_update_knows_of_the_one_before_what_came_of_it_only() -> None:
    trigger = Trigger("continuous", "50 new examples")

    found = WHOLE.to("idle").next(
        trigger, updated_ms=5, examples_to=7, control_to=4, champion="1.2.0"
    )

    assert found == Update(
        log="memory",
        state="training",
        number=8,
        trigger="continuous",
        reason="50 new examples",
        updated_ms=5,
        examples_to=7,
        control_to=4,
        champion="1.2.0",
        former="update 7 (demand): retrain: better",
    )
    with pytest.raises(AssertionError):
        WHOLE.next(trigger, updated_ms=5, examples_to=7, control_to=4, champion="1.2.0")


SERVING = WHOLE.to("idle", outcome="it serves")


@pytest.mark.parametrize(
    ("update", "is_one"),
    [
        (replace(SERVING, trigger="demand"), True),
        (replace(SERVING, trigger="follow_up"), False),
        (replace(SERVING, strategy="continue"), False),
        (replace(SERVING, outcome="rolled back: tests"), False),
    ],
)
def test_a_recalibration_is_one_that_serves_and_follows_none(update: Update, is_one: bool) -> None:
    assert update.is_recalibrated == is_one
