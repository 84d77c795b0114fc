"""What instances say that they serve, in the registry database.

serves:{instance}   ServingReport, JSON; expires when it is not said again
instances           index: names of instances by their last word; the newest 1,000
served              index: reports that hold no more, JSON, by their end; the same
"""

import logging
from collections.abc import Sequence

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.documents import Change, Documents
from sentinel.errors import RecordError
from sentinel.stored.versions import REPORT_COUNT_MAX, ServingReport

log = logging.getLogger(__name__)


class StoredReports:
    """`ports.ReportStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def report(self, report: ServingReport, *, ttl_s: float) -> None:
        document = f"serves:{report.instance}"
        change = Change(
            puts={document: encode_stored(report)},
            lifetimes={document: ttl_s},
            indexed={"instances": {report.instance.encode(): report.until_ms}},
            newest={"instances": REPORT_COUNT_MAX},
        )
        await self._documents.change(change, doing="tell what serves")

    async def end(self, report: ServingReport) -> None:
        change = Change(
            indexed={"served": {encode_stored(report): report.until_ms}},
            newest={"served": REPORT_COUNT_MAX},
            unindexed={"instances": [report.instance.encode()]},
        )
        await self._documents.change(change, doing="tell what served")

    async def reports(self) -> list[ServingReport]:
        doing = "read what serves"
        instances = await self._documents.newest("instances", 0, REPORT_COUNT_MAX, doing=doing)
        names = [f"serves:{instance.decode()}" for instance in instances]
        found = _readable(await self._documents.get(names, doing=doing))
        return sorted(found, key=lambda report: report.instance)

    async def ended(self) -> list[ServingReport]:
        return _readable(
            await self._documents.newest("served", 0, REPORT_COUNT_MAX, doing="read what served")
        )


def _readable(found: Sequence[bytes | None]) -> list[ServingReport]:
    """What has not expired; what somebody else has damaged is as if it were not."""
    readable = []
    for data in found:
        if data is None:
            continue
        try:
            readable.append(decode_stored(ServingReport, data))
        except RecordError as error:
            log.warning("what an instance serves: %s", error.unquoted)
    return readable
