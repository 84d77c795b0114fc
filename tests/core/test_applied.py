"""Applied settings: what differs is told key by key."""

from typing import Any

from sentinel.core.applied import applied_config
from sentinel.core.switches import told
from sentinel.stored.switches import AppliedConfig

BASE = {"policy.review_min": 0.2, "policy.block_min": 0.8}
BY: dict[str, Any] = {"who": "mia", "why": "night", "at_ms": 5}


def test_what_is_applied_is_told_with_what_was_and_what_is() -> None:
    values = {"policy.review_min": 0.3, "policy.block_min": 0.8}

    done = applied_config(AppliedConfig(), values, BASE, **BY)

    assert (done.values, done.number, done.who) == (values, 1, "mia")
    (entry,) = done.untold
    assert entry.before == {"policy.review_min": 0.2}
    assert entry.after == {"policy.review_min": 0.3, "change": "applied", "why": "night"}


def test_the_same_once_more_changes_nothing() -> None:
    once = applied_config(AppliedConfig(), BASE, {}, **BY)

    assert applied_config(once, dict(BASE), {}, who="noa", why="", at_ms=9) == once
    assert applied_config(AppliedConfig(), {}, BASE, **BY) == AppliedConfig()


def test_a_reset_takes_all_back_and_numbers_grow() -> None:
    once = applied_config(AppliedConfig(), {"policy.review_min": 0.3}, BASE, **BY)
    reset = applied_config(told(once, once.untold), {}, BASE, **BY)

    assert (reset.values, reset.number) == ({}, 3)
    (entry,) = reset.untold
    assert entry.after is not None
    assert entry.after["change"] == "reset"
