"""Explanations, computed elsewhere."""

from typing import Protocol

from sentinel.records import Floats


class Explainer(Protocol):
    """Feature contributions, computed away from the event loop."""

    def register(self, version: str, text: str) -> None:
        """Make a model version known; its text is LightGBM's own format."""
        ...

    def forget(self, version: str) -> None:
        """Drop a version that will not be asked for again."""
        ...

    async def warm(self, version: str) -> str:
        """Load a registered version there, and try all that is asked of a model.

        Returns why it will not be explained, though it can be scored; empty when it will. Raises
        ModelError when it cannot be loaded or scored there, or no worker survives it, and
        TransientError when that cannot be found out: there is no worker, no memory, no time.
        """
        ...

    async def contributions(self, model_version: str, features: Floats) -> Floats:
        """Contribution of each feature to the raw score, finite, float64 (n, n_features).

        Raises TransientError when the worker is too busy, too slow or gone, and ModelError when it
        does not know the version, or the version cannot be explained.
        """
        ...
