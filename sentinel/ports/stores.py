"""What is kept besides entity state: cases, models, reports, savepoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sentinel.stored.versions import Artifact, ModelEvent, RegistryState, ServingReport
from sentinel.stored.votes import Annotator, Case, CaseBatch, FeedbackProgress


class CaseStore(Protocol):
    """Votes, labels and annotators. Raises TransientError when out of reach."""

    async def progress(self) -> FeedbackProgress | None:
        """How far feedback has been counted; None before the first save."""
        ...

    async def cases(self, transaction_ids: Sequence[str]) -> dict[str, Case]:
        """The cases of these transactions, those that there are."""
        ...

    async def annotators(self, names: Sequence[str]) -> dict[str, Annotator]:
        """What is known of these annotators, of those of whom anything is."""
        ...

    async def latest_annotators(self) -> list[Annotator]:
        """Everybody who voted, who voted last first; a bounded number."""
        ...

    async def unsettled(self, count: int) -> list[Case]:
        """The open and contested cases of the newest votes, newest first, at most `count`.

        No more than UNSETTLED_COUNT_MAX are remembered.
        """
        ...

    async def recent(self, count: int) -> list[Case]:
        """The cases of the newest votes, newest first, at most `count`.

        No more than RECENT_COUNT_MAX are remembered.
        """
        ...

    async def save(self, before: FeedbackProgress | None, work: CaseBatch) -> None:
        """Write all of it or nothing. FencedError if the progress stored is not `before`."""
        ...


class ModelStore(Protocol):
    """The model registry. Raises TransientError when out of reach."""

    async def registry_state(self) -> RegistryState:
        """Where every version stands now; an empty state before the first."""
        ...

    async def manifests(self, versions: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The manifests of these versions, of those that there are."""
        ...

    async def load(self, version: str) -> Artifact:
        """One version, whole. Raises ModelError when anything is missing or was changed."""
        ...

    async def add(self, artifact: Artifact) -> None:
        """Keep a version that the registry does not name yet, its text's SHA-256 in its manifest.

        What is kept under that version is never changed: ModelError if it has another text.
        """
        ...

    async def change(
        self, before: RegistryState, after: RegistryState, events: Sequence[ModelEvent]
    ) -> None:
        """Put one state in the place of another, and its events into the history: all or nothing.

        FencedError if the registry is not `before` any more.
        """
        ...

    async def history(self) -> list[ModelEvent]:
        """Every event, oldest first."""
        ...

    async def update(self) -> bytes | None:
        """What was last noted of the update under way; None while there never was one."""
        ...

    async def note_update(self, before: bytes | None, after: bytes) -> None:
        """Note how an update stands. FencedError if `before` is not what is noted."""
        ...

    async def outlook(self) -> bytes | None:
        """What was last noted of what the next update waits for; None before the first time."""
        ...

    async def note_outlook(self, outlook: bytes) -> None:
        """Note what the next update waits for, for people to read: whoever notes last is right."""
        ...


class ReportStore(Protocol):
    """What instances say that they serve. Raises TransientError when out of reach."""

    async def report(self, report: ServingReport, *, ttl_s: float) -> None:
        """Put it in the place of what the instance has said before; forgotten after `ttl_s`."""
        ...

    async def end(self, report: ServingReport) -> None:
        """It holds no more: keep it among the newest REPORT_COUNT_MAX of those."""
        ...

    async def reports(self) -> list[ServingReport]:
        """What instances serve now, by their names, at most REPORT_COUNT_MAX."""
        ...

    async def ended(self) -> list[ServingReport]:
        """What holds no more, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Savepoint:
    """What was saved of a trainer's memory.

    Attributes
    ----------
    number
        One more than that of the savepoint before it.
    piece_count
        Pieces are numbered from 0.
    sha256
        Of the head and all pieces.
    head
        What the trainer says of it, in bytes of its own.
    """

    number: int
    piece_count: int
    sha256: str
    head: bytes

    @property
    def name(self) -> str:
        """Under which its pieces are kept: no two of different contents have the same."""
        return f"{self.number}-{self.sha256[:16]}"


class SavepointStore(Protocol):
    """One savepoint, and another while it is written. Raises TransientError when out of reach."""

    async def savepoint(self) -> Savepoint | None:
        """The one that was kept last; None if there is none that can be read."""
        ...

    async def piece(self, savepoint: Savepoint, number: int) -> bytes | None:
        """One piece of it; None if it is not there (any more)."""
        ...

    async def add_piece(self, savepoint: Savepoint, number: int, data: bytes) -> None:
        """Write a piece of one that is to be kept; it is gone after a while if that never is."""
        ...

    async def keep(self, before: Savepoint | None, after: Savepoint) -> None:
        """Put one in the place of another, whose pieces then go: all or nothing.

        FencedError if `before` is not the one that is kept, or not all pieces of `after` are there.
        """
        ...
