"""A virtual environment for each of those we compare with, made on demand with pinned versions."""

import hashlib
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

VENVS = Path(__file__).parent / ".venvs"
INSTALL_S_MAX = 600.0


class PeerFailedError(Exception):
    """Raised when a peer cannot be installed or does not do the job; says why in a line."""


def interpreter(environment: str, requirements: Collection[str]) -> Path:
    """The Python of an environment, which is made when it is not there.

    Raises PeerFailedError when its packages cannot be had on this Python.
    """
    wanted = sorted(requirements)
    mark = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()
    folder = VENVS / environment
    python, done = folder / "bin" / "python", folder / "done"
    if done.exists() and done.read_text() == mark:
        return python
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            check=True,
            capture_output=True,
            timeout=INSTALL_S_MAX,
        )
        subprocess.run([*command, *wanted], check=True, capture_output=True, timeout=INSTALL_S_MAX)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode().strip().splitlines() or ["it says nothing"]
        raise PeerFailedError(f"cannot be installed: {lines[-1][:120]}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerFailedError("cannot be installed in ten minutes") from error
    done.write_text(mark)
    return python
