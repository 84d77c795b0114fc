"""Whether one state of the registry came of another: a restored store may hold one of long ago.

Each change of the registry has the next number and leaves an event, so the event of the same number
tells whether two states of the registry have the same past.
"""

from collections.abc import Collection, Sequence
from typing import Literal

from sentinel.stored.versions import ModelEvent, RegistryState

Relation = Literal["same", "later", "earlier", "apart"]


def relation(
    seen: RegistryState,
    known: Sequence[ModelEvent],
    found: RegistryState,
    told: Sequence[ModelEvent],
) -> Relation:
    """How a state of the registry that is found stands to one that was seen before.

    Parameters
    ----------
    known, told
        The events up to the one seen, and up to the one found, oldest first, as far as they are
        known.

    Returns
    -------
    Relation
        "later": of two without events, too, that with the higher number. "earlier": what was seen
        came of what is found, for sure. "apart": of different changes, or nobody knows.
    """
    if found == seen:
        return "same"
    number = min(seen.number, found.number)
    ours, theirs = _of(known, number), _of(told, number)
    is_same_past = number == 0 or (ours is not None and ours == theirs)
    if found.number > seen.number and (is_same_past or ours is None or theirs is None):
        return "later"
    return "earlier" if found.number < seen.number and is_same_past else "apart"


def lost_events(
    seen: RegistryState, known: Sequence[ModelEvent], found: RegistryState
) -> tuple[ModelEvent, ...] | None:
    """The changes between an earlier state and the one seen; None if not all of them are known."""
    lost = tuple(event for event in known if found.number < event.number <= seen.number)
    numbers = [event.number for event in lost]
    return lost if numbers == list(range(found.number + 1, seen.number + 1)) else None


def is_decided(
    known: Sequence[ModelEvent], told: Sequence[ModelEvent], automatic: Collection[str]
) -> bool:
    """Whether somebody has said what serves, in a change that was not known.

    Parameters
    ----------
    automatic
        Whose word is nobody's. Nor is a first model: it takes no other one's place.
    """
    if not known:
        return False
    new = [event for event in told if event.number >= known[0].number and event not in known]
    return any(
        event.champion_before not in (None, event.champion) and event.who not in automatic
        for event in new
    )


def _of(events: Sequence[ModelEvent], number: int) -> ModelEvent | None:
    return next((event for event in reversed(events) if event.number == number), None)
