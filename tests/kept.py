"""What stores keep in memory, under the names that tests know it by."""

from collections.abc import Iterator, MutableMapping

from sentinel.adapters.memory import MemoryDatabase
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.ports import Savepoint
from sentinel.stored.votes import Case, FeedbackProgress


class Named(MutableMapping[str, bytes]):
    """The documents whose names begin alike, by the rest of their names."""

    def __init__(self, kept: MemoryDatabase, prefix: str) -> None:
        self._documents = kept.documents
        self._prefix = prefix

    def __getitem__(self, name: str) -> bytes:
        return self._documents[self._prefix + name]

    def __setitem__(self, name: str, data: bytes) -> None:
        self._documents[self._prefix + name] = data

    def __delitem__(self, name: str) -> None:
        del self._documents[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        begin = self._prefix
        return (name.removeprefix(begin) for name in self._documents if name.startswith(begin))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class KeptModels(MemoryDatabase):
    """A registry."""

    @property
    def registry_state(self) -> bytes | None:
        return self.documents.get("shelf")

    @registry_state.setter
    def registry_state(self, data: bytes) -> None:
        self.documents["shelf"] = data

    @property
    def texts(self) -> Named:
        return Named(self, "artifact:")

    @property
    def manifests(self) -> Named:
        return Named(self, "manifest:")

    @property
    def history(self) -> list[bytes]:
        return self.lists.setdefault("model-history", [])

    @property
    def update(self) -> bytes | None:
        return self.documents.get("update")

    @property
    def outlook(self) -> bytes | None:
        return self.documents.get("outlook")


class KeptCases(MemoryDatabase):
    """Votes, labels and annotators."""

    @property
    def progress(self) -> FeedbackProgress | None:
        found = self.documents.get("feedback")
        return None if found is None else decode_stored(FeedbackProgress, found)

    @progress.setter
    def progress(self, progress: FeedbackProgress) -> None:
        self.documents["feedback"] = encode_stored(progress)

    @property
    def cases(self) -> Named:
        return Named(self, "case:")

    @property
    def annotators(self) -> Named:
        return Named(self, "annotator:")

    @property
    def unsettled(self) -> list[str]:
        return [name.decode() for name in self.newest("unsettled")]

    def labels(self) -> dict[str, str]:
        """The label of each transaction that has one."""
        found = {name: decode_stored(Case, data).label for name, data in self.cases.items()}
        return {name: label for name, label in found.items() if label is not None}


class KeptReports(MemoryDatabase):
    """What instances say that they serve: now, and what they said that holds no more."""

    @property
    def live(self) -> list[bytes]:
        names = {f"serves:{name.decode()}" for name in self.indexes.get("instances", {})}
        return [data for name, data in self.documents.items() if name in names]

    @property
    def ended(self) -> list[bytes]:
        return self.newest("served")


class KeptSavepoints(MemoryDatabase):
    """A savepoint, and others while they are written."""

    @property
    def savepoint(self) -> bytes | None:
        return self.documents.get("savepoint")

    @savepoint.setter
    def savepoint(self, data: bytes) -> None:
        self.documents["savepoint"] = data

    def pieces(self, savepoint: Savepoint) -> Named:
        """By their numbers."""
        return Named(self, f"savepoint:{savepoint.name}:")
