"""A virtual environment for each of those we compare with, made on demand with pinned versions."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

VENVS = Path(__file__).parent / ".venvs"
INSTALL_S_MAX = 600.0
ASKED_S_MAX = 3_600.0
# Some tell their makers that they are used.
_TELL_NOBODY = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}


class PeerFailedError(Exception):
    """Raised when a peer cannot be installed or does not do the job; says why in a line."""


@dataclass(frozen=True, slots=True)
class DriftPeer:
    """Somebody else's detectors: what to install, which script asks them, and for what share of the
    streams that river is asked for.
    """

    name: str
    requirements: tuple[str, ...]
    script: str
    part: int = 1


DRIFT_PEERS = (
    DriftPeer("river", ("river==0.26.1",), "with_river.py"),
    DriftPeer("NannyML", ("nannyml==0.13.1", "pandas<3", "statsmodels"), "with_nannyml.py"),
    DriftPeer("Evidently", ("evidently==0.7.23", "pandas<3"), "with_evidently.py", 4),
)


def ask(peer: DriftPeer, given: Path, found: Path, *options: str) -> None:
    """Have it answer one file with another one. Raises PeerFailedError when it cannot be had."""
    python = interpreter(peer.name.lower(), peer.requirements)
    script = Path(__file__).parent / peer.script
    environment = {**os.environ, **_TELL_NOBODY}
    subprocess.run(
        [python, script, given, found, *options], check=True, timeout=ASKED_S_MAX, env=environment
    )


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
