"""A topic, read from where its reader stands to its end."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from sentinel.errors import TransientError
from sentinel.ports import Tail
from sentinel.records import InputRecord

_POLL_S = 0.2
_POLL_COUNT_MAX = 500


async def read_to_end(
    tail: Tail, topic: str, *, timeout_s: float
) -> AsyncGenerator[Sequence[InputRecord], None]:
    """What a topic holds, up to where its end is at the first fetch.

    Raises TransientError when nothing comes for so long.
    """
    clock_s = asyncio.get_running_loop().time
    end: int | None = None
    heard_s = clock_s()
    while True:
        polled = await tail.poll(timeout_s=_POLL_S, count_max=_POLL_COUNT_MAX)
        records, lag = polled.get(topic, ()), tail.lag(topic)
        if records:
            heard_s = clock_s()
            yield records
            next_offset = records[-1].offset + 1
            end = next_offset + (lag or 0) if end is None else end
            if next_offset >= end:
                return
        if lag == 0:
            return
        if clock_s() - heard_s > timeout_s:
            raise TransientError(f"nothing can be read of {topic}")
