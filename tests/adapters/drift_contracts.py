"""What every store of drift must do; `test_drift_store.py` runs it on both of them."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

import pytest

from sentinel.errors import FencedError
from sentinel.ports import DriftStore
from sentinel.stored.drift import (
    ALARM_COUNT_MAX,
    WINDOW_COUNT_MAX,
    Alarm,
    ColumnFinding,
    DriftProgress,
    Harm,
    Suppression,
    WindowReport,
)
from sentinel.stored.references import StoredColumn, StoredColumns, StoredReference


@dataclass(frozen=True)
class Drifts:
    """Stores on the same data, and a way to let time pass for what they keep."""

    open: Callable[[], AbstractAsyncContextManager[DriftStore]]
    pass_s: Callable[[float], Awaitable[None]]


COLUMNS = StoredColumns("abc", [StoredColumn("é \x1b", "values", [-0.1, 1e300], ["no", "yes"])])
OTHERS = StoredColumns("def", [])
REFERENCE = StoredReference(COLUMNS.columns, b"\x00\xff", b"", [[1, 2, -3]], 5, 6, "stream")
ALARM = Alarm(
    *("1.0.0-steps-amount-value-60000", "steps", "amount", "value", "up", "1.0.0"),
    *(60_000, 120_000, 180_000, 0.25, -0.125),
    severity="critical",
    harm=Harm((0.5, 0.25), (0.1, 0.2), (1.5, 2.5)),
    note="é \x1b[31m",
)
WINDOW = WindowReport(
    *(
        "hour",
        0,
        3_600_000,
        "1.0.0",
        10,
        9,
        {"approve": 10},
        [ColumnFinding("amount", 0.5, False, 0.1)],
    ),
    causes=[["amount", "mean"]],
)


async def in_which_cells_is_counted_one_says_first(drifts: Drifts) -> None:
    async with drifts.open() as store, drifts.open() as another:
        assert await store.columns() is None
        assert await store.set_columns(None, COLUMNS)
        assert not await another.set_columns(None, OTHERS)
        assert await another.columns() == COLUMNS
        assert not await another.set_columns(OTHERS, COLUMNS)
        assert await another.set_columns(COLUMNS, OTHERS)
        assert await store.columns() == OTHERS


async def who_goes_on_fences_who_watched_before(drifts: Drifts) -> None:
    async with drifts.open() as store, drifts.open() as another:
        assert await store.progress() is None
        await store.save(DriftProgress(summaries_log="a", watch={"x": [1, 2.5, None]}))
        first = DriftProgress(summaries_log="a", columns="1")
        await store.save(first)
        assert await another.progress() == first
        second = DriftProgress(summaries_log="a", columns="2", version="1.0.0")
        await another.save(second)
        with pytest.raises(FencedError):
            await store.save(first)
        assert await another.progress() == second
        assert await store.progress() == second
        await store.save(first)
        with pytest.raises(FencedError):
            await another.save(second)


async def who_has_not_read_does_not_write_over_another(drifts: Drifts) -> None:
    async with drifts.open() as store, drifts.open() as another:
        await store.save(DriftProgress(columns="1"))
        with pytest.raises(FencedError):
            await another.save(DriftProgress(columns="2"))
        assert await another.progress() == DriftProgress(columns="1")


async def a_reference_is_kept_and_forgotten(drifts: Drifts) -> None:
    async with drifts.open() as store:
        assert await store.reference("1.0.0") is None
        await store.keep_reference("1.0.0", REFERENCE)
        later = replace(REFERENCE, origin="parent")
        await store.keep_reference("1.0.1", later)
        assert await store.reference("1.0.0") == REFERENCE
        assert await store.reference("1.0.1") == later
        await store.keep_reference("1.0.0", later)
        assert await store.reference("1.0.0") == later
        await store.forget_reference("1.0.0")
        await store.forget_reference("1.0.0")
        assert await store.reference("1.0.0") is None
        assert await store.reference("1.0.1") == later


async def an_alarm_is_opened_once_and_changed_by_who_knows_it(drifts: Drifts) -> None:
    seen = replace(ALARM, status="acknowledged", acknowledged_by="eve", changed_ms=200_000)
    async with drifts.open() as store, drifts.open() as another:
        assert await store.alarm(ALARM.id) is None
        assert await store.alarms(10) == []
        assert await store.put_alarm(None, ALARM)
        assert not await another.put_alarm(None, seen), "it is open"
        assert await another.alarm(ALARM.id) == ALARM
        assert await another.put_alarm(ALARM, seen)
        assert not await store.put_alarm(ALARM, replace(ALARM, status="closed"))
        assert await store.alarms(10) == [seen]


async def alarms_are_listed_by_when_they_last_changed(drifts: Drifts) -> None:
    many = [replace(ALARM, id=f"alarm {i}", changed_ms=i) for i in range(5)]
    async with drifts.open() as store:
        for one in many:
            await store.put_alarm(None, one)
        assert await store.alarms(3) == many[:1:-1]
        first = replace(many[0], changed_ms=99, status="closed")
        assert await store.put_alarm(many[0], first)
        assert await store.alarms(10) == [first, *many[:0:-1]]


async def windows_are_listed_by_their_end(drifts: Drifts) -> None:
    hours = [replace(WINDOW, end_ms=1_000 * (i + 1)) for i in range(4)]
    day = replace(WINDOW, scale="day", end_ms=2_500)
    async with drifts.open() as store:
        assert await store.windows(5) == []
        for one in (*hours, day, hours[1]):
            await store.keep_window(one)
        expected = [hours[3], hours[2], day, hours[1], hours[0]]
        assert await store.windows(10) == expected
        assert await store.windows(2) == expected[:2]
        again = replace(hours[3], row_count=77)
        await store.keep_window(again)
        assert await store.windows(1) == [again], "what is counted again replaces itself"


async def days_are_kept_by_their_cells(drifts: Drifts) -> None:
    async with drifts.open() as store:
        assert await store.days("abc", [0, 1]) == [None, None]
        await store.keep_day("abc", 0, b"\x00first")
        await store.keep_day("def", 1, b"")
        assert await store.days("abc", [1, 0, 1]) == [None, b"\x00first", None]
        assert await store.days("def", [1]) == [b""]
        assert await store.days("abc", []) == []


async def a_suppression_ends_by_itself(drifts: Drifts) -> None:
    short = Suppression("amount", until_ms=1_000_400, who="eve", why="é")
    long = Suppression("a:b c\x1b", until_ms=1_900_000, who="bob")
    async with drifts.open() as store:
        assert await store.suppressions() == []
        assert await store.suppress(None, short, now_ms=1_000_000)
        assert await store.suppress(None, long, now_ms=1_000_000)
        assert await store.suppressions() == [long, short]
        await drifts.pass_s(0.5)
        assert await store.suppressions() == [long]
        assert await store.suppress(long, replace(long, until_ms=1), now_ms=1_000_000)
        await drifts.pass_s(1.1)
        assert await store.suppressions() == [], "one that is over at once lifts another"


async def of_two_who_suppress_a_column_the_second_is_told(drifts: Drifts) -> None:
    first = Suppression("amount", until_ms=1_900_000, who="eve")
    second = replace(first, until_ms=1_500_000, who="bob")
    async with drifts.open() as store, drifts.open() as another:
        assert await store.suppress(None, first, now_ms=1_000_000)
        assert not await another.suppress(None, second, now_ms=1_000_000)
        assert await another.suppressions() == [first]
        assert await another.suppress(first, second, now_ms=1_000_000)
        assert not await store.suppress(first, first, now_ms=1_000_000)
        assert await store.suppressions() == [second]


async def only_the_newest_are_kept(drifts: Drifts) -> None:
    async with drifts.open() as store:
        for i in range(ALARM_COUNT_MAX + 5):
            await store.put_alarm(None, replace(ALARM, id=f"{i}", changed_ms=i))
        for i in range(WINDOW_COUNT_MAX + 5):
            await store.keep_window(replace(WINDOW, end_ms=i + 1))
        alarms, windows = await store.alarms(10_000), await store.windows(10_000)
        assert len(alarms) == ALARM_COUNT_MAX
        assert len(windows) == WINDOW_COUNT_MAX
        assert (alarms[-1].changed_ms, windows[-1].end_ms) == (5, 6)


CONTRACTS = [
    in_which_cells_is_counted_one_says_first,
    who_goes_on_fences_who_watched_before,
    who_has_not_read_does_not_write_over_another,
    a_reference_is_kept_and_forgotten,
    an_alarm_is_opened_once_and_changed_by_who_knows_it,
    alarms_are_listed_by_when_they_last_changed,
    windows_are_listed_by_their_end,
    days_are_kept_by_their_cells,
    a_suppression_ends_by_itself,
    of_two_who_suppress_a_column_the_second_is_told,
    only_the_newest_are_kept,
]
