"""Many texts as spans of one buffer: what a batch holds instead of a list of strings.

Building, hashing and comparing Python strings, three or four for each transaction, cost more than
the score. The kernels read the bytes where they are, and a string is made where a person looks.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Spans = NDArray[np.int64]

NONE = -1  # the length of a text that is missing


class Texts(Sequence[str | None]):
    """A column of n texts, UTF-8, each of which may be missing.

    Attributes
    ----------
    data
        uint8, the bytes of all of them and perhaps of others.
    start
        int64 (n,): where each begins.
    length
        int64 (n,): its bytes; NONE for a missing one.
    """

    __slots__ = ("data", "length", "start")

    def __init__(self, data: Bytes, start: Spans, length: Spans) -> None:
        assert start.shape == length.shape
        self.data = data
        self.start = start
        self.length = length

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Self:
        """Pack texts."""
        return cls.of_bytes(
            None if text is None else text.encode("utf-8", "surrogatepass") for text in texts
        )

    @classmethod
    def of_bytes(cls, values: Iterable[bytes | None]) -> Self:
        """Pack byte strings."""
        listed = list(values)
        length = np.array([NONE if v is None else len(v) for v in listed], dtype=np.int64)
        ends = list(accumulate((0 if v is None else len(v) for v in listed), initial=0))
        data = np.frombuffer(bytearray(b"".join([v or b"" for v in listed])), dtype=np.uint8)
        return cls(data, np.array(ends[:-1], dtype=np.int64), length)

    def __len__(self) -> int:
        return self.start.size

    @overload
    def __getitem__(self, i: int) -> str | None: ...
    @overload
    def __getitem__(self, i: slice) -> "Texts": ...
    def __getitem__(self, i: int | slice) -> "str | Texts | None":
        if isinstance(i, slice):
            return Texts(self.data, self.start[i], self.length[i])
        found = self.bytes_at(i)
        return None if found is None else found.decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str | None]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # its arrays can change

    def __repr__(self) -> str:
        return f"Texts.of({list(self)!r})"

    def bytes_at(self, i: int) -> bytes | None:
        """One text as it lies in the buffer."""
        length = int(self.length[i])
        begin = int(self.start[i])
        return None if length == NONE else self.data[begin : begin + length].tobytes()

    def values(self) -> list[bytes | None]:
        """All of them as they lie in the buffer."""
        view = self.data.data
        spans = zip(self.start.tolist(), self.length.tolist(), strict=True)
        return [None if n == NONE else view[begin : begin + n].tobytes() for begin, n in spans]

    def strings(self) -> list[str]:
        """All of them, where none is missing."""
        return [v.decode("utf-8", "surrogatepass") for v in self.values() if v is not None]

    def take(self, index: Spans) -> "Texts":
        """The texts at these places, in that order; the buffer is shared."""
        return Texts(self.data, self.start[index], self.length[index])


def packed(texts: Sequence[str | None]) -> Texts:
    """The texts as a column; one that is packed already is returned as it is."""
    return texts if isinstance(texts, Texts) else Texts.of(texts)


def joined(pieces: Sequence[Sequence[str | None]]) -> Texts:
    """The texts of several columns, one behind the other."""
    columns = [packed(piece) for piece in pieces]
    shifts = accumulate((column.data.size for column in columns), initial=0)
    return Texts(
        np.concatenate([column.data for column in columns]),
        np.concatenate([c.start + shift for c, shift in zip(columns, shifts, strict=False)]),
        np.concatenate([column.length for column in columns]),
    )
