"""An object in a process of its own: it answers, is bounded, and can be lost without harm."""

import asyncio
import multiprocessing
import multiprocessing.popen_spawn_posix
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from sentinel.adapters.pool import WorkerParams, WorkerProcess
from sentinel.errors import (
    ModelError,
    RecordError,
    SentinelError,
    TrainingError,
    TransientError,
    WorkerLostError,
)
from tests.adapters.counter import Counter, Unreadable, unmakable
from tests.children import WAIT_S_MAX

ANY_MEMORY = WorkerParams(memory_mb_max=0, timeout_s=WAIT_S_MAX)

PARENT = """
import asyncio, sys
from sentinel.adapters.pool import WorkerParams, WorkerProcess
from tests.adapters.counter import Counter

async def main():
    async with WorkerProcess(Counter, WorkerParams()) as worker:
        print(await worker.call(Counter.process_id), flush=True)
        call = asyncio.create_task(worker.call(Counter.sleep, 60.0))
        await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def no_such(counter: Counter) -> None:
    """Not a method of it."""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"niceness": 20}, "niceness"),
        ({"niceness": -1}, "niceness"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"memory_mb_max": 511}, "memory_mb_max must be 0 for any, or at least 512, got 511"),
        ({"memory_mb_max": -1}, "memory_mb_max"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WorkerParams(**wrong)


async def test_it_answers_keeps_its_state_and_raises_what_is_raised() -> None:
    params = WorkerParams(niceness=7)
    async with WorkerProcess(partial(Counter, 10), params) as worker:
        assert await worker.call(Counter.add, 1) == 11
        assert await worker.call(Counter.add, 2, times=3) == 17
        assert await worker.call(Counter.process_id) != os.getpid()
        assert await worker.call(Counter.niceness) == min(os.nice(0) + 7, 19)
        with pytest.raises(TrainingError) as found:
            await worker.call(Counter.fail, ModelError("1.2.0", "is damaged"))
        assert (found.value.job, found.value.detail) == ("fail", "model 1.2.0: is damaged")
        with pytest.raises(TrainingError, match=r"cannot fail: ZeroDivisionError: of 1 \(counter"):
            await worker.call(Counter.fail, ZeroDivisionError("of 1"))
        with pytest.raises(TrainingError, match=r"AttributeError: .*no_such"):
            await worker.call(no_such)

        sums = await asyncio.gather(*(worker.call(Counter.add, number) for number in (0, 1, 2)))
        assert sums == [17, 18, 20], "what was raised must not cost its state, nor the order"
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("exit", "SystemExit: 7"),
        ("interrupt", "KeyboardInterrupt"),
        ("mute", "<exception str.. failed>"),
        ("unpicklable", "(PicklingError|AttributeError|TypeError)"),
        ("unreadable", "Unreadable"),
        ("escape", r"RuntimeError: one  \[2J two"),
    ],
)
async def test_whatever_goes_wrong_in_it_is_a_line_of_text(method: str, said: str) -> None:
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:
        await worker.call(Counter.add, 5)
        with pytest.raises(TrainingError, match=said) as found:
            await worker.call(getattr(Counter, method))
        assert str(found.value).isprintable()
        assert len(str(found.value)) < 1_100
        assert await worker.call(Counter.add, 1) == 6, "it lives on"


async def test_an_answer_that_only_fails_here_loses_the_process_and_nothing_else() -> None:
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:
        with pytest.raises(WorkerLostError, match="the process died"):
            await worker.call(Counter.give, Unreadable())
        assert await worker.call(Counter.add, 1) == 1


async def test_what_cannot_be_sent_there_is_refused() -> None:
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:
        with pytest.raises(TrainingError, match="cannot give"):
            await worker.call(Counter.give, lambda: 1)
        assert await worker.call(Counter.add, 1) == 1


async def test_calls_that_wait_for_one_that_is_lost_are_lost_with_it() -> None:
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:
        await worker.call(Counter.add, 1)
        calls = [worker.call(Counter.end), *(worker.call(Counter.sleep, 60.0) for _ in range(20))]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, WorkerLostError) for one in found)
        assert await worker.call(Counter.add, 1) == 1


async def test_without_a_process_to_be_had_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:

        def refused(*_: object) -> None:
            raise OSError(12, "Cannot allocate memory")

        with monkeypatch.context() as patched:
            patched.setattr(multiprocessing.popen_spawn_posix.Popen, "_launch", refused)
            with pytest.raises(WorkerLostError, match="Cannot allocate memory"):
                await worker.call(Counter.add, 1)
        assert await worker.call(Counter.add, 1) == 1


async def test_a_refusal_of_a_record_comes_with_its_reason() -> None:
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:
        with pytest.raises(TrainingError) as found:
            await worker.call(Counter.fail, RecordError("savepoint", "is cut"))
        assert (found.value.job, found.value.detail) == ("fail", "is cut")
    assert issubclass(TrainingError, SentinelError)


async def test_one_that_dies_is_lost_and_another_takes_its_place() -> None:
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:
        await worker.call(Counter.add, 5)
        with pytest.raises(WorkerLostError, match="the process died"):
            await worker.call(Counter.end)
        assert await worker.call(Counter.add, 1) == 1, "the new one begins anew"

        os.kill(await worker.call(Counter.process_id), signal.SIGKILL)
        with pytest.raises(WorkerLostError, match="the process died"):
            await worker.call(Counter.add, 1)
    assert multiprocessing.active_children() == []
    assert issubclass(WorkerLostError, TransientError)


async def test_one_that_takes_too_long_is_lost_and_ended() -> None:
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:
        slow = await worker.call(Counter.process_id)
        worker._params = WorkerParams(timeout_s=0.2)
        with pytest.raises(WorkerLostError, match=r"no answer in 0\.2 s"):
            await worker.call(Counter.sleep, 60.0)
        assert not psutil.pid_exists(slow)


async def test_one_that_needs_too_much_memory_is_lost() -> None:
    params = WorkerParams(memory_mb_max=1_000, timeout_s=WAIT_S_MAX)
    async with WorkerProcess(Counter, params) as worker:
        assert await worker.call(Counter.fill, 10) == 10 * 2**17
        await worker.call(Counter.add, 5)
        with pytest.raises(WorkerLostError, match="it needs more than 1000 MB of memory"):
            await worker.call(Counter.fill, 2_000)


async def test_one_whose_object_cannot_be_made_is_lost() -> None:
    async with WorkerProcess(unmakable, ANY_MEMORY) as worker:
        with pytest.raises(WorkerLostError, match="the process died"):
            await worker.call(Counter.add, 1)
    assert multiprocessing.active_children() == []


async def test_it_ends_with_its_context_though_it_is_busy() -> None:
    begun_s = time.monotonic()
    async with WorkerProcess(Counter, ANY_MEMORY) as worker:
        busy = await worker.call(Counter.process_id)
        call = asyncio.create_task(worker.call(Counter.sleep, 600.0))
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    assert not psutil.pid_exists(busy)
    assert time.monotonic() - begun_s < WAIT_S_MAX


def test_it_dies_with_a_parent_that_is_killed_with_9(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the resource tracker complains when its parent is killed
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()

    deadline = time.monotonic() + WAIT_S_MAX
    while is_running(pid):
        assert time.monotonic() < deadline, "it outlives its parent"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
