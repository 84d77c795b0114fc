"""Transactions decoded row by row: any JSON, and for what is not usable the reason."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from typing import Any

import msgspec
import numpy as np

from sentinel.codec.paths import flattened, path_of
from sentinel.codec.payloads.frames import FRAME_BYTES, Frames, framed_by
from sentinel.codec.schema import (
    AMOUNT_MINOR_MAX,
    EVENT_TIME_MS_MAX,
    PARTS_OF_MS,
    REQUIRED_COUNT,
    SchemaParams,
    rfc3339_ms,
)
from sentinel.codec.values.currencies import DECIMALS, factors
from sentinel.errors import RecordError
from sentinel.records import Floats, Ints

_INT64_END = 2**63
_OWN_MINOR_MAX = 2.0**53  # of an amount in its own currency: what a double holds

_NUMBER = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*")


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that cannot be used, by its place in the batch, and why."""

    index: int
    error: RecordError


@dataclass(frozen=True, slots=True)
class TransactionColumns:
    """Transactions as columns before their values are checked: times and amounts as floats."""

    transaction_id: list[str]
    event_time_ms: Floats
    amount: Floats
    entities: dict[str, list[str | None]]
    numeric: dict[str, Floats]
    categorical: dict[str, list[str | None]]


class RowDecoder:
    """Decodes records one by one, built once for a schema."""

    def __init__(self, schema: SchemaParams, frames: Frames | None = None) -> None:
        self._schema = schema
        self._bytes_max = schema.record_bytes_max + (0 if frames is None else FRAME_BYTES)
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for i, (_, kind) in enumerate(schema.columns):
            fields.append((f"f{i}", kind) if i < REQUIRED_COUNT else (f"f{i}", kind, None))
        struct = msgspec.defstruct(
            "Transaction",
            fields,
            rename={f"f{i}": name for i, (name, _) in enumerate(schema.columns)},
            gc=False,
        )
        self._decode = _reader(struct, [name for name, _ in schema.columns], frames)
        self._factor_of: dict[str | None, Fraction] = {}
        if schema.currency:
            self._factor_of.update(factors(schema.reporting_currency, schema.rates))
        self._time_min_ms = rfc3339_ms(schema.event_time_min)

    def decode(
        self, values: list[bytes | None], stamps_ms: Ints
    ) -> tuple[TransactionColumns, Ints, list[Rejected]]:
        """The usable ones of some records as columns, which these are, and the others."""
        rejected: list[Rejected] = []
        rows = self._rows(values, rejected)
        kept = np.ones(len(values), dtype=np.bool_)
        kept[[r.index for r in rejected]] = False
        columns = self._columns(rows)
        wrong = self._wrong_values(columns, stamps_ms[kept])
        if wrong:
            at = np.flatnonzero(kept)
            rejected += [Rejected(int(at[i]), error) for i, error in wrong.items()]
            kept[at[list(wrong)]] = False
            columns = self._columns([row for i, row in enumerate(rows) if i not in wrong])
        amount = np.maximum(columns.amount, self._schema.amount_minor_least)
        return replace(columns, amount=amount), np.flatnonzero(kept), rejected

    def _rows(self, values: list[bytes | None], rejected: list[Rejected]) -> list[Any]:
        """Decoded structs. The whole batch at once if all is well, else one by one."""
        try:
            if max(map(len, values), default=0) <= self._bytes_max:  # type: ignore[arg-type]
                return list(map(self._decode, values))  # type: ignore[arg-type]
        except (RecordError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
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
        if len(value) > self._bytes_max:
            raise RecordError("too_large", f"{len(value)} bytes")
        try:
            return self._decode(value)
        except msgspec.ValidationError as error:
            missing = "missing required field" in str(error)
            raise RecordError("missing_field" if missing else "wrong_type", str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if (schema_id := framed_by(value)) is not None:
                told = f"it begins with the frame of a schema registry (schema {schema_id})"
                raise RecordError("framed", f'{told}: framing = "registry" reads it') from error
            raise RecordError("not_json", str(error)) from error
        except RecursionError as error:
            raise RecordError("not_json", "nested too deeply") from error

    def _columns(self, rows: list[Any]) -> TransactionColumns:
        """Structs turned on their side, with times and amounts as numbers."""
        schema = self._schema
        if rows:
            fields = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        else:
            fields = [()] * len(schema.columns)
        rest = iter(fields[REQUIRED_COUNT:])
        entities: dict[str, list[str | None]] = {"account": [_text(x) for x in fields[2]]}
        for kind in schema.entities:
            entities[kind] = [_optional_text(x) for x in next(rest)]
        numeric = {
            name: np.array(next(rest), dtype=np.float64)
            for name in (*schema.numeric, *schema.boolean)
        }
        named = {name: entities[kind] for name, kind in schema.kind_of.items()}
        for name in schema.other_texts:
            named[name] = [_optional_text(x) for x in next(rest)]
        return TransactionColumns(
            transaction_id=[_text(x) for x in fields[0]],
            event_time_ms=_times_ms(fields[1], schema),
            amount=self._amounts(fields[3], named.get(schema.currency)),
            entities=entities,
            numeric=numeric,
            categorical={name: named[name] for name in (*schema.categorical, *schema.other_texts)},
        )

    def _amounts(self, values: Sequence[Any], codes: Sequence[str | None] | None) -> Floats:
        """Minor units, whole; decimals beyond the minor unit round half to even. NaN if none."""
        schema = self._schema
        numbers = _numbers(values)
        if codes is None:
            decimals = 0 if schema.amount_format == "minor" else schema.amount_decimals
            return _minor(numbers, np.array(10.0**decimals))
        scales = [1.0 if schema.amount_format == "minor" else _scale(code) for code in codes]
        own = _minor(numbers, np.array(scales, dtype=np.float64)).tolist()
        known = self._factor_of
        return np.array(
            [
                float(round(int(minor) * known[code]))
                if code in known and abs(minor) <= _OWN_MINOR_MAX
                else float("nan")
                for minor, code in zip(own, codes, strict=True)
            ],
            dtype=np.float64,
        )

    def _wrong_amounts(self, columns: TransactionColumns) -> dict[int, RecordError]:
        wrong: dict[int, RecordError] = {}
        schema = self._schema
        amount, least = columns.amount, schema.amount_minor_min
        for i in np.flatnonzero(~((amount >= least) & (amount <= AMOUNT_MINOR_MAX))).tolist():
            told = f"{schema.amount} is {amount[i]} minor units, from {least} to {AMOUNT_MINOR_MAX}"
            wrong[i] = RecordError("bad_amount", told)
        codes = columns.categorical[schema.currency] if schema.currency else ()
        for i, code in enumerate(codes):
            if code not in self._factor_of:
                wrong[i] = RecordError("bad_currency", self._wrong_currency(code))
        return wrong

    def _wrong_currency(self, code: str | None) -> str:
        """Why an amount of this currency cannot be told in the reporting one."""
        name = self._schema.currency
        if code is None:
            return f"{name} is missing"
        if code not in DECIMALS:
            return f'{name} "{code}" is none of the codes of ISO 4217'
        return f"{name} is {code}, of which [schema.rates] knows nothing"

    def _wrong_values(self, columns: TransactionColumns, stamps_ms: Ints) -> dict[int, RecordError]:
        """Rows whose values have the right type and cannot be true, with the reason."""
        wrong: dict[int, RecordError] = {}
        schema = self._schema
        length_max = schema.id_length_max
        names = [schema.transaction_id, schema.account, *schema.entities.values()]
        identifiers: list[Sequence[str | None]] = [columns.transaction_id]
        identifiers += columns.entities.values()
        for name, texts in zip(names, identifiers, strict=True):
            if max((len(t) for t in texts if t is not None), default=0) > length_max:
                for i, text in enumerate(texts):
                    if text is not None and len(text) > length_max:
                        told = f"{name} has {len(text)} characters, at most {length_max}"
                        wrong[i] = RecordError("bad_id", told)
        for name, texts in zip(names[:2], identifiers, strict=False):
            for i in [i for i, text in enumerate(texts) if text == ""]:
                wrong[i] = RecordError("bad_id", f"{name} is empty")
        wrong |= self._wrong_amounts(columns)
        times = columns.event_time_ms
        latest = stamps_ms + schema.future_s_max * 1000.0
        usable = (times >= self._time_min_ms) & (times <= EVENT_TIME_MS_MAX)
        usable &= (times <= latest) | (stamps_ms <= 0)  # without a stamp there is no "now"
        for i in np.flatnonzero(~usable).tolist():
            found = "no whole number" if np.isnan(times[i]) else f"{times[i]:.0f} ms"
            wrong[i] = RecordError("bad_time", f"{schema.event_time} is {found}")
        return wrong


def _reader(struct: type, names: Sequence[str], frames: Frames | None) -> Callable[[bytes], Any]:
    """Reads the struct from a record: without its frame, with what paths lead to."""
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(struct).decode
    steps: list[Callable[[bytes], bytes]] = [] if frames is None else [frames.off]
    if any(map(path_of, names)):
        steps.append(lambda value: flattened(value, names))
    if not steps:
        return decode
    return lambda value: decode(reduce(lambda text, step: step(text), steps, value))


def _text(value: str | int) -> str:
    return value if type(value) is str else str(value)


def _optional_text(value: str | bool | int | None) -> str | None:
    """Text of a value; an empty text counts as missing, true and false as in JSON."""
    if value is None or value == "":
        return None
    if type(value) is bool:
        return "true" if value else "false"
    return _text(value)


def _times_ms(values: Sequence[Any], schema: SchemaParams) -> Floats:
    """Epoch milliseconds; a time without an offset is one of the schema's zone. NaN if none."""
    if schema.event_time_format in PARTS_OF_MS:
        parts = PARTS_OF_MS[schema.event_time_format]
        return np.array([_whole_ms(value, parts) for value in values], dtype=np.float64)
    if schema.event_time_format == "rfc3339":
        zone = schema.zone
        aware = [when if when.tzinfo else when.replace(tzinfo=zone) for when in values]
        values = [when.timestamp() for when in aware]
    with np.errstate(over="ignore"):  # infinite is no usable time either
        times_ms = np.rint(np.array(values, dtype=np.float64) * schema.time_scale)
    return times_ms + schema.origin_ms


def _whole_ms(value: int | float, parts: int) -> float:
    """A whole number of parts of a millisecond, rounded half to even; NaN if it is none."""
    if value != value // 1 or not abs(value) < _INT64_END:
        return float("nan")
    return float(round(Fraction(int(value), parts)))


def _numbers(values: Sequence[Any]) -> Floats:
    numbers = [_number(value) if type(value) is str else value for value in values]
    return np.array(numbers, dtype=np.float64)


def _minor(numbers: Floats, scale: Floats) -> Floats:
    with np.errstate(over="ignore"):  # infinite is no usable amount either
        return np.rint(numbers * scale)


def _scale(code: str | None) -> float:
    """Minor units of one unit of a currency; 1 if it is none: that is refused elsewhere."""
    return 10.0 ** DECIMALS.get(code or "", 0)


def _number(text: str) -> float:
    """The number that a text holds, as JSON would write it; NaN if none.

    Python's own reading takes 1_000 and digits of other scripts for numbers, too.
    """
    return float(text) if _NUMBER.fullmatch(text) else float("nan")
