"""How far the archive is: up to when nothing is missing of any partition."""

import asyncio
from collections.abc import Mapping

from sentinel.archive import Segment
from sentinel.engine.archive.logs import log_of
from sentinel.ports import Broker
from sentinel.records import TopicPartition

_END_MAX = 2**60  # beyond it a broker does not tell where its logs end
_QUIET_S = 60.0


class ArchiveReach:
    """Whether partitions of a topic are archived equally far.

    While an archive catches up, one of them may be days ahead of another: what is counted then
    lacks the accounts of the other.
    """

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._reached: dict[int, tuple[int, float]] = {}  # an offset, and since when it is the last

    async def behind_ms(self, spans_ms: Mapping[Segment, tuple[int, int]]) -> int | None:
        """The event time of the partition that is behind all others; None if none is.

        One that is idle holds nobody up: all of it is archived, or, where the broker does not tell
        its end, nothing has come for a while.

        Parameters
        ----------
        spans_ms
            The event times of all files.
        """
        log_now = await log_of(self._broker, self._topic)
        now_s = asyncio.get_running_loop().time()
        found: list[int] = []
        for number in range(await self._broker.partition_count(self._topic)):
            own = [
                (one.last, newest_ms)
                for one, (_, newest_ms) in spans_ms.items()
                if one.log == log_now and one.partition == number
            ]
            last = max((offset for offset, _ in own), default=-1)
            if self._reached.get(number, (-2, 0.0))[0] != last:
                self._reached[number] = (last, now_s)
            end = await self._broker.end_offset(TopicPartition(self._topic, number))
            is_quiet = end > _END_MAX and now_s - self._reached[number][1] > _QUIET_S
            if end > last + 1 and not is_quiet:
                found.append(max((newest_ms for _, newest_ms in own), default=-1))
        return min(found, default=None)
