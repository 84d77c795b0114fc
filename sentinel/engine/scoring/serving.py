"""The models that score on an instance now."""

from sentinel.engine.scoring.arms.routing_table import RoutingTable
from sentinel.serving_model import ServingModel


class Serving:
    """What scores now; whoever changes it does so between two batches.

    A version that cannot score what comes is left for the one that served before it; whoever
    follows the registry does not bring it back.

    Attributes
    ----------
    shadow
        Scores a share of the transactions beside the champion and decides nothing.
    spare
        Former champions that are in memory, the last one last: what to go back to.
    routing
        Who decides which transaction while experiments run; None while there are none.
    failed
        Why a version cannot score what has come here.
    """

    def __init__(self, champion: ServingModel) -> None:
        self.champion = champion
        self.shadow: ServingModel | None = None
        self.spare: tuple[ServingModel, ...] = ()
        self.failed: dict[str, str] = {}
        self.routing: RoutingTable | None = None

    @property
    def is_blind(self) -> bool:
        """Whether what serves has failed, and there was nothing to go back to."""
        return self.champion.version in self.failed

    def fail(self, version: str, why: str) -> bool:
        """Serve with it no more; whether another one has taken the champion's place."""
        self.failed[version] = why
        if self.shadow is not None and self.shadow.version == version:
            self.shadow = None
        left = [one for one in self.spare if one.version not in self.failed]
        if version != self.champion.version or not left:
            return False
        self.champion = left[-1]
        return True
