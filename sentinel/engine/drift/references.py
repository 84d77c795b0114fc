"""With what a version is compared: its own reference, or the best that there is."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sentinel.codec.drift.references import from_manifest, reference_from, stored_reference
from sentinel.core.drift.counts.columns import BinnedColumn, digest, score_column
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import Segmentation, SegmentCounts
from sentinel.core.drift.params import DriftParams
from sentinel.core.drift.watch import DAY_MS, empty_reference, without_scores
from sentinel.engine.drift.days import WEEK, days_before, segment_days
from sentinel.errors import RecordError
from sentinel.ports import DriftStore, ModelStore

log = logging.getLogger(__name__)

KeptIn = Literal["store", "manifest"]
_GENERATION_COUNT_MAX = 10  # of versions whose reference is asked for


@dataclass(frozen=True, slots=True)
class FoundReference:
    """A reference, and where it was: "store", what the stream gave, or "manifest"."""

    reference: Reference
    kept_in: KeptIn


class References:
    """Finds references, and keeps those that a manifest does not have."""

    def __init__(
        self,
        store: DriftStore,
        models: ModelStore,
        params: DriftParams,
        segmentation: Segmentation,
    ) -> None:
        self._store = store
        self._models = models
        self.params = params
        self._segmentation = segmentation

    async def of(self, version: str, columns: Sequence[BinnedColumn], now_ms: int) -> Reference:
        """The reference of a version in these cells.

        Its own; else what the stream was like in the days before `now_ms`; else that of the version
        that it was made from. What nobody knows has no counts.
        """
        own = await self._own(version)
        if own is not None and _is_of(own, columns):
            return own
        found = await self._of_days(columns, now_ms) or await self._of_parent(version, columns)
        if found is not None:
            await self.keep(version, found)
            return found
        return empty_reference(columns)

    async def keep(self, version: str, reference: Reference) -> None:
        """Keep what was found for a version."""
        await self._store.keep_reference(version, stored_reference(reference))

    async def _own(self, version: str) -> Reference | None:
        try:
            found = await own_reference(self._store, self._models, version)
        except RecordError as error:
            log.warning("the reference of model %s is not used: %s", version, error.unquoted)
            return None
        return None if found is None else found.reference

    async def _of_days(self, columns: Sequence[BinnedColumn], now_ms: int) -> Reference | None:
        """The last days of the stream, whatever served then."""
        name = digest([*columns, score_column()])
        today = now_ms // DAY_MS * DAY_MS
        days = await days_before(self._store, name, today, WEEK)
        counts = sum(days.values(), start=GroupCounts.empty(len(columns)))
        if counts.row_count < self.params.reference_rows_min:
            return None
        found = replace(empty_reference(columns), counts=counts)
        found = replace(found, first_ms=min(days), last_ms=today)
        return await self._with_segments(found, name, today)

    async def _with_segments(self, found: Reference, name: str, today: int) -> Reference:
        """With the same days by segment, if all of them were counted so."""
        if not self._segmentation.columns:
            return found
        split = await days_before(self._store, segment_days(name, self._segmentation), today, WEEK)
        counts = sum(split.values(), start=GroupCounts.empty(len(found.features)))
        if counts.row_count < found.row_count * len(self._segmentation.columns):
            return found
        segments = SegmentCounts(counts, GroupCounts.empty(1))
        return replace(found, segments=segments, segmentation=self._segmentation.digest)

    async def _of_parent(self, version: str, columns: Sequence[BinnedColumn]) -> Reference | None:
        """Of the nearest version before it that has one; scores are another version's."""
        for _ in range(_GENERATION_COUNT_MAX):
            manifest = (await self._models.manifests([version])).get(version, {})
            parent = manifest.get("parent")
            if not isinstance(parent, str):
                return None
            found = await self._own(parent)
            if found is not None and _is_of(found, columns):
                return replace(without_scores(found), origin="parent")
            version = parent
        return None


async def own_reference(
    store: DriftStore, models: ModelStore, version: str
) -> FoundReference | None:
    """What a version has of its own: what the stream gave goes before what its manifest has.

    None where there is none. Raises RecordError of a damaged one.
    """
    stored = await store.reference(version)
    if stored is not None:
        return FoundReference(reference_from(stored), "store")
    manifest = (await models.manifests([version])).get(version, {})
    found = from_manifest(manifest)
    return None if found is None else FoundReference(found, "manifest")


def _is_of(reference: Reference, columns: Sequence[BinnedColumn]) -> bool:
    return digest(reference.features) == digest(columns)
