"""Fields that are named by a path into objects, as `after.amount` of a change record.

A field of the record that has the whole name, dots and all, comes before what the path leads to.
"""

from collections.abc import Iterable

import msgspec
import orjson

from sentinel.errors import RecordError

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KINDS = {"[": "an array", '"': "a text", "t": "true", "f": "false"}

Objects = dict[str, msgspec.Raw]


def path_of(name: str) -> tuple[str, ...]:
    """The keys that lead to a field; none for a name that is no path, as one that ends in a dot."""
    parts = tuple(name.split("."))
    return parts if len(parts) > 1 and all(parts) else ()


class JsonFields:
    """The fields of one JSON object, each as it is written there.

    Raises msgspec's errors when the text is no object, and when what is nested turns out not to be
    JSON.
    """

    def __init__(self, value: bytes) -> None:
        self.top: Objects = _OBJECT.decode(value)
        self._inner: dict[tuple[str, ...], Objects] = {(): self.top}

    def value_of(self, name: str) -> bytes | None:
        """What stands under a name or path; None where nothing does, or null on the way.

        Raises RecordError when something stands on the way that is no object.
        """
        if name in self.top:
            return bytes(self.top[name])
        path = path_of(name)
        for depth in range(1, len(path)):
            if (found := self._objects_at(path[: depth - 1]).get(path[depth - 1])) is None:
                return None
            text = bytes(found)
            if text == b"null":
                return None
            if not text.startswith(b"{"):
                kind = _KINDS.get(chr(text[0]), "a number")
                told = f"{name}: {kind} stands at {'.'.join(path[:depth])}, no object"
                raise RecordError("wrong_type", told)
        found = self._objects_at(path[:-1]).get(path[-1]) if path else None
        return None if found is None else bytes(found)

    def on_the_way(self, name: str) -> bytes:
        """As a JSON field, what stands on the way to a field that is not reached."""
        path = path_of(name)
        for depth in range(1, len(path)):
            text = bytes(self._objects_at(path[: depth - 1])[path[depth - 1]])
            if not text.startswith(b"{"):
                for key in reversed(path[1:depth]):
                    text = b"{" + _field(key, text) + b"}"
                return _field(path[0], text)
        raise AssertionError(f"nothing stands on the way to {name}")

    def _objects_at(self, path: tuple[str, ...]) -> Objects:
        if path not in self._inner:
            self._inner[path] = _OBJECT.decode(self._objects_at(path[:-1])[path[-1]])
        return self._inner[path]


def flattened(value: bytes, names: Iterable[str]) -> bytes:
    """An object of these fields alone, under their whole names. Raises as `JsonFields` does."""
    fields = JsonFields(value)
    found = ((name, fields.value_of(name)) for name in names)
    return b"{" + b",".join(_field(name, text) for name, text in found if text is not None) + b"}"


def _field(name: str, text: bytes) -> bytes:
    return orjson.dumps(name) + b":" + text
