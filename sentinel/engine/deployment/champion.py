"""The champion of the registry comes to serve on this instance, and goes again.

The registry says what serves; a record on `model-updates` has every instance look at once, and all
look now and then without one, so that a missed record costs seconds and not a wrong model. The new
model is tried by the explainer, whose process may die of it, then its tables are built here, and it
has to give the same golden scores as where it was made, all of it beside scoring, which goes on
with the old one; then it takes its place between two batches. The last few stay in memory: a
rollback has nothing to build.

What cannot be loaded is tried again, ever more seldom: it may have been missing for a moment, or be
put right. It is counted and logged once, and again when there is another reason. Until then the
newest of those serves that were champions before, and `trouble` says why. A registry that goes back
to what it was before changes nothing here (`engine/registry/remembered.py`).
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sentinel.engine.patience import Patience
from sentinel.engine.registry.remembered import RememberedRegistry
from sentinel.engine.scoring.serving import Serving
from sentinel.errors import ModelError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import Explainer, ModelStore, Tail
from sentinel.serving_model import ServingModel, ready_model
from sentinel.stored.versions import Artifact, RegistryState

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
        How often the registry is looked at without a record.
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
    explainer
        Is told of each version that comes into memory, before it serves, and of one that leaves.
    """

    def __init__(
        self,
        *,
        store: ModelStore,
        remembered: RememberedRegistry,
        tail: Tail,
        serving: Serving,
        features: Sequence[str],
        metrics: Metrics,
        params: DeploymentParams,
        clock_s: Callable[[], float],
        explainer: Explainer,
    ) -> None:
        self._store = store
        self._remembered = remembered
        self._tail = tail
        self._serving = serving
        self._features = features
        self._metrics = metrics
        self.params = params
        self._clock_s = clock_s
        self._explainer = explainer
        self._kept: OrderedDict[str, ServingModel] = OrderedDict()
        self._kept[serving.champion.version] = serving.champion
        self._unproven: str | None = serving.champion.version  # it is not from the registry
        self._seen: RegistryState | None = None
        self._failures: dict[str, str] = {}  # why a version of the registry cannot serve
        self._failed_count = 0  # of those that have failed while they served, as last seen
        self._unexplained: dict[str, str] = {}  # why a version will not be explained
        self._held: tuple[str, ...] = ()  # by whom else
        self._loading = asyncio.Lock()
        self._again_s = 0.0  # when that is tried again
        self._wait_s = params.look_s

    async def run(self) -> None:
        """Follow until cancelled. While the registry is away, what serves goes on serving."""
        what = "the model registry cannot be followed"
        patience = Patience(what, wait_s=_RETRY_S, wait_s_max=_RETRY_S_MAX)
        while True:
            try:
                await self.follow()
                await self._tail.poll(timeout_s=self.params.look_s, count_max=_BELL_COUNT_MAX)
                patience.over()
            except TransientError as error:
                await patience.failed(error)

    async def warm(self) -> None:
        """Have the explainer load what serves from the start: the first alert is to have reasons.

        It serves whatever comes of that, as it has been loaded here.
        """
        version = self._serving.champion.version
        try:
            await self._warm(version)
        except (TransientError, ModelError) as error:
            log.warning("the explainer has not loaded model %s: %s", version, error)

    @property
    def wanted(self) -> str | None:
        """The champion of the registry, when it was last looked at; None while it is not known."""
        return None if self._seen is None else self._seen.champion

    @property
    def why(self) -> str:
        """Why what serves is not the registry's champion, or fails at it; empty if all is well."""
        serving, wanted = self._serving, self.wanted
        if serving.is_blind:
            return serving.failed[serving.champion.version]
        if wanted is None or wanted == serving.champion.version:
            return ""
        return self._why_not(wanted)

    @property
    def trouble(self) -> str:
        """The same as a sentence for people, and what is wrong with the registry itself."""
        return "; ".join(one for one in (self._remembered.trouble, self._sentence()) if one)

    def _sentence(self) -> str:
        version = self._serving.champion.version
        if not self.why:
            return ""
        if self._serving.is_blind:
            return f"model {version} serves, though {self.why}: rules of thumb decide the rest"
        return f"model {version} serves, not the champion {self.wanted}: {self.why}"

    def _why_not(self, version: str) -> str:
        return self._serving.failed.get(version) or self._failures.get(version, "it comes")

    @property
    def shadow_trouble(self) -> str:
        """Why the registry's shadow scores nothing here; empty if it does, or there is none."""
        wanted = None if self._seen is None else self._seen.shadow
        if wanted is None or self._serving.shadow is not None:
            return ""
        return self._why_not(wanted)

    @property
    def unexplained(self) -> str:
        """Why alerts go without reasons, as long as this champion serves; empty if they do not."""
        return self._unexplained.get(self._serving.champion.version, "")

    async def hold(self, versions: Sequence[str]) -> dict[str, ServingModel]:
        """Have these versions in memory, until others are wanted; those that can serve.

        What cannot be loaded is tried again whenever this is asked.
        """
        self._held = tuple(versions)
        async with self._loading:
            found = {version: await self._ready(version) for version in versions}
        return {version: model for version, model in found.items() if model is not None}

    def held(self, versions: Sequence[str]) -> dict[str, ServingModel]:
        """Those of these versions that are in memory."""
        return {version: self._kept[version] for version in versions if version in self._kept}

    async def follow(self) -> None:
        """Bring what the registry says to serve; one that cannot be loaded changes nothing."""
        async with self._loading:
            await self._follow()

    async def _follow(self) -> None:
        registry_state = await self._remembered.look()
        is_new = registry_state != self._seen
        has_failed = len(self._serving.failed) != self._failed_count
        is_due = bool(self._failures) and self._clock_s() >= self._again_s
        if not (is_new or has_failed or is_due):
            return
        self._failed_count = len(self._serving.failed)
        champion = await self._best(registry_state)
        if champion is not None and champion is not self._serving.champion:
            log.info("%s serves from now on", champion.version)
            self._serving.champion = champion
            self._metrics.deployments += 1
        self._serving.shadow = await self._ready(registry_state.shadow)
        wanted = (*registry_state.to_serve(), registry_state.shadow)
        self._failures = {one: why for one, why in self._failures.items() if one in wanted}
        self._wait_s = self.params.look_s if is_new else min(2 * self._wait_s, _LOAD_AGAIN_S_MAX)
        self._again_s = self._clock_s() + self._wait_s
        self._seen = registry_state
        self._drop()

    async def _best(self, registry_state: RegistryState) -> ServingModel | None:
        """The champion, or the newest of those before it that can serve; None if none can."""
        for version in registry_state.to_serve():
            found = await self._ready(version)
            if found is not None:
                return found
        return None

    async def _ready(self, version: str | None) -> ServingModel | None:
        """The version from memory or from the registry; None if there is none to be had."""
        if version is None or version in self._serving.failed:
            return None
        if version == self._unproven:
            await self._prove(version)
        if version not in self._kept:
            artifact = None
            try:
                artifact = await self._store.load(version)
                await self._try(artifact)
                self._kept[version] = await asyncio.to_thread(ready_model, artifact, self._features)
            except ModelError as error:
                self._note_failure(version, error)
                if artifact is not None:
                    self._forget(version)
                return None
            self._failures.pop(version, None)
        self._kept.move_to_end(version)
        return self._kept[version]

    async def _try(self, artifact: Artifact) -> None:
        """Have the explainer load it first: what ends a process is not to end this one.

        Raises ModelError when it cannot. A busy machine is no reason to serve another one.
        """
        self._explainer.register(artifact.version, artifact.text)
        try:
            await self._warm(artifact.version)
        except TransientError as error:
            log.warning("model %s is not tried before it serves: %s", artifact.version, error)

    async def _warm(self, version: str) -> None:
        note = await self._explainer.warm(version)
        if note:
            log.warning("model %s: its alerts go out without reasons: %s", version, note)
            self._unexplained[version] = note

    def _note_failure(self, version: str, error: ModelError) -> None:
        if self._failures.get(version) != error.detail:
            self._metrics.deployment_failures += 1
            log.error("%s; what served goes on serving", error)
        self._failures[version] = error.detail

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
        used |= {*self._held}
        idle = [version for version in self._kept if version not in used]
        for version in idle[: max(len(idle) - self.params.kept_count, 0)]:
            del self._kept[version]
            self._forget(version)
        assert self._seen is not None
        # What only scores beside is nothing to go back to.
        serving.spare = tuple(self._kept[one] for one in self._seen.before if one in self._kept)

    def _forget(self, version: str) -> None:
        self._explainer.forget(version)
        self._unexplained.pop(version, None)
