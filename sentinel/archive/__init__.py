"""The archive as it is read, by Sentinel and in notebooks: one table a kind, of all versions.

    from sentinel import archive

    decisions = archive.scan(".sentinel/archive", "decisions", since="2026-03-01")
    archive.history(".sentinel/archive", "C448")

{directory}/{kind}/date={day appended, UTC}/{log}-p{partition}-{first}-{last}-{position}.parquet

`kind` is decisions, labels or audit; `log` names the log that the offsets belong to: the topic that
had the name then, on the cluster of then. A file holds what lies between two offsets of one
partition of it, without repetitions and in any order; `position` is the offset of the newest
transaction (or feedback) that anything up to there came of. Where these begin anew while the log
goes on, `-{source}` follows, which names theirs. Older versions named the cluster only.

Who asks reads the files of all logs.
"""

from sentinel.archive.columns import Column, columns
from sentinel.archive.files import Segment, segments, whole
from sentinel.archive.reading import history, scan
from sentinel.archive.union import union, widened

__all__ = [
    "Column",
    "Segment",
    "columns",
    "history",
    "scan",
    "segments",
    "union",
    "whole",
    "widened",
]
