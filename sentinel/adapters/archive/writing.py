"""Files that are there whole or not at all, and what is said when one cannot be written."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from sentinel.errors import ConfigError, TransientError

PARTIAL = ".partial"  # what is not whole yet: no reader looks at it
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NUMBER = re.compile(r"\(os error (\d+)\)")  # polars tells it in the text only


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of what cannot be written what it was.

    Raises TransientError when the disk is full, as somebody may make room; ConfigError otherwise.
    """
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:
        number = _number(error)
        reason = os.strerror(number) if number else str(error).partition("\n")[0]
        # Without a number it is the end of a file that could not be written.
        if number is None or number in _FULL:
            raise TransientError(
                f"[archive] directory: {path} cannot be written ({reason}): make room, or set "
                "archive.retention_days"
            ) from error
        raise ConfigError(f"[archive] directory: {path} cannot be written ({reason})") from error


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """On the disk before it has its name; nothing is left of what failed."""
    partial = path.with_suffix(PARTIAL)
    try:
        write(partial)
        put(partial, path)
    finally:
        partial.unlink(missing_ok=True)  # half a file takes room, and is of no use


def put(partial: Path, path: Path) -> None:
    """Give a file its name, once it is on the disk."""
    _sync(partial)
    partial.rename(path)
    _sync(path.parent)


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Rows as a file."""
    write_whole(path, lambda partial: frame.write_parquet(partial, compression="zstd"))


def _number(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _NUMBER.search(str(error))
    return None if found is None else int(found[1])


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
