"""The user's transactions, from JSON to columns, by a schema given once."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentinel.codec.kernels import clocks, lexing, nested, scan
from sentinel.codec.paths import path_of
from sentinel.codec.payloads.frames import Frames
from sentinel.codec.rows import Rejected, RowDecoder, TransactionColumns
from sentinel.codec.schema import (
    AMOUNT_MINOR_MAX,
    EVENT_TIME_MS_MAX,
    PARTS_OF_MS,
    SchemaParams,
    rfc3339_ms,
)
from sentinel.codec.values.currencies import factors, kernel_table
from sentinel.codec.values.zones import offset_table
from sentinel.record_blocks import RecordBlock
from sentinel.records import Floats, InputRecord, Ints, Transactions
from sentinel.texts import Bytes, Texts


class _Piece(NamedTuple):
    """Records of one partition, on their way."""

    partition: int
    offset: Ints
    timestamp: Ints
    values: Texts


class _Table(NamedTuple):
    """What is read of a batch, as the compiled functions know it (codec/kernels/scan.py)."""

    arena: Bytes
    ints: Ints
    floats: Floats


class TransactionDecoder:
    """Decodes the user's transactions, built once for a schema.

    Rows that are plainly right are read by compiled functions; the others, one by one, by msgspec,
    which has the last word on what JSON is, and by the checks here on what its values may be.
    """

    def __init__(self, schema: SchemaParams) -> None:
        self._schema = schema
        self._frames = Frames(schema) if schema.framing == "registry" else None
        self._one_by_one = RowDecoder(schema, self._frames)
        self._names, self._fields = _field_tables(schema)
        self._parents: Ints | None = None  # of objects that fields lie in; None where none does
        names = [name for name, _ in schema.columns]
        if any(paths := [path_of(name) for name in names]):
            tables = nested.nested_tables(names, self._fields, paths)
            self._names, self._fields, self._parents = tables
        self._clock = _clock(schema)
        self._limits = _limits(schema)
        self._currencies = _currencies(schema)
        self._text_count = 2 + len(schema.entities) + len(schema.other_texts)
        self._number_count = scan.NUMBERS + len(schema.numeric) + len(schema.boolean)

    def warm(self) -> None:
        """Compile the kernels, or load them from numba's cache, before the first transaction."""
        self.decode([(0, [])])

    def decode(
        self, pieces: Sequence[tuple[int, Sequence[InputRecord]]]
    ) -> tuple[Transactions, list[Rejected]]:
        """The usable records of pieces of partitions as columns, and the others with their reasons.

        Rows keep the order of the records; `Rejected.index` counts records over all pieces.
        """
        taken = [_piece(partition, records) for partition, records in pieces]
        table = self._scanned(taken if self._frames is None else _unframed(taken, self._frames))
        is_read = table.ints[scan.IS_READ]
        if is_read.all():
            return self._transactions(table), []
        left = np.flatnonzero(is_read == 0)
        begins = list(accumulate((piece.offset.size for piece in taken), initial=0))
        values: list[bytes | None] = []
        stamps_ms: list[int] = []
        for i in left.tolist():
            number = bisect_right(begins, i) - 1
            values.append(taken[number].values.bytes_at(i - begins[number]))
            stamps_ms.append(int(taken[number].timestamp[i - begins[number]]))
        columns, kept, rejected = self._one_by_one.decode(
            values, np.array(stamps_ms, dtype=np.int64)
        )
        table = self._completed(table, left[kept], columns)
        if rejected:
            kept = np.flatnonzero(table.ints[scan.IS_READ])
            ints, floats = table.ints.take(kept, axis=1), table.floats.take(kept, axis=1)
            table = table._replace(ints=ints, floats=floats)
        at = left.tolist()
        rejected = [Rejected(at[r.index], r.error) for r in rejected]
        return self._transactions(table), sorted(rejected, key=lambda r: r.index)

    def _scanned(self, pieces: Sequence[_Piece]) -> _Table:
        """What the compiled functions can read; the columns of other rows mean nothing."""
        count = sum(piece.offset.size for piece in pieces)
        byte_count = sum(int(piece.values.length.sum()) + piece.offset.size for piece in pieces)
        arena = np.empty(byte_count, dtype=np.uint8)
        ints = np.empty((scan.TEXTS + 2 * self._text_count, count), dtype=np.int64)
        floats = np.empty((self._number_count, count), dtype=np.float64)
        first = used = 0
        for piece in pieces:
            end = first + piece.offset.size
            ints[scan.PARTITION, first:end] = piece.partition
            ints[scan.OFFSET, first:end] = piece.offset
            texts = piece.values
            spans = (texts.data, texts.start, texts.length, piece.timestamp)
            given = [_readable(column) for column in spans]
            kept = (self._clock, self._limits, self._currencies, arena, used, ints, floats, first)
            if self._parents is None:
                used = scan.scan_rows(*given, self._names, self._fields, *kept)
            else:
                fields = (self._names, self._fields, self._parents)
                used = nested.scan_nested_rows(*given, *fields, *kept)
            first = end
        return _Table(arena[:used], ints, floats)

    def _completed(self, table: _Table, at: Ints, columns: TransactionColumns) -> _Table:
        """The table with these rows at these places."""
        ints, floats = table.ints, table.floats
        ints[scan.IS_READ, at] = 1
        ints[scan.TIME, at] = columns.event_time_ms.astype(np.int64)
        ints[scan.AMOUNT, at] = columns.amount.astype(np.int64)
        for slot, numbers in enumerate(columns.numeric.values(), scan.NUMBERS):
            floats[slot, at] = numbers
        texts: list[Sequence[str | None]] = [columns.transaction_id]
        texts += columns.entities.values()
        texts += [columns.categorical[name] for name in self._schema.other_texts]
        added = Texts.of([text for column in texts for text in column])
        start = (added.start + table.arena.size).reshape(len(texts), at.size)
        length = added.length.reshape(len(texts), at.size)
        ints[scan.TEXTS :: 2, at] = start
        ints[scan.TEXTS + 1 :: 2, at] = length
        return table._replace(arena=np.concatenate([table.arena, added.data]))

    def _transactions(self, table: _Table) -> Transactions:
        schema = self._schema
        columns: list[Ints] = list(
            table.ints
        )  # views of all rows at once: one by one they cost more
        spans = zip(columns[scan.TEXTS :: 2], columns[scan.TEXTS + 1 :: 2], strict=True)
        texts = iter([Texts(table.arena, start, length) for start, length in spans])
        numbers: Iterator[Floats] = iter(list(table.floats)[scan.NUMBERS :])
        transaction_id = next(texts)
        entities = {kind: next(texts) for kind in ("account", *schema.entities)}
        named = {name: entities[kind] for name, kind in schema.kind_of.items()}
        named |= {name: next(texts) for name in schema.other_texts}
        return Transactions(
            transaction_id=transaction_id,
            partition=columns[scan.PARTITION],
            offset=columns[scan.OFFSET],
            event_time_ms=columns[scan.TIME],
            amount_minor=columns[scan.AMOUNT],
            entities=entities,
            numeric={name: next(numbers) for name in (*schema.numeric, *schema.boolean)},
            categorical={name: named[name] for name in schema.categorical},
        )


def _piece(partition: int, records: Sequence[InputRecord]) -> _Piece:
    if isinstance(records, RecordBlock):
        return _Piece(partition, records.offset, records.timestamp, records.values)
    count = len(records)
    return _Piece(
        partition,
        np.fromiter((record.offset for record in records), np.int64, count),
        np.fromiter((record.timestamp for record in records), np.int64, count),
        Texts.of_bytes(record.value for record in records),
    )


def _unframed(pieces: Sequence[_Piece], frames: Frames) -> list[_Piece]:
    return [piece._replace(values=frames.all_off(piece.values)) for piece in pieces]


def _readable(array: NDArray[Any]) -> NDArray[Any]:
    """The array as the kernels are compiled for it: for numba another layout is another type."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _field_tables(schema: SchemaParams) -> tuple[Bytes, Ints]:
    """The names of the fields, and what the kernels should do with each."""
    text = lexing.STRING | lexing.WHOLE
    number = lexing.WHOLE | lexing.DECIMAL
    truth = lexing.TRUE | lexing.FALSE
    is_whole = schema.amount_format == "minor"
    entities, categorical = len(schema.entities), len(schema.other_texts)
    numeric, boolean = len(schema.numeric), len(schema.boolean)
    texts = iter(range(2, 2 + entities + categorical))
    numbers = iter(range(scan.NUMBERS, scan.NUMBERS + numeric + boolean))
    rows = [
        (text, scan.AS_TEXT, 0),
        (*_time_kind(schema), scan.RAW_TIME),
        (text, scan.AS_TEXT, 1),
        (lexing.WHOLE if is_whole else lexing.STRING | number, scan.AS_NUMBER, scan.RAW_AMOUNT),
        *((text | lexing.NULL, scan.AS_TEXT, next(texts)) for _ in range(entities)),
        *((number | lexing.NULL, scan.AS_NUMBER, next(numbers)) for _ in range(numeric)),
        *((truth | lexing.NULL, scan.AS_NUMBER, next(numbers)) for _ in range(boolean)),
        *((text | truth | lexing.NULL, scan.AS_TEXT, next(texts)) for _ in range(categorical)),
    ]
    names = Texts.of(name for name, _ in schema.columns)
    spans = zip(names.start.tolist(), names.length.tolist(), strict=True)
    table = [(*span, *row) for span, row in zip(spans, rows, strict=True)]
    return names.data, np.array(table, dtype=np.int64)


def _time_kind(schema: SchemaParams) -> tuple[int, int]:
    """What the kernels accept as a plain time, and how they keep it."""
    if parts := PARTS_OF_MS.get(schema.event_time_format):
        return 0, parts
    if schema.event_time_format == "steps":
        return 0, clocks.AS_STEPS
    if schema.event_time_format == "rfc3339":
        is_utc = schema.event_time_zone == "UTC"
        return (lexing.STRING, scan.AS_TIME) if is_utc else (0, clocks.AS_LOCAL_TIME)
    return lexing.WHOLE | lexing.DECIMAL, scan.AS_TIME


def _clock(schema: SchemaParams) -> Ints | None:
    """What the kernels need to read a time that is not plain; None if it is."""
    if schema.event_time_format == "steps":
        return np.array([[int(schema.time_scale)], [schema.origin_ms]], dtype=np.int64)
    return None if _time_kind(schema)[0] else offset_table(schema.event_time_zone)


def _currencies(schema: SchemaParams) -> Floats | None:
    """What the kernels need to convert amounts; None if there is one currency."""
    if not schema.currency:
        return None
    factor_of = factors(schema.reporting_currency, schema.rates)
    return kernel_table(factor_of, is_minor=schema.amount_format == "minor")


def _limits(schema: SchemaParams) -> Floats:
    limits = np.zeros(scan.LIMIT_COUNT, dtype=np.float64)
    is_in_ms = schema.event_time_format == "steps"  # already
    limits[scan.TIME_SCALE] = 1.0 if is_in_ms else schema.time_scale
    limits[scan.TIME_MIN_MS] = rfc3339_ms(schema.event_time_min)
    limits[scan.TIME_MAX_MS] = EVENT_TIME_MS_MAX
    limits[scan.FUTURE_MS_MAX] = schema.future_s_max * 1000.0
    is_whole = schema.amount_format == "minor"
    limits[scan.AMOUNT_SCALE] = 1.0 if is_whole else 10.0**schema.amount_decimals
    limits[scan.AMOUNT_MAX] = AMOUNT_MINOR_MAX
    limits[scan.AMOUNT_MIN] = schema.amount_minor_min
    limits[scan.AMOUNT_LEAST] = schema.amount_minor_least
    if schema.currency:
        slot = 2 + len(schema.entities) + schema.other_texts.index(schema.currency)
        limits[scan.CURRENCY_TEXT] = scan.TEXTS + 2 * slot
    limits[scan.ID_COUNT] = 2 + len(schema.entities)
    limits[scan.ID_BYTES_MAX] = schema.id_length_max
    limits[scan.RECORD_BYTES_MAX] = schema.record_bytes_max
    return limits
