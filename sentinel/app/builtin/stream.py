"""The built-in stream: simulated cardholders, their fraudsters, and what is said of it later."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from pathlib import Path

from sentinel.codec.records import encode
from sentinel.operations.data.sender import Sender
from sentinel.records import Feedback
from sentinel.simulation.handbook import Day, SimulationParams, days

log = logging.getLogger(__name__)

# The days whose history trains the first model; the stream goes on from there.
HISTORY_DAY_COUNT = 60
DAY_MS = 86_400_000
CHARGEBACK_DELAY_MS = 7 * DAY_MS
_KNOWN_DAY_COUNT = 10
_TICK_S = 0.02


def values_of(day: Day) -> list[bytes]:
    """A simulated day as records of the default schema."""
    times = (day.event_time_ms / 1000.0).tolist()
    columns = zip(
        day.transaction_id.tolist(),
        times,
        day.customer_id.tolist(),
        day.terminal_id.tolist(),
        day.amount_minor.tolist(),
        strict=True,
    )
    return [
        encode(
            {
                "transaction_id": f"T{transaction}",
                "event_time": datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "account": f"C{customer}",
                "terminal": f"M{terminal}",
                "amount": amount / 100,
            }
        )
        for transaction, time_s, customer, terminal, amount in columns
    ]


def past_days() -> Iterator[tuple[list[bytes], list[bool | None]]]:
    """The days before the stream begins: records and their labels."""
    for day in days(SimulationParams(day_count=HISTORY_DAY_COUNT)):
        yield values_of(day), day.is_fraud.tolist()


class DemoStream:
    """Plays simulated days at a steady rate, each fraud's chargeback seven days after it.

    Parameters
    ----------
    rate
        Transactions a second.
    position_file
        Holds the day to go on with and how much of it was sent, so that a second run continues
        the story.

    Attributes
    ----------
    now_ms
        Event time of the newest transaction that was sent, or of where it begins.
    """

    def __init__(self, rate: float, position_file: Path) -> None:
        assert rate > 0
        self._rate = rate
        self._position_file = position_file
        self._all_feedback: list[tuple[int, int, Feedback]] = []  # a heap by when it is observed
        self._feedback_count = 0
        self._frauds: dict[int, set[str]] = {}  # of the newest days, since 1970
        self.sent_count = 0
        begun = datetime.fromisoformat(SimulationParams().start).replace(tzinfo=UTC)
        self._begun_day = round(begun.timestamp() * 1000) // DAY_MS
        self.now_ms = (self._begun_day + self._position()[0]) * DAY_MS

    async def run(self, sender: Sender, ready: Callable[[], Awaitable[object]]) -> None:
        """Send until cancelled; the first transaction goes out when `ready` has returned."""
        loop = asyncio.get_running_loop()
        first, skipped = self._position()
        story = days(SimulationParams(day_count=None))
        begun_s = loop.time()
        while True:
            day = await asyncio.to_thread(next, story)
            if day.index >= first - CHARGEBACK_DELAY_MS // DAY_MS:
                self._remember_frauds(day)
            if day.index < first:
                continue
            values = await asyncio.to_thread(values_of, day)
            if day.index == first:
                await ready()
                begun_s = loop.time() - self.sent_count / self._rate  # by an earlier call
            await self._play(day, values, sender, begun_s, skipped)
            skipped = 0

    def _note_position(self, day_index: int, count: int) -> None:
        try:
            self._position_file.write_text(f"{day_index} {count}\n")
        except OSError as error:  # the stream goes on; the next run repeats some of it
            log.warning("%s: cannot be written: %s", self._position_file, error.strerror or error)

    async def _play(
        self, day: Day, values: list[bytes], sender: Sender, begun_s: float, done: int
    ) -> None:
        """Send what is due at each tick; a late tick catches up."""
        loop = asyncio.get_running_loop()
        accounts = [f"C{customer}" for customer in day.customer_id.tolist()]
        try:
            while done < len(values):
                due = int((loop.time() - begun_s) * self._rate) - self.sent_count
                end = min(done + due, len(values))
                if due > 0:
                    await sender.transactions(accounts[done:end], values[done:end])
                    self.sent_count += end - done
                    done = end
                    self.now_ms = int(day.event_time_ms[end - 1])
                    await sender.feedback(self._due_feedback())
                await asyncio.sleep(_TICK_S)
        finally:
            self._note_position(day.index, done)

    def say(self, all_feedback: Iterable[Feedback]) -> None:
        """Feedback to be sent when the stream has come to where it was observed."""
        for feedback in all_feedback:
            self._feedback_count += 1  # of the same moment the first goes first
            heappush(self._all_feedback, (feedback.observed_ms, self._feedback_count, feedback))

    def truth(self, transaction_id: str, event_time_ms: int) -> bool | None:
        """Whether it is fraud; None of what is too long ago, or not of this stream."""
        frauds = self._frauds.get(event_time_ms // DAY_MS)
        return None if frauds is None else transaction_id in frauds

    def _remember_frauds(self, day: Day) -> None:
        """Each is charged back; and what was fraud, investigators may see."""
        at = day.is_fraud.nonzero()[0].tolist()
        self._frauds[self._begun_day + day.index] = {f"T{day.transaction_id[i]}" for i in at}
        while len(self._frauds) > _KNOWN_DAY_COUNT:
            del self._frauds[min(self._frauds)]
        self.say(_chargeback(day, i) for i in at)

    def _due_feedback(self) -> list[Feedback]:
        due = []
        while self._all_feedback and self._all_feedback[0][0] <= self.now_ms:
            due.append(heappop(self._all_feedback)[-1])
        return due

    def _position(self) -> tuple[int, int]:
        """The day to go on with, and how many of its transactions were sent."""
        try:
            day, count, *_ = *map(int, self._position_file.read_text().split()), 0
        except (OSError, ValueError):
            return HISTORY_DAY_COUNT, 0
        return max(day, HISTORY_DAY_COUNT), max(count, 0)


def _chargeback(day: Day, i: int) -> Feedback:
    time_ms = int(day.event_time_ms[i])
    return Feedback(
        transaction_id=f"T{day.transaction_id[i]}",
        label="fraud",
        source="chargeback",
        who="issuer",
        observed_ms=time_ms + CHARGEBACK_DELAY_MS,
        event_time_ms=time_ms,
        entities={"account": f"C{day.customer_id[i]}", "terminal": f"M{day.terminal_id[i]}"},
    )
