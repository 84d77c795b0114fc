"""Where commands are called in a test: with topics and keys of its own, on servers of all."""

import asyncio
import uuid
from dataclasses import dataclass, field

from typer.testing import CliRunner, Result

from sentinel.adapters.kafka import KafkaParams, KafkaTail
from sentinel.adapters.redis import RedisParams
from sentinel.cli import app
from sentinel.engine.tail import read_to_end
from sentinel.records import InputRecord
from tests.children import WAIT_S_MAX

# The first makes one, the others need none.
UNCONFIGURED = (("init",), ("drift", "check"), ("experiments", "analyse"))


@dataclass
class Folder:
    """Calls `sentinel`, in this process and in the directory of now, which holds small.toml.

    Attributes
    ----------
    words
        Come first in each command.
    """

    kafka: KafkaParams
    redis: RedisParams
    words: tuple[str, ...] = ()
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a command use the servers, with names of its own."""
        return {
            "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "SENTINEL__KAFKA__IDEMPOTENCE": str(self.kafka.idempotence).lower(),
            "SENTINEL__TOPICS__PREFIX": f"{self.name}-",
            "SENTINEL__REDIS__URL": self.redis.url,
            "SENTINEL__REDIS__KEY_PREFIX": self.name,
            "SENTINEL__MODEL__DIRECTORY": "models",
            "COLUMNS": "200",
        }

    def command(self, *arguments: object, **settings: str) -> Result:
        words = [*self.words, *map(str, arguments)]
        if not any(arguments[: len(one)] == one for one in UNCONFIGURED):
            words += ["-c", "small.toml"]
        return CliRunner().invoke(app, words, env=self.environment | settings)

    def said(self, *arguments: object, **settings: str) -> str:
        """What a command says that does what it was asked to."""
        result = self.command(*arguments, **settings)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refusal(self, *arguments: object, exit_code: int = 2, **settings: str) -> str:
        """The line of a command that does not."""
        result = self.command(*arguments, **settings)
        assert result.exit_code == exit_code, result.output
        (line,) = result.stderr.strip().splitlines()
        return line.removeprefix("sentinel: ")

    def published(self, topic: str) -> list[InputRecord]:
        """What a topic holds."""

        async def main() -> list[InputRecord]:
            name = f"{self.name}-{topic}"
            async with KafkaTail(self.kafka, [name]) as tail:
                return [
                    r async for some in read_to_end(tail, name, timeout_s=WAIT_S_MAX) for r in some
                ]

        return asyncio.run(main())
