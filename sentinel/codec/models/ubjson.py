"""Reads Universal Binary JSON (ubjson.org, draft 12), in which XGBoost writes its models."""

import struct
from typing import Any

import numpy as np

_DEPTH_MAX = 64
_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_CONSTANTS = {"Z": None, "T": True, "F": False}


def decode_ubjson(data: bytes) -> Any:
    """The value; numbers of an array with a type come as an array of numpy's.

    Raises ValueError if the bytes are damaged or go on behind the value.
    """
    reader = _Reader(data)
    try:
        value = reader.value(reader.marker(), 0)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"it is cut off or damaged at byte {reader.at:,}") from error
    if reader.at != len(data):
        raise ValueError(f"it goes on behind its end, at byte {reader.at:,}")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def marker(self) -> str:
        """The next marker; "N" stands for nothing."""
        while True:
            one = chr(self._data[self.at])
            self.at += 1
            if one != "N":
                return one

    def value(self, marker: str, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise ValueError(f"it is nested more than {_DEPTH_MAX} times")
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in _NUMBERS:
            return self._numbers(marker, 1)[0].item()
        match marker:
            case "C":
                return self._bytes(1).decode()
            case "S":
                return self._text()
            case "[":
                return self._array(depth)
            case "{":
                return self._object(depth)
        raise ValueError(f"it holds {marker!r} at byte {self.at - 1:,}, where a value belongs")

    def _bytes(self, count: int) -> bytes:
        if not 0 <= count <= len(self._data) - self.at:
            raise ValueError(f"it is cut off or damaged at byte {self.at:,}")
        self.at += count
        return self._data[self.at - count : self.at]

    def _numbers(self, marker: str, count: int) -> Any:
        kind = np.dtype(_NUMBERS[marker])
        return np.frombuffer(self._bytes(count * kind.itemsize), kind)

    def _length(self) -> int:
        marker = self.marker()
        if marker not in "iUIlL":
            raise ValueError(f"it holds {marker!r} at byte {self.at - 1:,}, where a length belongs")
        return int(self._numbers(marker, 1)[0])

    def _text(self) -> str:
        return self._bytes(self._length()).decode()

    def _header(self) -> tuple[str, int | None]:
        """The type and the length of a container, where they are told."""
        kind = ""
        if self._data[self.at] == ord("$"):
            kind = chr(self._data[self.at + 1])
            self.at += 2
        if self._data[self.at] != ord("#"):
            if kind:
                raise ValueError(f"it has no length at byte {self.at:,}, where one belongs")
            return kind, None
        self.at += 1
        return kind, self._length()

    def _array(self, depth: int) -> Any:
        kind, count = self._header()
        if count is not None and kind in _NUMBERS:
            return self._numbers(kind, count)
        found: list[Any] = []
        while count is None or len(found) < count:
            marker = kind or self.marker()
            if count is None and marker == "]":
                break
            self._check_room(found)
            found.append(self.value(marker, depth + 1))
        return found

    def _object(self, depth: int) -> dict[str, Any]:
        kind, count = self._header()
        found: dict[str, Any] = {}
        while count is None or len(found) < count:
            if count is None and self._data[self.at] == ord("}"):
                self.at += 1
                break
            name = self._text()
            found[name] = self.value(kind or self.marker(), depth + 1)
        return found

    def _check_room(self, found: list[Any]) -> None:
        """A type of which an element takes no byte could ask for any number of them."""
        if len(found) > len(self._data):
            raise ValueError(f"it is damaged at byte {self.at:,}")
