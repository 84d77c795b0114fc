"""`sentinel drift`, on a real broker and a real store."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentinel.adapters.kafka import KafkaParams
from sentinel.adapters.redis import RedisParams
from sentinel.codec.stored import decode_stored
from sentinel.operations.stores import open_drift
from sentinel.stored.drift import Alarm
from sentinel.stores import StoredDrift
from tests.app import small
from tests.app.test_archive import decision
from tests.archive.samples import archive_at, write
from tests.cli.drift_samples import an_alarm, fill
from tests.cli.folder import Folder

pytestmark = pytest.mark.integration


def with_drift(folder: Folder, work: Callable[[StoredDrift], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with open_drift(replace(folder.redis, key_prefix=folder.name)) as store:
            return await work(store)

    return asyncio.run(main())


@pytest.fixture
def empty(
    tmp_path: Path,
    kafka_params: KafkaParams,
    redis_params: RedisParams,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    monkeypatch.chdir(tmp_path)
    small.config(tmp_path)
    return Folder(kafka_params, redis_params, words=("drift",))


@pytest.fixture
def folder(empty: Folder) -> Folder:
    with_drift(empty, lambda store: fill(store, at_ms=round(time.time() * 1000)))
    return empty


def test_before_anything_was_watched_the_status_says_so(empty: Folder) -> None:
    said = empty.said("status")

    assert "watched: nothing" in said
    assert "no model serves yet: there is nothing to watch" in said
    assert "no alarm is open" in said
    assert "no window is complete yet" in empty.said("report")


def test_the_status_is_one_screen(folder: Folder) -> None:
    said = folder.said("status")

    for words in (
        "watched: version 1.0.0, to 2026-09-01 10:00:00 UTC of event time",
        "reference: the history that it was trained on",
        "2 alarms are open; 1 alarm is over",
        'unseen values of country up in channel "web"',
        "+0.42 sd",
        "median 21.5 -> 34.2",
        "hour is suppressed until",
        "by ann: a holiday",
        "amount; country",
        "recall 0.550 → 0.400",
        "missed per 1,000 transactions 34.10 → 51.20",
        "if P(fraud | x) is unchanged",
    ):
        assert words in said
    assert len(said.splitlines()) < 40


def test_a_script_gets_one_object(folder: Folder) -> None:
    status = json.loads(folder.said("status", "--json"))
    report = json.loads(folder.said("report", "--json"))
    reference = json.loads(folder.said("reference", "--json"))

    assert [one["column"] for one in status["alarms"]] == ["country", "amount"]
    assert {one["scale"] for one in status["windows"]} == {"hour", "day"}
    assert report["status"] == status
    assert len(report["windows"]) == 39
    assert (reference["version"], reference["kept_in"]) == ("1.0.0", "store")


def test_an_alarm_is_acknowledged_and_everybody_is_told(folder: Folder) -> None:
    name = an_alarm().id

    said = folder.said("ack", name, "--who", "ann", "--note", "the sale has begun")

    assert said.splitlines() == [
        f"{name}: amount up since 2026-09-01 04:00 UTC",
        "acknowledged by ann",
    ]
    kept = with_drift(folder, lambda store: store.alarm(name))
    assert (kept.status, kept.note) == ("acknowledged", "the sale has begun")
    (record,) = folder.published("drift-alerts")
    assert record.key == name.encode()
    assert decode_stored(Alarm, record.value or b"") == kept
    (entry,) = [json.loads(one.value or b"") for one in folder.published("audit")]
    assert (entry["kind"], entry["subject"], entry["who"]) == ("drift alarm", name, "ann")
    assert "1 acknowledged" in folder.said("status")
    assert "acknowledged by ann: the sale has begun" in folder.said("report", "--alarm", name)


def test_a_column_is_suppressed_and_told_again(folder: Folder) -> None:
    assert "alarms of amount are quiet until" in folder.said(
        "suppress", "amount", "--for", "7d", "--who", "ann", "--why", "a sale"
    )
    assert "acknowledged" not in folder.said("status")
    assert "open, suppressed" in folder.said("status")

    folder.said("suppress", "amount", "--end", "--who", "bob")

    assert "amount is suppressed" not in folder.said("status")
    entries = [json.loads(one.value or b"") for one in folder.published("audit")]
    assert [(one["subject"], one["who"], one["after"]["change"]) for one in entries] == [
        ("amount", "ann", "suppressed"),
        ("amount", "bob", "ended"),
    ]


def test_a_reference_is_shown_and_forgotten(folder: Folder) -> None:
    said = folder.said("reference", COLUMNS="120")
    assert "kept in the store" in said
    assert "account_count_7d" in said

    folder.said("reference", "1.0.0", "--forget", "--who", "ann")

    assert with_drift(folder, lambda store: store.reference("1.0.0")) is None
    (entry,) = [json.loads(one.value or b"") for one in folder.published("audit")]
    assert (entry["kind"], entry["subject"]) == ("drift reference", "1.0.0")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("ack", "nothing"), 'there is no alarm "nothing"; the newest is'),
        (("report", "--alarm", "nothing"), 'there is no alarm "nothing"; the newest is'),
        (("suppress", "amuont", "--for", "7d"), '"amuont" is not watched; there: score, '),
        (("suppress", "amount"), "say how long, such as --for 7d, or --end"),
        (("suppress", "amount", "--for", "7d", "--end"), "say how long, such as --for 7d, or"),
        (("suppress", "amount", "--for", "soon"), '--for: duration "soon" must be'),
        (("suppress", "amount", "--end"), '"amount" is not suppressed'),
        (("reference", "9.9.9"), "version 9.9.9 is not in the registry; there: "),
        (("report", "--html", "no/such/folder.html"), "no/such/folder.html: cannot be written: "),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    folder: Folder, arguments: tuple[str, ...], why: str
) -> None:
    assert folder.refusal(*arguments).startswith(why)


def test_the_report_is_a_page_too(folder: Folder) -> None:
    said = folder.said("report", "--html", "drift.html")

    assert said == "drift.html: 3 alarms, 39 windows\n"
    assert Path("drift.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_report_of_an_alarm_has_transactions_of_the_archive(folder: Folder) -> None:
    """Of the cells that grew most; what strangers have written does nothing."""
    alarm = an_alarm()
    values = [
        decision(i, event_time_ms=alarm.since_ms + i, transaction_id=f"[red]t{i}[/red]",
                 account=f"C{i}", features=[20.0 + i])
        for i in range(60)
    ]  # fmt: skip
    write(archive_at(Path(".sentinel/archive")), "decisions", values, names=["amount"])

    said = folder.said("report", "--alarm", alarm.id)

    assert "20 transactions where it grew most" in said
    assert "[red]t59[/red]" in said
    assert "`sentinel why TRANSACTION` tells why" in said
    told = json.loads(folder.said("report", "--alarm", alarm.id, "--json"))["examples"]
    assert [one["value"] for one in told[alarm.id]["found"]][:2] == [79.0, 78.0]


def test_the_report_of_an_alarm_says_why_it_has_no_examples(folder: Folder) -> None:
    said = folder.said("report", "--alarm", "1.0.0-amount-value-1")

    assert "no example: no such decision is in the archive" in said
    told = json.loads(folder.said("report", "--json"))
    assert len(told["examples"]) == 2


def test_the_report_has_windows_and_their_findings(folder: Folder) -> None:
    said = folder.said("report", "--limit", "3")

    assert "the newest 3 of 39 windows" in said
    assert "account_count_7d" in said
    assert "1e-12" in said
