"""Windows that are complete: tested off the loop, kept, and added up to weeks."""

import asyncio
from collections.abc import Collection, Mapping

from sentinel.codec.drift.counts import pack_counts
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import Segmentation
from sentinel.core.drift.counts.spans import SpanCounts
from sentinel.core.drift.watch import DAY_MS, ClosedWindow
from sentinel.core.drift.windows.explaining import Explanation, explained
from sentinel.engine.drift.days import WEEK, days_before, segment_days
from sentinel.ports import DriftStore
from sentinel.stored.drift import Scale, WindowReport


class Windows:
    """Explains windows of one version.

    Parameters
    ----------
    sources
        The field that a feature is made of: features of one field are one cause.
    silent
        Features that are no cause.
    segmentation
        By what the stream is split.
    """

    def __init__(
        self,
        store: DriftStore,
        sources: Mapping[str, str],
        silent: frozenset[str],
        segmentation: Segmentation,
    ) -> None:
        self._store = store
        self._sources = sources
        self._silent = silent
        self._segmentation = segmentation

    def explain(
        self, counts: SpanCounts, reference: Reference, segments: Collection[str] = ()
    ) -> Explanation:
        """What counts say beside a reference, in whole and in some segments: some milliseconds of
        computation, and as many for each.
        """
        return explained(
            counts, reference, sources=self._sources, silent=self._silent,
            segmentation=self._segmentation, segments=segments,
        )  # fmt: skip

    async def close(
        self,
        window: ClosedWindow,
        version: str,
        reference: Reference,
        columns: str,
        segments: Collection[str] = (),
    ) -> Explanation:
        """Test and keep a window; a day also ends the week of the last seven.

        Parameters
        ----------
        segments
            In which something is open: what changed there is told as well.
        """
        found = await self._report(
            window.scale, window.end_ms, window.counts, version, reference, segments
        )
        if window.scale == "day":
            await self._close_day(window, version, reference, columns)
        return found

    async def _close_day(
        self, window: ClosedWindow, version: str, reference: Reference, columns: str
    ) -> None:
        begin_ms = window.end_ms - DAY_MS
        await self._store.keep_day(columns, begin_ms, pack_counts(window.counts.features))
        if (split := window.counts.segments) is not None:
            name = segment_days(columns, self._segmentation)
            await self._store.keep_day(name, begin_ms, pack_counts(split.features))
        days = await days_before(self._store, columns, begin_ms, WEEK - 1)
        week = SpanCounts.empty(len(reference.features))
        week.add(window.counts)
        week.features = sum(days.values(), start=week.features)
        week.begin_ms = window.end_ms - WEEK * DAY_MS
        await self._report("week", window.end_ms, week, version, reference)

    async def _report(
        self,
        scale: Scale,
        end_ms: int,
        counts: SpanCounts,
        version: str,
        reference: Reference,
        segments: Collection[str] = (),
    ) -> Explanation:
        found = await asyncio.to_thread(self.explain, counts, reference, segments)
        await self._store.keep_window(
            WindowReport(
                scale=scale,
                begin_ms=counts.begin_ms,
                end_ms=end_ms,
                version=version,
                row_count=counts.row_count,
                counted=counts.features.row_count,
                actions=counts.actions,
                findings=found.findings,
                causes=found.causes,
                harm=found.harm,
            )
        )
        return found
