"""Files as they come: what they are by their names, what they are by their first bytes, opened."""

import csv
import gzip
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Literal, cast

import polars as pl
from polars.exceptions import PanicException, PolarsError

from sentinel.errors import ConfigError

Kind = Literal["parquet", "csv", "jsonl"]

# How CSV files write that there is no value.
MISSING = ("", "NaN", "nan", "NA", "N/A", "null", "NULL", "\\N")

_KINDS: dict[str, Kind] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_GZIP, _ZSTD = (".gz", ".gzip"), (".zst",)
_PACKINGS = {
    "parquet": ("",),  # it is packed within
    "csv": ("", *_GZIP, *_ZSTD),
    "jsonl": ("", *_GZIP),
}
_SEPARATORS = ",;\t|"

# What else a file may be, whatever its name says.
_MAGICS = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive, as spreadsheets are"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "Parquet"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"\xff\xfe", "text in UTF-16; UTF-8 is read"),
    (b"\xfe\xff", "text in UTF-16; UTF-8 is read"),
)
_HEAD_BYTE_COUNT = 65_536
_HEADER_BYTES_MAX = 16 * 2**20
_NAMES_SHOWN_MAX = 40


def kind_of(path: Path) -> Kind:
    """What a file is, by its name. Raises ConfigError."""
    kind, packing = _ending(path)
    if kind is not None and packing in _PACKINGS[kind]:
        return kind
    if kind == "jsonl":
        raise ConfigError(f"{path}: JSON lines are not read from zstd: unpack it, or use gzip")
    raise ConfigError(
        f"{path}: must end in .parquet, .csv, .csv.gz, .csv.zst, .tsv, .jsonl, .ndjson or .jsonl.gz"
    )


def _ending(path: Path) -> tuple[Kind | None, str]:
    name, packing = path.name.lower(), ""
    for ending in (*_GZIP, *_ZSTD):
        if name.endswith(ending):
            name, packing = name.removesuffix(ending), ending
    return next((kind for ending, kind in _KINDS.items() if name.endswith(ending)), None), packing


def stem_of(path: Path) -> str:
    """The name of a file without its endings."""
    stem = Path(path.stem)
    return stem.stem if stem.suffix.lower() in _KINDS else path.stem


def check_content(path: Path) -> None:
    """Raise ConfigError where the first bytes say that it is not what its name says."""
    kind, packing = _ending(path)
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder, no file")
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    if kind != "jsonl" and not _is_utf8(str(path)):
        raise ConfigError(f"{path}: is not opened: a name that is not UTF-8 leads to it; rename it")
    if packing in _ZSTD:
        return
    with translated(path), _unpacked(path) as file:
        head = file.read(_HEAD_BYTE_COUNT)
    if not head:
        raise ConfigError(f"{path}: is empty")
    found = next((what for magic, what in _MAGICS if head.startswith(magic)), None)
    if found is None and kind != "parquet" and b"\x00" in head:
        found = "no text"
    if found is not None and not (kind == "parquet" and found == "Parquet"):
        raise ConfigError(f"{path}: its name says {kind}, but it is {found}")
    if kind == "jsonl" and head.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
        raise ConfigError(f"{path}: must have one JSON object a line; it is a list")


def _is_utf8(text: str) -> bool:
    """Whether a name that the system gave is text: others hold surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The many ways in which the libraries say that a file is damaged."""
    try:
        yield
    except (PolarsError, PanicException, OSError, EOFError, zlib.error) as error:
        reason = str(error).partition("\n")[0]  # polars goes on with advice about its options
        raise ConfigError(f"{path}: cannot be read: {reason}") from error


def scan(path: Path) -> pl.LazyFrame:
    """A Parquet or CSV file as a table. A CSV is text: no guess that a later row breaks."""
    kind, packing = _ending(path)
    if kind == "parquet":
        return pl.scan_parquet(path, glob=False)
    separator = "," if packing in _ZSTD else _separator(path)
    found = pl.scan_csv(
        path, separator=separator, infer_schema=False, null_values=list(MISSING), glob=False
    )
    return found.map_batches(_without_blank, slice_pushdown=False, streamable=True)


def _without_blank(frame: pl.DataFrame) -> pl.DataFrame:
    """The same without blank lines, which are no rows.

    Column by column: one expression of thousands of columns takes polars minutes and gigabytes.
    """
    blank = pl.Series([True]).new_from_index(0, len(frame))
    for column in frame:
        blank &= column.is_null()
        if not blank.any():
            return frame
    return frame.filter(~blank)


def _separator(path: Path) -> str:
    """Between the columns of a CSV: what its header has most of. Raises ConfigError."""
    with _unpacked(path) as file:
        line = file.readline(_HEADER_BYTES_MAX + 1)
    if len(line) > _HEADER_BYTES_MAX:
        raise ConfigError(f"{path}: its first line is longer than 16 MiB: that is no header")
    try:
        header = line.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: its header is no text in UTF-8") from error
    unquoted = "".join(header.split('"')[::2])
    separator = max(_SEPARATORS, key=unquoted.count)
    names = next(csv.reader([header.rstrip("\r\n")], delimiter=separator), [])
    if doubled := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ConfigError(f"{path}: has columns of the same name: {some_names(doubled)}")
    return separator


def open_lines(path: Path) -> IO[bytes]:
    """JSON lines, unpacked."""
    return _unpacked(path)


def _unpacked(path: Path) -> IO[bytes]:
    if path.suffix.lower() in _GZIP:
        return cast("IO[bytes]", gzip.open(path))
    return path.open("rb")


def not_blank(file: IO[bytes]) -> Iterator[bytes]:
    """The lines that hold something; a mark of the byte order before the first is none of it."""
    lines = (line.rstrip(b"\r\n") for line in chain([file.readline().removeprefix(BOM_UTF8)], file))
    return (line for line in lines if line and not line.isspace())


def some_names(names: Iterable[str]) -> str:
    """The names of columns, for a sentence."""
    some = sorted(names)
    more = f" and {len(some) - _NAMES_SHOWN_MAX:,} more" if len(some) > _NAMES_SHOWN_MAX else ""
    return f"{some[:_NAMES_SHOWN_MAX]}{more}"
