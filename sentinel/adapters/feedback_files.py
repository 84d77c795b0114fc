"""Files of what people say, a row for each piece of feedback: CSV, JSON lines, Parquet, in pieces.

A row that its format cannot read is refused by itself: CSV and JSON lines are read line by line.
"""

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import polars as pl
from polars.exceptions import PolarsError

from sentinel.codec.feedback.file_values import COLUMNS, LocalMicros, Micros
from sentinel.codec.feedback.files import (
    ENTITY,
    FeedbackReader,
    FeedbackRows,
    VoteRows,
    columns_of,
    decode_line,
    missing_columns,
)
from sentinel.errors import ConfigError, RecordError

PIECE_ROW_COUNT = 20_000
_PIECE_BYTES_MAX = 32 * 1_048_576
_LINE_BYTES_MAX = 1_048_576

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = (",", ";", "\t", "|")
_ENDINGS = ".csv, .tsv, .jsonl, .ndjson (each also .gz) or .parquet"


def read_feedback_file(path: Path, reader: FeedbackReader) -> Iterator[FeedbackRows]:
    """What a file says, in pieces. Raises ConfigError when it cannot be read, or no further."""
    names = [suffix.lower() for suffix in path.suffixes[-2:]]
    ending = names[0] if len(names) == 2 and names[1] == ".gz" else "".join(names[-1:])
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    with _translated(path):
        if ending == ".parquet":
            pieces = _parquet_rows(path)
        elif ending in (".csv", ".tsv"):
            pieces = _csv_rows(path)
        elif ending in (".jsonl", ".ndjson"):
            pieces = _line_rows(path)
        else:
            raise ConfigError(f"{path}: its name must end in {_ENDINGS}")
        for rows in pieces:
            yield reader.read(rows)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """The many ways in which the libraries say that a file is damaged."""
    try:
        yield
    except (PolarsError, OSError, EOFError, zlib.error) as error:
        reason = str(error).partition("\n")[0]  # polars goes on with advice about its options
        raise ConfigError(
            f"{path}: cannot be read as CSV, Parquet or JSON lines: {reason}"
        ) from error


@dataclass(slots=True)
class _Line:
    """A line of a file, cut where it is longer than any row."""

    data: bytes
    is_cut: bool


def _open(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    return path.open("rb")


def _lines(path: Path) -> Iterator[_Line]:
    """The lines of a file, each in bounded memory."""
    with _open(path) as file:
        is_first = True
        while data := file.readline(_LINE_BYTES_MAX + 1):
            rest = data
            while len(rest) > _LINE_BYTES_MAX and not rest.endswith(b"\n"):
                rest = file.readline(_LINE_BYTES_MAX + 1)
            if is_first:
                if data.startswith(_UTF_16):
                    raise ConfigError(f"{path}: is UTF-16; save it as UTF-8")
                data = data.removeprefix(_BOM)
            is_first = False
            yield _Line(data[:_LINE_BYTES_MAX], len(data) > _LINE_BYTES_MAX)


def _required(path: Path, names: Iterable[str]) -> None:
    listed = list(names)
    if missing := missing_columns(listed):
        raise ConfigError(f"{path}: has no column {', '.join(missing)}; it has {sorted(listed)}")
    known = [name for name in listed if name in COLUMNS]
    if doubled := sorted({name for name in known if known.count(name) > 1}):
        raise ConfigError(f"{path}: has two columns {', '.join(doubled)}")


class _FilePiece:
    """Rows that are gathered, until they are enough for a piece."""

    def __init__(self) -> None:
        self._first = 1
        self._clear()

    def _clear(self) -> None:
        self._rows: list[Mapping[str, Any]] = []
        self._refused: dict[int, str] = {}
        self._byte_count = 0

    def add(self, row: Mapping[str, Any], byte_count: int) -> None:
        self._rows.append(row)
        self._byte_count += byte_count

    def refuse(self, words: str) -> None:
        self._refused[len(self._rows)] = words
        self._rows.append({})

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= PIECE_ROW_COUNT or self._byte_count >= _PIECE_BYTES_MAX

    def taken(self) -> VoteRows:
        """The rows so far; the next ones follow them."""
        rows = VoteRows(self._first, len(self._rows), dict(columns_of(self._rows)), self._refused)
        self._first += len(self._rows)
        self._clear()
        return rows


def _line_rows(path: Path) -> Iterator[VoteRows]:
    piece = _FilePiece()
    for line in _lines(path):
        if not line.data.strip():
            continue
        if line.is_cut:
            piece.refuse(f"a line of over {_LINE_BYTES_MAX:,} bytes")
        else:
            try:
                piece.add(decode_line(line.data), len(line.data))
            except RecordError as error:
                piece.refuse(error.detail)
        if piece.is_full:
            yield piece.taken()
    yield piece.taken()


class _Texts:
    """The lines of a CSV file as `csv` wants them: as text, with what it cannot know of them."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._lines = lines
        self.line_count = 0
        self.byte_count = 0
        self.is_cut = False  # whether a line was, since somebody has looked

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.line_count += 1
            self.byte_count += len(line.data)
            self.is_cut |= line.is_cut
            yield line.data.decode("utf-8", "surrogateescape")


def _csv_rows(path: Path) -> Iterator[VoteRows]:
    texts = _Texts(_lines(path))
    lines = iter(texts)
    header = next((line for line in lines if line.strip()), None)
    if header is None:
        raise ConfigError(f"{path}: is empty")
    delimiter, names = _header(header)
    _required(path, names)
    piece = _FilePiece()
    for values, words in _values_of(csv.reader(lines, delimiter=delimiter, strict=True), texts):
        if words := words or _unreadable(values, names):
            piece.refuse(words)
        else:
            piece.add(dict(zip(names, values, strict=False)), texts.byte_count)
        if piece.is_full:
            yield piece.taken()
    yield piece.taken()


def _values_of(rows: Iterator[list[str]], texts: _Texts) -> Iterator[tuple[list[str], str]]:
    """The values of each row, or what is wrong with it as a row; blank ones are none."""
    while True:
        begin, texts.byte_count, texts.is_cut = texts.line_count + 1, 0, False
        values: list[str] | None = []
        words = ""
        try:
            values = next(rows, None)
        except csv.Error as error:
            where = f"lines {begin} to {texts.line_count}"
            words = f"its values cannot be told apart, in {where}: {error}"
        if values is None:
            return
        if texts.is_cut:
            words = f"a line of over {_LINE_BYTES_MAX:,} bytes"
        if words or any(map(str.strip, values)):  # spreadsheets leave blank ones at the end
            yield values, words


def _header(line: str) -> tuple[str, list[str]]:
    """What separates the columns, and their names: whatever makes the needed ones appear."""
    found = []
    for delimiter in _DELIMITERS:
        try:
            names = [name.strip() for name in next(csv.reader([line.strip()], delimiter=delimiter))]
        except csv.Error:
            continue
        found.append((delimiter, names))
    return min(found, key=lambda one: len(missing_columns(one[1])), default=(",", []))


def _unreadable(values: list[str], names: list[str]) -> str:
    """What is wrong with the values of a row as such; empty: nothing."""
    if len(values) > len(names):
        return f"{len(values)} values, and the header names {len(names)} columns"
    for name, value in zip(names, values, strict=False):
        if not value.isascii() and not value.isprintable() and not _is_utf8(value):
            return f"{name} is not UTF-8"
    return ""


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet_rows(path: Path) -> Iterator[VoteRows]:
    if not _is_utf8(str(path)):
        raise ConfigError(f"{path}: is not opened: a name that is not UTF-8 leads to it; rename it")
    table = pl.scan_parquet(path, glob=False)
    names = table.collect_schema().names()
    _required(path, names)
    wanted = [name for name in names if name in COLUMNS or _is_entity(name)]
    others = [name for name in names if name not in wanted]
    frames = table.select(wanted).collect_batches(
        chunk_size=PIECE_ROW_COUNT, maintain_order=True, lazy=True
    )
    first = 1
    for frame in frames:
        columns = {column.name: _values(column) for column in frame.iter_columns()}
        empty = dict.fromkeys(others, [None] * len(frame))  # named, and not read
        yield VoteRows(first, len(frame), {**columns, **empty})
        first += len(frame)


def _is_entity(name: str) -> bool:
    return name in ("account", "entities") or name.startswith(ENTITY)


def _values(column: pl.Series) -> list[object]:
    """The values of a column; times as microseconds, whatever its unit and zone."""
    if not isinstance(column.dtype, pl.Datetime | pl.Date):
        return column.to_list()
    micros = column.cast(pl.Datetime("us")).to_physical().to_list()
    read = Micros if getattr(column.dtype, "time_zone", None) else LocalMicros
    return [None if value is None else read(value) for value in micros]
