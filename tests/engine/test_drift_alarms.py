"""An alarm's life at the desk: who opens it, who closes it, and where it says that it stands."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from sentinel.adapters.memory import (
    MemoryBroker,
    MemoryCluster,
    MemoryDatabase,
    MemoryDocuments,
)
from sentinel.cli.drift.sentences import life
from sentinel.codec.stored import decode_stored
from sentinel.core.drift.windows.explaining import Explanation
from sentinel.engine.audit import AuditLog
from sentinel.engine.drift.alarms import AlarmDesk, DetectedChange
from sentinel.metrics import Metrics
from sentinel.operations.drift.acting import end_suppression, suppress
from sentinel.stored.drift import Alarm, ColumnFinding, Suppression
from sentinel.stores import StoredDrift
from tests.engine.samples import a_config

CHANGE = DetectedChange(
    "steps", "amount", "value", "up", since_ms=1_000, at_ms=2_000, effect=0.5, change=0.1,
    is_over=False,
)  # fmt: skip
IN_FRANCE = replace(CHANGE, segment='country "FR"')
CONFIG = a_config()
FOUND = ColumnFinding("amount", 0.001, True, 0.2, "unit", "× 100")

NOTHING = Explanation()

Said = list[Alarm]


def told(play: Callable[[AlarmDesk], Awaitable[None]], kept: MemoryDatabase | None = None) -> Said:
    """What the topic holds behind a desk's day."""

    async def main() -> Said:
        cluster = MemoryCluster()
        for topic in ("drift-alerts", "audit"):
            cluster.create_topic(topic, 1)
        async with MemoryBroker(cluster) as broker:
            store = StoredDrift(MemoryDocuments(kept or MemoryDatabase()))
            desk = AlarmDesk(store, broker, "drift-alerts", AuditLog(broker, "audit"), Metrics())
            await play(desk)
            await broker.flush()
        return [decode_stored(Alarm, one.value or b"") for one in cluster.records("drift-alerts")]

    return asyncio.run(main())


def test_an_alarm_of_a_segment_names_it_and_is_over_when_that_segment_says_so() -> None:
    async def play(desk: AlarmDesk) -> None:
        await desk.take(IN_FRANCE, "1.0.0", NOTHING)
        assert desk.segments == ['country "FR"']
        over = replace(IN_FRANCE, at_ms=3_000, is_over=True)
        await desk.take(replace(over, segment=""), "1.0.0", NOTHING)
        await desk.take(replace(over, segment='country "IT"'), "1.0.0", NOTHING)
        assert len(desk.open) == 1, "what others say does not end it"
        await desk.take(over, "1.0.0", NOTHING)
        assert desk.segments == []

    opened, closed = told(play)
    assert (opened.segment, opened.is_of_segment, opened.status) == ('country "FR"', True, "open")
    assert (closed.id, closed.segment, closed.status) == (opened.id, 'country "FR"', "closed")


@pytest.mark.parametrize(("first", "second"), [(CHANGE, IN_FRANCE), (IN_FRANCE, CHANGE)])
def test_one_change_is_one_alarm_whoever_speaks_first(
    first: DetectedChange, second: DetectedChange
) -> None:
    async def play(desk: AlarmDesk) -> None:
        for change in (first, second, replace(second, segment='country "IT"')):
            await desk.take(change, "1.0.0", NOTHING)

    [alarm] = told(play)
    assert (alarm.segment, alarm.is_of_segment) == (first.segment, first.segment != "")


def test_a_window_says_where_a_change_of_the_whole_stands_and_when_it_stands_elsewhere() -> None:
    italy = replace(FOUND, segment='country "IT"')

    async def play(desk: AlarmDesk) -> None:
        await desk.take(CHANGE, "1.0.0", Explanation([italy]))
        for at_ms, finding in ((3_000, italy), (4_000, FOUND), (5_000, FOUND)):
            await desk.explained(Explanation([finding]), at_ms)
        await desk.take(replace(CHANGE, at_ms=6_000, is_over=True), "1.0.0", NOTHING)

    said = told(play)
    assert [(one.segment, one.status) for one in said] == [
        ('country "IT"', "open"), ("", "open"), ("", "closed"),
    ]  # fmt: skip
    assert not any(one.is_of_segment for one in said)


def test_short_windows_say_what_is_unknown_or_worse_and_leave_the_rest_to_long_ones() -> None:
    """An alarm of a changed population was told each hour, as of another kind."""
    worse = Explanation([FOUND], severity="critical")
    other = Explanation([replace(FOUND, kind="location", words="median 1 -> 2")])

    async def play(desk: AlarmDesk) -> None:
        await desk.take(CHANGE, "1.0.0", NOTHING)
        for at_ms, one in enumerate((Explanation([FOUND]), other, worse, other, worse, other)):
            await desk.explained(one, 3_000 + at_ms, is_short=True)
        await desk.explained(other, 4_000)

    assert [(one.kind, one.severity) for one in told(play)] == [
        ("location", "info"), ("unit", "info"), ("unit", "critical"), ("location", "info"),
    ]  # fmt: skip


def test_windows_bring_an_alarm_of_a_segment_up_to_date_by_what_changed_there() -> None:
    there = {'country "FR"': [FOUND], 'country "IT"': [replace(FOUND, kind="shape")]}

    async def play(desk: AlarmDesk) -> None:
        await desk.take(IN_FRANCE, "1.0.0", NOTHING)
        elsewhere = [replace(FOUND, kind="constant", segment='country "IT"')]
        await desk.explained(Explanation(elsewhere, in_segments=there), 3_000)

    opened, updated = told(play)
    assert (opened.kind, opened.words) == ("location", "")
    assert (updated.kind, updated.words, updated.segment) == ("unit", "× 100", 'country "FR"')


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("value", "location"),
        ("missing", "missing"),
        ("unseen", "new_category"),
        ("rate", "performance"),
    ],
)
def test_an_alarm_has_a_kind_before_any_window_says_more(part: str, kind: str) -> None:
    detector = replace(CHANGE, part=part, detector="examples" if part == "rate" else "steps")
    [alarm] = told(lambda desk: desk.take(detector, "1.0.0", NOTHING))
    assert alarm.kind == kind


def test_with_another_reference_what_is_open_is_over_and_says_why() -> None:
    async def play(desk: AlarmDesk) -> None:
        await desk.take(CHANGE, "1.0.0", NOTHING)
        await desk.take(replace(CHANGE, column="hour"), "1.1.0", NOTHING)
        await desk.supersede(9_000, keep=lambda one: one.version == "1.1.0")
        assert [one.column for one in desk.open] == ["hour"]
        await desk.take(replace(CHANGE, at_ms=10_000), "1.1.0", NOTHING)

    said = told(play)
    assert [(one.column, one.status, one.is_superseded) for one in said] == [
        ("amount", "open", False), ("hour", "open", False), ("amount", "closed", True),
        ("amount", "open", False),
    ]  # fmt: skip
    assert said[2].closed_ms == 9_000
    words = "from then on it was compared with another reference"
    assert words in life(said[2])[-1][1]
    assert words not in life(replace(said[2], is_superseded=False))[-1][1]


def test_a_column_that_is_suppressed_asks_for_no_candidate_until_that_ends() -> None:
    """Also of an alarm that was open before, which is marked, and stays so when it changes."""
    kept = MemoryDatabase()
    store = StoredDrift(MemoryDocuments(kept))
    asked: list[list[int]] = []

    async def play(desk: AlarmDesk) -> None:
        await desk.take(CHANGE, "1.0.0", NOTHING)
        asked.append(desk.opened_ms(of_performance=False))
        quiet = Suppression("amount", 10**15, "ann", "a sale")
        acted = await suppress(store, CONFIG, quiet, at_ms=10**15 - 1_000)
        assert [one.is_suppressed for one in acted.alarms] == [True]
        await desk.look()
        asked.append(desk.opened_ms(of_performance=False))
        await desk.explained(Explanation([FOUND]), 3_000)
        acted = await end_suppression(store, "amount", who="ann", at_ms=10**15 - 500)
        assert [one.is_suppressed for one in acted.alarms] == [False]
        kept.documents.pop("suppressed:amount")  # as it is over
        await desk.look()
        asked.append(desk.opened_ms(of_performance=False))

    said = told(play, kept)
    assert asked == [[2_000], [], [2_000]]
    assert [(one.kind, one.is_suppressed) for one in said] == [("location", False), ("unit", True)]


def test_what_begins_in_a_pause_is_opened_behind_it_unless_it_is_over_by_then() -> None:
    short = replace(CHANGE, column="hour", at_ms=2_500)

    async def play(desk: AlarmDesk) -> None:
        paused = True
        desk.is_paused = lambda: paused
        await desk.take(CHANGE, "1.0.0", NOTHING)
        await desk.take(short, "1.0.0", NOTHING)
        await desk.take(replace(short, at_ms=3_000, is_over=True), "1.0.0", NOTHING)
        await desk.go_on()
        assert desk.open == []
        assert desk.is_holding

        paused = False
        await desk.go_on()
        assert not desk.is_holding
        assert [one.column for one in desk.open] == ["amount"]

    [alarm] = told(play)
    assert (alarm.column, alarm.since_ms, alarm.opened_ms) == ("amount", 1_000, 2_000)


def test_what_was_open_before_a_pause_is_over_when_it_is_over() -> None:
    async def play(desk: AlarmDesk) -> None:
        await desk.take(CHANGE, "1.0.0", NOTHING)
        desk.is_paused = lambda: True
        await desk.take(replace(CHANGE, at_ms=3_000, is_over=True), "1.0.0", NOTHING)

    assert [one.status for one in told(play)] == ["open", "closed"]


def test_what_a_pause_holds_goes_with_the_model_that_it_was_of() -> None:
    async def play(desk: AlarmDesk) -> None:
        desk.is_paused = lambda: True
        await desk.take(CHANGE, "1.0.0", NOTHING)
        await desk.supersede(5_000, keep=lambda one: one.version != "1.0.0")
        assert not desk.is_holding

    assert told(play) == []
