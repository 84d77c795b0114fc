"""The archive as a child: it is started again when it ends, and ends with its parent."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sentinel.app.archive_child import ArchiveChild
from sentinel.engine.health import Health
from tests.children import WAIT_S_MAX

# It does nothing, and ends with its input, as `sentinel archive run --until-input-ends` does.
IDLE = [sys.executable, "-c", "import sys; sys.stdin.read()"]
FAILING = [sys.executable, "-c", "print('no disk is left'); raise SystemExit(3)"]


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def child_of(tmp_path: Path, clock: Clock) -> Iterator[Callable[[list[str]], ArchiveChild]]:
    made: list[ArchiveChild] = []

    def make(command: list[str]) -> ArchiveChild:
        made.append(ArchiveChild(command, tmp_path / "archive.log", clock_s=clock))
        return made[-1]

    yield make
    for child in made:
        if child.process_id is not None:
            psutil.Process(child.process_id).kill()


def until(is_true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S_MAX
    while not is_true():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def until_ended(child: ArchiveChild) -> None:
    """Until the system says so; the child itself has not looked yet."""
    assert child.process_id is not None
    process = psutil.Process(child.process_id)
    until(lambda: process.status() == psutil.STATUS_ZOMBIE)


async def test_one_that_was_killed_is_started_again_after_a_while(
    child_of: Callable[[list[str]], ArchiveChild], clock: Clock
) -> None:
    child = child_of(IDLE)
    child.step()
    first = child.process_id
    assert first is not None
    assert child.trouble == ""

    psutil.Process(first).kill()
    until_ended(child)
    child.step()
    assert child.process_id is None
    assert child.trouble.startswith("the archive starts again: it ended with -9, see ")

    clock.now_s += 0.9
    child.step()
    assert child.process_id is None, "not at once: it may fail for a lasting reason"
    clock.now_s += 0.2
    child.step()
    assert child.process_id not in (None, first)
    assert child.trouble == ""
    assert child.start_count == 2
    await child.aclose()


async def test_one_that_fails_again_and_again_is_started_ever_more_seldom(
    child_of: Callable[[list[str]], ArchiveChild], clock: Clock, tmp_path: Path
) -> None:
    child = child_of(FAILING)
    for wait_s in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0):
        child.step()
        until_ended(child)
        child.step()
        clock.now_s += wait_s - 0.1
        child.step()
        assert child.process_id is None, f"after less than {wait_s} s"
        clock.now_s += 0.1

    assert (tmp_path / "archive.log").read_text().count("no disk is left") == 9
    assert "it ended with 3" in child.trouble


async def test_one_that_ran_for_long_has_failed_anew(
    child_of: Callable[[list[str]], ArchiveChild], clock: Clock
) -> None:
    child = child_of(IDLE)
    for _ in range(4):
        child.step()
        assert child.process_id is not None
        clock.now_s += 61.0
        psutil.Process(child.process_id).kill()
        until_ended(child)
        child.step()
        clock.now_s += 1.0


async def test_what_cannot_be_started_is_said_and_tried_again(
    child_of: Callable[[list[str]], ArchiveChild], clock: Clock
) -> None:
    child = child_of(["/nowhere/sentinel"])

    child.step()
    child.step()

    assert "it cannot be started: " in child.trouble
    assert child.start_count == 0
    await child.aclose()


async def test_it_is_asked_to_end_and_what_does_not_listen_is_killed(
    child_of: Callable[[list[str]], ArchiveChild], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.app.archive_child.STOP_S_MAX", 0.3)
    deaf = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('deaf'); sys.stdin.read()"
    child = child_of([sys.executable, "-u", "-c", deaf])
    child.step()
    assert child.process_id is not None
    process = psutil.Process(child.process_id)
    until(lambda: "deaf" in child._log_file.read_text())

    await child.aclose()

    assert not process.is_running()
    assert child.process_id is None


PARENT = """
import sys, time
from pathlib import Path
from sentinel.app.archive_child import ArchiveChild
child = ArchiveChild([sys.executable, "-c", "import sys; sys.stdin.read()"], Path(sys.argv[1]))
child.step()
print(child.process_id, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_a_parent_that_has_no_time_to_say_so(number: int, tmp_path: Path) -> None:
    """The pipe does it: nothing in the child asks who its parent is."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "archive.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()

        parent.send_signal(number)

        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_helper_in_trouble_makes_health_no_worse_than_degraded() -> None:
    assert Health("ok").beside("") == Health("ok")
    assert Health("ok").beside("no archive") == Health("degraded", ("no archive",))
    assert Health("stuck", ("x",)).beside("no archive") == Health("stuck", ("x", "no archive"))
    assert Health("degraded").beside("no archive").is_ready
