"""Updates of the model, from the command line: asked for, and looked at."""

from dataclasses import dataclass

from sentinel.codec.stored import decode_stored
from sentinel.config import Config
from sentinel.engine.registry.lifecycle import Update
from sentinel.engine.updates.awaiting import Outlook
from sentinel.errors import ConfigError, RecordError
from sentinel.operations.data.sender import Sender
from sentinel.operations.stores import open_models
from sentinel.stored.versions import Command


async def ask_for_update(config: Config, *, who: str, why: str) -> None:
    """Have the instance that trains make a candidate as soon as it can."""
    async with Sender(config) as sender:
        await sender.command(Command("update", who, why))
        await sender.flush()


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """How updates stand.

    Attributes
    ----------
    update
        The newest one; None before the first.
    outlook
        What the next one waits for; None if nobody has looked.
    """

    update: Update | None
    outlook: Outlook | None


async def update_status(config: Config) -> UpdateStatus:
    """How updates stand. Raises ConfigError if what is noted of them is damaged."""
    async with open_models(config.redis) as store:
        return decoded_updates(await store.update(), await store.outlook())


def decoded_updates(update: bytes | None, outlook: bytes | None) -> UpdateStatus:
    """What is noted of updates. Raises ConfigError where it is damaged."""
    try:
        return UpdateStatus(
            None if update is None else decode_stored(Update, update),
            None if outlook is None else decode_stored(Outlook, outlook),
        )
    except RecordError as error:
        raise ConfigError(f"what is noted of updates is not readable: {error.detail}") from error
