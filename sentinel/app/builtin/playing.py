"""The built-in stream at work: it plays, and what is known of its history is taught."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from sentinel.adapters.kafka import KafkaTail
from sentinel.app.builtin.past import GeneratedPast
from sentinel.app.builtin.stream import DemoStream
from sentinel.config import Config
from sentinel.engine.patience import Patience
from sentinel.errors import TransientError
from sentinel.operations.data.sender import Sender

_LOOK_S = 1.0


async def play(config: Config, stream: DemoStream, ready: Callable[[], Awaitable[object]]) -> None:
    """Keep the built-in stream going; a payment system, too, would try again.

    It begins when there is somebody to decide: what waited for that would show as latency.
    """
    patience = Patience("the built-in stream cannot send")
    while True:
        try:
            async with Sender(config) as sender:
                patience.over()
                await stream.run(sender, ready)
        except TransientError as error:
            await patience.failed(error)


async def teach(config: Config, directory: Path, stream: DemoStream) -> None:
    """Publish what becomes known of the generated history, until all of it is."""
    patience = Patience("the generated history is not all told")
    while True:
        past = await asyncio.to_thread(GeneratedPast.kept, directory)
        if past is None:
            return
        try:
            await _taught(config, past, stream)
        except TransientError as error:
            await patience.failed(error)
        else:
            patience.over()
            return


async def _taught(config: Config, past: GeneratedPast, stream: DemoStream) -> None:
    topic = config.topics.full(config.topics.examples)
    async with Sender(config) as sender:
        async with KafkaTail(config.kafka, [topic]) as tail:
            await past.look(tail, topic)
        while True:
            await sender.examples(await past.due(stream.now_ms))
            if past.is_over:
                return
            await asyncio.sleep(_LOOK_S)
