"""How whoever looks at a run finds its listener: port 0 is another one each time."""

import logging
import os
from pathlib import Path

from sentinel.codec.records import decode_object, encode_pretty
from sentinel.errors import RecordError
from sentinel.operations.embedded import DIRECTORY

log = logging.getLogger(__name__)

_FILE = "listener.json"


def announce_listener(address: str, directory: Path = DIRECTORY) -> None:
    """Write down where it listens; a folder that takes no file is no reason to end."""
    log.info("health and metrics: http://%s/readyz, http://%s/metrics", address, address)
    try:
        (directory / _FILE).write_bytes(encode_pretty({"pid": os.getpid(), "http": address}))
    except OSError as error:
        log.warning("%s cannot be written: %s", directory / _FILE, error.strerror)


def forget_listener(directory: Path = DIRECTORY) -> None:
    """It listens no more."""
    (directory / _FILE).unlink(missing_ok=True)


def listener_address(directory: Path = DIRECTORY) -> str | None:
    """Of the listener of a run that is at work in this folder; None if there is none."""
    try:
        facts = decode_object((directory / _FILE).read_bytes())
        pid, address = int(facts["pid"]), str(facts["http"])
        os.kill(pid, 0)
    except (OSError, OverflowError, RecordError, KeyError, ValueError, TypeError):
        return None
    return address
