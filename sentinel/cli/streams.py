"""What is shown goes to streams that others close, hold up, or read in another encoding."""

import io
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO

_WAITING_MAX = 1_000  # pieces of text; a picture is one
_DRAIN_S_MAX = 0.5


def settle() -> None:
    """Give a command streams to write to, and have text that does not fit them replaced.

    A descriptor that was closed would go to the next file or socket that is opened, and what is
    printed with it.
    """
    while (taken := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(taken, True)
    os.close(taken)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - stays open
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    logging.raiseExceptions = False  # what cannot be logged must not be printed there, either


def give_up(why: str) -> NoReturn:
    """End with one line, and with whatever waits to be written dropped: nothing takes it."""
    with suppress(OSError):
        os.write(2, f"sentinel: {why}\n".encode(errors="replace"))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    sys.exit(2)


class Display(io.TextIOBase):
    """Shows text as long as there is somebody to take it: it never fails, and never waits.

    A thread writes. What it has no time for, as when a pager holds it up, is dropped; where nobody
    reads any more all of it is.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: queue.Queue[str | None] = queue.Queue(_WAITING_MAX)
        stream.flush()
        try:
            self._descriptor: int | None = stream.fileno()
        except (OSError, ValueError):  # it is none of the system's, as in a notebook
            self._descriptor = None
        self._thread = threading.Thread(target=self._write_all, name="display", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base class has an attribute
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            return 0
        return len(text)

    def drain(self) -> None:
        """Have what was written shown, but wait no longer than a moment for that."""
        try:
            self._waiting.put(None, timeout=_DRAIN_S_MAX)
        except queue.Full:
            return
        self._thread.join(_DRAIN_S_MAX)

    def _write_all(self) -> None:
        while (text := self._waiting.get()) is not None:
            try:
                self._write_out(text)
            except (OSError, ValueError):  # nobody reads it, or there is no space left
                continue

    def _write_out(self, text: str) -> None:
        if self._descriptor is None:
            self._stream.write(text)
            return
        # Not by the stream: Python could not end while a thread that is held up has its lock.
        data = text.encode(self.encoding, errors="replace")
        while data:
            data = data[os.write(self._descriptor, data) :]


@contextmanager
def displays() -> Iterator[tuple[Display, Display]]:
    """In the place of standard output and standard error, for what must not end with them."""
    out, err = Display(sys.stdout), Display(sys.stderr)
    try:
        yield out, err
    finally:
        out.drain()
        err.drain()
