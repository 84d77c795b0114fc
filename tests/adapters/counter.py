"""What lives in the processes of test_worker: each imports this module, and little else."""

import os
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


def unmakable() -> Counter:
    raise RuntimeError("there is none")
