"""What is archived together: records that fit into one file, each once."""

from dataclasses import dataclass, field, replace
from datetime import date

from sentinel.codec.archive import Archived, ArchiveRows
from sentinel.records import InputRecord

Layout = tuple[date, tuple[str, ...], str]


@dataclass(slots=True)
class ArchiveSpan:
    """Records that become one file: a day, the names of the features of decisions, a source."""

    layout: Layout
    records: list[InputRecord] = field(default_factory=list)
    found: list[Archived] = field(default_factory=list)

    def does_end(self, layout: Layout, row_count_max: int) -> bool:
        """Whether a record of this layout belongs into another file."""
        return layout != self.layout or len(self.records) >= row_count_max


def first_times(rows: ArchiveRows, position: int) -> ArchiveRows:
    """Without what was archived before: an instance that starts again repeats what it decided."""
    kept, newest = [], position
    for number, found in enumerate(rows.position.tolist()):
        if found > newest:
            kept.append(number)
            newest = found
    if len(kept) == len(rows):
        return rows
    return replace(
        rows,
        offset=rows.offset[kept],
        appended_ms=rows.appended_ms[kept],
        position=rows.position[kept],
        columns={name: [values[i] for i in kept] for name, values in rows.columns.items()},
        features=rows.features[kept],
    )
