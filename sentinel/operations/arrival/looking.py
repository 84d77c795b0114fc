"""A file as it is looked at before anybody has described it."""

from pathlib import Path

from sentinel.adapters.files.looking import seen_rows
from sentinel.operations.arrival.columns import FileColumn, Look


def look_at(path: Path) -> Look:
    """What is seen of a file. Raises ConfigError where it cannot be read."""
    seen = seen_rows(path)
    columns = tuple(FileColumn(one.name, one.values, one.form) for one in seen.columns)
    return Look(path.name, columns, seen.row_count)
