"""The demo's event clock: what happens by a moment is sent when the clock comes there."""

import asyncio
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

import numpy as np

from sentinel.app.demo.script import Script, account_name, records_of, transaction_name
from sentinel.operations.data.sender import Sender
from sentinel.records import Feedback
from sentinel.simulation.handbook import Day


class Truth:
    """What really was fraud, of all that was sent, by the name of the transaction.

    Attributes
    ----------
    frauds
        Of each the scenario.
    """

    def __init__(self) -> None:
        self.frauds: dict[str, int] = {}

    def add(self, day: Day) -> None:
        """Another day."""
        at = np.flatnonzero(day.is_fraud)
        names = (transaction_name(one) for one in day.transaction_id[at].tolist())
        self.frauds.update(zip(names, day.scenario[at].tolist(), strict=True))


class EventClock:
    """Stands at a moment of event time, and sends whatever happens until the next one.

    Attributes
    ----------
    now_ms
        All that happened before has been sent.
    sent_count, spoken_count
        Transactions, and pieces of feedback, so far.
    piece_count_max
        So many transactions at a time: they come by twos and threes, and only here half a day's at
        once; where batches are counted that makes a difference.
    """

    def __init__(self, script: Script, sender: Sender) -> None:
        self._script = script
        self._sender = sender
        self._days: Iterator[Day] = script.played()
        self._day: Day | None = None
        self._values: list[bytes] = []
        self._accounts: list[str] = []
        self._done = 0  # of the day's transactions
        self._waiting: list[tuple[int, int, Feedback]] = []  # a heap by when it is said
        self._said_count = 0
        self.truth = Truth()
        self.now_ms = script.begin_ms
        self.end_ms = script.at_ms(script.day_count)
        self.sent_count = 0
        self.spoken_count = 0
        self.piece_count_max = 2_000

    async def begin(self) -> None:
        """Remember what is still to be said of the days before."""
        for day in await asyncio.to_thread(lambda: list(self._script.left_over())):
            claims = self._script.claims(day)
            self.hear(one for one in claims if one.observed_ms >= self.now_ms)

    @property
    def is_over(self) -> bool:
        """Whether all days have been played."""
        return self.now_ms >= self.end_ms

    def hear(self, all_feedback: Iterable[Feedback]) -> None:
        """What will be said when its time comes."""
        for feedback in all_feedback:
            self._said_count += 1  # of the same moment the first goes first
            heappush(self._waiting, (feedback.observed_ms, self._said_count, feedback))

    async def speak(self, until_ms: int) -> None:
        """Send the feedback that is given before a moment; its labels wait for their time."""
        due: list[Feedback] = []
        while self._waiting and self._waiting[0][0] < until_ms:
            due.append(heappop(self._waiting)[-1])
        await self._sender.feedback(due)
        self.spoken_count += len(due)

    async def advance(self, to_ms: int) -> None:
        """Send all that happens before a moment, but nothing behind the end."""
        to_ms = min(to_ms, self.end_ms)
        await self.speak(to_ms)
        while self.now_ms < to_ms:
            if self._day is None:
                await self._next_day()
            assert self._day is not None
            times_ms = self._day.event_time_ms
            await self._send(int(np.searchsorted(times_ms, to_ms, side="left")))
            midnight_ms = self._script.at_ms(self._day.index - self._script.history_day_count + 1)
            self.now_ms = min(to_ms, midnight_ms)
            if self.now_ms == midnight_ms:
                self._day = None
        await self._sender.flush()

    async def _send(self, end: int) -> None:
        """The day's transactions up to one of them."""
        while self._done < end:
            some = slice(self._done, min(self._done + self.piece_count_max, end))
            await self._sender.transactions(self._accounts[some], self._values[some])
            await self._sender.flush()
            self.sent_count += some.stop - some.start
            self._done = some.stop

    async def _next_day(self) -> None:
        day = await asyncio.to_thread(next, self._days)
        self._values = await asyncio.to_thread(records_of, day)
        self._accounts = [account_name(one) for one in day.customer_id.tolist()]
        self._day, self._done = day, 0
        self.truth.add(day)
        self.hear(self._script.claims(day))
