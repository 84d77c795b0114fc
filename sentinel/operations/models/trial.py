"""A model's trial in a process of its own.

`python -m sentinel.operations.models.trial FOLDER CONFIG` is run by an import.

The process is given a folder. There it finds a request, the model as a file or as a version with
its manifest, and perhaps a history; there it leaves its answer, and the version it has made of a
file. That it hangs, dies or fails is an answer as well.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sentinel import config as configuration
from sentinel.adapters.pool.processes import begin
from sentinel.adapters.registry import read_folder, write_folder
from sentinel.codec.records import decode_object, encode
from sentinel.config import Config
from sentinel.engine.deployment.trial import TrialParams, TrialResult, trial_of
from sentinel.errors import ConfigError, ModelError
from sentinel.operations.models.given import VERSION_UNKNOWN, Origin, Past, manifest_of, read_given
from sentinel.stored.versions import Artifact

_REQUEST, _GIVEN, _HISTORY = "request.json", "given", "history.npz"
_VERSION, _ANSWER = "version", "answer.json"
_DETAIL_LENGTH_MAX = 700
_NICENESS = 5


def put_version(folder: Path, given: Artifact) -> None:
    """Lay a version into the folder, to be tried as it is."""
    write_folder(folder / _VERSION, given)
    (folder / _REQUEST).write_bytes(encode({"version": given.version}))


def put_file(folder: Path, data: bytes, origin: Origin) -> None:
    """Lay a file into the folder, of which a version is to be made."""
    (folder / _GIVEN).write_bytes(data)
    (folder / _REQUEST).write_bytes(encode(asdict(origin)))


def put_history(folder: Path, past: Past) -> None:
    """Lay a history beside a file."""
    np.savez(folder / _HISTORY, **asdict(past))


def made_version(folder: Path) -> Artifact:
    """What the process has made of a file; its number says nothing yet."""
    return read_folder(folder / _VERSION, VERSION_UNKNOWN)


def stand(folder: Path, config_file: Path | None, params: TrialParams) -> dict[str, Any]:
    """Have a process try what is in the folder. Raises ValueError, which says why not."""
    answer = folder / _ANSWER
    answer.unlink(missing_ok=True)
    # -P: a file of the user's that is called numpy.py is not ours to import.
    command = [sys.executable, "-P", "-m", __name__, str(folder), str(config_file or "")]
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours, there is no shell
            command, timeout=params.timeout_s, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"did not stand its trial within {params.timeout_s:g} s") from error
    except OSError as error:
        raise ConfigError(f"no process for the trial of a model: {error}") from error
    if done.returncode < 0:
        ended_by = signal.Signals(-done.returncode).name
        raise ValueError(f"did not stand its trial: the process was ended by {ended_by}")
    if done.returncode > 0 or not answer.is_file():
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"exit code {done.returncode}"
        raise ValueError(f"did not stand its trial: {printable(why)}")
    found = decode_object(answer.read_bytes())
    if found["refused"] is not None:
        raise ValueError(printable(str(found["refused"])))
    return found


def printable(text: str) -> str:
    """Words of a file as a terminal can show them: nothing acts there, and they have an end."""
    shown = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)
    return shown if len(shown) <= _DETAIL_LENGTH_MAX else f"{shown[:_DETAIL_LENGTH_MAX]}…"


# From here on: what runs in the process.


def main(folder: Path, config_file: Path | None) -> None:
    """Answer the request in the folder."""
    config = configuration.load(config_file)
    begin(os.getppid(), _NICENESS, config.trial.memory_mb_max * 2**20, None)
    refused, found = None, None
    try:
        found = asdict(tried_in(folder, config))
    except ModelError as error:
        refused = error.detail
    except (ConfigError, ValueError) as error:
        refused = str(error)
    (folder / _ANSWER).write_bytes(encode({"refused": refused, "tried": found}))


def tried_in(folder: Path, config: Config) -> TrialResult:
    """What is in the folder, tried. Raises ModelError, ConfigError or ValueError."""
    request = decode_object((folder / _REQUEST).read_bytes())
    names = [feature.name for feature in config.features]
    if "version" in request:
        given, reference = read_folder(folder / _VERSION, str(request["version"])), None
    else:
        origin = Origin(**request)
        found = read_given((folder / _GIVEN).read_bytes(), origin, config)
        manifest = manifest_of(found, origin, _past(folder), config)
        facts = {
            "version": VERSION_UNKNOWN,
            "sha256": hashlib.sha256(found.text.encode()).hexdigest(),
        }
        given = Artifact(VERSION_UNKNOWN, found.text, {**manifest, **facts})
        reference = found.reference
        write_folder(folder / _VERSION, given)
    return trial_of(given, names, config.trial, clock_s=time.perf_counter, reference=reference)


def _past(folder: Path) -> Past | None:
    path = folder / _HISTORY
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as columns:
        arrays = {name: columns[name] for name in columns.files}
    return Past(**{**arrays, "rejected_count": int(arrays["rejected_count"])})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2] else None)
