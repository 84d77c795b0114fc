"""A file read as the stream would read it, and nothing done with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sentinel.adapters.files import Chunk
from sentinel.codec.transactions import TransactionDecoder
from sentinel.config import Config
from sentinel.operations.data.history import History
from sentinel.operations.data.refusals import RefusedRows
from sentinel.records import Floats, Record, Transactions, part

_SHOWN_COUNT = 3


class RowSource(Protocol):
    """Where rows come from: a file, a folder, some records of a topic."""

    def chunks(self) -> Iterator[Chunk]:
        """All of them, in their order."""
        ...

    def row_name(self, row: int) -> str:
        """Where a person finds one that was read, by its number from 1 on."""
        ...


@dataclass(slots=True)
class DryRun:
    """What a file is to a configuration.

    Attributes
    ----------
    first
        The first usable rows, and their features as decisions would have them, (n, n_features).
    unordered_row
        The first row that is earlier than the one before it.
    """

    refusals: RefusedRows
    row_count: int = 0
    usable_count: int = 0
    fraud_count: int = 0
    genuine_count: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    unordered_row: int | None = None
    first: Transactions | None = None
    first_features: Floats = field(default_factory=lambda: np.empty((0, 0)))


def dry_run(
    source: RowSource,
    config: Config,
    on_rows: Callable[[int], None] = lambda _: None,
    *,
    row_count_min: int | None = None,
) -> DryRun:
    """Read all rows, or chunk by chunk until so many are read, and count what there is."""
    found = DryRun(RefusedRows(config.schema, source.row_name))
    decoder = TransactionDecoder(config.schema)
    for chunk in source.chunks():
        records = [Record(i, 0, None, value) for i, value in enumerate(chunk.values)]
        rows, rejected = decoder.decode([(0, records)])
        found.refusals.add(chunk.values, rejected, rows_before=found.row_count)
        if len(rows):
            if found.first is None:
                _show(found, chunk, rows, config)
            _count(found, chunk, rows)
        found.row_count += len(chunk.values)
        on_rows(len(chunk.values))
        if row_count_min is not None and found.row_count >= row_count_min:
            break
    return found


def _count(found: DryRun, chunk: Chunk, rows: Transactions) -> None:
    times = rows.event_time_ms
    before = int(times[0]) if found.last_ms is None else found.last_ms
    earlier = np.flatnonzero(np.diff(times, prepend=before) < 0)
    if earlier.size and found.unordered_row is None:
        found.unordered_row = found.row_count + int(rows.offset[earlier[0]]) + 1
    labels = [chunk.is_fraud[i] for i in rows.offset.tolist()]
    found.usable_count += len(rows)
    found.fraud_count += labels.count(True)
    found.genuine_count += labels.count(False)
    found.first_ms = min(before if found.first_ms is None else found.first_ms, int(times.min()))
    found.last_ms = max(before, int(times.max()))


def _show(found: DryRun, chunk: Chunk, rows: Transactions, config: Config) -> None:
    """The first usable rows, folded in the order of event time."""
    some = part(rows, 0, min(_SHOWN_COUNT, len(rows)))
    order = np.argsort(some.event_time_ms, kind="stable").tolist()
    values = [chunk.values[int(some.offset[i])] for i in order]
    folded = History(config).fold(values, [None] * len(values))
    found.first, found.first_features = folded.transactions, folded.features
