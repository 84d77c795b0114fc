"""Explanations in a process of their own, so that they never hold up the event loop."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from sentinel.adapters.pool.answers import Failure, ask
from sentinel.adapters.pool.processes import executor, stop
from sentinel.errors import ModelError, TransientError, WorkerDiedError, WorkerLostError
from sentinel.model import Model
from sentinel.records import Floats

MODEL_COUNT_MAX = 4  # champion, challenger, shadow and the one before: parsed models per worker
_TRIED_ROW_COUNTS = (1, 64)  # few and many rows are scored in two ways


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
        self._refusals: dict[str, str] = {}  # why a version will not be explained
        self._queue_count = 0

    async def __aenter__(self) -> Self:
        self._executor = _executor(self._params)
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._executor)

    def register(self, version: str, text: str) -> None:
        """Make a model version known; its text is LightGBM's own format."""
        if self._texts.get(version) != text:
            self.forget(version)
            self._texts[version] = text

    def forget(self, version: str) -> None:
        """Drop a version that will not be asked for again."""
        self._texts.pop(version, None)
        self._refusals.pop(version, None)

    async def warm(self, version: str) -> str:
        """Load a version in every worker: as many requests at once start as many processes."""
        text = self._text(version)
        tried = [self._warm(version, text) for _ in range(self._params.worker_count)]
        found = await asyncio.gather(*tried, return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        note = str(found[0])
        if note:
            self._refusals[version] = note
        return note

    async def contributions(self, model_version: str, features: Floats) -> Floats:
        assert features.ndim == 2
        text = self._text(model_version)
        if model_version in self._refusals:
            raise ModelError(model_version, self._refusals[model_version])
        if self._queue_count >= self._params.queue_count_max:
            limit = self._params.queue_count_max
            raise TransientError(f"{limit} explanations are waiting already")
        self._queue_count += 1
        try:
            found = await self._explained(model_version, text, features)
        finally:
            self._queue_count -= 1
        return _contributions(model_version, found, features)

    def _text(self, version: str) -> str:
        text = self._texts.get(version)
        if text is None:
            raise ModelError(version, "is not registered for explanation")
        return text

    async def _warm(self, version: str, text: str) -> str:
        """Once more on a new process when one dies: perhaps something else has ended it."""
        try:
            note = await self._ask(_warmed, version, text)
        except WorkerDiedError:
            try:
                note = await self._ask(_warmed, version, text)
            except WorkerDiedError as error:
                raise ModelError(version, "each process that loads it dies") from error
        return str(note)

    async def _explained(self, version: str, text: str, features: Floats) -> object:
        """Ask without the model first: it is large, and the worker mostly has it."""
        found = await self._ask(_explain, version, None, features)
        return found if found is not None else await self._ask(_explain, version, text, features)

    async def _ask(self, function: Any, version: str, *arguments: Any) -> object:
        pool = self._executor
        try:
            found = await ask(pool, self._params.timeout_s, function, version, *arguments)
        except WorkerLostError:
            await self._replace(pool)
            raise
        if not isinstance(found, Failure):
            return found
        if found.is_memory:
            raise TransientError("there is not enough memory to explain")
        raise ModelError(version, found.text)

    async def _replace(self, executor: ProcessPoolExecutor) -> None:
        """A request that takes too long still occupies its worker: start with new ones."""
        if executor is self._executor:  # others may have failed with the same pool
            self._executor = _executor(self._params)
            await stop(executor)


def _executor(params: PoolParams) -> ProcessPoolExecutor:
    return executor(params.worker_count, niceness=params.niceness)


def _contributions(version: str, found: object, features: Floats) -> Floats:
    """What came from another process, if it can be what was asked for."""
    if not isinstance(found, np.ndarray) or found.shape != features.shape:
        what = found.shape if isinstance(found, np.ndarray) else type(found).__name__
        raise ModelError(version, f"its contributions are {what}, not {features.shape}")
    if found.dtype != np.float64 or not np.isfinite(found).all():
        raise ModelError(version, "its contributions are not all numbers")
    return found


# From here on: what runs in the worker.

_models: OrderedDict[str, Model] = OrderedDict()


def _explain(version: str, text: str | None, features: Floats) -> Floats | None:
    """Contributions to the raw score; None when the model was not sent."""
    if version not in _models:
        if text is None:
            return None
        _load(version, text)
    _models.move_to_end(version)
    return _models[version].contributions(features)


def _warmed(version: str, text: str) -> str:
    """Try a version; why it will not be explained, or nothing."""
    model = _load(version, text)
    for row_count in _TRIED_ROW_COUNTS:
        model.scores(np.zeros((row_count, len(model.feature_names))))
    try:
        model.contributions(np.zeros((1, len(model.feature_names))))
    except ModelError as error:
        return error.detail
    return ""


def _load(version: str, text: str) -> Model:
    """Parsed anew: another model may have had the same version."""
    _models[version] = Model.from_text(version, text)
    _models.move_to_end(version)
    if len(_models) > MODEL_COUNT_MAX:
        _models.popitem(last=False)
    return _models[version]
