"""An archive whose columns changed twice, made by the code that makes them in service."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentinel.adapters.archive import ArchiveParams, ParquetArchive, Segment
from sentinel.codec.archive import Kind, archive_rows, decode_archived
from sentinel.core.logs import log_id
from sentinel.records import Record
from tests.app.test_archive import decision, label

DAY_MS = 86_400_000
FIRST_MS = 1_772_323_200_000  # 2026-03-01T00:00:00Z
# One feature is added, then one is taken away and one is called otherwise; as many as before.
FEATURES = (("amount", "ratio"), ("amount", "ratio", "risk"), ("amount", "risk", "score"))
ACCOUNTS = 3
COUNT = 6  # rows of a day


def archive_at(folder: Path, **params: Any) -> ParquetArchive:
    return ParquetArchive(replace(ArchiveParams(), directory=str(folder), **params))


def write(
    files: ParquetArchive,
    kind: Kind,
    values: Sequence[dict[str, Any]],
    *,
    first: int = 0,
    day: int = 0,
    partition: int = 0,
    names: Sequence[str] = (),
    log: str = "memory/1",
) -> Segment:
    """Archive these values as one file: as many offsets from `first` on, appended on that day."""
    records = [
        Record(first + i, FIRST_MS + day * DAY_MS + i, None, json.dumps(value).encode())
        for i, value in enumerate(values)
    ]
    rows = archive_rows(records, [decode_archived(kind, record) for record in records])
    span = (first, first + len(values) - 1)
    reached = "", int(rows.position[-1])
    return files.log(kind, log_id(log)).write(partition, span, reached, rows, names)


def decided(offset: int, features: Sequence[float | None], **others: Any) -> dict[str, Any]:
    """A decision on the transaction at an offset; accounts take turns."""
    at = {"event_time_ms": FIRST_MS + offset, "account": f"C{offset % ACCOUNTS}"}
    return decision(offset, **{**at, "features": list(features), **others})


def changed_twice(folder: Path) -> ParquetArchive:
    """Three days of decisions and labels, each day of decisions with other columns.

    The second has an entity more; the third is without the first one, and of before `explored`.
    """
    files = archive_at(folder)
    entities = ({"terminal": "m"}, {"terminal": "m", "device": "d"}, {"device": None})
    for day, names in enumerate(FEATURES):
        offsets = range(day * COUNT, (day + 1) * COUNT)
        values = [
            decided(i, [i + j / 10 for j in range(len(names))], entities=entities[day])
            for i in offsets
        ]
        write(files, "decisions", values, first=offsets[0], day=day, names=names)
        said = {"event_time_ms": FIRST_MS + offsets[0], "entities": {"account": "C0"}}
        write(files, "labels", [{**label(offsets[0]), **said}], first=day, day=day)
    return files
