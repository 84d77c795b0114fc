"""Savepoints in several formats: bytes and processor time.

    python -m benchmarks.savepoint_formats [--json FILE] [--turns N] [--quick]

One trainer's state at the default bounds, filled as in `benchmarks.savepoints`: 60 features of
600,000 simulated card payments, or normal random numbers. Its columns are encoded and decoded by
each format in turn, several turns, and compared to the bit. Counted is the processor time of all
threads (wall-clock time is others' on a busy machine); of the turns the median, and the median of
the ratios to the first format in the same turn. Columns of another length are another table.
"""

import argparse
import hashlib
import io
import statistics
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.harness import facts, header, print_table, write_json
from benchmarks.savepoints import KINDS, NAMES, SEED, FilledLearner, features_of
from sentinel.codec.savepoints import Column, decode_savepoint, encode_savepoint
from sentinel.core.decision import PolicyParams
from sentinel.learner.flattening import flatten
from sentinel.learner.params import LearningParams

TURN_COUNT = 5
Columns = Mapping[str, Column]


@dataclass(frozen=True)
class Format:
    """How columns become bytes, and bytes columns."""

    name: str
    encode: Callable[[Columns], Any]
    decode: Callable[[Any], Columns]
    size: Callable[[Any], int]


def ours() -> Format:
    """As savepoints are."""

    def decode(saved: Any) -> Columns:
        return decode_savepoint(saved.head, saved.sha256, saved.pieces)[1]

    return Format(
        "savepoint: Parquet",
        lambda columns: encode_savepoint(columns, {}, log="a log", next_offset=0),
        decode,
        lambda saved: len(saved.head) + sum(map(len, saved.pieces)),
    )


def deflated() -> Format:
    """As they were in version 1: each column deflated by itself."""

    def encode(columns: Columns) -> tuple[list[tuple[str, np.dtype[Any], bytes]], str]:
        parts = [
            (name, column.dtype, zlib.compress(np.ascontiguousarray(column).data, 1))
            for name, column in columns.items()
        ]
        return parts, sha256([data for *_, data in parts])

    def decode(saved: tuple[list[tuple[str, np.dtype[Any], bytes]], str]) -> Columns:
        parts, expected = saved
        assert sha256([data for *_, data in parts]) == expected
        return {
            name: np.frombuffer(zlib.decompress(data), dtype).copy() for name, dtype, data in parts
        }

    return Format(
        "columns, zlib 1", encode, decode, lambda saved: sum(len(data) for *_, data in saved[0])
    )


def of_tables(
    name: str,
    write: Callable[[pl.DataFrame, io.BytesIO], object],
    read: Callable[[io.BytesIO], pl.DataFrame],
) -> Format:
    """A format of tables, one for each length of columns, with the SHA-256 that is checked, too."""

    def encode(columns: Columns) -> tuple[list[bytes], str]:
        by_length: dict[int, dict[str, Column]] = defaultdict(dict)
        for column_name, column in columns.items():
            by_length[column.size][column_name] = column
        parts = []
        for table in by_length.values():
            buffer = io.BytesIO()
            write(pl.DataFrame(table), buffer)
            parts.append(buffer.getvalue())
        return parts, sha256(parts)

    def decode(saved: tuple[list[bytes], str]) -> Columns:
        parts, expected = saved
        assert sha256(parts) == expected
        found: dict[str, Column] = {}
        for part in parts:
            table = read(io.BytesIO(part))
            found |= {one.name: one.to_numpy(writable=True) for one in table.get_columns()}
        return found

    return Format(name, encode, decode, lambda saved: sum(map(len, saved[0])))


def sha256(parts: Sequence[bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def formats() -> list[Format]:
    def arrow(table: pl.DataFrame, buffer: io.BytesIO) -> object:
        return table.write_ipc(buffer, compression="zstd")

    def parquet(table: pl.DataFrame, buffer: io.BytesIO, level: int) -> object:
        return table.write_parquet(
            buffer, compression="zstd", compression_level=level, statistics=False
        )

    return [
        deflated(),
        ours(),
        of_tables("Arrow IPC, zstd", arrow, pl.read_ipc),
        *(
            of_tables(f"Parquet, zstd {level}", partial(parquet, level=level), pl.read_parquet)
            for level in (1, 3, 9)
        ),
    ]


@dataclass(frozen=True)
class Figures:
    """What one format came to on one kind of features, in seconds of processor time."""

    kind: str
    format: str
    bytes: int
    encode_s: float
    decode_s: float
    encode_ratio: float
    decode_ratio: float
    is_same: bool


def columns_of(kind: str, count: int) -> dict[str, Column]:
    """What a savepoint of such a trainer holds."""
    learner = FilledLearner(NAMES, PolicyParams(), LearningParams())
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "features.npy", features_of(kind, count))
        learner.fill(folder, count)
    return flatten(learner._state._parts())


def measured(kind: str, columns: Columns, turn_count: int) -> list[Figures]:
    tried = formats()
    encode_s: dict[str, list[float]] = defaultdict(list)
    decode_s: dict[str, list[float]] = defaultdict(list)
    sizes, same = {}, {}
    for turn in range(turn_count):
        for one in tried if turn % 2 == 0 else tried[::-1]:
            begun_s = time.process_time()
            saved = one.encode(columns)
            encoded_s = time.process_time()
            found = one.decode(saved)
            decode_s[one.name].append(time.process_time() - encoded_s)
            encode_s[one.name].append(encoded_s - begun_s)
            sizes[one.name], same[one.name] = one.size(saved), is_same(columns, found)
    first = tried[0].name
    return [
        Figures(
            kind,
            one.name,
            sizes[one.name],
            statistics.median(encode_s[one.name]),
            statistics.median(decode_s[one.name]),
            ratio(encode_s[one.name], encode_s[first]),
            ratio(decode_s[one.name], decode_s[first]),
            same[one.name],
        )
        for one in tried
    ]


def ratio(times_s: Sequence[float], first_s: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(times_s, first_s, strict=True))


def is_same(columns: Columns, found: Columns) -> bool:
    """Whether it is what was encoded, to the bit."""
    return columns.keys() == found.keys() and all(
        found[name].dtype == column.dtype and found[name].tobytes() == column.tobytes()
        for name, column in columns.items()
    )


def row(one: Figures) -> list[str]:
    return [
        one.kind,
        one.format,
        f"{one.bytes / 1e6:,.1f}",
        f"{one.encode_s:.2f}",
        f"{one.encode_ratio:.2f}",
        f"{one.decode_s:.2f}",
        f"{one.decode_ratio:.2f}",
        "yes" if one.is_same else "NO",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--turns", type=int, default=TURN_COUNT)
    parser.add_argument("--quick", action="store_true", help="30,000 transactions")
    options = parser.parse_args()
    about = facts(SEED)
    print(header(about))
    rows = 30_000 if options.quick else 600_000
    figures = [
        one for kind in KINDS for one in measured(kind, columns_of(kind, rows), options.turns)
    ]
    print_table(
        ("features", "format", "MB", "encode, s", "by first", "decode, s", "by first", "same bits"),
        [row(one) for one in figures],
    )
    write_json(options.json, {**about, "figures": [vars(one) for one in figures]})
