"""What instances say that they serve, kept in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sentinel.adapters.memory.shared import OnShared
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.versions import REPORT_COUNT_MAX, ServingReport


@dataclass(slots=True)
class MemoryReports:
    """What a Redis server would keep; it outlives the stores that are opened on it.

    Attributes
    ----------
    clock_s
        The server's: a report expires by it.
    """

    clock_s: Callable[[], float] = lambda: 0.0
    live: dict[str, tuple[float, bytes]] = field(default_factory=dict)  # until when, by instance
    ended: list[tuple[int, bytes]] = field(default_factory=list)  # by their end


class MemoryReportStore(OnShared[MemoryReports]):
    """`ports.ReportStore` on `MemoryReports` that several of them may share."""

    async def report(self, report: ServingReport, *, ttl_s: float) -> None:
        kept = self._kept
        with self._faults.call("reports.report"):
            kept.live.pop(report.instance, None)  # behind all that were said before
            kept.live[report.instance] = (kept.clock_s() + ttl_s, encode_stored(report))
            while len(kept.live) > REPORT_COUNT_MAX:
                del kept.live[next(iter(kept.live))]

    async def end(self, report: ServingReport) -> None:
        with self._faults.call("reports.end"):
            one = (report.until_ms, encode_stored(report))
            self._kept.ended = sorted({*self._kept.ended, one})[-REPORT_COUNT_MAX:]
            self._kept.live.pop(report.instance, None)

    async def reports(self) -> list[ServingReport]:
        with self._faults.call("reports.reports"):
            now_s = self._kept.clock_s()
            live = [data for until_s, data in self._kept.live.values() if until_s > now_s]
        found = [decode_stored(ServingReport, data) for data in live]
        return sorted(found, key=lambda report: report.instance)

    async def ended(self) -> list[ServingReport]:
        with self._faults.call("reports.ended"):
            return [decode_stored(ServingReport, data) for _, data in reversed(self._kept.ended)]
