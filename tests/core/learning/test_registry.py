"""Where versions stand: what may follow what, and what never happens whatever is tried."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.registry import transitions
from sentinel.core.registry.audit import audit_entry
from sentinel.core.registry.transitions import (
    approved,
    archived,
    kind_of_change,
    next_version,
    promoted,
    refused,
    registered,
    replayed_registry,
    rolled_back,
    serving_at,
    shadowed,
    staged,
)
from sentinel.stored.versions import ModelEvent, RegistryState, parsed

BY: dict[str, Any] = {"who": "ann", "why": "it is better", "at_ms": 5}
VERSIONS = ("1.0.0", "1.1.0", "1.1.1", "2.0.0")


def serving(*versions: str) -> RegistryState:
    """A registry in which these have served, one after the other; the last one does."""
    registry_state = RegistryState()
    for version in versions:
        registry_state, _ = promoted(
            in_staging(registry_state, version), version, **BY, approval_needed=False
        )
    return registry_state


def in_staging(registry_state: RegistryState, version: str) -> RegistryState:
    registry_state, _ = registered(registry_state, version, **BY)
    registry_state, _ = staged(registry_state, version, **BY)
    return registry_state


def test_a_version_goes_from_development_through_staging_to_production() -> None:
    registry_state, first = registered(RegistryState(), "1.0.0", **BY)
    assert registry_state == RegistryState(1, {"1.0.0": "development"})
    registry_state, second = staged(registry_state, "1.0.0", **BY)
    assert registry_state == RegistryState(2, {"1.0.0": "staging"}, challenger="1.0.0")
    registry_state, third = promoted(registry_state, "1.0.0", **BY, approval_needed=False)

    assert registry_state == RegistryState(3, {"1.0.0": "production"}, "1.0.0")
    assert [one.kind for one in (first, second, third)] == ["registered", "staged", "promoted"]
    assert third == ModelEvent(
        3, 5, "promoted", "1.0.0", "1.0.0", None, None, "ann", "it is better"
    )


def test_the_champion_before_is_archived_and_can_be_gone_back_to() -> None:
    registry_state = in_staging(serving("1.0.0", "1.1.0"), "2.0.0")

    after, event = promoted(registry_state, "2.0.0", **BY, approval_needed=False)

    assert after.stages == {"1.0.0": "archived", "1.1.0": "archived", "2.0.0": "production"}
    assert (after.champion, after.before, after.challenger) == ("2.0.0", ("1.0.0", "1.1.0"), None)
    assert (event.champion, event.champion_before) == ("2.0.0", "1.1.0")


def test_a_roll_back_goes_to_the_last_champion_and_not_to_the_bad_one_again() -> None:
    after, event = rolled_back(serving("1.0.0", "1.1.0", "2.0.0"), **BY)

    assert (after.champion, after.before) == ("1.1.0", ("1.0.0",))
    assert after.stages == {"1.0.0": "archived", "1.1.0": "production", "2.0.0": "archived"}
    assert (event.kind, event.version) == ("rolled_back", "2.0.0")
    assert (event.champion, event.champion_before) == ("1.1.0", "2.0.0")
    again, _ = rolled_back(after, **BY)
    assert (again.champion, again.before) == ("1.0.0", ())
    with pytest.raises(ValueError, match=r"1\.0\.0 cannot be rolled back: no other version served"):
        rolled_back(again, **BY)


def test_what_spoke_for_a_version_is_void_when_it_was_rolled_back() -> None:
    registry_state, _ = approved(in_staging(serving("1.0.0"), "1.1.0"), "1.1.0", **BY)
    registry_state, _ = promoted(registry_state, "1.1.0", **BY, approval_needed=True)

    after, _ = rolled_back(registry_state, **BY)

    assert after.approvals == {}
    with pytest.raises(ValueError, match="nobody has approved it yet"):
        promoted(after, "1.1.0", **BY, approval_needed=True, force=True)


def test_a_roll_back_may_name_which_champion_it_goes_to() -> None:
    registry_state = serving("1.0.0", "1.1.0", "2.0.0")

    after, _ = rolled_back(registry_state, **BY, to="1.0.0")

    assert (after.champion, after.before) == ("1.0.0", ("1.1.0",))
    with pytest.raises(ValueError, match=r"to 2\.0\.0: only to .* 1\.0\.0 or 1\.1\.0"):
        rolled_back(registry_state, **BY, to="2.0.0")
    with pytest.raises(ValueError, match="nothing can be rolled back: no version serves"):
        rolled_back(RegistryState(), **BY)


def test_a_roll_back_passes_over_a_champion_that_is_there_no_more() -> None:
    registry_state = RegistryState(
        9, {"1.0.0": "archived", "2.0.0": "production"}, "2.0.0", before=("1.0.0", "1.1.0")
    )

    assert rolled_back(registry_state, **BY)[0].champion == "1.0.0"


def test_without_an_approval_nothing_is_promoted_where_one_is_needed() -> None:
    registry_state = in_staging(RegistryState(), "1.0.0")
    with pytest.raises(ValueError, match="nobody has approved it yet"):
        promoted(registry_state, "1.0.0", **BY, approval_needed=True)

    registry_state, event = approved(
        registry_state, "1.0.0", who="bob", why="read the report", at_ms=9
    )

    assert (event.kind, event.who) == ("approved", "bob")
    assert registry_state.approvals["1.0.0"].who == "bob"
    assert promoted(registry_state, "1.0.0", **BY, approval_needed=True)[0].champion == "1.0.0"


@pytest.mark.parametrize("turn_down", [refused, archived])
def test_what_was_turned_down_comes_back_only_by_force_of_somebody_with_a_reason(
    turn_down: Callable[..., tuple[RegistryState, ModelEvent]],
) -> None:
    registry_state, _ = approved(in_staging(serving("1.0.0"), "1.1.0"), "1.1.0", **BY)
    registry_state, _ = shadowed(registry_state, "1.1.0", **BY)

    registry_state, event = turn_down(registry_state, "1.1.0", **BY)

    assert event.kind == turn_down.__name__
    assert registry_state.stages["1.1.0"] == "archived"
    assert (registry_state.challenger, registry_state.shadow, registry_state.before) == (
        None,
        None,
        (),
    )
    with pytest.raises(ValueError, match="refused, withdrawn or rolled back; by force"):
        promoted(registry_state, "1.1.0", **BY, approval_needed=False)
    for who, why in (("", "x"), ("ann", " ")):
        with pytest.raises(ValueError, match="without who does it, and a reason"):
            promoted(
                registry_state,
                "1.1.0",
                who=who,
                why=why,
                at_ms=5,
                approval_needed=False,
                force=True,
            )
    with pytest.raises(ValueError, match="nobody has approved it yet"):
        promoted(registry_state, "1.1.0", **BY, approval_needed=True, force=True)
    after, _ = promoted(registry_state, "1.1.0", **BY, approval_needed=False, force=True)
    assert (after.champion, after.before) == ("1.1.0", ("1.0.0",))


def test_a_former_champion_comes_back_by_a_roll_back_or_by_force() -> None:
    registry_state = serving("1.0.0", "1.1.0")

    with pytest.raises(ValueError, match="served before: a rollback goes back to it; by force"):
        promoted(registry_state, "1.0.0", **BY, approval_needed=False)
    after, _ = promoted(registry_state, "1.0.0", **BY, approval_needed=False, force=True)

    assert (after.champion, after.before) == ("1.0.0", ("1.1.0",)), "each once, and in their order"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: registered(s, "1.0.0", **BY), "1.0.0 cannot be registered: it is in production"),
        (lambda s: registered(s, "new", **BY), 'version must look like "1.2.0", got "new"'),
        (lambda s: staged(s, "9.0.0", **BY), "no such version; there are 1.0.0 or 1.1.0"),
        (lambda s: staged(RegistryState(), "9.0.0", **BY), "no such version; there is none"),
        (lambda s: staged(s, "1.0.0", **BY), "it is in production, must be in development"),
        (lambda s: approved(s, "1.0.0", **BY), "in development, staging or archived"),
        (lambda s: refused(s, "1.0.0", **BY), "1.0.0 cannot be refused: it is in production"),
        (lambda s: archived(s, "1.0.0", **BY), "must be in development or staging"),
        (
            lambda s: promoted(s, "1.1.0", **BY, approval_needed=False, force=True),
            "it is in development, must be in staging or archived",
        ),
        (
            lambda s: promoted(s, "1.0.0", **BY, approval_needed=False),
            "cannot be promoted: it is in production, must be in staging",
        ),
        (lambda s: shadowed(s, "1.0.0", **BY), "cannot be the shadow: it is in production"),
        (lambda s: shadowed(s, None, **BY), "no version is one"),
        (
            lambda s: shadowed(shadowed(s, "1.1.0", **BY)[0], "1.1.0", **BY),
            "it is the shadow already",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(
    change: Callable[[RegistryState], object], message: str
) -> None:
    registry_state, _ = registered(serving("1.0.0"), "1.1.0", **BY)

    with pytest.raises(ValueError, match=re.escape(message)):
        change(registry_state)


def test_a_shadow_begins_and_ends() -> None:
    registry_state, begun = shadowed(in_staging(RegistryState(), "1.0.0"), "1.0.0", **BY)
    assert (registry_state.shadow, begun.version, begun.shadow) == ("1.0.0", "1.0.0", "1.0.0")

    ended, event = shadowed(registry_state, None, **BY)
    assert (ended.shadow, event.version, event.shadow) == (None, "1.0.0", None)
    after, _ = promoted(registry_state, "1.0.0", **BY, approval_needed=False)
    assert after.shadow is None, "what decides is no shadow"


KINDS = [
    *("registered", "staged", "approved", "promoted", "forced"),
    *("rolled_back", "refused", "archived", "shadowed"),
]
attempts = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(VERSIONS),
        st.booleans(),
    ),
    max_size=60,
)


def attempt(
    registry_state: RegistryState, what: str, version: str, choice: bool, at_ms: int
) -> tuple[RegistryState, Any]:
    by: dict[str, Any] = {"who": "ann", "why": "why", "at_ms": at_ms}
    match what:
        case "promoted" | "forced":
            return promoted(
                registry_state, version, **by, approval_needed=choice, force=what == "forced"
            )
        case "rolled_back":
            return rolled_back(registry_state, **by, to=version if choice else None)
        case "shadowed":
            return shadowed(registry_state, version if choice else None, **by)
        case _:
            found: tuple[RegistryState, Any] = getattr(transitions, what)(
                registry_state, version, **by
            )
            return found


MOVES = {
    (None, "development"): {"registered"},
    ("development", "staging"): {"staged"},
    ("staging", "production"): {"promoted", "forced"},
    ("archived", "production"): {"forced", "rolled_back"},
    ("development", "archived"): {"refused", "archived"},
    ("staging", "archived"): {"refused", "archived"},
    ("production", "archived"): {"promoted", "forced", "rolled_back"},
}


@settings(max_examples=300)
@given(attempts)
def test_whatever_is_tried_the_registry_state_makes_sense(
    tried: list[tuple[str, str, bool]],
) -> None:
    registry_state, history, turned_down = RegistryState(), [], set[str]()
    served: list[str | None] = []
    changes: list[tuple[RegistryState, RegistryState, ModelEvent]] = []
    for at_ms, (what, version, choice) in enumerate(tried):
        try:
            after, event = attempt(registry_state, what, version, choice, at_ms)
        except ValueError:
            served.append(registry_state.champion)
            continue

        assert event.number == after.number == registry_state.number + 1
        assert (event.champion, event.champion_before) == (after.champion, registry_state.champion)
        assert event.shadow == after.shadow
        for name, stage in after.stages.items():
            if stage != registry_state.stages.get(name):
                assert what in MOVES[registry_state.stages.get(name), stage]
        if what in ("refused", "archived", "rolled_back"):
            turned_down.add(event.version)
        if what == "forced":
            turned_down.discard(version)
        assert after.champion not in turned_down
        assert turned_down.isdisjoint(after.before)
        check(after)
        history.append(event)
        changes.append((registry_state, after, event))
        served.append(after.champion)
        registry_state = after

    assert [serving_at(history, at_ms) for at_ms in range(len(tried))] == served
    assert registry_state.number == len(history)
    assert list(replayed_registry(history)) == changes


def test_a_history_with_a_gap_is_not_replayed() -> None:
    registry_state, first = registered(RegistryState(), "1.0.0", **BY)
    registry_state, second = registered(registry_state, "1.1.0", **BY)
    _, third = staged(registry_state, "1.1.0", **BY)

    assert len(list(replayed_registry([first, second, third]))) == 3
    with pytest.raises(ValueError, match="change 3 does not follow"):
        list(replayed_registry([first, replace(second, number=3, version="1.2.0")]))
    with pytest.raises(ValueError, match="there is no such version"):
        list(replayed_registry([first, third]))


def check(registry_state: RegistryState) -> None:
    """What holds of every state."""
    in_production = [name for name, stage in registry_state.stages.items() if stage == "production"]
    assert in_production == ([] if registry_state.champion is None else [registry_state.champion])
    assert (
        registry_state.challenger is None
        or registry_state.stages[registry_state.challenger] == "staging"
    )
    assert (
        registry_state.shadow is None
        or registry_state.stages[registry_state.shadow] != "production"
    )
    assert len(set(registry_state.before)) == len(registry_state.before)
    assert all(registry_state.stages[name] == "archived" for name in registry_state.before)
    assert registry_state.approvals.keys() <= registry_state.stages.keys()


def test_who_served_when_is_read_from_the_history() -> None:
    def event(number: int, at_ms: int, champion: str | None) -> ModelEvent:
        return ModelEvent(number, at_ms, "promoted", "1.0.0", champion, None, None, "ann", "")

    history = [event(1, 10, None), event(2, 20, "1.0.0"), event(3, 18, "1.1.0")]

    assert serving_at([], 5) is None
    assert serving_at(history, 9) is None
    assert serving_at(history, 10) is None
    assert serving_at(history, 17) is None
    assert serving_at(history, 18) == "1.1.0", "the later change, by a clock that is behind"
    assert serving_at(history, 99) == "1.1.0"
    assert serving_at(history[:2], 20) == "1.0.0"


@pytest.mark.parametrize(
    ("versions", "parent", "change", "expected"),
    [
        ([], None, "major", "1.0.0"),
        ([], None, "patch", "1.0.0"),
        (["1.0.0"], "1.0.0", "patch", "1.0.1"),
        (["1.0.0"], "1.0.0", "minor", "1.1.0"),
        (["1.0.0"], "1.0.0", "major", "2.0.0"),
        (["1.0.0", "1.9.0", "1.10.0"], "1.9.3", "minor", "1.11.0"),
        (["1.0.0", "1.0.7", "1.1.0"], "1.0.0", "patch", "1.0.8"),
        (["1.0.0", "1.5.9"], "1.0.0", "patch", "1.0.1"),
        (["3.0.0", "1.0.0"], "1.0.0", "major", "4.0.0"),
        (["3.0.0"], None, "minor", "4.0.0"),
        ([], "1.2.3", "patch", "1.2.4"),
    ],
)
def test_the_next_number(
    versions: list[str], parent: str | None, change: transitions.Change, expected: str
) -> None:
    assert next_version(versions, parent, change) == expected


numbers = st.tuples(*[st.integers(0, 3)] * 3).map(lambda parts: "{}.{}.{}".format(*parts))


@given(
    st.lists(numbers, max_size=12),
    st.none() | numbers,
    st.sampled_from(["major", "minor", "patch"]),
)
def test_the_next_number_is_new_and_higher_than_its_parent(
    versions: list[str], parent: str | None, change: transitions.Change
) -> None:
    found = parsed(next_version(versions, parent, change))

    assert found not in map(parsed, versions)
    if parent is not None:
        assert found > parsed(parent)
        kept = {"major": 0, "minor": 1, "patch": 2}[change]
        assert found[:kept] == parsed(parent)[:kept]
        assert not any(found[kept + 1 :])


PARENT = {
    "features": ["amount", "count"],
    "engine": "kernel",
    "fit": {"tree_count": 200, "learning_rate": 0.1},
    "window": {"train": {"first_ms": 1}},
    "strategy": "first",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"strategy": "retrain"}, "minor"),
        ({"strategy": "retrain", "window": {"train": {"first_ms": 2}}}, "minor"),
        ({"strategy": "aggregate"}, "minor"),
        ({"strategy": "continue"}, "patch"),
        ({"strategy": "recalibrate", "window": {}}, "patch"),
        ({"strategy": "continue", "fit": {"tree_count": 215, "learning_rate": 0.1}}, "patch"),
        ({"strategy": "continue", "fit": {"tree_count": 215, "learning_rate": 0.2}}, "minor"),
        ({"strategy": "continue", "features": ["count", "amount"]}, "major"),
        ({"strategy": "retrain", "features": ["amount"]}, "major"),
        ({"strategy": "retrain", "engine": "lightgbm"}, "major"),
        ({"strategy": "first"}, "major"),
        ({"strategy": "recalibrate", "config_version": "other"}, "patch"),
    ],
)
def test_what_kind_of_change_it_is(changes: dict[str, Any], expected: str) -> None:
    assert kind_of_change(PARENT, PARENT | changes) == expected
    assert kind_of_change(None, PARENT | changes) == "major"


def test_a_change_is_told_in_the_audit_with_before_and_after() -> None:
    before, _ = approved(in_staging(serving("1.0.0"), "1.1.0"), "1.1.0", **BY)
    after, event = promoted(before, "1.1.0", **BY, approval_needed=True)

    entry = audit_entry(before, after, event)

    assert (entry.id, entry.kind, entry.subject) == (
        f"models-{after.number}-promoted",
        "model",
        "1.1.0",
    )
    assert (entry.who, entry.at_ms) == ("ann", 5)
    assert entry.before == {
        "stage": "staging", "champion": "1.0.0", "challenger": "1.1.0", "shadow": None,
        "approved_by": "ann",
    }  # fmt: skip
    assert entry.after == {
        "change": "promoted", "stage": "production", "champion": "1.1.0", "challenger": None,
        "shadow": None, "approved_by": "ann", "why": "it is better",
    }  # fmt: skip
    first = audit_entry(RegistryState(), *registered(RegistryState(), "1.0.0", **BY))
    assert first.before is None
