"""The trainer: holds the examples, makes a model update and judges it, in a process of its own."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from sentinel.core.decision import PolicyParams
from sentinel.core.learning.awaiting import Need
from sentinel.core.learning.gate.judging import Verdict
from sentinel.stored.versions import Artifact

UpdateOutcome = Literal["promote", "refuse", "not_yet", "no candidate"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of some records.

    Attributes
    ----------
    count, refused_count
        Examples, and records that are none.
    newest_ms
        Event time of the newest example so far, -1 if there is none.
    next_offset
        What comes next in the topic.
    """

    count: int
    refused_count: int
    newest_ms: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one strategy.

    Attributes
    ----------
    reason
        Why there is no candidate; empty if there is one.
    average_precision, auc
        Of the candidate, on examples that no candidate has seen; None where there are no frauds
        among them.
    tree_count, row_count, fraud_count
        Of its trees, and of the examples that the newest of them were fitted on.
    seconds
        What it took to make it.
    """

    strategy: str
    outcome: Literal["fitted", "unfit", "failed"]
    reason: str
    average_precision: float | None
    auc: float | None
    tree_count: int
    row_count: int
    fraud_count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Made:
    """A candidate, ready for the registry but for its version and the checksum of its text."""

    strategy: str
    text: str
    manifest: dict[str, Any]

    def artifact(self, version: str, **facts: Any) -> Artifact:
        """It, under a version, with these facts in its manifest, too."""
        sha256 = hashlib.sha256(self.text.encode()).hexdigest()
        return Artifact(
            version, self.text, {**self.manifest, **facts, "version": version, "sha256": sha256}
        )


@dataclass(frozen=True, slots=True)
class Updated:
    """What came of an update.

    Attributes
    ----------
    attempts
        One for each strategy that was tried.
    made, verdict
        The best candidate, and the gate's word on it; None if there is none.
    reason
        In a sentence.
    """

    attempts: tuple[Attempt, ...]
    made: Made | None
    verdict: Verdict | None
    reason: str

    @property
    def outcome(self) -> UpdateOutcome:
        """The gate's word, or that there was nothing to judge."""
        return "no candidate" if self.verdict is None else self.verdict.outcome

    def facts(self) -> dict[str, Any]:
        """What is remembered of it: all but the candidate."""
        return {
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "checks": [] if self.verdict is None else [asdict(one) for one in self.verdict.checks],
            "outcome": self.outcome,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Saved:
    """A savepoint whose pieces wait to be fetched, with what `ports.Savepoint` needs of it."""

    head: bytes
    sha256: str
    piece_count: int
    byte_count: int


class Trainer(Protocol):
    """Whoever holds the examples.

    Every method raises TrainingError, with the reason in a sentence, when it fails at what it was
    given, whatever is raised there. WorkerLostError when the process died, took too long or needed
    too much memory: another has taken its place, which holds nothing.
    """

    async def take(self, records: Sequence[tuple[int, int, bytes | None]]) -> Taken:
        """Records of the examples topic, in its order: offset, when it was appended, value."""
        ...

    async def forget(self) -> None:
        """Hold nothing, as in the beginning."""
        ...

    async def save(self, *, log: str) -> Saved:
        """Make a savepoint of all that is held; `log` names the log that the examples are of."""
        ...

    async def piece(self, number: int) -> bytes:
        """One piece of what was saved last; once."""
        ...

    async def receive(self, number: int, piece: bytes) -> None:
        """The next piece of what is to be restored; the first has the number 0."""
        ...

    async def restore(self, head: bytes, sha256: str, *, log: str) -> Taken:
        """Hold what the pieces say instead of what is held. TrainingError if they do not fit."""
        ...

    async def needs(self, champion: Artifact) -> tuple[Need, ...]:
        """What an update needs, and how much of that is here; it reads the champion's manifest."""
        ...

    async def update(
        self, champion: Artifact, *, draw: int, policy: PolicyParams | None = None
    ) -> Updated:
        """Make candidates and judge the best of them; `draw` is a number for each update.

        `policy` turns probabilities into actions from now on; None for the one before.
        """
        ...

    async def compare(
        self,
        former: Artifact,
        champion: Artifact,
        *,
        since_ms: int,
        policy: PolicyParams | None = None,
    ) -> Verdict | None:
        """Whether the former champion is better on what has happened since; None of too little."""
        ...
