"""The champion of the registry comes to serve on this instance, and goes again.

The shelf of the registry says what serves; a record on `model-updates` is the bell that has every
instance look at once, and all look now and then without it, so that a missed bell costs seconds and
not a wrong model. The new model is loaded, its tables are built, and it has to give the same golden
scores as where it was made, all of it beside scoring, which goes on with the old one; then it takes
its place between two batches. The last few stay in memory: a rollback has nothing to build.

What cannot be loaded is tried again, ever more seldom: it may have been missing for a moment, or be
put right. It is counted and logged once, and again when there is another reason.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sentinel.engine.serving import Serving, ServingModel, check_golden, serving_model
from sentinel.errors import ModelError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import ModelStore, Tail
from sentinel.versions import Artifact, Shelf

log = logging.getLogger(__name__)

_BELL_COUNT_MAX = 1_000
_RETRY_S = 0.5
_RETRY_S_MAX = 5.0  # then it follows again within seconds of the registry's return
_LOAD_AGAIN_S_MAX = 600.0  # a load is a model read and its tables built


@dataclass(frozen=True, slots=True)
class DeploymentParams:
    """How models come to serve.

    Attributes
    ----------
    shadow_share
        The share of the transactions that a shadow scores, too. Each costs what scoring costs, and
        some microseconds to write down.
    look_s
        How often the registry is looked at without a bell.
    kept_count
        Models that stay in memory beside the champion and the shadow: for rollbacks, and to explain
        alerts that the one before had decided on when another took over.
    """

    shadow_share: float = 0.1
    look_s: float = 5.0
    kept_count: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.shadow_share <= 1:
            raise ValueError(f"shadow_share must be in 0..1, got {self.shadow_share}")
        if not 0.1 <= self.look_s <= 600:
            raise ValueError(f"look_s must be in 0.1..600, got {self.look_s}")
        if not 1 <= self.kept_count <= 16:
            raise ValueError(f"kept_count must be in 1..16, got {self.kept_count}")


class Deployment:
    """Follows the registry.

    Parameters
    ----------
    on_loaded, on_dropped
        Called with each artifact that came into memory, and with the version of one that left.
    """

    def __init__(
        self,
        *,
        store: ModelStore,
        tail: Tail,
        serving: Serving,
        features: Sequence[str],
        metrics: Metrics,
        params: DeploymentParams,
        clock_s: Callable[[], float],
        on_loaded: Callable[[Artifact], None],
        on_dropped: Callable[[str], None],
    ) -> None:
        self._store = store
        self._tail = tail
        self._serving = serving
        self._features = features
        self._metrics = metrics
        self._params = params
        self._clock_s = clock_s
        self._on_loaded = on_loaded
        self._on_dropped = on_dropped
        self._kept: OrderedDict[str, ServingModel] = OrderedDict()
        self._kept[serving.champion.version] = serving.champion
        self._unproven: str | None = serving.champion.version  # it is not from the registry
        self._seen: Shelf | None = None
        self._failures: dict[str, str] = {}  # why a version of the shelf cannot be loaded
        self._again_s = 0.0  # when that is tried again
        self._wait_s = params.look_s

    async def run(self) -> None:
        """Follow until cancelled. While the registry is away, what serves goes on serving."""
        wait_s = _RETRY_S
        while True:
            try:
                await self.follow()
                await self._tail.poll(timeout_s=self._params.look_s, count_max=_BELL_COUNT_MAX)
                wait_s = _RETRY_S
            except TransientError as error:
                log.warning("the model registry cannot be followed: %s", error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _RETRY_S_MAX)

    async def follow(self) -> None:
        """Bring what the shelf says to serve; a version that cannot be loaded changes nothing."""
        shelf = await self._store.shelf()
        if shelf == self._seen and not (self._failures and self._clock_s() >= self._again_s):
            return
        champion = await self._ready(shelf.champion)
        if champion is not None and champion is not self._serving.champion:
            log.info("%s serves from now on", champion.version)
            self._serving.champion = champion
            self._metrics.deployments += 1
        self._serving.shadow = await self._ready(shelf.shadow)
        wanted = (shelf.champion, shelf.shadow)
        self._failures = {one: why for one, why in self._failures.items() if one in wanted}
        is_new = shelf != self._seen
        self._wait_s = self._params.look_s if is_new else min(2 * self._wait_s, _LOAD_AGAIN_S_MAX)
        self._again_s = self._clock_s() + self._wait_s
        self._seen = shelf
        self._drop()

    async def _ready(self, version: str | None) -> ServingModel | None:
        """The version from memory or from the registry; None if there is none to be had."""
        if version is None:
            return None
        if version == self._unproven:
            await self._prove(version)
        if version not in self._kept:
            try:
                artifact = await self._store.load(version)
                self._kept[version] = await asyncio.to_thread(_built, artifact, self._features)
            except ModelError as error:
                self._note_failure(version, str(error))
                return None
            self._failures.pop(version, None)
            self._on_loaded(artifact)
        self._kept.move_to_end(version)
        return self._kept[version]

    def _note_failure(self, version: str, reason: str) -> None:
        if self._failures.get(version) != reason:
            self._metrics.deployment_failures += 1
            log.error("%s; what served goes on serving", reason)
        self._failures[version] = reason

    async def _prove(self, version: str) -> None:
        """Forget the model that was here at the start if the registry has another of that number.

        On each machine somebody may have trained a first one.
        """
        told = (await self._store.manifests([version])).get(version, {}).get("sha256")
        ours = self._kept[version].sha256
        if ours and told not in (None, ours):
            log.warning("the registry has another %s than this machine, which is taken", version)
            del self._kept[version]
        self._unproven = None

    def _drop(self) -> None:
        """Forget the models that were in use the longest time ago."""
        serving = self._serving
        used = {one.version for one in (serving.champion, serving.shadow) if one is not None}
        idle = [version for version in self._kept if version not in used]
        for version in idle[: max(len(idle) - self._params.kept_count, 0)]:
            del self._kept[version]
            self._on_dropped(version)


def _built(artifact: Artifact, features: Sequence[str]) -> ServingModel:
    """The model, ready to serve and proven to be the one that was made."""
    serving = serving_model(artifact, features)
    check_golden(serving, artifact.manifest)
    return serving
