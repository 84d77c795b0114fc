"""The control plane: work that one instance of all does, the one that owns the feedback."""

import asyncio
from collections.abc import Awaitable, Callable

from sentinel.ports import Broker
from sentinel.records import TopicPartition

_ELSEWHERE_S = 1.0


class ControlPlane:
    """Whether this is the instance that does it, and a task that lasts as long as it is.

    Parameters
    ----------
    home
        Whoever owns this partition is the one.
    """

    def __init__(self, broker: Broker, home: TopicPartition) -> None:
        self._broker = broker
        self.home = home

    @property
    def is_here(self) -> bool:
        """Whether it is this instance now."""
        return self.home in self._broker.assignment()

    async def run(self, step: Callable[[], Awaitable[None]], let_go: Callable[[], None]) -> None:
        """Take a step after the other while it is here, until cancelled; raises what a step does.

        `let_go` is called, again and again, while it is elsewhere: what was known is old by then.
        """
        while True:
            if self.is_here:
                await step()
            else:
                let_go()
                await asyncio.sleep(_ELSEWHERE_S)
