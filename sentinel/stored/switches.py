"""What operators have said: what is paused, and which settings go over those of the files.

Both are documents that are changed as a whole; every instance follows them.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sentinel.records import AuditEntry

SwitchName = Literal["learning", "rollouts", "drift", "maintenance"]
SWITCHES: tuple[SwitchName, ...] = get_args(SwitchName)

UNTOLD_COUNT_MAX = 100  # entries that the audit has yet to get
CONFIG_COUNT_MAX = 1_000  # configurations that are remembered by their versions


@dataclass(frozen=True, slots=True)
class Switch:
    """Who has switched something off, or maintenance on; why, and when by the clock."""

    who: str
    why: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Switches:
    """What is switched; None where nobody has.

    Attributes
    ----------
    number
        Grows by one with each change.
    untold
        What the audit has yet to get of it: whoever changes the document tells, and takes it out.
    """

    learning: Switch | None = None
    rollouts: Switch | None = None
    drift: Switch | None = None
    maintenance: Switch | None = None
    number: int = 0
    untold: tuple[AuditEntry, ...] = ()
    v: int = 1

    def of(self, name: SwitchName) -> Switch | None:
        """One of them."""
        found: Switch | None = getattr(self, name)
        return found

    def is_paused(self, name: SwitchName) -> bool:
        """Whether it rests: by its own switch, or in maintenance."""
        return self.of(name) is not None or self.maintenance is not None


@dataclass(frozen=True, slots=True)
class AppliedConfig:
    """Settings that go over those of every instance's file and environment.

    Attributes
    ----------
    values
        By names such as "policy.review_min"; empty where every instance's own file holds.
    number, untold
        As of `Switches`.
    who, why, at_ms
        Of the last change.
    """

    values: dict[str, Any] = field(default_factory=dict)
    who: str = ""
    why: str = ""
    at_ms: int = 0
    number: int = 0
    untold: tuple[AuditEntry, ...] = ()
    v: int = 1


@dataclass(frozen=True, slots=True)
class ConfigInForce:
    """What may change of a configuration, as it was under a version that decisions name.

    Attributes
    ----------
    values
        As of `AppliedConfig`.
    rest
        Of each other setting a digest.
    at_ms
        When it last came into force on an instance, by the clock.
    instance
        Which one.
    """

    version: str
    values: dict[str, Any]
    rest: dict[str, str]
    at_ms: int
    instance: str
    v: int = 1
