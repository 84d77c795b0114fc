"""The user's transactions, from JSON to columns, by a schema given once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from sentinel.errors import RecordError
from sentinel.records import Floats, InputRecord, Ints, Transactions
from sentinel.texts import Texts

TimeFormat = Literal["rfc3339", "epoch_s", "epoch_ms"]
AmountFormat = Literal["decimal", "minor"]

# Sums of squares in the tiles hold amounts below 2**40 (sentinel/core/features/tiles.py).
AMOUNT_MINOR_MAX = 10**12

EVENT_TIME_MS_MAX = 253_402_300_799_999  # the end of year 9999, as far as RFC 3339 goes

_NUMBER = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*")

# JSON has integers of any length; a column has not.
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


@dataclass(frozen=True, slots=True)
class SchemaParams:
    """The user's own field names, and what a usable value is."""

    transaction_id: str = "transaction_id"
    event_time: str = "event_time"
    event_time_format: TimeFormat = "rfc3339"
    account: str = "account"
    amount: str = "amount"
    amount_format: AmountFormat = "decimal"
    amount_decimals: int = 2  # minor units are 10**-2 of the major unit
    entities: dict[str, str] = field(default_factory=dict)  # further entity kinds: their field
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()
    id_length_max: int = 256
    record_bytes_max: int = 1_048_576
    event_time_min: str = "2000-01-01T00:00:00Z"
    future_s_max: float = 86_400.0  # against the time of the Kafka record

    def __post_init__(self) -> None:
        if self.event_time_format not in ("rfc3339", "epoch_s", "epoch_ms"):
            raise ValueError('event_time_format must be "rfc3339", "epoch_s" or "epoch_ms"')
        if self.amount_format not in ("decimal", "minor"):
            raise ValueError('amount_format must be "decimal" or "minor"')
        if not 0 <= self.amount_decimals <= 4:
            raise ValueError(f"amount_decimals must be in 0..4, got {self.amount_decimals}")
        if not 1 <= self.id_length_max <= 4096:
            raise ValueError(f"id_length_max must be in 1..4096, got {self.id_length_max}")
        if not 64 <= self.record_bytes_max <= 64 * 1_048_576:
            raise ValueError("record_bytes_max must be in 64..67108864")
        if not self.future_s_max >= 0:
            raise ValueError("future_s_max must not be negative")
        if "account" in self.entities:
            raise ValueError('"account" has its own key and is not among entities')
        epoch_ms(self.event_time_min)
        names = [name for name, _ in self.columns]
        if not all(map(_is_field_name, names)):
            raise ValueError("names of fields must not be empty, nor need escaping in JSON")
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"fields are mapped twice: {doubled}")

    @property
    def columns(self) -> tuple[tuple[str, type | Any], ...]:
        """Field names in decoding order, each with the type that JSON must have."""
        times = {"rfc3339": datetime, "epoch_s": float, "epoch_ms": float}
        text = str | int | None
        return (
            (self.transaction_id, str | int),
            (self.event_time, times[self.event_time_format]),
            (self.account, str | int),
            (self.amount, _Int64 if self.amount_format == "minor" else float | str),
            *((name, text) for name in self.entities.values()),
            *((name, float | None) for name in self.numeric),
            *((name, bool | None) for name in self.boolean),
            *((name, str | int | bool | None) for name in self.categorical),
        )


def _is_field_name(name: str) -> bool:
    """Whether the decoder can look for it."""
    return name.isprintable() and bool(name) and not set(name) & {'"', "\\"}


REQUIRED_COUNT = 4  # id, time, account, amount: a transaction without one is not usable


def epoch_ms(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 time; without an offset it is taken as UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is not an RFC 3339 time') from error
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that cannot be used, by its place in the batch, and why."""

    index: int
    error: RecordError


class TransactionDecoder:
    """Decodes the user's transactions, built once for a schema."""

    def __init__(self, schema: SchemaParams) -> None:
        self._schema = schema
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for i, (_, kind) in enumerate(schema.columns):
            fields.append((f"f{i}", kind) if i < REQUIRED_COUNT else (f"f{i}", kind, None))
        struct = msgspec.defstruct(
            "Transaction",
            fields,
            rename={f"f{i}": name for i, (name, _) in enumerate(schema.columns)},
            gc=False,
        )
        self._decode = msgspec.json.Decoder(struct).decode
        self._time_min_ms = epoch_ms(schema.event_time_min)

    def decode(
        self, pieces: Sequence[tuple[int, Sequence[InputRecord]]]
    ) -> tuple[Transactions, list[Rejected]]:
        """The usable records as columns, in their order, and the others with their reasons.

        `pieces` are partitions with their records; `Rejected.index` counts over all of them.
        """
        records = [record for _, found in pieces for record in found]
        partitions = np.repeat(
            np.array([number for number, _ in pieces], dtype=np.int64),
            [len(found) for _, found in pieces],
        )
        values = [record.value for record in records]
        rejected: list[Rejected] = []
        rows = self._rows(values, rejected)
        kept = np.ones(len(records), dtype=np.bool_)
        kept[[r.index for r in rejected]] = False
        columns = self._columns(rows)
        stamps = np.array([record.timestamp for record in records], dtype=np.int64)[kept]
        wrong = self._wrong_values(columns, stamps)
        if wrong:
            at = np.flatnonzero(kept)
            rejected += [Rejected(int(at[i]), error) for i, error in wrong.items()]
            kept[at[list(wrong)]] = False
            columns = self._columns([row for i, row in enumerate(rows) if i not in wrong])
        offsets = np.array([record.offset for record in records], dtype=np.int64)[kept]
        return self._transactions(columns, partitions[kept], offsets), rejected

    def _rows(self, values: list[bytes | None], rejected: list[Rejected]) -> list[Any]:
        """Decoded structs. The whole batch at once if all is well, else one by one."""
        size_max = self._schema.record_bytes_max
        try:
            if max(map(len, values), default=0) <= size_max:  # type: ignore[arg-type]
                return list(map(self._decode, values))  # type: ignore[arg-type]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
            pass  # some record is bad: the loop below finds out which
        rows = []
        for i, value in enumerate(values):
            try:
                rows.append(self._one(value))
            except RecordError as error:
                rejected.append(Rejected(i, error))
        return rows

    def _one(self, value: bytes | None) -> Any:
        if value is None:
            raise RecordError("tombstone", "the record has no value")
        if len(value) > self._schema.record_bytes_max:
            raise RecordError("too_large", f"{len(value)} bytes")
        try:
            return self._decode(value)
        except msgspec.ValidationError as error:
            missing = "missing required field" in str(error)
            raise RecordError("missing_field" if missing else "wrong_type", str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RecordError("not_json", str(error)) from error
        except RecursionError as error:
            raise RecordError("not_json", "nested too deeply") from error

    def _columns(self, rows: list[Any]) -> "_Columns":
        """Structs turned on their side, with times and amounts as numbers."""
        schema = self._schema
        if rows:
            fields = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        else:
            fields = [()] * len(schema.columns)
        rest = iter(fields[REQUIRED_COUNT:])
        return _Columns(
            transaction_id=[_text(x) for x in fields[0]],
            event_time_ms=_times_ms(fields[1], schema.event_time_format),
            amount=_amounts(fields[3], schema),
            entities={
                "account": [_text(x) for x in fields[2]],
                **{kind: [_optional_text(x) for x in next(rest)] for kind in schema.entities},
            },
            numeric={
                name: np.array(next(rest), dtype=np.float64)
                for name in (*schema.numeric, *schema.boolean)
            },
            categorical={
                name: [_optional_text(x) for x in next(rest)] for name in schema.categorical
            },
        )

    def _wrong_values(self, columns: "_Columns", stamps_ms: Ints) -> dict[int, RecordError]:
        """Rows whose values have the right type and cannot be true, with the reason."""
        wrong: dict[int, RecordError] = {}
        length_max = self._schema.id_length_max
        identifiers: list[Sequence[str | None]] = [columns.transaction_id]
        identifiers += columns.entities.values()
        for texts in identifiers:
            if max((len(t) for t in texts if t is not None), default=0) > length_max:
                for i, text in enumerate(texts):
                    if text is not None and len(text) > length_max:
                        wrong[i] = RecordError("bad_id", f"an identifier of {len(text)} characters")
        for texts in (identifiers[0], columns.entities["account"]):
            for i in [i for i, text in enumerate(texts) if text == ""]:
                wrong[i] = RecordError("bad_id", "an empty identifier")
        amount = columns.amount
        for i in np.flatnonzero(~((amount >= 0) & (amount <= AMOUNT_MINOR_MAX))).tolist():
            wrong[i] = RecordError("bad_amount", f"{amount[i]} minor units")
        times = columns.event_time_ms
        latest = stamps_ms + self._schema.future_s_max * 1000.0
        usable = (times >= self._time_min_ms) & (times <= EVENT_TIME_MS_MAX)
        usable &= (times <= latest) | (stamps_ms <= 0)  # without a stamp there is no "now"
        for i in np.flatnonzero(~usable).tolist():
            wrong[i] = RecordError("bad_time", f"event time {times[i]:.0f} ms")
        return wrong

    def _transactions(self, columns: "_Columns", partitions: Ints, offsets: Ints) -> Transactions:
        return Transactions(
            transaction_id=Texts.of(columns.transaction_id),
            partition=partitions,
            offset=offsets,
            event_time_ms=columns.event_time_ms.astype(np.int64),
            amount_minor=columns.amount.astype(np.int64),
            entities={kind: Texts.of(texts) for kind, texts in columns.entities.items()},
            numeric=columns.numeric,
            categorical={name: Texts.of(texts) for name, texts in columns.categorical.items()},
        )


@dataclass(frozen=True, slots=True)
class _Columns:
    """Transactions as columns before their values are checked: times and amounts as floats."""

    transaction_id: list[str]
    event_time_ms: Floats
    amount: Floats
    entities: dict[str, list[str | None]]
    numeric: dict[str, Floats]
    categorical: dict[str, list[str | None]]


def _text(value: str | int) -> str:
    return value if type(value) is str else str(value)


def _optional_text(value: str | bool | int | None) -> str | None:
    """Text of a value; an empty text counts as missing, true and false as in JSON."""
    if value is None or value == "":
        return None
    if type(value) is bool:
        return "true" if value else "false"
    return _text(value)


def _times_ms(values: Sequence[Any], time_format: TimeFormat) -> Floats:
    """Epoch milliseconds; a time without an offset is taken as UTC."""
    if time_format == "epoch_ms":
        return np.rint(np.array(values, dtype=np.float64))
    if time_format == "epoch_s":
        with np.errstate(over="ignore"):  # infinite is no usable time either
            return np.rint(np.array(values, dtype=np.float64) * 1000.0)
    aware = [when if when.tzinfo else when.replace(tzinfo=UTC) for when in values]
    return np.rint(np.array([when.timestamp() for when in aware], dtype=np.float64) * 1000.0)


def _amounts(values: Sequence[Any], schema: SchemaParams) -> Floats:
    """Minor units, whole; decimals beyond the minor unit round half to even. NaN if no number."""
    if schema.amount_format == "minor":
        return np.array(values, dtype=np.float64)
    numbers = [value if type(value) is float else _number(value) for value in values]
    with np.errstate(over="ignore"):  # infinite is no usable amount either
        return np.rint(np.array(numbers, dtype=np.float64) * 10.0**schema.amount_decimals)


def _number(text: str) -> float:
    """The number that a text holds, as JSON would write it; NaN if none.

    Python's own reading takes 1_000 and digits of other scripts for numbers, too.
    """
    return float(text) if _NUMBER.fullmatch(text) else float("nan")
