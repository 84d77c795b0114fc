"""In whose cells an instance counts: the same as all others."""

import asyncio
import logging
from collections.abc import Sequence

from sentinel.codec.drift.references import columns_of, from_manifest, stored_columns
from sentinel.core.drift.counts.columns import BinnedColumn, column_of
from sentinel.core.drift.counts.noting import Binning
from sentinel.engine.patience import Patience
from sentinel.engine.scoring.summarising import Summaries
from sentinel.errors import RecordError, TransientError
from sentinel.ports import DriftStore, ModelStore
from sentinel.stored.references import StoredColumns

log = logging.getLogger(__name__)

_LOOK_S = 5.0


class DriftColumns:
    """Follows the champion's columns; where nobody has any, draws them from the first rows.

    Parameters
    ----------
    features
        Their names, in order: columns of others are replaced.
    """

    def __init__(
        self,
        store: DriftStore,
        models: ModelStore,
        summaries: Summaries,
        features: Sequence[str],
    ) -> None:
        self._store = store
        self._models = models
        self._summaries = summaries
        self._features = list(features)
        self._of_champion: tuple[str, tuple[BinnedColumn, ...] | None] = ("", None)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        patience = Patience("in which cells drift is counted is not known")
        while True:
            try:
                await self.step()
            except (TransientError, RecordError) as error:
                await patience.failed(error)
            else:
                patience.over()
                await asyncio.sleep(_LOOK_S)

    async def step(self) -> None:
        """Count in the cells that all count in, or say which those are."""
        known = await self._store.columns()
        wanted = await self._wanted(known)
        if wanted is None:
            return
        told = stored_columns(wanted)
        if known is None or known.digest != told.digest:
            if not await self._store.set_columns(known, told):
                return  # another was first: the next look follows it
            log.info("drift is counted in the cells %s of %d features", told.digest, len(wanted))
        self._summaries.use(Binning(wanted))

    async def _wanted(self, known: StoredColumns | None) -> tuple[BinnedColumn, ...] | None:
        """The champion's own; else those that there are, if they are of these features."""
        own = await self._columns_of_champion()
        if own is not None:
            return own
        if known is not None and [one.name for one in known.columns] == self._features:
            return columns_of(known.columns)
        sample = self._summaries.sample()
        if sample is None:
            return None
        return tuple(column_of(name, sample[:, i]) for i, name in enumerate(self._features))

    async def _columns_of_champion(self) -> tuple[BinnedColumn, ...] | None:
        champion = (await self._models.registry_state()).champion
        if champion is None:
            return None
        if self._of_champion[0] != champion:
            manifest = (await self._models.manifests([champion])).get(champion, {})
            self._of_champion = champion, self._columns_in(champion, manifest)
        return self._of_champion[1]

    def _columns_in(
        self, version: str, manifest: dict[str, object]
    ) -> tuple[BinnedColumn, ...] | None:
        try:
            reference = from_manifest(manifest)
        except RecordError as error:
            log.warning("the reference of model %s is not used: %s", version, error.unquoted)
            return None
        if reference is None or [c.name for c in reference.features] != self._features:
            return None
        return reference.features
