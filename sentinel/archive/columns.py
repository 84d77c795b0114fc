"""Which columns an archive has, and which have come and gone."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from sentinel.archive.files import Segment, looked_again, reading, segments, table, whole
from sentinel.archive.reading import schema_of
from sentinel.archive.union import widened
from sentinel.codec.archive import Kind


@dataclass(frozen=True, slots=True)
class Column:
    """One column of all files of a kind.

    Attributes
    ----------
    type
        As it is read: the widest of `types`.
    types
        In how many files it is written so, by the name of the type.
    since, last
        The oldest and the newest day on which a file has it.
    file
        The oldest of these files.
    file_count, total_count
        How many files have it, and how many there are.
    has_come, has_gone
        Whether the oldest file, or the newest, is without it.
    """

    name: str
    type: str
    types: dict[str, int]
    since: date
    last: date
    file: Path
    file_count: int
    total_count: int
    has_come: bool
    has_gone: bool


def columns(directory: Path | str, kind: Kind) -> list[Column]:
    """The columns of a kind, those that came first first; none when there is no file."""
    return looked_again(lambda: _columns(whole(segments(directory, kind))))


def _columns(found: list[Segment]) -> list[Column]:
    begins_ms = {segment: _begin_ms(segment) for segment in found}
    ordered = sorted(found, key=lambda one: (begins_ms[one], one))
    types: dict[str, list[pl.DataType]] = {}
    holders: dict[str, list[Segment]] = {}
    for segment in ordered:
        for name, one in schema_of(segment).items():
            types.setdefault(name, []).append(one)
            holders.setdefault(name, []).append(segment)
    return [
        Column(
            name=name,
            type=str(widened(types[name])),
            types=_counts(types[name]),
            since=having[0].day,
            last=having[-1].day,
            file=having[0].path,
            file_count=len(having),
            total_count=len(ordered),
            has_come=having[0] != ordered[0],
            has_gone=having[-1] != ordered[-1],
        )
        for name, having in holders.items()
    ]


def _begin_ms(segment: Segment) -> int:
    """When the oldest of its rows was appended: files of one day are told apart by it."""
    with reading(segment.path):
        first = table(segment.path).select(pl.col("appended_ms").min()).collect().item()
    return int(first or 0)


def _counts(types: list[pl.DataType]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in types:
        counts[str(one)] = counts.get(str(one), 0) + 1
    return counts
