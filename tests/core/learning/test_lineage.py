"""Whether one state came of another, against histories that were made change by change."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from sentinel.core.registry import transitions
from sentinel.core.registry.lineage import is_decided, lost_events, relation
from sentinel.stored.versions import ModelEvent, RegistryState

State = tuple[RegistryState, tuple[ModelEvent, ...]]

PROMOTED = partial(transitions.promoted, approval_needed=False)


def grown(state: State, count: int, *, who: str, first: int) -> list[State]:
    """The states after each of so many further changes: versions come, and each serves."""
    found = [state]
    for number in itertools.count(first):
        version = f"1.{number}.0"
        for change in (transitions.registered, transitions.staged, PROMOTED):
            registry_state, events = found[-1]
            after, event = change(registry_state, version, who=who, why="", at_ms=number)
            found.append((after, (*events, event)))
        if len(found) > count:
            return found[: count + 1]
    raise AssertionError


def test_what_was_before_what_is_later_and_what_is_apart_is_told() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        split, ours, theirs = (int(number) for number in rng.integers(0, 8, size=3))
        trunk = grown((RegistryState(), ()), split, who="ann", first=1)[-1]
        seen, known = grown(trunk, ours, who="bob", first=10)[-1]
        found, told = grown(trunk, theirs, who="cyd", first=20)[-1]
        expected = {
            (False, False): "same",
            (False, True): "later",
            (True, False): "earlier",
            (True, True): "apart",
        }[ours > 0, theirs > 0]

        assert relation(seen, known, found, told) == expected
        if expected == "earlier":
            assert lost_events(seen, known, found) == known[split:]


def test_without_the_events_a_higher_number_is_later_and_nothing_is_earlier() -> None:
    seen, known = grown((RegistryState(), ()), 5, who="ann", first=1)[-1]
    later, earlier = replace(seen, number=7), replace(seen, number=3)

    assert relation(seen, (), later, ()) == relation(seen, known, later, ()) == "later"
    assert relation(seen, (), earlier, known[:3]) == relation(seen, known, earlier, ()) == "apart"
    assert relation(seen, known, replace(seen, shadow="1.1.0"), known) == "apart"
    assert relation(seen, known, RegistryState(), ()) == "earlier", (
        "before the first change is nothing"
    )


def test_of_lost_events_one_that_is_missing_makes_all_unknown() -> None:
    seen, known = grown((RegistryState(), ()), 5, who="ann", first=1)[-1]
    found = RegistryState(number=2)

    assert lost_events(seen, known, found) == known[2:]
    for damaged in (known[:3] + known[4:], known[3:], known[:4], ()):
        assert lost_events(seen, damaged, found) is None
    assert lost_events(seen, known, seen) == ()


@pytest.mark.parametrize(
    ("count", "who", "expected"),
    [(2, "ann", False), (3, "ann", True), (3, "training", False), (6, "ann", True)],
)
def test_what_serves_is_decided_by_whoever_changes_the_champion(
    count: int, who: str, expected: bool
) -> None:
    trunk = grown((RegistryState(), ()), 3, who="ann", first=1)[-1]
    _, known = grown(trunk, 2, who="bob", first=10)[-1]
    _, told = grown(trunk, count, who=who, first=20)[-1]

    assert is_decided(known, told, {"training"}) == expected
    assert is_decided(known[3:], told, {"training"}) == expected, "only some are remembered"
    assert not is_decided((), told, {"training"}), "nobody knows which are new"


def test_a_first_model_is_nobodys_decision() -> None:
    def first(number: int) -> Sequence[ModelEvent]:
        return grown((RegistryState(), ()), 3, who=f"run {number}", first=1)[-1][1]

    assert not is_decided(first(1), first(2), ())
