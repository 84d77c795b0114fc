"""Entity states as they are stored, one by one or as columns."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, repeat
from typing import NamedTuple, Self, overload

from sentinel.texts import Texts

OWNED = -1  # the part of an entity that has one owner


class Blob(NamedTuple):
    """One stored entity state: which entity, which partition folded it, and the packed bytes.

    The state of an owned entity has `part` -1. A shared entity has one blob for each input
    partition that touched it, with `part` that partition: each blob has exactly one writer.
    `labels` are the offsets of the labels that came in since the blob was written last.
    """

    entity: str
    key: str
    part: int
    data: bytes
    labels: tuple[int, ...] = ()


class BlobColumn(NamedTuple):
    """Blobs of one entity kind and part: keys and packed bytes, each of n.

    `labels` are those of the first blobs; the others have none.
    """

    entity: str
    part: int
    keys: Texts
    data: Texts
    labels: Sequence[tuple[int, ...]] = ()


class BlobBlock(Sequence[Blob]):
    """Many blobs, as columns: to make an object of each cost as much as to write them."""

    def __init__(self, columns: Iterable[BlobColumn]) -> None:
        self.columns = [column for column in columns if len(column.keys)]
        self._count = sum(len(column.keys) for column in self.columns)

    @classmethod
    def of(cls, blobs: Iterable[Blob]) -> Self:
        """As columns, in the same order."""
        columns = []
        for (entity, part), group in groupby(blobs, key=lambda blob: (blob.entity, blob.part)):
            found = list(group)
            keys = Texts.of([blob.key for blob in found])
            data = Texts.of_bytes([blob.data for blob in found])
            labels = [blob.labels for blob in found]
            columns.append(BlobColumn(entity, part, keys, data, labels if any(labels) else ()))
        return cls(columns)

    def __len__(self) -> int:
        return self._count

    def pieces(self, count_max: int) -> Iterator[Self]:
        """Blocks of at most so many blobs, in their order; one of nothing if there are none."""
        columns: list[BlobColumn] = []
        room = count_max
        for entity, part, keys, data, labels in self.columns:
            begin = 0
            while begin < len(keys):
                end = min(begin + room, len(keys))
                piece = BlobColumn(
                    entity, part, keys[begin:end], data[begin:end], labels[begin:end]
                )
                columns.append(piece)
                room -= end - begin
                begin = end
                if room == 0:
                    yield type(self)(columns)
                    columns, room = [], count_max
        if columns or not self.columns:
            yield type(self)(columns)

    @overload
    def __getitem__(self, i: int) -> Blob: ...
    @overload
    def __getitem__(self, i: slice) -> list[Blob]: ...
    def __getitem__(self, i: int | slice) -> Blob | list[Blob]:
        return list(self)[i]

    def __iter__(self) -> Iterator[Blob]:
        for entity, part, keys, data, labels in self.columns:
            said = chain(labels, repeat(()))
            for key, value, offsets in zip(keys.strings(), data.values(), said, strict=False):
                yield Blob(entity, key, part, value or b"", offsets)
