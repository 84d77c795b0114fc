"""Explanations in another process: right, bounded, and gone when we are."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from sentinel.adapters.pool import ExplainerPool, PoolParams, explainer
from sentinel.core.learning.params import FitParams
from sentinel.errors import ModelError, TransientError
from sentinel.model import Model, fit
from sentinel.records import Floats
from tests.adapters import garbage
from tests.adapters.garbage import GARBAGE
from tests.children import WAIT_S_MAX
from tests.engine.linear_trees import linear_text
from tests.engine.samples import NAMES

PARENT = """
import asyncio, os, sys
from pathlib import Path
import numpy as np
from sentinel.adapters.pool import ExplainerPool, PoolParams

async def main():
    async with ExplainerPool(PoolParams(timeout_s=600.0)) as pool:
        pool.register("v1", Path(sys.argv[1]).read_text())
        await pool.contributions("v1", np.zeros((1, 3)))
        print(*pool._executor._processes, flush=True)
        await asyncio.sleep(600)

if __name__ == "__main__":
    asyncio.run(main())
"""


# Of a process that starts on a busy machine no answer is late.
PATIENT = PoolParams(timeout_s=WAIT_S_MAX)


@pytest.fixture(scope="module")
def text() -> str:
    rng = np.random.default_rng(1)
    features = rng.random((500, 3))
    labels = (features[:, 0] > 0.7).astype(np.int64)
    return fit(features, labels, params=FitParams(), feature_names=["a", "b", "c"])


@pytest.fixture
def features() -> Floats:
    return np.random.default_rng(2).random((5, 3))


def workers(pool: ExplainerPool) -> list[int]:
    return list(pool._executor._processes or {})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"worker_count": 0}, "worker_count"),
        ({"niceness": 40}, "niceness"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"queue_count_max": 0}, "queue_count_max"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PoolParams(**wrong)


async def test_contributions_are_those_of_the_model(text: str, features: Floats) -> None:
    async with ExplainerPool(replace(PATIENT, niceness=7)) as pool:
        pool.register("v1", text)

        found = [await pool.contributions("v1", features) for _ in range(2)]

        assert psutil.Process(workers(pool)[0]).nice() == min(os.nice(0) + 7, 19)
    expected = Model.from_text("v1", text).contributions(features)
    assert np.array_equal(found[0], expected)
    assert np.array_equal(found[1], expected)
    assert multiprocessing.active_children() == []


async def test_an_unknown_or_damaged_model_is_a_model_error(features: Floats) -> None:
    async with ExplainerPool(PATIENT) as pool:
        with pytest.raises(ModelError, match="not registered"):
            await pool.contributions("v1", features)

        pool.register("v1", "not a model")
        with pytest.raises(ModelError, match="model v1"):
            await pool.contributions("v1", features)


async def test_too_many_requests_are_refused_at_once(text: str, features: Floats) -> None:
    async with ExplainerPool(replace(PATIENT, queue_count_max=2)) as pool:
        pool.register("v1", text)
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(pool.contributions("v1", features)) for _ in range(2)]
            await asyncio.sleep(0)

            with pytest.raises(TransientError, match="2 explanations are waiting"):
                await pool.contributions("v1", features)

        assert all(len(task.result()) == 5 for task in waiting)


async def test_a_worker_that_dies_is_replaced(text: str, features: Floats) -> None:
    async with ExplainerPool(PATIENT) as pool:
        pool.register("v1", text)
        await pool.contributions("v1", features)
        os.kill(workers(pool)[0], signal.SIGKILL)

        with pytest.raises(TransientError, match="died"):
            await pool.contributions("v1", features)

        assert (await pool.contributions("v1", features)).shape == (5, 3)


async def test_a_worker_that_hangs_is_replaced(text: str, features: Floats) -> None:
    async with ExplainerPool(PATIENT) as pool:
        pool.register("v1", text)
        await pool.contributions("v1", features)
        hung = workers(pool)[0]
        pool._params = PoolParams(timeout_s=0.2)
        os.kill(hung, signal.SIGSTOP)

        with pytest.raises(TransientError, match=r"no answer in 0\.2 s"):
            await pool.contributions("v1", features)

        pool._params = PATIENT
        assert (await pool.contributions("v1", features)).shape == (5, 3)
        assert not psutil.pid_exists(hung)


@pytest.mark.parametrize("function", GARBAGE, ids=lambda one: one.__name__)
async def test_whatever_a_worker_gives_is_an_explanation_or_an_error(
    function: Callable[..., Any], text: str, features: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ExplainerPool(PATIENT) as pool:
        pool.register("v1", text)
        with monkeypatch.context() as patched:
            patched.setattr(explainer, "_explain", function)
            with pytest.raises((ModelError, TransientError), match=GARBAGE[function]):
                await pool.contributions("v1", features)

        assert (await pool.contributions("v1", features)).shape == (5, 3)


async def test_a_warm_version_is_explained_at_the_first_request(
    text: str, features: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is not sent again: each worker has it."""
    async with ExplainerPool(replace(PATIENT, worker_count=2)) as pool:
        pool.register("v1", text)
        assert await pool.warm("v1") == ""
        assert len(workers(pool)) == 2
        pool._texts["v1"] = "no model"
        found = await asyncio.gather(*(pool.contributions("v1", features) for _ in range(8)))
        assert all(np.array_equal(one, found[0]) for one in found)


async def test_another_model_of_the_same_version_takes_its_place(
    text: str, features: Floats
) -> None:
    other = fit(
        *(features, np.array([0, 1, 0, 1, 1])),
        params=FitParams(leaf_row_count_min=1, leaf_hessian_min=0.0, learning_rate=0.9),
        feature_names=["a", "b", "c"],
    )
    async with ExplainerPool(PATIENT) as pool:
        for one in (text, other):
            pool.register("v1", one)
            await pool.warm("v1")
            expected = Model.from_text("v1", one).contributions(features)
            assert np.array_equal(await pool.contributions("v1", features), expected)


async def test_a_model_that_lightgbm_will_not_explain_is_asked_for_no_more(
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = linear_text()
    features = np.zeros((2, len(NAMES)))
    async with ExplainerPool(PATIENT) as pool:
        pool.register("v1", text)
        with pytest.raises(ModelError, match="not implemented for linear trees"):
            await pool.contributions("v1", features)

        assert "not implemented for linear trees" in await pool.warm("v1")
        os.kill(workers(pool)[0], signal.SIGSTOP)  # it would not answer
        with pytest.raises(ModelError, match="not implemented for linear trees"):
            await pool.contributions("v1", features)
    assert capfd.readouterr() == ("", ""), "the view of a run is not written over"


async def test_a_damaged_model_is_refused_when_it_is_warmed() -> None:
    async with ExplainerPool(PATIENT) as pool:
        pool.register("v1", "tree\nobjective=binary sigmoid:1\n")
        with pytest.raises(ModelError, match="model v1"):
            await pool.warm("v1")
        with pytest.raises(ModelError, match="not registered"):
            await pool.warm("v2")


async def test_a_model_that_no_worker_survives_is_refused(
    text: str, features: Floats, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with ExplainerPool(PATIENT) as pool:
        pool.register("v1", text)
        with monkeypatch.context() as patched:
            patched.setattr(explainer, "_warmed", garbage.dies)
            with pytest.raises(ModelError, match="each process that loads it dies"):
                await pool.warm("v1")
            pool._params = PoolParams(timeout_s=0.2)
            patched.setattr(explainer, "_warmed", garbage.hangs)
            with pytest.raises(TransientError, match=r"no answer in 0\.2 s"):
                await pool.warm("v1")
            pool._params = PATIENT
            patched.setattr(explainer, "_warmed", garbage.dies_once)
            pool.register("v2", str(tmp_path / "died"))
            assert await pool.warm("v2") == "v2", "once may be something else's doing"

        assert (await pool.contributions("v1", features)).shape == (5, 3)


async def test_requests_that_wait_for_a_worker_that_dies_are_errors_too(
    text: str, features: Floats
) -> None:
    async with ExplainerPool(PATIENT) as pool:
        pool.register("v1", text)
        await pool.warm("v1")
        [process] = workers(pool)
        os.kill(process, signal.SIGSTOP)
        asked = [asyncio.create_task(pool.contributions("v1", features)) for _ in range(50)]
        await asyncio.sleep(0)
        os.kill(process, signal.SIGKILL)
        found = await asyncio.gather(*asked, return_exceptions=True)

        assert all(isinstance(one, TransientError) for one in found)
        assert (await pool.contributions("v1", features)).shape == (5, 3)


def test_workers_die_with_a_parent_killed_with_9(text: str, tmp_path: Any) -> None:
    model, script = tmp_path / "model.txt", tmp_path / "parent.py"
    model.write_text(text)
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script), str(model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the resource tracker complains when its parent is killed
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 1
        parent.kill()

    deadline = time.monotonic() + WAIT_S_MAX
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
