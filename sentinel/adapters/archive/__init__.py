"""The archive's files: written once, whole or not at all, joined, expired."""

from sentinel.adapters.archive.files import ParquetArchive
from sentinel.adapters.archive.log_files import LogFiles
from sentinel.adapters.archive.notes import newest_note
from sentinel.adapters.archive.params import ArchiveParams
from sentinel.archive import Segment

__all__ = ["ArchiveParams", "LogFiles", "ParquetArchive", "Segment", "newest_note"]
