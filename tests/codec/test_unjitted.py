"""The kernels mean the same to Python as to numba: no overflow, no index out of bounds."""

import os
import subprocess
import sys

import numpy as np

from sentinel.codec.decisions import decisions
from tests.children import WAIT_S_MAX
from tests.codec.numbers import special_floats, special_integers, written
from tests.codec.test_decisions import STAMP, rows, verdicts


def outcome() -> bytes:
    """The text of some numbers and of two decisions, one to a line."""
    some = np.random.default_rng(3).integers(0, 2**64, 300, dtype=np.uint64).view(np.float64)
    found = decisions(rows(), verdicts(), {1: ["late"]}, STAMP)
    lines = [
        *written(special_floats()[::11]),
        *written(some),
        *written(special_integers()),
        *(found.bytes_at(i) or b"" for i in range(len(found))),
    ]
    return b"\n".join(lines)


def main() -> None:
    # What numba does with words of 64 bits wraps around; nothing else may.
    with np.errstate(over="ignore"):
        sys.stdout.buffer.write(outcome())


def test_kernels_do_the_same_without_their_compiler() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-m", "tests.codec.test_unjitted"]
    done = subprocess.run(
        command, env=environment, capture_output=True, timeout=WAIT_S_MAX, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == outcome()


if __name__ == "__main__":
    main()
