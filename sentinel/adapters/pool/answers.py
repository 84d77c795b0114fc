"""The border to a worker process: whatever goes wrong behind it comes back as a text.

An exception may not survive the way through pickle, may be of a class that ends the event loop, and
says nothing that the engine could act on. What cannot be sent back, and a process that is gone,
are seen here, where an exception is a value to look at.
"""

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sentinel.errors import ModelError, RecordError, WorkerDiedError, WorkerLostError

_TEXT_MAX = 500  # characters: what failed may quote a whole model


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in a worker.

    Attributes
    ----------
    text
        In a line that is safe to show.
    version
        Of the model that was found unusable; empty for anything else.
    is_memory
        Whether there was not enough memory.
    """

    text: str
    version: str = ""
    is_memory: bool = False

    @property
    def sentence(self) -> str:
        """The text, with the model that it is about, if it is."""
        return f"model {self.version}: {self.text}" if self.version else self.text


async def ask(
    pool: ProcessPoolExecutor, timeout_s: float, function: Callable[..., Any], *arguments: Any
) -> Any:
    """What a function gives in a worker, or the `Failure` that came of it.

    Raises WorkerDiedError when the process died, and WorkerLostError when there is none to ask, or
    it gave no answer in time: it may still be at it, so replace the pool.
    """
    loop = asyncio.get_running_loop()
    try:
        future = loop.run_in_executor(pool, answer, function, *arguments)
    except (RuntimeError, OSError) as error:  # it was ended meanwhile, or none can be started
        raise WorkerLostError(f"there is no process to ask: {error}") from error
    try:
        done, _ = await asyncio.wait({future}, timeout=timeout_s)
    finally:
        future.cancel()
    if not done:
        raise WorkerLostError(f"no answer in {timeout_s:g} s")
    return _result(future)


def _result(future: "asyncio.Future[Any]") -> Any:
    if future.cancelled():  # by whoever ended the pool
        raise WorkerLostError("the process was ended")
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise WorkerDiedError("the process died") from error
    if error is not None:  # the answer, or the question, cannot be sent
        return _failure(error)
    return future.result()


# From here on: what runs in the worker.


def answer(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or a `Failure`, whatever it raised."""
    caught = _Caught()
    with caught:
        return function(*arguments)
    assert caught.error is not None
    return _failure(caught.error)


class _Caught:
    """Ends whatever is raised in it, and keeps it. Nothing else in the process may know better."""

    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.error = error
        return True


def _failure(error: BaseException) -> Failure:
    if isinstance(error, ModelError):
        return Failure(_line(error.detail), _line(error.version))
    if isinstance(error, RecordError):
        return Failure(_line(error.detail))
    said = "".join(traceback.format_exception_only(error)).strip()[:_TEXT_MAX]
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        said += f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
    return Failure(_line(said), is_memory=isinstance(error, MemoryError))


def _line(text: str) -> str:
    return "".join(x if x.isprintable() else " " for x in text[: 2 * _TEXT_MAX])
