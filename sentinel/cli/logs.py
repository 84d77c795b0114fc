"""Where the log goes, and how its lines look: for a person, or for whoever collects them."""

import io
import logging
from typing import Any, TextIO

from rich.logging import RichHandler

from sentinel.cli.texts import PlainConsole, plain
from sentinel.codec.monitoring.log_lines import JsonLines, LoggingParams

log = logging.getLogger(__name__)


class PlainLines(logging.Formatter):
    """Time, level and words, of which a terminal obeys none and none begins another line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return plain(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return "\n".join(plain(line) for line in super().formatException(ei).split("\n"))


def log_to(file: TextIO, params: LoggingParams, *, in_columns: bool = False) -> None:
    """Have the log written to a file; in columns beside a view that is live."""
    handler: logging.Handler = logging.StreamHandler(file)
    handler.setFormatter(JsonLines() if params.format == "json" else PlainLines())
    if in_columns and params.format == "console":
        handler = RichHandler(console=PlainConsole(file=file), show_path=False)
        handler.setFormatter(logging.Formatter("%(message)s"))  # the rest has columns of its own
    logging.basicConfig(level=params.level.upper(), handlers=[handler], force=True)


class LoggedLines(io.TextIOBase):
    """A file whose lines are lines of the log, so that there is nothing else among these."""

    def __init__(self) -> None:
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = f"{self._begun}{text}".split("\n")
        for line in lines:
            if line.strip():
                log.info("%s", line.strip())
        return len(text)
