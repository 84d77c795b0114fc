"""Embedded mode: `sentinel archive run` as a child of `sentinel run`, as long as that runs.

Its standard input is a pipe that ends when this process does, however it does, and with it the
child ends; no system call of Linux' is needed for that. What it says goes into a file of its own.
Whatever becomes of it, scoring goes on.
"""

import asyncio
import logging
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

_TICK_S = 0.2
STOP_S_MAX = 5.0
# One that lived for so long has failed anew, and not once more.
_STEADY_S = 60.0
_BACKOFF_S_MIN, _BACKOFF_S_MAX = 1.0, 60.0


class ArchiveChild:
    """Starts the archive, and starts it again when it ends.

    Parameters
    ----------
    command
        What to start; it ends when its standard input does.
    log_file
        Where its output goes.

    Attributes
    ----------
    trouble
        Why there is none at the moment; empty while one runs.
    start_count
        How often one was started.
    """

    def __init__(
        self,
        command: Sequence[str],
        log_file: Path,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = list(command)
        self._log_file = log_file
        self._clock_s = clock_s
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._begun_s = 0.0
        self._due_s = 0.0  # when the next one may be started
        self.trouble = ""
        self.start_count = 0

    @property
    def process_id(self) -> int | None:
        """Of the one that runs; None if none does."""
        return None if self._process is None else self._process.pid

    async def run(self) -> None:
        """Keep one running until cancelled; `aclose` ends it."""
        while True:
            self.step()
            await asyncio.sleep(_TICK_S)

    def step(self) -> None:
        """Find out whether it runs; if not, start one as soon as it is time."""
        now_s = self._clock_s()
        if self._process is not None and (code := self._process.poll()) is not None:
            self._collect()
            self._failed(f"it ended with {code}", now_s)
        if self._process is None and now_s >= self._due_s:
            try:
                self._process = self._spawned()
            except OSError as error:
                self._failed(f"it cannot be started: {error}", now_s)
                return
            self.start_count += 1
            self._begun_s = now_s
            self.trouble = ""

    async def aclose(self) -> None:
        """Let it write what it has, but not for long."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + STOP_S_MAX
        try:
            while self._process.poll() is None and time.monotonic() < deadline_s:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
        finally:
            if self._process.poll() is None:  # too slow, or this wait was cancelled
                log.warning("the archive had not written everything when it was ended")
                self._process.kill()
                self._process.wait()
            self._collect()

    def _failed(self, what: str, now_s: float) -> None:
        self._failures = 1 if now_s - self._begun_s >= _STEADY_S else self._failures + 1
        wait_s = min(_BACKOFF_S_MIN * 2.0 ** (self._failures - 1), _BACKOFF_S_MAX)
        self._due_s = now_s + wait_s
        self.trouble = f"the archive starts again: {what}, see {self._log_file}"
        log.warning("%s; in %.0f s", self.trouble, wait_s)

    def _spawned(self) -> "subprocess.Popen[bytes]":
        """In a session of its own: Ctrl-C goes to us, and we stop it in order."""
        with self._log_file.open("ab") as sink:
            return subprocess.Popen(  # noqa: S603 - the command is ours, there is no shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _collect(self) -> None:
        assert self._process is not None
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None
