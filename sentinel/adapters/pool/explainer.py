"""Explanations in a process of their own, so that they never hold up the event loop."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Self

from sentinel.adapters.pool.processes import executor, stop
from sentinel.errors import ModelError, TransientError
from sentinel.model import Model
from sentinel.records import Floats

MODEL_COUNT_MAX = 4  # champion, challenger, shadow and the one before: parsed models per worker


@dataclass(frozen=True, slots=True)
class PoolParams:
    """How much explaining may cost.

    Attributes
    ----------
    worker_count
        Processes.
    niceness
        Added to their niceness: scoring goes first.
    timeout_s
        After this long the workers are replaced.
    queue_count_max
        Requests that may wait or run; more are refused at once.
    """

    worker_count: int = 1
    niceness: int = 10
    timeout_s: float = 30.0  # a worker's first request imports LightGBM and compiles the kernel
    queue_count_max: int = 1024

    def __post_init__(self) -> None:
        if not 1 <= self.worker_count <= 64:
            raise ValueError(f"worker_count must be in 1..64, got {self.worker_count}")
        if not 0 <= self.niceness <= 19:
            raise ValueError(f"niceness must be in 0..19, got {self.niceness}")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}")
        if self.queue_count_max < self.worker_count:
            raise ValueError("expected worker_count <= queue_count_max")


class ExplainerPool:
    """`ports.Explainer` on worker processes. Use it from the main thread, which starts them."""

    def __init__(self, params: PoolParams) -> None:
        self._params = params
        self._texts: dict[str, str] = {}
        self._queue_count = 0

    async def __aenter__(self) -> Self:
        self._executor = _executor(self._params)
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._executor)

    def register(self, version: str, text: str) -> None:
        """Make a model version known; its text is LightGBM's own format."""
        self._texts[version] = text

    def forget(self, version: str) -> None:
        """Drop a version that will not be asked for again."""
        self._texts.pop(version, None)

    async def contributions(self, model_version: str, features: Floats) -> Floats:
        assert features.ndim == 2
        text = self._texts.get(model_version)
        if text is None:
            raise ModelError(model_version, "is not registered for explanation")
        if self._queue_count >= self._params.queue_count_max:
            raise TransientError(f"{self._queue_count} explanations are waiting already")
        self._queue_count += 1
        try:
            result = await self._ask(model_version, text, features)
        finally:
            self._queue_count -= 1
        assert result.shape == features.shape
        return result

    async def _ask(self, version: str, text: str, features: Floats) -> Floats:
        """Ask without the model first: it is large, and the worker mostly has it."""
        executor = self._executor
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._params.timeout_s):
                result = await loop.run_in_executor(executor, _explain, version, None, features)
                if result is None:
                    result = await loop.run_in_executor(executor, _explain, version, text, features)
        except TimeoutError as error:
            await self._replace(executor)
            raise TransientError(f"no explanation in {self._params.timeout_s} s") from error
        except BrokenProcessPool as error:
            await self._replace(executor)
            raise TransientError("an explaining process died") from error
        if isinstance(result, str):
            raise ModelError(version, result)
        assert result is not None
        return result

    async def _replace(self, executor: ProcessPoolExecutor) -> None:
        """A request that takes too long still occupies its worker: start with new ones."""
        if executor is self._executor:  # others may have failed with the same pool
            self._executor = _executor(self._params)
            await stop(executor)


def _executor(params: PoolParams) -> ProcessPoolExecutor:
    return executor(params.worker_count, niceness=params.niceness)


# From here on: what runs in the worker.

_models: OrderedDict[str, Model] = OrderedDict()


def _explain(version: str, text: str | None, features: Floats) -> Floats | str | None:
    """Contributions to the raw score; None when the model was not sent; a text if it is unusable.

    An exception with facts as attributes does not survive the way back through pickle.
    """
    if version not in _models:
        if text is None:
            return None
        try:
            _models[version] = Model.from_text(version, text)
        except ModelError as error:
            return error.detail
        if len(_models) > MODEL_COUNT_MAX:
            _models.popitem(last=False)
    _models.move_to_end(version)
    return _models[version].contributions(features)
