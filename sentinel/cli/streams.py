"""What is shown goes to streams that others close, hold up, or read in another encoding."""

import io
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

_WAITING_MAX = 1_000  # pieces of text; a picture is one
_DRAIN_S_MAX = 0.5


def settle_streams() -> None:
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


class Display:
    """Shows text as long as there is somebody to take it: its file never fails, and never waits.

    Attributes
    ----------
    file
        To write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.file = stream
        self._taking: _Taking | None = None
        try:
            descriptor = stream.fileno()
            stream.flush()
        except (OSError, ValueError):  # none of the system's, as in a notebook; or full already
            return
        # Not by the stream: Python could not end while a thread that is held up has its lock.
        self._taking = _Taking(descriptor)
        buffer = io.BufferedWriter(self._taking)
        self.file = io.TextIOWrapper(buffer, encoding=stream.encoding, errors="replace")

    def drain(self) -> None:
        """Have what was written shown, but wait no longer than a moment for that."""
        if self._taking is not None:
            self.file.flush()
            self._taking.drain()


class _Taking(io.RawIOBase):
    """Takes bytes for a descriptor, to which a thread writes them.

    What that has no time for, as when a pager holds it up, is dropped; where nobody reads any more
    all of it is.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_WAITING_MAX)
        self._thread = threading.Thread(target=self._write_all, name="display", daemon=True)
        self._thread.start()

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: "Buffer") -> int:
        taken = bytes(data)
        with suppress(queue.Full):
            self._waiting.put_nowait(taken)
        return len(taken)

    def drain(self) -> None:
        with suppress(queue.Full):
            self._waiting.put(None, timeout=_DRAIN_S_MAX)
            self._thread.join(_DRAIN_S_MAX)

    def _write_all(self) -> None:
        while (data := self._waiting.get()) is not None:
            with suppress(OSError):  # nobody reads it, or there is no space left
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
