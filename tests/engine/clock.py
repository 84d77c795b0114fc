"""An event loop whose clock jumps to the next timer whenever there is nothing else to do."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def _nothing() -> None:
    pass


class JumpingSelector(selectors.SelectSelector):
    """Instead of waiting it moves the clock; it is asked once in every turn of the loop.

    Nothing comes from outside, so the system is not asked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.turn_count = 0
        self.at_turn: dict[int, Callable[[], object]] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "every task waits for something that will never happen"
        self.now_s += max(timeout, 0.0)
        self.turn_count += 1
        self.at_turn.pop(self.turn_count, _nothing)()
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """Minutes pass in milliseconds, the same in every run; threads are called in place."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    @property
    def turn_count(self) -> int:
        """How often tasks had their turn so far: every await that waits ends in another turn."""
        return self._jumping.turn_count

    def call_after_turns(self, count: int, callback: Callable[[], object]) -> None:
        self._jumping.at_turn[self.turn_count + count] = callback

    def run_in_executor(  # type: ignore[override]
        self, executor: object, call: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self.create_future()
        future.set_result(call(*args))
        return future


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Play a scenario to its end on a jumping clock; nothing may take longer than a day of it."""

    async def within_a_day() -> T:
        async with asyncio.timeout(86_400.0):
            return await scenario

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(within_a_day())


async def until(is_reached: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    """Let the clock go on until something is so."""
    async with asyncio.timeout(timeout_s):
        while not is_reached():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
