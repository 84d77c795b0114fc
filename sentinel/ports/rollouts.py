"""What is kept of rollouts."""

from typing import Protocol

from sentinel.stored.rollouts import StoredRollout


class RolloutStore(Protocol):
    """Rollouts. TransientError when out of reach."""

    async def rollouts(self, count: int) -> list[StoredRollout]:
        """The newest, the last one first."""
        ...

    async def rollout(self, number: int) -> StoredRollout | None:
        """One; None if it is not kept."""
        ...

    async def put(self, before: StoredRollout | None, after: StoredRollout) -> bool:
        """Put one in the place of another, or a new one behind the newest.

        False if what was before is not there any more, or another one has the number.
        """
        ...
