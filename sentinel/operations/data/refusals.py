"""Rows of a file that cannot be used, told so that somebody can mend them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sentinel.adapters.files import row_name
from sentinel.codec.rows import Rejected
from sentinel.codec.schema import SchemaParams
from sentinel.codec.values.refusals import Fault, fault
from sentinel.errors import ConfigError

_KINDS_MAX = 20
_EXAMPLES_MAX = 3


@dataclass(slots=True)
class _Kind:
    """Faults of one reason in one field: how many, and the first of them with their rows."""

    count: int = 0
    first: list[tuple[str, Fault]] = field(default_factory=list)


class RefusedRows:
    """Counts what is refused, and keeps the first of each kind.

    Parameters
    ----------
    name_of
        What a row is called, by its number from 1 on; blank lines are no rows.
    """

    def __init__(self, schema: SchemaParams, name_of: Callable[[int], str] = row_name) -> None:
        self._schema = schema
        self._name_of = name_of
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self.count = 0

    def add(
        self, values: Sequence[bytes], rejected: Sequence[Rejected], *, rows_before: int
    ) -> None:
        """Take in what was rejected of consecutive rows."""
        self.count += len(rejected)
        for one in rejected:
            found = fault(self._schema, values[one.index], one.error)
            key = (found.reason, found.field)
            if key not in self._kinds and len(self._kinds) == _KINDS_MAX:
                continue
            kind = self._kinds.setdefault(key, _Kind())
            kind.count += 1
            if len(kind.first) < _EXAMPLES_MAX:
                kind.first.append((self._name_of(rows_before + one.index + 1), found))

    def lines(self) -> list[str]:
        """A line for each kind: the field, the first rows with what they hold, what is allowed."""
        found = [_line(kind) for kind in self._kinds.values()]
        told = sum(kind.count for kind in self._kinds.values())
        if told < self.count:
            found.append(f"and {self.count - told:,} rows for yet other reasons")
        return found


def _line(kind: _Kind) -> str:
    _, fault = kind.first[0]
    rows = ", ".join(f"{row} has {one.value or 'nothing'}" for row, one in kind.first)
    where = f"column {fault.field}" if fault.field else fault.reason
    counted = f"{kind.count:,} rows" if kind.count > 1 else "1 row"
    return f"{where}: {counted}: {rows}; allowed: {fault.allowed}"


def nothing_usable(source: Path | str, refusals: RefusedRows) -> ConfigError:
    """What to raise where no row of a file, or no record of a topic, can be used."""
    why = refusals.lines() or ["it has no rows"]
    return ConfigError("\n  ".join([f"{source}: there is not one usable row", *why]))
