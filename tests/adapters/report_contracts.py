"""What every store of serving reports must do; `test_reports.py` runs it on both of them."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from sentinel.ports import ReportStore
from sentinel.stored.versions import REPORT_COUNT_MAX, ServingReport


@dataclass(frozen=True)
class Reports:
    """Stores on the same data, and a way to let time pass for what they keep."""

    open: Callable[[], AbstractAsyncContextManager[ReportStore]]
    pass_s: Callable[[float], Awaitable[None]]


A = ServingReport(
    *("host-1", "1.0.0", "1.1.0", "é: gives \x1b another score", False, "1.2.0", "", "refused"),
    since_ms=1_700_000_000_000,
    until_ms=1_700_000_000_500,
)
B = ServingReport("host-2", "1.1.0", is_pinned=True, since_ms=5, until_ms=6)


async def what_is_said_is_read_by_others(reports: Reports) -> None:
    async with reports.open() as store, reports.open() as another:
        assert await store.reports() == []
        await store.report(B, ttl_s=60.0)
        await store.report(A, ttl_s=60.0)
        assert await another.reports() == [A, B]
        assert await another.ended() == []


async def a_later_word_takes_the_place_of_an_earlier_one(reports: Reports) -> None:
    later = replace(A, version="1.1.0", why="", until_ms=A.until_ms + 9)
    async with reports.open() as store:
        await store.report(A, ttl_s=60.0)
        await store.report(later, ttl_s=60.0)
        assert await store.reports() == [later]


async def who_says_nothing_any_more_is_forgotten(reports: Reports) -> None:
    async with reports.open() as store:
        await store.report(A, ttl_s=0.2)
        await store.report(B, ttl_s=60.0)
        await reports.pass_s(0.3)
        assert await store.reports() == [B]
        await store.report(A, ttl_s=60.0)
        assert await store.reports() == [A, B]


async def what_has_ended_is_kept_and_serves_no_more(reports: Reports) -> None:
    async with reports.open() as store:
        await store.report(A, ttl_s=60.0)
        await store.report(B, ttl_s=60.0)
        await store.end(replace(A, until_ms=A.until_ms + 1))
        await store.end(replace(B, until_ms=7))
        await store.end(replace(B, until_ms=7))
        assert await store.reports() == []
        expected = [replace(A, until_ms=A.until_ms + 1), replace(B, until_ms=7)]
        assert await store.ended() == expected, "the newest comes first, and each once"
        await store.report(B, ttl_s=60.0)
        assert await store.reports() == [B]


async def only_the_newest_are_kept(reports: Reports) -> None:
    count = REPORT_COUNT_MAX + 20
    many = [replace(A, instance=f"host-{i:05}", since_ms=i, until_ms=i) for i in range(count)]
    async with reports.open() as store:
        for one in many:
            await store.end(one)
            await store.report(one, ttl_s=60.0)
        assert await store.ended() == many[-1 : -1 - REPORT_COUNT_MAX : -1]
        assert await store.reports() == many[-REPORT_COUNT_MAX:]


CONTRACTS = [
    what_is_said_is_read_by_others,
    a_later_word_takes_the_place_of_an_earlier_one,
    who_says_nothing_any_more_is_forgotten,
    what_has_ended_is_kept_and_serves_no_more,
    only_the_newest_are_kept,
]
