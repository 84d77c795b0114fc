"""What is kept of model versions, which of them serves, and what an operator may ask for."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

Stage = Literal["development", "staging", "production", "archived"]
STAGES: tuple[Stage, ...] = get_args(Stage)

_STAND_IN_COUNT_MAX = 3

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")

EventKind = Literal[
    "registered", "staged", "approved", "promoted", "rolled_back", "refused", "archived", "shadowed"
]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One version as stored: its text, checked against the manifest's checksum."""

    version: str
    text: str
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word that a version may serve."""

    who: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class RegistryState:
    """Where every version stands. It changes as a whole, and each change has the next number.

    Attributes
    ----------
    number
        How many changes there were.
    stages
        Of every version that there is.
    champion, challenger, shadow
        The versions that serve, that is to be tried, and that scores beside; None where there is
        none. The champion is the only version in production.
    before
        Former champions, the last one last, each once: where a rollback goes.
    approvals
        By version.
    """

    number: int = 0
    stages: dict[str, Stage] = field(default_factory=dict)
    champion: str | None = None
    challenger: str | None = None
    shadow: str | None = None
    before: tuple[str, ...] = ()
    approvals: dict[str, Approval] = field(default_factory=dict)

    def to_serve(self) -> tuple[str, ...]:
        """The champion, then what may stand in for it, the newest first; none without a champion.

        To try one may mean to load it, so there are few.
        """
        if self.champion is None:
            return ()
        return (self.champion, *reversed(self.before[-_STAND_IN_COUNT_MAX:]))


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """One change of the registry, as it is kept for good and published on `model-updates`.

    Attributes
    ----------
    number
        That of the registry behind the change.
    at_ms
        When it was made, by the clock of whoever made it.
    version
        What the change is about.
    champion, champion_before, shadow
        What serves from now on, what served until then, and what scores beside.
    who, why
        Who or what brought it about, and the reason in a sentence.
    """

    number: int
    at_ms: int
    kind: EventKind
    version: str
    champion: str | None
    champion_before: str | None
    shadow: str | None
    who: str
    why: str
    v: int = 1


@dataclass(frozen=True, slots=True)
class ServingReport:
    """What an instance says that it serves: the registry says what is meant to.

    Attributes
    ----------
    instance
        Its name, the same as long as its process lives.
    version
        The version that decides.
    champion
        That of the registry, as the instance has seen it last; None if it has not.
    why
        Why the two differ; empty if they do not.
    is_pinned
        Whether its configuration names the version, so that it does not follow the registry.
    shadow, shadow_why
        What scores beside, and why the registry's shadow does not; empty where there is nothing.
    unexplained
        Why alerts go out without reasons; empty if they do not.
    health, health_reasons
        How the instance was when it said so, in the words of `engine.health`.
    since_ms, until_ms
        From when on it was so, and when it was last said, by the instance's clock.
    """

    instance: str
    version: str
    champion: str | None = None
    why: str = ""
    is_pinned: bool = False
    shadow: str = ""
    shadow_why: str = ""
    unexplained: str = ""
    health: str = ""
    health_reasons: tuple[str, ...] = ()
    since_ms: int = 0
    until_ms: int = 0

    def is_same(self, other: "ServingReport") -> bool:
        """Whether it serves the same: nothing has changed but the time, and how it is."""
        return self._served() == other._served()

    def _served(self) -> "ServingReport":
        return replace(self, since_ms=0, until_ms=0, health="", health_reasons=())


# How many instances are listed, and how many reports that hold no more are kept.
REPORT_COUNT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator asks of the running instances.

    Attributes
    ----------
    kind
        "update": make a candidate now.
    """

    kind: str
    who: str
    why: str = ""
    v: int = 1


def parsed(version: str) -> tuple[int, int, int]:
    """The parts of a version such as 1.2.0; raises ValueError if it is none."""
    found = VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f'version must look like "1.2.0", got "{version}"')
    major, minor, patch = (int(part) for part in found.groups())
    return major, minor, patch
