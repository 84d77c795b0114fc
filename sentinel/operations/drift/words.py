"""What changed in a column, in words: by its cells, and by the rows that were looked at."""

from sentinel.core.drift.counts.columns import BinnedColumn
from sentinel.core.drift.windows.kinds import Kind
from sentinel.core.drift.windows.window_test import ColumnTest
from sentinel.core.drift.windows.words import quoted, words_of_counts
from sentinel.operations.arrival.columns import FileColumn
from sentinel.operations.drift.roles import median
from sentinel.records import Ints


def what_changed(
    column: BinnedColumn,
    test: ColumnTest,
    kind: Kind,
    counts: tuple[Ints, Ints],
    files: tuple[FileColumn, FileColumn],
) -> str:
    """A few words; counts of cells and what was looked at, of the reference and of the file."""
    if kind.name == "constant":
        return f"always {quoted(next(iter(files[1].counts), ''))}"
    if kind.name == "location":
        return " -> ".join([f"median {median(files[0]):.6g}", f"{median(files[1]):.6g}"])
    return words_of_counts(column, test, kind, *counts)
