"""Switches: who pauses first is remembered, and each change is told once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.switches import PAUSED_BY_ALL, switched_off, switched_on, told
from sentinel.stored.switches import SWITCHES, UNTOLD_COUNT_MAX, Switch, Switches

BY: dict[str, Any] = {"who": "mia", "why": "labels are corrected", "at_ms": 5}


def test_who_pauses_is_remembered_and_told() -> None:
    done = switched_on(Switches(), ["learning"], **BY)

    assert done.switches.learning == Switch("mia", "labels are corrected", 5)
    assert (done.changed, done.unchanged) == (("learning",), ())
    (entry,) = done.switches.untold
    assert (entry.kind, entry.subject, entry.who, entry.at_ms) == ("switch", "learning", "mia", 5)
    assert entry.before == {"is_on": False}
    assert entry.after == {"is_on": True, "since_ms": 5, "who": "mia", "why": BY["why"]}


def test_who_pauses_what_is_paused_changes_nothing() -> None:
    once = switched_on(Switches(), ["learning"], **BY).switches

    again = switched_on(once, PAUSED_BY_ALL, who="noa", why="", at_ms=9)

    assert again.switches.learning == once.learning
    assert (again.changed, again.unchanged) == (("rollouts", "drift"), ("learning",))
    same = switched_on(once, ["learning"], who="noa", why="", at_ms=9)
    assert same.switches == once


def test_maintenance_rests_everything_and_brings_back_what_was() -> None:
    paused = switched_on(Switches(), ["drift"], **BY).switches
    within = switched_on(paused, ["maintenance"], **BY).switches

    assert all(within.is_paused(name) for name in SWITCHES)
    after = switched_off(within, ["maintenance"], who="noa", why="done", at_ms=9).switches
    assert [name for name in SWITCHES if after.is_paused(name)] == ["drift"]


def test_what_is_told_is_taken_out_and_what_came_meanwhile_stays() -> None:
    first = switched_on(Switches(), ["learning"], **BY).switches
    second = switched_on(first, ["drift"], **BY).switches

    left = told(second, first.untold)

    assert [one.subject for one in left.untold] == ["drift"]
    assert left.number == second.number + 1


STEPS = st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from(SWITCHES), min_size=1)))


@given(STEPS)
def test_any_history_is_that_of_sets(steps: list[tuple[bool, set[str]]]) -> None:
    """What can be entered can be left, and what is kept for the audit has an end."""
    switches, expected = Switches(), set[str]()
    for to_on, names in steps:
        step = switched_on if to_on else switched_off
        before = switches
        switches = step(switches, sorted(names), **BY).switches  # type: ignore[arg-type]
        changed = expected ^ (expected | names if to_on else expected - names)
        expected = expected | names if to_on else expected - names
        assert {name for name in SWITCHES if switches.of(name) is not None} == expected
        assert (switches.number > before.number) == bool(changed)
        assert len(switches.untold) <= UNTOLD_COUNT_MAX
    off = switched_off(switches, SWITCHES, **BY).switches
    assert not any(off.is_paused(name) for name in SWITCHES)
