"""When the model is updated, and what becomes of a candidate."""

from dataclasses import dataclass, field

from sentinel.core.learning.triggers import TriggerParams
from sentinel.core.learning.watch import WatchParams
from sentinel.engine.updates.savepoints import SavepointParams


@dataclass(frozen=True, slots=True)
class UpdateParams:
    """When the model is updated, and what a candidate needs to serve.

    Attributes
    ----------
    is_on
        Whether this instance trains when it has the control plane.
    needs_approval
        Whether a named person has to approve what the gate has let through.
    compare_after_count
        So many new examples after a take-over, and again and again, the champion before it is
        asked whether it would have done better.
    """

    is_on: bool = True
    needs_approval: bool = False
    compare_after_count: int = 5_000
    triggers: TriggerParams = field(default_factory=TriggerParams)
    watch: WatchParams = field(default_factory=WatchParams)
    savepoint: SavepointParams = field(default_factory=SavepointParams)

    def __post_init__(self) -> None:
        if self.compare_after_count < 1:
            raise ValueError("compare_after_count must be at least 1")
