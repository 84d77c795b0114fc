"""What runs now, as every instance routes by it: one document, changed as a whole."""

from dataclasses import dataclass, field

SLOT_COUNT = 10_000  # of a layer: what experiments share out


@dataclass(frozen=True, slots=True)
class RoutedArm:
    """An arm as it is routed now.

    Attributes
    ----------
    start, share
        Its part of [0, 1) of the experiment's accounts; what nobody has is the control's.
    """

    name: str
    version: str
    policy: dict[str, float]
    start: float
    share: float


@dataclass(frozen=True, slots=True)
class RoutedExperiment:
    """A running experiment.

    Attributes
    ----------
    step
        Of its ramp, from 0. A decision names it, so that outcomes are compared within a step.
    slots
        Of its layer, from the first to before the second.
    arms
        The control first; its share is what the others leave.
    is_paused
        Whether the champion decides for all its accounts, which stay its own.
    """

    id: str
    layer: str
    step: int
    slots: tuple[int, int]
    arms: tuple[RoutedArm, ...]
    segments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_shadow: bool = False
    is_paused: bool = False

    @property
    def tag(self) -> str:
        """What a decision says of it: the experiment and its step."""
        return f"{self.id}.{self.step}"


@dataclass(frozen=True, slots=True)
class RoutingPlan:
    """Everything that is routed.

    Attributes
    ----------
    number
        Grows by one with each change.
    key_check
        Shows whether an instance has the secret with which the experiments were started, and tells
        nothing else of it; empty while nothing runs.
    holdout
        The share of the accounts that are in no experiment, as it was when the first was started.
    """

    number: int = 0
    key_check: str = ""
    holdout: float = 0.0
    experiments: tuple[RoutedExperiment, ...] = ()
    v: int = 1

    def running(self, name: str) -> RoutedExperiment | None:
        """The experiment of that name; None if it does not run."""
        found = [one for one in self.experiments if one.id.partition("@")[0] == name]
        return found[0] if found else None

    @property
    def versions(self) -> list[str]:
        """The model versions that are needed, each once."""
        arms = [arm for one in self.experiments for arm in one.arms]
        return list(dict.fromkeys(arm.version for arm in arms if arm.version))
