"""Updates of the model, from the command line: asked for, and looked at."""

from sentinel.adapters.redis import RedisModelStore
from sentinel.app.sender import Sender
from sentinel.codec.stored import decode_stored
from sentinel.config import Config
from sentinel.engine.lifecycle import Update
from sentinel.errors import ConfigError, RecordError
from sentinel.versions import Command


async def ask_for_update(config: Config, *, who: str, why: str) -> None:
    """Have the instance that trains make a candidate as soon as it can."""
    async with Sender(config) as sender:
        await sender.command(Command("update", who, why))
        await sender.flush()


async def newest_update(config: Config) -> Update | None:
    """How the newest update stands; None before the first. Raises ConfigError if it is damaged."""
    async with RedisModelStore(config.redis) as store:
        noted = await store.update()
    try:
        return None if noted is None else decode_stored(Update, noted)
    except RecordError as error:
        raise ConfigError(f"what is noted of updates is not readable: {error.detail}") from error
