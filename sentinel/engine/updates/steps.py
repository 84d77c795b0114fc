"""From the state of an update to the step that takes it on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from sentinel.engine.registry.lifecycle import Update, UpdateState
from sentinel.engine.updates.making import Making
from sentinel.engine.updates.promotion import Promotion
from sentinel.engine.updates.reader import ReaderPosition

# Gives how the update stands then, to be noted in that order: nothing where it stays as it is, and
# two where the next update takes the place of this one. It can be taken twice: whoever takes over
# before the note takes it again.
Step = Callable[[Update, ReaderPosition], Awaitable[tuple[Update, ...]]]

# What follows at once: the trainer is asked with the examples that the update was begun with, and
# what it has made is here and nowhere else.
AT_ONCE: frozenset[UpdateState] = frozenset({"training", "made"})


def steps_of(making: Making, promotion: Promotion) -> Mapping[UpdateState, Sequence[Step]]:
    """For each state the steps, of which the first is taken that leads anywhere."""
    return {
        "idle": (making.begin,),
        "training": (making.make,),
        "made": (making.register,),
        "waiting": (promotion.decided, making.begin),
        "promoting": (promotion.promote,),
        "watching": (promotion.watch, making.begin),
    }
