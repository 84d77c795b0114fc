"""A folder of transaction files, read as one history in the order of their names."""

import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from sentinel.adapters.files.opening import kind_of, some_names, stem_of
from sentinel.adapters.files.transactions import Chunk, TransactionFile
from sentinel.codec.schema import SchemaParams
from sentinel.codec.values.repeated_hours import RepeatedHours
from sentinel.errors import ConfigError

_FILES_MAX = 10_000


def files_of(path: Path) -> list[Path]:
    """The file itself, or those of a folder and of the folders in it, in the order of their names.

    A number in a name counts as one: 2 comes before 10. What begins with a dot or a _ is what tools
    keep beside their files. Raises ConfigError for a folder that holds none, or something else.
    """
    if not path.is_dir():
        return [path]
    found = list(islice(_under(path), _FILES_MAX + 1))
    if not found:
        raise ConfigError(f"{path}: is a folder without files")
    if len(found) > _FILES_MAX:
        raise ConfigError(f"{path}: holds more than {_FILES_MAX:,} files")
    found.sort(key=lambda file: _in_order(file.relative_to(path)))
    for file in found:
        _check_kind(path, file, found[0])
    return found


def _under(folder: Path) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        raise ConfigError(f"{folder}: cannot be read: {error}") from error

    for place, folders, names in os.walk(folder, onerror=failed):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (Path(place, name) for name in names if not name.startswith((".", "_")))


def _in_order(name: Path) -> list[list[tuple[int, str]]]:
    """To sort by: parts of digits as the numbers that they are."""
    return [
        [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", one)]
        for one in name.parts
    ]


def _check_kind(folder: Path, file: Path, first: Path) -> None:
    try:
        kind, usual = kind_of(file), kind_of(first)
    except ConfigError as error:
        raise ConfigError(f"{error}; of a folder every file is read") from error
    if kind != usual:
        raise ConfigError(
            f"{file}: is {kind}, but {first.relative_to(folder)} is {usual}: the files of a folder "
            "must be of one kind"
        )


def check_shape(file: Path, names: Collection[str], first: Path, usual: Collection[str]) -> None:
    """Raise ConfigError where a file has not the columns of the first one."""
    lacking, strange = set(usual) - set(names), set(names) - set(usual)
    if lacking or strange:
        words = [f"lacks {some_names(lacking)}"] * bool(lacking)
        words += [f"has {some_names(strange)}"] * bool(strange)
        raise ConfigError(f"{file}: does not fit: unlike {first.name} it {' and '.join(words)}")


class TransactionFolder:
    """The files of a folder as one; what is said of `TransactionFile` holds of it."""

    def __init__(
        self,
        path: Path,
        schema: SchemaParams,
        *,
        label_column: str = "",
        is_label_needed: bool = True,
    ) -> None:
        self.path = path
        files = files_of(path)
        stems = [_stem(path, file) for file in files]
        if schema.row_numbers and (twice := [s for s, n in Counter(stems).items() if n > 1]):
            raise ConfigError(
                f"{path}: rows of different files would have the same identifiers: the names "
                f"{some_names(twice)} differ by their endings alone"
            )
        repeated = RepeatedHours(schema)
        self._files = [
            TransactionFile(
                file,
                schema,
                label_column=label_column,
                is_label_needed=is_label_needed,
                stem=stem,
                repeated=repeated,
            )
            for file, stem in zip(files, stems, strict=True)
        ]
        if kind_of(files[0]) != "jsonl":  # of JSON lines the first may lack what later ones have
            for one in self._files:
                check_shape(one.path, one.columns, files[0], self._files[0].columns)
        self._repeated = repeated
        self._begins = [0]  # rows ahead of each file, as far as that is known

    @property
    def label_column(self) -> str:
        """The column that says whether a row is fraud; empty if none does."""
        return next((one.label_column for one in self._files if one.label_column), "")

    def row_count(self) -> int:
        """How many rows all files have."""
        return sum(file.row_count() for file in self._files)

    def chunks(self, *, skip: int = 0) -> Iterator[Chunk]:
        """Rows from row `skip` on, file by file."""
        self._begins = [0]
        for file in self._files:
            begin = self._begins[-1]
            count = file.row_count() if skip > begin else 0
            skipped = min(max(skip - begin, 0), count)
            row = begin + skipped
            if not count or skipped < count:
                for chunk in file.chunks(skip=skipped):
                    yield chunk
                    row += len(chunk.values)
            self._begins.append(row)

    @property
    def undecided_count(self) -> int:
        """How many rows read so far have a local time that was twice, and no sign of which."""
        return self._repeated.undecided_count

    def row_name(self, row: int) -> str:
        """Where a person finds a row that was read, counted from 1 over all files."""
        at = bisect_right(self._begins[: len(self._files)], row - 1) - 1
        file = self._files[at]
        name = file.path.relative_to(self.path)
        return f"{file.row_name(row - self._begins[at])} of {name}"


TransactionSource = TransactionFile | TransactionFolder


def transactions_in(
    path: Path, schema: SchemaParams, *, label_column: str = "", is_label_needed: bool = True
) -> TransactionSource:
    """The transactions of a file or of a folder. Raises ConfigError where they do not fit."""
    kind = TransactionFolder if path.is_dir() else TransactionFile
    return kind(path, schema, label_column=label_column, is_label_needed=is_label_needed)


def _stem(folder: Path, file: Path) -> str:
    """What rows without an identifier are called by: the file, and the folders on the way to it."""
    return str(file.relative_to(folder).with_name(stem_of(file)))
