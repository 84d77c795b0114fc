"""What commands that read files of feedback share: the reader, and what is said of refused rows."""

import time
from collections.abc import Iterator

from sentinel.cli.texts import echo, plain
from sentinel.codec.feedback.checking import FeedbackBounds
from sentinel.codec.feedback.files import FeedbackReader, FeedbackRows, Refusals
from sentinel.config import Config

_SAID_COUNT = 20


def reader_of(config: Config, *, source: str) -> FeedbackReader:
    """Reads rows as the schema and the clock allow; `source` is that of rows without one."""
    now_ms = round(time.time() * 1000)  # when people have spoken is a fact about us
    return FeedbackReader(FeedbackBounds.of(config.schema), source=source, now_ms=now_ms)


def say_left_out(reader: FeedbackReader) -> None:
    """Name once what of a file is not read."""
    for what, names in (
        ("unknown columns", reader.unknown_columns),
        ("entities that the schema does not have", reader.unknown_kinds),
    ):
        if names:
            listed = [plain(name) for name in list(names)[:_SAID_COUNT]]
            more = f", and {len(names) - _SAID_COUNT:,} more" if len(names) > _SAID_COUNT else ""
            echo(f"{what} left out: {', '.join(listed)}{more}", err=True)


def say_refused(refused: Refusals) -> None:
    """Say of the first refused rows why, and how many there are."""
    for number, reason in sorted(refused.reasons.items()):
        echo(f"row {number}: {plain(reason)}", err=True)
    if refused.count > len(refused.reasons):
        echo(f"… and {refused.count - len(refused.reasons):,} more rows", err=True)


def passed(pieces: Iterator[FeedbackRows], refused: Refusals) -> Iterator[FeedbackRows]:
    """The same pieces, their refused rows counted."""
    for piece in pieces:
        refused.add(piece.refused)
        yield piece
