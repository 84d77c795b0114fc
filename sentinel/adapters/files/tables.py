"""Any file as a table, in bounded memory: its columns as numbers, as texts, as accounts.

CSV and JSON lines are texts at first. What cannot be read as a number is told apart from what is
not there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from sentinel.adapters.files.columns import WORDS, category
from sentinel.adapters.files.folders import files_of
from sentinel.adapters.files.opening import (
    MISSING,
    kind_of,
    not_blank,
    open_lines,
    scan,
    translated,
)
from sentinel.adapters.files.structs import leaves_of
from sentinel.codec.paths import path_of
from sentinel.codec.records import decode_object
from sentinel.errors import ConfigError, RecordError
from sentinel.records import Floats, Ints

NO_NUMBER = np.inf  # what is there, and is none; an infinite number is the largest one instead
_LARGEST = float(np.finfo(np.float64).max)

_ROW_COUNT_MAX = 131_072
_CELL_COUNT_MAX = 4_000_000
_TEXT_LENGTH_MAX = 300
_HASH_SEED = 1
_BOOLEANS = {word: float(meant) for word, meant in WORDS.items()}

Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TextCounts:
    """How often each text of a column is there.

    Attributes
    ----------
    rows
        Of each text, how many rows have it.
    of_one
        The texts that only one account has.
    """

    rows: dict[str, int]
    of_one: set[str]


@dataclass(frozen=True, eq=False, slots=True)
class TableRows:
    """Consecutive rows.

    Attributes
    ----------
    numbers
        float64 (n, F): NaN where one is missing, NO_NUMBER where something else stands.
    codes
        uint8 (n, T): of each text.
    """

    numbers: Floats
    codes: Codes


@dataclass(frozen=True, slots=True)
class Coding:
    """What stands for each text of a column, for one that is in no table, and for none."""

    codes: Mapping[str, int]
    other: int
    missing: int


@dataclass(slots=True)
class _Gathered:
    """Counts of texts so far; None when there are too many."""

    frames: list[pl.DataFrame] | None = field(default_factory=list)
    row_count: int = 0


class TableFile:
    """A Parquet, CSV or JSON lines file, or a folder of them, read as often as it is asked for.

    Columns may lie in structs, under their paths. One that it lacks is missing in all its rows.
    Raises ConfigError wherever it is damaged.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._files = files_of(path)
        self._names = set(names)
        self._is_lines = kind_of(self._files[0]) == "jsonl"

    def accounts(self, name: str) -> Ints:
        """A hash of each row's account, int64 (n,); 0 where there is none."""
        found = [np.empty(0, dtype=np.int64)]
        for frame in self._frames([name]):
            texts = frame.select(_text(frame, name))[name]
            hashes = texts.hash(seed=_HASH_SEED).to_numpy().view(np.int64) | 1
            found.append(np.where(texts.is_null().to_numpy(), 0, hashes))
        return np.concatenate(found)

    def account_texts(self, name: str, hashes: Ints) -> list[str]:
        """What accounts are called, of some hashes, in the order of their first rows."""
        wanted, found = set(hashes.tolist()), dict[int, str]()
        for frame in self._frames([name]):
            texts = frame.select(_text(frame, name))[name].drop_nulls().unique(maintain_order=True)
            own = texts.hash(seed=_HASH_SEED).to_numpy().view(np.int64) | 1
            for at in np.flatnonzero(np.isin(own, hashes)).tolist():
                found.setdefault(int(own[at]), texts[at])
            if found.keys() == wanted:
                break
        return list(found.values())

    def coded_texts(self, name: str, *, count_max: int) -> tuple[Ints, list[str]] | None:
        """The code of each row's text, -1 where there is none, and the texts in the order of their
        codes; None where there are more than `count_max`.
        """
        known, found = dict[str, int](), [np.empty(0, dtype=np.int64)]
        for frame in self._frames([name]):
            texts = frame.select(_text(frame, name))[name]
            for text in texts.drop_nulls().unique(maintain_order=True):
                known.setdefault(text, len(known))
            if len(known) > count_max:
                return None
            codes = texts.replace_strict(known, default=-1, return_dtype=pl.Int64)
            found.append(codes.to_numpy())
        return np.concatenate(found), list(known)

    def instants(self, name: str) -> Floats:
        """When each row was, milliseconds since 1970, of times and of texts in ISO 8601; what has
        no zone is taken as UTC. NaN where nothing stands, NO_NUMBER where no such time does.
        """
        found = [np.empty(0)]
        frames = self._frames([name])
        found += [frame.select(_instant(frame, name))[name].to_numpy() for frame in frames]
        return np.concatenate(found)

    def text_counts(
        self, names: Sequence[str], accounts: Ints, *, count_max: int
    ) -> dict[str, TextCounts | None]:
        """The texts of some columns; None of one that has more than `count_max` different ones."""
        gathered = {name: _Gathered() for name in names}
        begin = 0
        for frame in self._frames(names):
            account = pl.Series("", accounts[begin : begin + len(frame)])
            begin += len(frame)
            for name, some in gathered.items():
                if some.frames is None:
                    continue
                texts = frame.select(_text(frame, name).alias("text"), account.alias("account"))
                counts = _joined([texts.with_columns(n=1, least="account", most="account")])
                some.frames.append(counts)
                some.row_count += len(counts)
                if some.row_count > 2 * count_max:
                    counts = _joined(some.frames)
                    some.frames, some.row_count = [counts], len(counts)
                if some.row_count > 2 * count_max or len(some.frames[0]) > count_max:
                    some.frames = None
        return {name: _counted(some, count_max) for name, some in gathered.items()}

    def rows(
        self, numbers: Sequence[str], booleans: Sequence[str], texts: Mapping[str, Coding]
    ) -> Iterator[TableRows]:
        """All rows: numbers, behind them booleans as 1 and 0, and texts by their codes."""
        for frame in self._frames([*numbers, *booleans, *texts]):
            columns = [_number(frame, name) for name in numbers]
            columns += [_boolean(frame, name) for name in booleans]
            coded = [_coded(frame, name, coding) for name, coding in texts.items()]
            n = len(frame)
            yield TableRows(
                frame.select(columns).to_numpy().reshape(n, len(columns)).astype(np.float64),
                frame.select(coded).to_numpy().reshape(n, len(coded)).astype(np.uint8),
            )

    def _frames(self, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Some columns of all rows, in pieces; one that the file lacks is null."""
        there = [name for name in dict.fromkeys(names) if name in self._names]
        lacking = [pl.lit(None).alias(name) for name in names if name not in self._names]
        size = max(min(_ROW_COUNT_MAX, _CELL_COUNT_MAX // max(len(there), 1)), 1)
        read = _of_lines if self._is_lines else _of_table
        for file in self._files:
            with translated(file):
                for frame in read(file, there, size):
                    yield frame.with_columns(lacking)


def _of_table(file: Path, names: Sequence[str], size: int) -> Iterator[pl.DataFrame]:
    table = scan(file)
    schema = table.collect_schema()
    found = {name: column for name, column, _ in leaves_of(schema)}
    wanted = [found[name].alias(name) for name in names]
    # Of no column there would be no rows, either.
    kept = wanted or [pl.col(schema.names()[0])]
    yield from table.select(kept).collect_batches(chunk_size=size, maintain_order=True, lazy=True)


def _of_lines(file: Path, names: Sequence[str], size: int) -> Iterator[pl.DataFrame]:
    paths = {name: path_of(name) for name in names}
    tops = [*names, *(path[0] for path in paths.values() if path)]
    schema = dict.fromkeys(tops or ["\x00"], pl.String)
    wanted = [_reached(name, path).alias(name) for name, path in paths.items()]
    with open_lines(file) as opened:
        lines = not_blank(opened)
        before = 0
        while some := list(islice(lines, size)):
            try:
                frame = pl.read_ndjson(BytesIO(b"\n".join(some)), schema=schema)
            except PolarsError as error:
                raise _refused(file, some, before) or error from error
            yield frame.select(wanted) if wanted else frame
            before += len(some)


def _reached(name: str, path: Sequence[str]) -> pl.Expr:
    """What a field of that very name holds, or else what the path leads to."""
    if not path:
        return pl.col(name)
    keys = "".join(f"[{json.dumps(key)}]" for key in path[1:])
    return pl.coalesce(pl.col(name), pl.col(path[0]).str.json_path_match(f"${keys}"))


def _refused(file: Path, lines: Sequence[bytes], before: int) -> ConfigError | None:
    """The first line that is no JSON object, by its number among those that are not blank."""
    for number, line in enumerate(lines, before + 1):
        try:
            decode_object(line)
        except RecordError as error:
            return ConfigError(f"{file}: line {number:,}: {error}")
    return None


def _joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Counts of the same text added up."""
    rows = pl.concat(frames).filter(pl.col("text").is_not_null())
    return rows.group_by("text").agg(pl.sum("n"), pl.min("least"), pl.max("most"))


def _counted(gathered: _Gathered, count_max: int) -> TextCounts | None:
    if gathered.frames is None:
        return None
    if not gathered.frames:
        return TextCounts({}, set())
    frame = _joined(gathered.frames)
    if len(frame) > count_max:
        return None
    of_one = frame.filter(pl.col("least") == pl.col("most"))["text"]
    return TextCounts(
        dict(zip(frame["text"].to_list(), frame["n"].to_list(), strict=True)), set(of_one.to_list())
    )


def _text(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Values as texts, in which 42, 42.0 and "42" are one; null where nothing stands."""
    text = _whole_text(frame, name).str.slice(0, _TEXT_LENGTH_MAX)
    return text.str.replace(r"^(-?\d+)\.0+$", "${1}").alias(name)


def _whole_text(frame: pl.DataFrame, name: str) -> pl.Expr:
    text = category(pl.col(name), frame.schema[name]).cast(pl.String).str.strip_chars()
    return pl.when(~text.is_in(MISSING)).then(text)


def _coded(frame: pl.DataFrame, name: str, coding: Coding) -> pl.Expr:
    text = _text(frame, name)
    known = (
        text.replace_strict(
            list(coding.codes),
            list(coding.codes.values()),
            default=coding.other,
            return_dtype=pl.UInt8,
        )
        if coding.codes
        else pl.lit(coding.other, dtype=pl.UInt8)
    )
    return pl.when(text.is_null()).then(coding.missing).otherwise(known).cast(pl.UInt8).alias(name)


def _number(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Values as numbers; NaN where nothing stands, NO_NUMBER where no number does."""
    value, kind = pl.col(name), frame.schema[name]
    if kind.is_nested():
        number = pl.lit(None, dtype=pl.Float64)
    elif kind.is_numeric() or kind == pl.Boolean:
        number = value.cast(pl.Float64, strict=False)
    else:
        value = _whole_text(frame, name)
        number = value.cast(pl.Float64, strict=False)
    return _told_apart(value, number.clip(-_LARGEST, _LARGEST)).alias(name)


def _instant(frame: pl.DataFrame, name: str) -> pl.Expr:
    value, kind = pl.col(name), frame.schema[name]
    if isinstance(kind, pl.Datetime | pl.Date):
        utc = value.cast(pl.Datetime("us")) if isinstance(kind, pl.Date) else value
        return (utc.dt.epoch("us") / 1_000).fill_null(np.nan).alias(name)
    text = _whole_text(frame, name)
    iso = text.str.to_uppercase().str.replace(r"^(\d{4})/(\d\d)/(\d\d)", "${1}-${2}-${3}")
    iso = iso.str.replace(" ", "T", literal=True).str.replace(r"Z$| ?UTC$", "+00:00")
    zoned = [
        iso.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
        for form in ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M:%S%.f%z")
    ]
    local = [
        iso.str.to_datetime(form, strict=False, time_unit="us").dt.replace_time_zone("UTC")
        for form in ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
    ]
    day = iso.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us", "UTC"))
    return _told_apart(text, pl.coalesce(*zoned, *local, day).dt.epoch("us") / 1_000).alias(name)


def _boolean(frame: pl.DataFrame, name: str) -> pl.Expr:
    text = _text(frame, name)
    known = text.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Float64)
    return _told_apart(text, known).alias(name)


def _told_apart(value: pl.Expr, number: pl.Expr) -> pl.Expr:
    is_lost = number.is_null() & value.is_not_null()
    return pl.when(is_lost).then(NO_NUMBER).otherwise(number.fill_null(np.nan))
