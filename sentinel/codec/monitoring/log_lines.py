"""A line of the log as one JSON object, for whoever collects them."""

import json
import logging
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["console", "json"]

# What a line may say beside its words, by `extra`: of which decision it speaks.
IDENTIFIERS = ("decision_id", "transaction_id")


@dataclass(frozen=True, slots=True)
class LoggingParams:
    """Of the log of commands that run until they are stopped.

    Attributes
    ----------
    level
        The least that is said.
    format
        For a person at a terminal, or one JSON object a line.
    """

    level: LogLevel = "info"
    format: LogFormat = "console"

    def __post_init__(self) -> None:
        for name, choices in (("level", LogLevel), ("format", LogFormat)):
            if (found := getattr(self, name)) not in get_args(choices):
                raise ValueError(f'{name} must be one of {list(get_args(choices))}, got "{found}"')


class JsonLines(logging.Formatter):
    """One object a line, in ASCII: nothing in it ends the line or is obeyed by a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._instance = f"{socket.gethostname()}-{os.getpid()}"

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "instance": self._instance,
        }
        for name in IDENTIFIERS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = str(value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line)
