"""What lives in the processes of test_worker: each imports this module, and little else."""

import multiprocessing
import os
import sys
import time
from dataclasses import dataclass

import numpy as np


@dataclass
class Counter:
    """A tiny object with a state, which does whatever a test wants."""

    count: int = 0

    def add(self, number: int, *, times: int = 1) -> int:
        self.count += number * times
        return self.count

    def fail(self, error: Exception) -> None:
        raise error

    def give(self, value: object) -> object:
        return value

    def exit(self) -> None:
        sys.exit(7)

    def interrupt(self) -> None:
        raise KeyboardInterrupt

    def mute(self) -> None:
        raise Mute

    def unpicklable(self) -> object:
        return lambda: 1

    def unreadable(self) -> None:
        raise Unreadable

    def escape(self) -> None:
        raise RuntimeError("one \x1b[2J two" + "x" * 10_000)

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)

    def end(self) -> None:
        os._exit(3)

    def fill(self, size_mb: int) -> int:
        return int(np.ones(size_mb * 2**17).sum())

    def niceness(self) -> int:
        return os.nice(0)

    def process_id(self) -> int:
        return os.getpid()


class Mute(Exception):
    """Cannot be said."""

    def __str__(self) -> str:
        raise ValueError("no word")


class Unreadable(Exception):
    """Can be sent, and cannot be read where it comes to."""

    def __reduce__(self) -> tuple[object, ...]:
        return fails_elsewhere, (os.getpid(),)


def fails_elsewhere(process_id: int) -> Exception:
    if os.getpid() != process_id and not multiprocessing.parent_process():
        raise RuntimeError("not here")
    return Unreadable()


def unmakable() -> Counter:
    raise RuntimeError("there is none")
