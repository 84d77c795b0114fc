"""One object that lives in a process of its own, and is asked from here."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from sentinel.adapters.pool.answers import Failure, ask
from sentinel.adapters.pool.processes import executor, stop
from sentinel.errors import TrainingError, WorkerLostError

# Measured: 262 MB of data when a trainer has started, 408 after an update on 24,000 examples. With
# 320 none starts, with 384 no update came to its end.
MEMORY_MB_MIN = 512


@dataclass(frozen=True, slots=True)
class WorkerParams:
    """What training may cost.

    Attributes
    ----------
    niceness
        Added to the process's niceness: scoring goes first.
    timeout_s
        A request that takes longer ends the process, and another takes its place.
    memory_mb_max
        The process may not ask for more memory; 0 for any.
    """

    niceness: int = 15
    timeout_s: float = 900.0
    memory_mb_max: int = 8_192

    def __post_init__(self) -> None:
        if not 0 <= self.niceness <= 19:
            raise ValueError(f"niceness must be in 0..19, got {self.niceness}")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}")
        if self.memory_mb_max != 0 and self.memory_mb_max < MEMORY_MB_MIN:
            raise ValueError(
                f"memory_mb_max must be 0 for any, or at least {MEMORY_MB_MIN}, got "
                f"{self.memory_mb_max}: with less no trainer starts"
            )


T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class WorkerProcess(Generic[T]):
    """One object in its process. Use it from the main thread, which starts the process.

    Parameters
    ----------
    make
        Makes the object, there; it must be picklable, as a class with its arguments is.
    """

    def __init__(self, make: Callable[[], T], params: WorkerParams) -> None:
        self._make = make
        self._params = params

    async def __aenter__(self) -> Self:
        self._executor = self._new()
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._executor)

    async def call(
        self, method: Callable[Concatenate[T, P], R], *arguments: P.args, **named: P.kwargs
    ) -> R:
        """Call a method of the object there. Whatever goes wrong in it is a TrainingError.

        WorkerLostError when the process died, took too long or needed too much memory: another has
        taken its place, whose object is as it was made.
        """
        pool, timeout_s, name = self._executor, self._params.timeout_s, method.__name__
        try:
            found: R | Failure = await ask(pool, timeout_s, _call, name, arguments, named)
        except WorkerLostError:
            await self._replace(pool)
            raise
        if not isinstance(found, Failure):
            return found
        if found.is_memory:
            await self._replace(pool)
            limit = self._params.memory_mb_max
            allowed = f"more than {limit} MB of memory" if limit else "more memory than there is"
            raise WorkerLostError(f"it needs {allowed}")
        raise TrainingError(name, found.sentence)

    async def _replace(self, pool: ProcessPoolExecutor) -> None:
        if pool is self._executor:  # another call may have failed with the same one
            self._executor = self._new()
            await stop(pool)

    def _new(self) -> ProcessPoolExecutor:
        return executor(
            1,
            niceness=self._params.niceness,
            memory_bytes_max=self._params.memory_mb_max * 2**20,
            prepare=partial(_prepare, self._make),
        )


# From here on: what runs in the worker.

_object: Any = None


def _prepare(make: Callable[[], object]) -> None:
    global _object
    _object = make()


def _call(method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return getattr(_object, method)(*arguments, **named)
