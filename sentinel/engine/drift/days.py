"""The counts of whole days, from which weeks and references are added up."""

import logging

from sentinel.codec.drift.counts import unpack_counts
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.segments import Segmentation
from sentinel.core.drift.watch import DAY_MS
from sentinel.errors import RecordError
from sentinel.ports import DriftStore

log = logging.getLogger(__name__)

WEEK = 7


def segment_days(columns: str, segmentation: Segmentation) -> str:
    """Under what the days are kept that were counted by segment."""
    return f"{columns}-{segmentation.digest}"


async def days_before(
    store: DriftStore, columns: str, end_ms: int, count: int
) -> dict[int, GroupCounts]:
    """So many days before a day's begin, those that are there, by when they begin.

    Parameters
    ----------
    columns
        The digest of the cells.
    """
    begins = [end_ms - i * DAY_MS for i in range(1, count + 1)]
    found = {}
    for begin_ms, data in zip(begins, await store.days(columns, begins), strict=True):
        if data is not None:
            try:
                found[begin_ms] = unpack_counts(data)
            except RecordError as error:
                log.warning("the counts of a day are damaged: %s", error.unquoted)
    return found
