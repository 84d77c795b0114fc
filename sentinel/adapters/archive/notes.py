"""What is kept beside the archived files, found without knowing of which log it is."""

from dataclasses import dataclass
from pathlib import Path

from sentinel.adapters.archive.params import ArchiveParams
from sentinel.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody kept beside the files, when, and how many logs have such a note."""

    path: Path
    data: bytes
    at_ms: int
    log_count: int


def newest_note(params: ArchiveParams, name: str) -> Note | None:
    """What was kept last under a name, of any log; None if nothing was. Raises ConfigError."""
    folder = Path(params.directory) / "notes"
    try:
        paths = {path.stat().st_mtime: path for path in folder.glob(f"*-{name}.json")}
        if not paths:
            return None
        at_s = max(paths)
        return Note(paths[at_s], paths[at_s].read_bytes(), round(at_s * 1000), len(paths))
    except OSError as error:
        raise ConfigError(f"[archive] directory: {folder}: {error.strerror}") from error
