"""Labels of a history that fall due behind its end: they are sent when there is somebody to count.

With brokers of your own they are sent at once. An embedded broker is not there yet, and forgets its
log at each end: they are kept in a file, and every run sends them. A label that was counted already
changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from sentinel.codec.records import decode_feedback, encode
from sentinel.config import Config
from sentinel.engine.patience import Patience
from sentinel.errors import ConfigError, RecordError, TransientError
from sentinel.operations import embedded
from sentinel.operations.data.sender import Sender
from sentinel.records import Feedback

log = logging.getLogger(__name__)

_FILE = "history-labels.jsonl"
_COUNT_A_SEND = 1_000


async def tell_or_keep(config: Config, labels: Sequence[Feedback], directory: Path) -> None:
    """Send labels, or keep them for the next run. Raises ConfigError where that cannot be."""
    if not embedded.is_kafka_wanted(config):
        await _send(config, labels)
        return
    path = directory / _FILE
    unfinished = path.with_suffix(".unfinished")
    try:
        unfinished.write_bytes(b"".join(encode(one) + b"\n" for one in labels))
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error


def forget_kept(directory: Path) -> None:
    """Send none of them any more."""
    (directory / _FILE).unlink(missing_ok=True)


async def tell_kept(
    config: Config, directory: Path, ready: Callable[[], Awaitable[object]]
) -> None:
    """Send what is kept, once there is somebody to count it."""
    labels = await asyncio.to_thread(_kept, directory / _FILE)
    if not labels:
        return
    await ready()
    patience = Patience("labels of the history are not sent yet")
    while True:
        try:
            await _send(config, labels)
        except TransientError as error:
            await patience.failed(error)
        else:
            patience.over()
            return


def _kept(path: Path) -> list[Feedback]:
    try:
        return [decode_feedback(line) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, RecordError) as error:
        log.warning("%s: its labels are not sent: %s", path, error)
        return []


async def _send(config: Config, labels: Sequence[Feedback]) -> None:
    async with Sender(config) as sender:
        for begin in range(0, len(labels), _COUNT_A_SEND):
            await sender.feedback(labels[begin : begin + _COUNT_A_SEND])
        await sender.flush()
