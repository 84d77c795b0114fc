"""Compiles every kernel, or loads it from numba's cache, before the first record needs it.

Where nothing is compiled yet that takes most of a minute of one core, so another process compiles
some of it: `python -m sentinel.app.warming`.
"""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from sentinel.adapters.kafka.records import batch_writer
from sentinel.adapters.pool.processes import begin
from sentinel.adapters.redis import resp
from sentinel.codec import decisions
from sentinel.codec.transactions import TransactionDecoder
from sentinel.config import Config, load
from sentinel.core.drift import warming as drift
from sentinel.core.experiments.assignment import assigning
from sentinel.core.features.hashing import hash64
from sentinel.core.features.state import FeatureState
from sentinel.core.learning.gate.evidence import PairedScores
from sentinel.core.learning.gate.paired_bootstrap import (
    bootstrap_average_precision,
    bootstrap_money,
)
from sentinel.core.learning.params import FitParams
from sentinel.engine.feedback import task as feedback
from sentinel.errors import ConfigError
from sentinel.kernel_cache import VARIABLE, count, folder
from sentinel.model import Model, fit
from sentinel.serving_model import ServingModel
from sentinel.texts import Texts

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
Step = tuple[str, Callable[[], object]]

# Half of the work, by the time that it takes, and what of it takes longest.
_BESIDE = ("entity state", "feedback")
_LONGEST = "read_and_fold"


async def warm_instance(state: FeatureState, serving: ServingModel, config: Config) -> None:
    """What an instance needs before its first record, in a thread: it takes seconds once."""
    kernels = [state.warm, decisions.warm, TransactionDecoder(config.schema).warm, feedback.warm]
    for warm in [*kernels, *([drift.warm] if config.drift.enabled else [])]:
        await asyncio.to_thread(warm)
    if serving.model.fallback_reason:
        log.warning("LightGBM itself scores this model: %s", serving.model.fallback_reason)


def warm_scoring(
    config: Config, progress: Progress, meanwhile: Callable[[], object] | None = None
) -> None:
    """What scoring needs but for its model. Half a minute where nothing is compiled yet.

    `meanwhile` is called before the end, while another process may compile. Raises ConfigError when
    what was compiled cannot be kept.
    """
    steps = _scoring(config)
    with _helper():
        _take([step for step in steps if step[0] not in _BESIDE], progress)
        if meanwhile is not None:
            meanwhile()
    # By now this is to load it; and to compile it, should the other process have failed.
    _take([step for step in steps if step[0] in _BESIDE], progress)


@contextmanager
def _helper() -> Iterator[None]:
    """Another process that compiles its part, where it is not there; waits for it at the end."""
    if count(_LONGEST):
        yield
        return
    # -P: a file of the user's that is called numpy.py is not ours to import.
    with subprocess.Popen(  # noqa: S603 - the command is ours, there is no shell
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            yield
            child.wait()
        finally:
            child.kill()


def main() -> None:
    """The part of the other process. What kernels are compiled for is the same in all settings."""
    begin(os.getppid(), 0, 0, None)
    _take([step for step in _scoring(load(None)) if step[0] in _BESIDE], lambda what, share: None)


def warm_all(config: Config, progress: Progress) -> list[str]:
    """Also what models, updates and their helpers need; says what was compiled or loaded."""
    steps = [*_scoring(config), ("models", warm_models), ("updates", _updates)]
    _take(steps, progress)
    return [name for name, _ in steps]


def _scoring(config: Config) -> list[Step]:
    state = FeatureState(
        config.entities,
        config.features,
        amount_decimals=config.schema.amount_decimals,
        recent_ids=config.schema.recent_ids,
        entities_max=2,
    )
    return [
        ("records", batch_writer.warm),
        ("transactions", TransactionDecoder(config.schema).warm),
        ("entity state", state.warm),
        ("decisions", decisions.warm),
        ("stored state", _stored),
        ("feedback", feedback.warm),
        ("drift", drift.warm),
        ("experiments", assigning.warm),
    ]


def _take(steps: Iterable[Step], progress: Progress) -> None:
    steps = list(steps)
    for i, (_, step) in enumerate(steps):
        progress("compiling kernels, or loading them", i / len(steps))
        try:
            step()
        except OSError as error:
            raise ConfigError(
                f"compiled kernels cannot be kept in {folder()}: {error.strerror or error}; "
                f"{VARIABLE} names another folder"
            ) from error


def _stored() -> None:
    resp.arguments(Texts.of(["a"]), head=resp.bulk(b"a"), prefix=b"a")
    hash64(["a"])


def warm_models() -> None:
    """What scores a forest, by the smallest of models: one tree of two leaves."""
    rows = np.arange(40, dtype=np.float64)[:, np.newaxis]
    params = FitParams(tree_count=1, leaf_count_max=2, leaf_row_count_min=1)
    text = fit(rows, (rows[:, 0] > 20).astype(np.int64), params=params, feature_names=["a"])
    model = Model.from_text("0.0.0", text)
    for row_count in (1, len(rows)):  # few and many rows are scored in two ways
        model.raw_scores(rows[:row_count])


def _updates() -> None:
    half, one = np.array([0.5, 0.25]), np.array([1, 0])
    scores = PairedScores(half, half, one, np.ones(2), one, one, one)
    bootstrap_average_precision(scores, replicate_count=2, seed=0)
    bootstrap_money(scores, capacity=1, replicate_count=2, seed=0)


if __name__ == "__main__":
    main()
