"""Columns of a table as the JSON that a producer of the schema would send.

What a column is converted to is decided by what the schema wants of it, not by how a file happens
to type it: 42, 42.0 and the text "42" are one identifier. What cannot be converted stays as it is,
and whoever reads the record says why it is refused.
"""

from collections.abc import Callable
from functools import partial, reduce
from operator import or_

import polars as pl

from sentinel.codec.records import with_fields_of
from sentinel.codec.schema import PARTS_OF_MS, SchemaParams
from sentinel.codec.values.booleans import FALSE, TRUE

WORDS = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}
_WHOLE_MAX = 2.0**53  # up to there a double is one whole number

_TIME = "%Y-%m-%dT%H:%M:%S%.{}fZ"

Convert = Callable[[pl.Expr, pl.DataType], pl.Expr]


def as_json(frame: pl.DataFrame, schema: SchemaParams) -> list[bytes]:
    """Each row of n as JSON, of the fields that the schema maps and the table has."""
    wanted = {name: convert for name, convert in _conversions(schema).items() if name in frame}
    kept = frame.select(list(wanted))
    parsed = kept.select(
        convert(pl.col(name), kept.schema[name]).alias(name) for name, convert in wanted.items()
    )
    values = _lines(parsed)
    lost = [parsed[name].is_null() & _is_there(kept[name]) for name in wanted]
    at = reduce(or_, lost).arg_true()
    for i, text in zip(at.to_list(), _lines(_printable(kept[at])), strict=True):
        names = [name for name, is_lost in zip(wanted, lost, strict=True) if is_lost[i]]
        values[i] = with_fields_of(values[i], text, names)  # or others were blamed for being texts
    return values


def _conversions(schema: SchemaParams) -> dict[str, Convert]:
    """How each field is read, by the user's name of it."""
    return {
        schema.transaction_id: _identifier,
        schema.event_time: _time(schema),
        schema.account: _identifier,
        schema.amount: _whole if schema.amount_format == "minor" else _number,
        **dict.fromkeys(schema.entities.values(), _identifier),
        **dict.fromkeys(schema.numeric, _number),
        **dict.fromkeys(schema.boolean, _boolean),
        **dict.fromkeys(schema.other_texts, category),
    }


def _identifier(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind.is_float():
        is_whole = (column == column.floor()) & (column.abs() <= _WHOLE_MAX)
        whole = column.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.when(is_whole).then(whole).otherwise(column.fill_nan(None).cast(pl.String))
    if isinstance(kind, pl.Decimal):
        return column.cast(pl.String).str.replace(r"\.0+$", "")
    if kind == pl.Binary:
        return column.map_elements(_text_of, return_dtype=pl.String)
    return column


def _text_of(data: bytes) -> str:
    """The text that bytes hold, or else their digits."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.hex()


def category(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """As an identifier; true is one category however a file spells it."""
    if kind != pl.String:
        return _identifier(column, kind)
    low = column.str.to_lowercase()
    return pl.when(low.is_in(["true", "false"])).then(low).otherwise(column)


def _number(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def _whole(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Minor units: what is no whole number is not read."""
    number = _number(column, kind)
    is_whole = (number == number.floor()) & (number.abs() <= _WHOLE_MAX)
    if kind.is_integer():
        return column.cast(pl.Int64, strict=False)
    return pl.when(is_whole).then(number.cast(pl.Int64, strict=False))


def _boolean(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind == pl.Boolean:
        return column
    text = column.cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
    return text.replace_strict(WORDS, default=None, return_dtype=pl.Boolean)


def _time(schema: SchemaParams) -> Convert:
    zone = schema.event_time_zone
    if schema.event_time_format == "rfc3339":
        return partial(_time_text, zone=zone)
    if parts := PARTS_OF_MS.get(schema.event_time_format):
        return partial(_parts_of_ms, parts=parts, zone=zone)
    return partial(_epoch, unit_ms=schema.time_scale, origin_ms=schema.origin_ms, zone=zone)


def _time_text(column: pl.Expr, kind: pl.DataType, *, zone: str) -> pl.Expr:
    """A time with all the digits that it has: its reader rounds those of a text, too.

    A time of no zone is left without an offset where a zone is configured: its reader knows it.
    """
    if not isinstance(kind, pl.Datetime | pl.Date):
        return column
    is_local = zone != "UTC" and getattr(kind, "time_zone", None) is None
    time = _utc(column, kind, "UTC")
    digits = {"ms": 3, "us": 6, "ns": 9}[kind.time_unit if isinstance(kind, pl.Datetime) else "ms"]
    form = _TIME.removesuffix("Z") if is_local else _TIME
    in_ms, whole = time.dt.strftime(form.format(3)), time.dt.strftime(form.format(digits))
    return pl.when(time.dt.nanosecond() % 1_000_000 == 0).then(in_ms).otherwise(whole)


def _epoch(
    column: pl.Expr, kind: pl.DataType, *, unit_ms: float, origin_ms: int, zone: str
) -> pl.Expr:
    """Units since the origin, with what is left of one; its reader rounds to milliseconds."""
    if not isinstance(kind, pl.Datetime | pl.Date):
        return _number(column, kind)
    return (_utc(column, kind, zone).dt.epoch("us") - origin_ms * 1_000) / (unit_ms * 1_000)


def _parts_of_ms(column: pl.Expr, kind: pl.DataType, *, parts: int, zone: str) -> pl.Expr:
    """Whole micro- or nanoseconds since 1970, of which a double would not hold all the digits."""
    if isinstance(kind, pl.Datetime | pl.Date):
        time = _utc(column, kind, zone)
        if parts == PARTS_OF_MS["epoch_us"] or getattr(kind, "time_unit", "ms") == "ns":
            return time.dt.epoch("us" if parts == PARTS_OF_MS["epoch_us"] else "ns")
        us = time.dt.epoch("us")
        return pl.when(us.abs() < 2**63 // 1_000).then(us * 1_000)
    if kind.is_float():
        is_whole = (column == column.floor()) & (column.abs() < 2.0**63)
        return pl.when(is_whole).then(column.cast(pl.Int64, strict=False))
    if kind == pl.String or isinstance(kind, pl.Decimal):
        column = column.cast(pl.String).str.strip_chars().str.replace(r"\.0*$", "")
    return column.cast(pl.Int64, strict=False)


def _utc(column: pl.Expr, kind: pl.Datetime | pl.Date, zone: str) -> pl.Expr:
    """A time in UTC; one of no zone is a local time of `zone`."""
    if isinstance(kind, pl.Date):
        column = column.cast(pl.Datetime("ms"))
    elif kind.time_zone:
        return column.dt.convert_time_zone("UTC")
    if zone == "UTC":
        return column
    # Clocks leave an hour out in spring: there, the offset of the day before goes on.
    day_before = _zoned(column.dt.offset_by("-24h"), zone).dt.offset_by("24h")
    return pl.coalesce(_zoned(column, zone), day_before)


def _zoned(column: pl.Expr, zone: str) -> pl.Expr:
    zoned = column.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC")


def _is_there(column: pl.Series) -> pl.Series:
    """Which values are any: a float that is no number is none."""
    there = column.is_not_null()
    return there & column.is_not_nan() if column.dtype.is_float() else there


def _printable(frame: pl.DataFrame) -> pl.DataFrame:
    """The same for JSON, which has neither bytes nor decimals."""
    return frame.with_columns(
        pl.col(name).bin.encode("hex") if kind == pl.Binary else pl.col(name).cast(pl.String)
        for name, kind in frame.schema.items()
        if kind == pl.Binary or isinstance(kind, pl.Decimal)
    )


def _lines(frame: pl.DataFrame) -> list[bytes]:
    """Only a line feed ends a line: JSON may hold every other character that Unicode calls so."""
    return frame.write_ndjson().encode().split(b"\n")[:-1] if len(frame) else []
