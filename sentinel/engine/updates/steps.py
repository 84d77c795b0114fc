"""From the state of an update to the step that takes it on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from sentinel.engine.registry.lifecycle import Update, UpdateState
from sentinel.engine.updates.making import Making
from sentinel.engine.updates.promotion import Promotion
from sentinel.engine.updates.reader import ReaderPosition


class Rolling(Protocol):
    """Takes a version through the steps before it serves, and keeps how far it has come."""

    async def take_up(self, update: Update, position: ReaderPosition, /) -> tuple[Update, ...]:
        """A version that somebody wants rolled out, in the place of what waits or is watched."""
        ...

    async def roll(self, update: Update, position: ReaderPosition, /) -> tuple[Update, ...]:
        """The next step of the update's version, as far as nothing keeps it."""
        ...

    async def follow(self, update: Update) -> None:
        """Keep how the update stands now with its rollout; to say it again changes nothing."""
        ...


# Gives how the update stands then, to be noted in that order: nothing where it stays as it is, and
# two where the next update takes the place of this one. It can be taken twice: whoever takes over
# before the note takes it again.
Step = Callable[[Update, ReaderPosition], Awaitable[tuple[Update, ...]]]

# What follows at once: the trainer is asked with the examples that the update was begun with, and
# what it has made is here and nowhere else.
AT_ONCE: frozenset[UpdateState] = frozenset({"training", "made"})


def steps_of(
    making: Making, promotion: Promotion, rolling: Rolling
) -> Mapping[UpdateState, Sequence[Step]]:
    """For each state the steps, of which the first is taken that leads anywhere."""
    return {
        "idle": (promotion.adopt, rolling.take_up, making.begin),
        "training": (making.make,),
        "made": (making.register,),
        "waiting": (promotion.decided, rolling.take_up, making.begin),
        "rolling": (rolling.roll, making.begin_urgent),
        "promoting": (promotion.promote,),
        "watching": (promotion.watch, rolling.take_up, _once_judged(promotion, making.begin)),
    }


def _once_judged(promotion: Promotion, begin: Step) -> Step:
    """What is due waits while counts may yet speak against what serves; who asks does not wait.

    Or the next update would take the place of a watch that has not looked at anything, and a
    harmful champion would stay.
    """

    async def step(update: Update, position: ReaderPosition) -> tuple[Update, ...]:
        if promotion.is_judging(update) and position.asked_by is None:
            return ()
        return await begin(update, position)

    return step
