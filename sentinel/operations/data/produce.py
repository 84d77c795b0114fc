"""A file played into Kafka: transactions at a pace, labels when their delay has passed."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sentinel.adapters.files import Chunk, TransactionSource
from sentinel.codec.records import decode_object, encode_pretty
from sentinel.codec.rows import Rejected
from sentinel.codec.transactions import TransactionDecoder
from sentinel.config import Config
from sentinel.errors import ConfigError, RecordError
from sentinel.operations.data.refusals import RefusedRows
from sentinel.operations.data.sender import Sender
from sentinel.records import Feedback, Ints, Record, Transactions

_RECORDS_A_SEND = 1_000
_TICK_S = 0.01
_END_OF_TIME_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class ProduceOptions:
    """How a file is played.

    Attributes
    ----------
    speed
        Seconds of event time in a second; None: as fast as the broker takes it.
    label_delay_ms
        After the transaction, in event time.
    frauds_only
        Send no label of a genuine transaction: they change no feature.
    skip, count_max
        Rows left out at the start, and rows sent at most.
    position_file
        Where to note how far it went, for `resume`.
    """

    speed: float | None
    label_delay_ms: int
    label_source: str
    frauds_only: bool
    skip: int
    count_max: int | None
    position_file: Path
    resume: bool


@dataclass(slots=True)
class Played:
    """What was sent so far."""

    rows: int = 0
    labels: int = 0


class Player:
    """Sends rows in the order of the file; each label once its time has come in event time.

    A row that does not decode is sent all the same: the instance's dead letters should tell of it.
    """

    def __init__(self, config: Config, source: TransactionSource, options: ProduceOptions) -> None:
        self._decoder = TransactionDecoder(config.schema)
        self._source = source
        self._options = options
        self._labels: deque[tuple[int, Feedback]] = deque()
        self._first_ms: int | None = None
        self._begun_s = 0.0
        self._begin = 0
        self.sent = Played()
        # Sent as they are: dead letters on the other side.
        self.refusals = RefusedRows(config.schema, source.row_name)

    async def run(self, sender: Sender, on_sent: Callable[[Played], None]) -> Played:
        """Send until the end of the file. A run that was broken off may repeat its last chunk.

        Rows that are left out still give their labels, when those fall due among the rows sent.
        """
        options = self._options
        begin = max(options.skip, self._position() if options.resume else 0)
        self._begin = begin
        end = options.skip + options.count_max if options.count_max is not None else None
        row = 0
        for chunk in self._source.chunks():
            count = len(chunk.values)
            first = min(max(begin - row, 0), count)
            last = count if end is None else min(max(end - row, 0), count)
            rows, rejected = self._decode(chunk)
            if left_out := self._remember_labels(chunk, rows, 0, first):
                # Known before the first row that is sent: the run before has sent them, if any.
                self._due_labels(int(rows.event_time_ms[left_out - 1]))
            if last > first:
                to_send = [one for one in rejected if first <= one.index < last]
                self.refusals.add(chunk.values, to_send, rows_before=row)
                await self._send(sender, chunk, rows, first, last, on_sent)
            row += count
            if end is not None and row >= end:
                break
        return self.sent

    def _decode(self, chunk: Chunk) -> tuple[Transactions, list[Rejected]]:
        """The usable rows, whose offset is the place in the chunk, and the others."""
        records = [Record(i, 0, None, value) for i, value in enumerate(chunk.values)]
        return self._decoder.decode([(0, records)])

    async def _send(
        self,
        sender: Sender,
        chunk: Chunk,
        rows: Transactions,
        first: int,
        last: int,
        on_sent: Callable[[Played], None],
    ) -> None:
        """Send rows first to last of a chunk as they fall due."""
        at = rows.offset
        accounts = [""] * len(chunk.values)
        times = np.zeros(len(chunk.values), dtype=np.int64)
        times[at] = rows.event_time_ms
        times = np.maximum.accumulate(times)  # an unreadable row goes with the one before it
        for i, account in zip(at.tolist(), rows.entities["account"], strict=True):
            accounts[i] = account or ""
        while first < last:
            end = await self._due(times, first, last)
            await sender.transactions(accounts[first:end], chunk.values[first:end])
            self._remember_labels(chunk, rows, first, end)
            # At full speed labels go out at once: an instance applies each only when the stream's
            # event time has come to when it was observed, however fast that is.
            paced = self._options.speed is not None
            due = self._due_labels(int(times[end - 1]) if paced else _END_OF_TIME_MS)
            await sender.feedback(due)
            self.sent.rows += end - first
            self.sent.labels += len(due)
            first = end
            on_sent(self.sent)
        await sender.flush()
        self._note_position()

    async def _due(self, times: Ints, first: int, last: int) -> int:
        """Wait until row `first` is due; up to which row may be sent now."""
        end = min(first + _RECORDS_A_SEND, last)
        if self._options.speed is None:
            return end
        loop = asyncio.get_running_loop()
        if self._first_ms is None:
            readable = np.flatnonzero(times[first:end])  # before the first one there is no time
            if readable.size == 0:
                return end
            self._first_ms = int(times[first + readable[0]])
            self._begun_s = loop.time()
        while True:
            played_ms = (loop.time() - self._begun_s) * 1000 * self._options.speed
            due = int(np.searchsorted(times[:end], self._first_ms + played_ms, side="right"))
            if due > first:
                return due
            await asyncio.sleep(_TICK_S)

    def _remember_labels(self, chunk: Chunk, rows: Transactions, first: int, end: int) -> int:
        """Labels of a chunk's rows first to end; returns how many of these rows are usable.

        They fall due in the order of their transactions, since all have the same delay.
        """
        options = self._options
        entities = list(rows.entities.items())
        begin, stop = np.searchsorted(rows.offset, [first, end]).tolist()
        for i in range(begin, stop):
            is_fraud = chunk.is_fraud[int(rows.offset[i])]
            if is_fraud is None or (options.frauds_only and not is_fraud):
                continue
            time_ms = int(rows.event_time_ms[i])
            due_ms = time_ms + options.label_delay_ms
            feedback = Feedback(
                transaction_id=rows.transaction_id[i] or "",
                label="fraud" if is_fraud else "genuine",
                source=options.label_source,
                who="sentinel produce",
                observed_ms=due_ms,
                event_time_ms=time_ms,
                entities={kind: keys[i] for kind, keys in entities},
            )
            self._labels.append((due_ms, feedback))
        return int(stop - begin)

    def _due_labels(self, now_ms: int) -> list[Feedback]:
        due = []
        while self._labels and self._labels[0][0] <= now_ms:
            due.append(self._labels.popleft()[1])
        return due

    @property
    def labels_waiting(self) -> int:
        """Labels whose delay had not passed at the end."""
        return len(self._labels)

    def _position(self) -> int:
        """The row to go on from, as noted by the run before."""
        try:
            return int(decode_object(self._options.position_file.read_bytes())["rows"])
        except (OSError, RecordError, KeyError, ValueError, TypeError):
            return 0

    def _note_position(self) -> None:
        path = self._options.position_file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_pretty({"rows": self._begin + self.sent.rows}))
        except OSError as error:
            raise ConfigError(
                f"{path}: how far it has sent cannot be noted: {error.strerror or error}"
            ) from error
