"""The settings of the archive."""

from dataclasses import dataclass

ROW_COUNT_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class ArchiveParams:
    """Where the archive is, and how large its files are.

    Attributes
    ----------
    interval_s
        A file is written when its oldest record has waited for so long,
    row_count_max
        or when it has so many rows.
    compact_row_count_max
        How many rows a file may have that is made of several.
    retention_days
        Days appended longer ago are deleted; 0 keeps all.
    examples_interval_s
        So often what was archived becomes examples, and feedback on it is placed.
    """

    directory: str = ".sentinel/archive"
    interval_s: float = 60.0
    row_count_max: int = 100_000
    compact_row_count_max: int = 4_000_000
    retention_days: int = 0
    examples_interval_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.directory:
            raise ValueError("directory must not be empty")
        if not 0.1 <= self.interval_s <= 86_400:
            raise ValueError("interval_s must be in 0.1..86400")
        if not 0.1 <= self.examples_interval_s <= 86_400:
            raise ValueError("examples_interval_s must be in 0.1..86400")
        if not 1 <= self.row_count_max <= ROW_COUNT_MAX or self.retention_days < 0:
            raise ValueError("row_count_max must be in 1..10000000, retention_days at least 0")
        if not self.row_count_max <= self.compact_row_count_max <= ROW_COUNT_MAX:
            raise ValueError("compact_row_count_max must be in row_count_max..10000000")
