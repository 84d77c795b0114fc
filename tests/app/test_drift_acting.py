"""What a person says of alarms, and what is read of the watch, on what is kept in memory."""

from dataclasses import replace

import pytest

from sentinel.codec.drift.references import manifest_entry, stored_reference
from sentinel.errors import ConfigError, TransientError
from sentinel.operations.drift.acting import (
    acknowledge,
    end_suppression,
    forget_reference,
    suppress,
    until_ms,
)
from sentinel.operations.drift.naming import cell_names
from sentinel.operations.drift.references import reference_facts
from sentinel.operations.drift.report import drift_report
from sentinel.operations.drift.status import drift_status
from sentinel.stored.drift import Alarm, Suppression
from sentinel.stored.versions import Artifact, ModelEvent, RegistryState
from sentinel.stores import StoredDrift, StoredModels
from tests.cli.drift_samples import (
    CONFIG,
    DAY_MS,
    NAMES,
    NOW_MS,
    a_reference,
    a_window,
    an_alarm,
    fill,
    stores,
)


async def champion(models: StoredModels, version: str = "1.0.0") -> None:
    state = RegistryState(number=1, stages={version: "production"}, champion=version)
    event = ModelEvent(1, NOW_MS, "promoted", version, version, None, None, "ann", "")
    await models.change(RegistryState(), state, [event])


async def test_who_acknowledges_an_alarm_is_kept_with_what_they_wrote() -> None:
    drift, _ = stores()
    await drift.put_alarm(None, an_alarm())

    acted = await acknowledge(drift, an_alarm().id, who=" ann ", note="a sale", at_ms=NOW_MS)

    found = await drift.alarm(an_alarm().id)
    assert found == an_alarm(status="acknowledged", acknowledged_by="ann", note="a sale")
    assert acted.alarms == [found]
    (entry,) = acted.entries
    assert (entry.kind, entry.subject, entry.who) == ("drift alarm", an_alarm().id, "ann")
    assert (entry.before or {})["status"] == "open"
    assert (entry.after or {})["note"] == "a sale"


async def test_an_alarm_that_is_over_stays_so_when_somebody_has_seen_it() -> None:
    drift, _ = stores()
    await drift.put_alarm(None, an_alarm(status="closed", closed_ms=NOW_MS))

    await acknowledge(drift, an_alarm().id, who="ann", note="", at_ms=NOW_MS)

    found = await drift.alarm(an_alarm().id)
    assert found is not None
    assert (found.status, found.acknowledged_by) == ("closed", "ann")


async def test_an_alarm_may_be_named_by_how_only_it_begins() -> None:
    drift, _ = stores()
    for one in (an_alarm(1), an_alarm(2, id="2.0.0-hour"), an_alarm(3)):
        await drift.put_alarm(None, one)

    acted = await acknowledge(drift, "2.0", who="ann", note="", at_ms=NOW_MS)

    assert [one.id for one in acted.alarms] == ["2.0.0-hour"]
    with pytest.raises(ConfigError, match=r'2 alarms begin with "1\.0"'):
        await acknowledge(drift, "1.0", who="ann", note="", at_ms=NOW_MS)


@pytest.mark.parametrize(
    ("name", "who", "note", "why"),
    [
        ("nothing", "ann", "", 'there is no alarm "nothing"; the newest is 1.0.0-amount-value-1'),
        (" ", "ann", "", "the alarm must not be empty"),
        ("\udcff", "ann", "", "the alarm is not text in UTF-8"),
        (an_alarm().id, " ", "", "--who must not be empty"),
        (an_alarm().id, "ann", "x" * 2_001, "--note may have 2,000 characters, not 2,001"),
    ],
)
async def test_what_cannot_be_acknowledged_is_said(
    name: str, who: str, note: str, why: str
) -> None:
    drift, _ = stores()
    await drift.put_alarm(None, an_alarm())

    with pytest.raises(ConfigError) as caught:
        await acknowledge(drift, name, who=who, note=note, at_ms=NOW_MS)

    assert str(caught.value) == why
    assert await drift.alarm(an_alarm().id) == an_alarm()


class Overtaken(StoredDrift):
    """Before each of the first changes, whoever watches has changed the alarm."""

    overtaken_count = 0

    async def put_alarm(self, before: Alarm | None, after: Alarm) -> bool:
        if before is not None and self.overtaken_count:
            self.overtaken_count -= 1
            now = await self.alarm(before.id)
            assert now is not None
            assert await super().put_alarm(now, replace(now, effect=now.effect + 1.0))
        return await super().put_alarm(before, after)


@pytest.mark.parametrize("count", [1, 4])
async def test_what_the_watch_says_meanwhile_is_not_lost(count: int) -> None:
    drift = Overtaken(stores()[0]._documents)
    await drift.put_alarm(None, an_alarm(effect=0.0))
    drift.overtaken_count = count

    await acknowledge(drift, an_alarm().id, who="ann", note="", at_ms=NOW_MS)

    found = await drift.alarm(an_alarm().id)
    assert found == an_alarm(effect=count, status="acknowledged", acknowledged_by="ann")


async def test_one_that_changes_all_the_time_is_left_as_it_is() -> None:
    drift = Overtaken(stores()[0]._documents)
    await drift.put_alarm(None, an_alarm())
    drift.overtaken_count = 100

    with pytest.raises(TransientError, match="nothing is done: say it again"):
        await acknowledge(drift, an_alarm().id, who="ann", note="", at_ms=NOW_MS)

    found = await drift.alarm(an_alarm().id)
    assert found is not None
    assert found.status == "open"


async def test_a_column_is_quiet_until_then_or_until_somebody_ends_it() -> None:
    drift, models = stores()
    wanted = Suppression("amount", NOW_MS + DAY_MS, "ann", "a sale")

    acted = await suppress(drift, CONFIG, wanted, at_ms=NOW_MS)

    assert acted.entries[0].before is None
    assert (await drift_status(drift, models, CONFIG, now_ms=NOW_MS)).suppressions == [wanted]
    later = await drift_status(drift, models, CONFIG, now_ms=NOW_MS + DAY_MS)
    assert later.suppressions == []

    ended = await end_suppression(drift, "amount", who="bob", at_ms=NOW_MS + 1)
    assert (ended.entries[0].before or {})["why"] == "a sale"
    assert (await drift_status(drift, models, CONFIG, now_ms=NOW_MS + 1)).suppressions == []
    with pytest.raises(ConfigError, match='"amount" is not suppressed'):
        await end_suppression(drift, "amount", who="bob", at_ms=NOW_MS + 2)


async def test_only_what_is_watched_can_be_suppressed_and_not_for_good() -> None:
    drift, _ = stores()
    await drift.put_alarm(None, an_alarm(column="missed fraud", part="rate"))
    for column in ("score", "distance", "missed fraud"):  # of all, of the features, has alarmed
        await suppress(drift, CONFIG, Suppression(column, NOW_MS + 1, "ann"), at_ms=NOW_MS)

    with pytest.raises(ConfigError, match='"amuont" is not watched; there: score, amount, hour'):
        await suppress(drift, CONFIG, Suppression("amuont", NOW_MS + 1, "ann"), at_ms=NOW_MS)
    for end_ms in (NOW_MS, NOW_MS + 367 * DAY_MS):
        with pytest.raises(ConfigError, match='--for must be between "1s" and "366d"'):
            await suppress(drift, CONFIG, Suppression("amount", end_ms, "ann"), at_ms=NOW_MS)


def test_a_duration_is_a_number_and_a_unit() -> None:
    assert until_ms("7d", NOW_MS) == NOW_MS + 7 * DAY_MS
    for text in ("", "7", "a week", "-7d", "99999999w"):
        with pytest.raises(ConfigError, match="--for: duration"):
            until_ms(text, NOW_MS)


async def test_what_the_stream_gave_can_be_forgotten_and_what_a_version_has_cannot() -> None:
    drift, models = stores()
    await champion(models)
    await models.add(Artifact("1.0.0", "tree", {"reference": manifest_entry(a_reference(300))}))
    await drift.keep_reference("1.0.0", stored_reference(a_reference(500)))
    _, found = await reference_facts(drift, models, "")
    assert found is not None
    assert (found.kept_in, found.row_count) == ("store", 500)

    acted = await forget_reference(drift, models, "1.0.0", who="ann", at_ms=NOW_MS)

    assert (acted.entries[0].before or {})["row_count"] == 500
    _, found = await reference_facts(drift, models, "1.0.0")
    assert found is not None
    assert (found.kept_in, found.row_count) == ("manifest", 300)
    with pytest.raises(ConfigError, match="was made with it, and stays with it"):
        await forget_reference(drift, models, "1.0.0", who="ann", at_ms=NOW_MS)


async def test_a_version_without_a_reference_is_another_thing_than_none() -> None:
    drift, models = stores()
    with pytest.raises(ConfigError, match="no model serves yet: name a version"):
        await reference_facts(drift, models, "")
    await champion(models)

    assert await reference_facts(drift, models, "") == ("1.0.0", None)
    with pytest.raises(
        ConfigError, match=r"version 9\.9\.9 is not in the registry; there: 1\.0\.0"
    ):
        await reference_facts(drift, models, "9.9.9")
    with pytest.raises(ConfigError, match=r"version 1\.0\.0 has no reference"):
        await forget_reference(drift, models, "1.0.0", who="ann", at_ms=NOW_MS)


async def test_the_status_says_what_is_missing() -> None:
    drift, models = stores()

    found = await drift_status(drift, models, CONFIG, now_ms=NOW_MS)
    assert found.lacking == ["no model serves yet: there is nothing to watch"]

    await champion(models)
    found = await drift_status(drift, models, CONFIG, now_ms=NOW_MS)
    assert [one.split(":")[0] for one in found.lacking] == [
        "nothing has been watched yet",
        "version 1.0.0 has no reference yet, and nothing alarms until then",
    ]
    assert "at least 10,000 of them" in found.lacking[1]

    reference = a_reference(300)
    unscored = replace(reference, scores=type(reference.scores).empty(1))
    await drift.keep_reference("1.0.0", stored_reference(unscored))
    found = await drift_status(drift, models, CONFIG, now_ms=NOW_MS)
    assert found.lacking[1].startswith("the score of version 1.0.0 has no reference yet")

    off = replace(CONFIG, drift=replace(CONFIG.drift, enabled=False))
    found = await drift_status(drift, models, off, now_ms=NOW_MS)
    assert found.lacking == ["nothing is watched: drift.enabled is false"]


async def test_a_damaged_reference_is_said_and_the_rest_is_shown() -> None:
    drift, models = stores()
    await fill(drift)
    stored = replace(stored_reference(a_reference(300)), origin="nowhere")
    await drift.keep_reference("1.0.0", stored)

    found = await drift_status(drift, models, CONFIG, now_ms=NOW_MS)

    (said,) = found.lacking
    assert said.startswith("the reference of version 1.0.0 is damaged")
    assert len(found.alarms) == 2


async def test_the_status_has_the_worst_alarm_first_and_the_newest_window_of_each_scale() -> None:
    drift, models = stores()
    await fill(drift)

    found = await drift_status(drift, models, CONFIG, now_ms=NOW_MS)

    assert (found.version, found.watched_to_ms, found.lacking) == ("1.0.0", NOW_MS, [])
    assert found.reference is not None
    assert [one.name for one in found.reference.columns] == NAMES
    assert found.reference.columns[0].missing_share == pytest.approx(0.02, abs=0.005)
    assert [(one.severity, one.column) for one in found.alarms] == [
        ("critical", "country"),
        ("warning", "amount"),
    ]
    assert found.closed_count == 1
    assert [(one.scale, one.end_ms) for one in found.windows] == [("hour", NOW_MS), ("day", NOW_MS)]


async def test_a_report_of_one_alarm_is_of_it_alone() -> None:
    drift, models = stores()
    await fill(drift)
    await drift.keep_window(a_window("rows", NOW_MS + 1))

    everything = await drift_report(drift, models, CONFIG, now_ms=NOW_MS)
    one = await drift_report(drift, models, CONFIG, alarm=an_alarm(2).id, now_ms=NOW_MS)

    assert len(everything.alarms) == 3
    assert everything.windows[0].scale == "rows"
    assert everything.cell_names.keys() == {"score", *NAMES}
    assert [alarm.column for alarm in one.alarms] == ["country"]
    with pytest.raises(ConfigError, match="there is no alarm"):
        await drift_report(drift, models, CONFIG, alarm="x", now_ms=NOW_MS)


def test_cells_are_named_by_what_they_hold() -> None:
    amount, hour = a_reference().features[:2]

    of_number, of_value = cell_names(amount), cell_names(hour)

    assert of_number[0].startswith("≤ ")
    assert of_number[amount.finite_count].startswith("> ")
    assert (of_number[32], of_number[33]) == ("missing", "")
    assert of_value[:9] == ["0", "1", "2", "3", "4", "5", "6", "7", ""]
    assert of_value[31:] == ["other", "missing", "unseen"]


async def test_windows_of_rows_that_come_by_the_minute_do_not_displace_days() -> None:
    drift, models = stores()
    for day in range(5):
        await drift.keep_window(a_window("day", NOW_MS + day * DAY_MS))
    for i in range(1_200):
        await drift.keep_window(a_window("rows", NOW_MS + 5 * DAY_MS + i, names=["amount"]))

    found = await drift_report(drift, models, CONFIG, now_ms=NOW_MS)

    of_day = [one.end_ms for one in found.windows if one.scale == "day"]
    assert of_day == [NOW_MS + day * DAY_MS for day in (4, 3, 2, 1, 0)]
    ends_ms = [one.end_ms for one in found.windows]
    assert ends_ms == sorted(ends_ms, reverse=True)
    assert len(ends_ms) == 255
    assert [one.scale for one in found.status.windows] == ["rows", "day"]
    assert [one.end_ms for one in await drift.windows(2)] == ends_ms[:2]
