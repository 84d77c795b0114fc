"""Objects of which some fields lie in objects within, straight from bytes into columns.

As `scan`, for schemas that name a field by its path: an object is entered when a path begins with
its key, and stepped over otherwise. Schemas without a path never come here.
"""

from collections.abc import Sequence

import numba
import numpy as np

from sentinel.codec.kernels.lexing import (
    BRACE,
    BRACE_END,
    BRACKET,
    COMMA,
    NULL,
    after_blanks,
    after_key,
    after_nested,
    flat,
    is_blank,
    is_same,
    text_end,
)
from sentinel.codec.kernels.scan import (
    FIELD_WIDTH,
    IS_READ,
    KEPT_AS,
    NAME_LENGTH,
    NAME_START,
    RECORD_BYTES_MAX,
    SLOT,
    TEXTS,
    is_usable,
    keep,
)
from sentinel.records import Floats, Ints
from sentinel.texts import NONE, Bytes, Texts

# Further columns of the table of fields: the object that a field lies in, and the field that comes
# before it where a record has both; -1 for none.
PARENT, PREFERRED = FIELD_WIDTH, FIELD_WIDTH + 1
ROOT = 0
AS_OBJECT = 3  # kept as nothing: SLOT numbers the object

_TOKENS_MAX = 128


def nested_tables(
    names: Sequence[str], fields: Ints, paths: Sequence[tuple[str, ...]]
) -> tuple[Bytes, Ints, Ints]:
    """The names and the fields, with those that paths lead to; then each object's parent, or -1.

    Parameters
    ----------
    fields
        As `scan` has them, one for each name.
    paths
        The keys that lead to each field; none where its name is no path.
    """
    keys = list(names)
    parents = [-1]
    rows: list[list[int]] = [[*field, ROOT, -1] for field in fields[:, 2:].tolist()]
    objects: dict[tuple[str, ...], int] = {(): ROOT}
    for number, path in enumerate(paths):
        for depth in range(1, len(path)):
            if path[:depth] not in objects:
                objects[path[:depth]] = len(parents)
                parent = objects[path[: depth - 1]]
                rows.append([NULL, AS_OBJECT, len(parents), parent, -1])
                keys.append(path[depth - 1])
                parents.append(parent)
        if path:
            rows.append([*fields[number, 2:].tolist(), objects[path[:-1]], number])
            keys.append(path[-1])
    texts = Texts.of(keys)
    spans = np.stack([texts.start, texts.length], axis=1)
    return texts.data, np.hstack([spans, np.array(rows, np.int64)]), np.array(parents, np.int64)


@numba.njit(cache=True, nogil=True)
def _field_in(data: Bytes, begin: int, length: int, inside: int, names: Bytes, fields: Ints) -> int:
    for field in range(fields.shape[0]):
        if (
            fields[field, PARENT] == inside
            and fields[field, NAME_LENGTH] == length
            and is_same(data, begin, names, fields[field, NAME_START], length)
        ):
            return field
    return -1


@numba.njit(cache=True, nogil=True, forceinline=True)
def _next_key(
    data: Bytes,
    at: int,
    end: int,
    place: int,
    inside: int,
    opening: int,
    names: Bytes,
    fields: Ints,
    tokens: Ints,
) -> tuple[int, int]:
    """As in `scan`, within the object `inside`; `opening` is what must stand before the key."""
    if data[at] != opening:
        return -1, -1
    if place < _TOKENS_MAX and tokens[place, 3] == inside:
        length = tokens[place, 1]
        if 0 < length < end - at and is_same(data, at, data, tokens[place, 0], length):
            return after_blanks(data, at + length), tokens[place, 2]
    key = after_blanks(data, at + 1)
    value = after_key(data, key, end)
    if value < 0:
        return -1, -1
    length = text_end(data, key + 1, end) - key - 1
    field = _field_in(data, key + 1, length, inside, names, fields)
    if place < _TOKENS_MAX:
        tokens[place, 0] = at
        tokens[place, 1] = value - at
        tokens[place, 2] = field
        tokens[place, 3] = inside
    return value, field


@numba.njit(cache=True, nogil=True)
def _value(
    data: Bytes,
    begin: int,
    end: int,
    fields: Ints,
    field: int,
    seen: Ints,
    clock: Ints | None,
    arena: Bytes,
    used: int,
    ints: Ints,
    floats: Floats,
    row: int,
) -> tuple[int, int]:
    """Keep the value of a field, if it is one: where it ends, -1 for not plain, and the arena."""
    if field < 0 and (data[begin] == BRACE or data[begin] == BRACKET):
        return after_nested(data, begin, end), used
    shape, at, mantissa, power = flat(data, begin, end)
    if shape == 0:
        return -1, used
    if field < 0:
        return at, used
    preferred = fields[field, PREFERRED]
    if preferred >= 0 and seen[preferred] == row:
        return at, used
    if fields[field, KEPT_AS] == AS_OBJECT:
        return (at if shape == NULL else -1), used
    seen[field] = row
    value = (shape, mantissa, power)
    used = keep(data, begin, at, value, fields, field, clock, arena, used, ints, floats, row)
    return (at if used >= 0 else -1), used


@numba.njit(cache=True, nogil=True, forceinline=True)
def _after_ends(data: Bytes, at: int, end: int, inside: int, parents: Ints) -> tuple[int, int]:
    """Behind the ends of objects at `at`, and in which object that is; -1 behind the last one."""
    while data[at] == BRACE_END:
        inside = parents[inside]
        if inside < 0 or at + 1 == end:
            return (at + 1 if inside < 0 else -1), -1
        at = after_blanks(data, at + 1)
    return at, inside


@numba.njit(cache=True, nogil=True)
def _scan_row(
    data: Bytes,
    begin: int,
    end: int,
    names: Bytes,
    fields: Ints,
    parents: Ints,
    clock: Ints | None,
    tokens: Ints,
    seen: Ints,
    arena: Bytes,
    used: int,
    ints: Ints,
    floats: Floats,
    row: int,
) -> int:
    """Read one object; how far the arena is used then, or -1 if the object is not plain."""
    while end > begin and is_blank(data[end - 1]):
        end -= 1
    if end <= begin or data[end - 1] != BRACE_END:
        return -1
    at = after_blanks(data, begin)
    inside, place, opening = ROOT, 0, BRACE
    while True:
        begin, field = _next_key(data, at, end, place, inside, opening, names, fields, tokens)
        if begin < 0:
            return -1
        place += 1
        opening = COMMA
        if field >= 0 and fields[field, KEPT_AS] == AS_OBJECT:
            if seen[field] == row:
                return -1  # it takes the place of all that the first one held
            seen[field] = row
            if data[begin] == BRACE:
                inside, at, opening = fields[field, SLOT], begin, BRACE
                continue
        at, used = _value(
            data, begin, end, fields, field, seen, clock, arena, used, ints, floats, row
        )
        if at < 0:
            return -1
        at, inside = _after_ends(data, after_blanks(data, at), end, inside, parents)
        if inside < 0:
            return used if at == end else -1


@numba.njit(cache=True, nogil=True)
def scan_nested_rows(
    data: Bytes,
    start: Ints,
    length: Ints,
    stamps_ms: Ints,
    names: Bytes,
    fields: Ints,
    parents: Ints,
    clock: Ints | None,
    limits: Floats,
    currencies: Floats | None,
    arena: Bytes,
    used: int,
    ints: Ints,
    floats: Floats,
    first: int,
) -> int:
    """Read the objects at these spans as `scan.scan_rows` does."""
    tokens = np.zeros((_TOKENS_MAX, 4), np.int64)
    seen = np.full(fields.shape[0], -1, np.int64)  # in which row each field was met last
    for i in range(start.size):
        row = first + i
        ints[IS_READ, row] = 0
        for slot in range(TEXTS + 1, ints.shape[0], 2):
            ints[slot, row] = NONE
        for slot in range(floats.shape[0]):
            floats[slot, row] = np.nan
        if length[i] > limits[RECORD_BYTES_MAX]:
            continue
        end = start[i] + length[i]
        after = _scan_row(
            data,
            start[i],
            end,
            names,
            fields,
            parents,
            clock,
            tokens,
            seen,
            arena,
            used,
            ints,
            floats,
            row,
        )
        if after >= 0 and is_usable(stamps_ms[i], limits, currencies, arena, ints, floats, row):
            ints[IS_READ, row] = 1
            used = after
    return used
