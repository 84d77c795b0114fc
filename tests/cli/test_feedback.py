"""`sentinel feedback` and `sentinel investigators`, on a real broker and a real store."""

import asyncio
import gzip
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sentinel.adapters import feedback_files as voice_files
from sentinel.adapters.archive import ArchiveParams, ParquetArchive
from sentinel.adapters.kafka import KafkaParams
from sentinel.adapters.redis import RedisParams
from sentinel.cli.texts import plain
from sentinel.codec.archive import archive_rows, decode_archived
from sentinel.operations.stores import open_cases
from sentinel.records import Record
from sentinel.stored.votes import Annotator, Case, CaseBatch, FeedbackProgress, Vote
from tests.app import small
from tests.app.test_archive import decision
from tests.cli.folder import Folder

pytestmark = pytest.mark.integration

TIME_MS = 1_767_225_600_000  # 2026-01-01
KNOWN = Case(
    "known", TIME_MS, {"account": "a1", "terminal": "m1"},
    (Vote("investigator/ann", "fraud", 0, 0.9, TIME_MS + 1, 0, notes="same device"),),
    0.83, None, "open",
)  # fmt: skip
ANN = Annotator("investigator/ann", 20.0, 2.0, 30.0, 1.0, 60, 22, 1, 1, TIME_MS, TIME_MS)
ZED = Annotator(
    "investigator/zed", 0.0, 12.0, 30.0, 0.0, 42, 0, 0, 0, TIME_MS, TIME_MS + 1,
    known_count=20, known_right_count=18,
)  # fmt: skip
CONTESTED = Case(
    "contested", TIME_MS, {"account": "a1"},
    (
        Vote("investigator/ann", "fraud", 0, 1.0, TIME_MS, 1),
        Vote("customer/eve", "genuine", 0, 1.0, TIME_MS, 2),
    ),
    0.6, None, "contested",
)  # fmt: skip
BANK = Annotator("chargeback/issuer", vote_count=9, fraud_count=9, last_ms=TIME_MS + 2)


def sent(folder: Folder) -> list[dict[str, Any]]:
    """What the topic of feedback holds."""
    return [json.loads(record.value or b"") for record in folder.published("feedback")]


@pytest.fixture
def folder(
    tmp_path: Path,
    kafka_params: KafkaParams,
    redis_params: RedisParams,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    monkeypatch.chdir(tmp_path)
    small.config_file(tmp_path)
    found = Folder(kafka_params, redis_params)

    async def fill() -> None:
        params = replace(redis_params, key_prefix=found.name)
        async with open_cases(params) as store:
            people = {one.name: one for one in (ANN, ZED, BANK)}
            progress = FeedbackProgress("log", 0)
            await store.save(
                None, CaseBatch(progress, {"known": KNOWN, "contested": CONTESTED}, people)
            )

    asyncio.run(fill())
    return found


def test_a_voice_is_placed_by_its_options_or_by_what_others_said(folder: Folder) -> None:
    where = ("--account", "a2", "--event-time", "2026-01-02T03:04:05Z", "--entity", "terminal=m2")
    folder.said("feedback", "add", "new", "fraud", "--who", "bob", "--notes", "card lost", *where)
    said = folder.said("feedback", "add", "known", "genuine", "--who", "bob", "--revision", "2")

    assert "investigator/bob says genuine of known" in said
    first, second = sent(folder)
    assert first["entities"] == {"account": "a2", "terminal": "m2"}
    assert first["event_time_ms"] == TIME_MS + 86_400_000 + 11_045_000
    assert (first["who"], first["notes"], first["source"]) == ("bob", "card lost", "investigator")
    assert first["observed_ms"] > first["event_time_ms"]
    assert second["entities"] == KNOWN.entities
    assert (second["event_time_ms"], second["revision"]) == (TIME_MS, 2)


def test_a_voice_on_a_transaction_that_nobody_has_placed_waits_for_the_archive(
    folder: Folder,
) -> None:
    said = folder.said("feedback", "add", "new", "fraud", "--who", "bob")

    assert "counts when `sentinel archive run` has archived the decision" in said
    (one,) = sent(folder)
    assert (one["transaction_id"], one["event_time_ms"], one["entities"]) == ("new", None, None)


def archived(folder: Folder, *decisions: dict[str, Any]) -> None:
    """Write decisions as the archive of some log would."""
    files = ParquetArchive(ArchiveParams()).log("decisions", "0a1b2c3d")
    records = [
        Record(i, TIME_MS, None, json.dumps({**one, "features": []}).encode())
        for i, one in enumerate(decisions)
    ]
    rows = archive_rows(records, [decode_archived("decisions", record) for record in records])
    files.write(0, (0, len(records) - 1), ("", len(records) - 1), rows, [])


def test_one_who_does_not_say_who_they_are_is_who_has_logged_in(folder: Folder) -> None:
    """Two who did not say so were one, and the second took the place of the first."""
    for name in ("ann", "bob"):
        said = folder.said("feedback", "add", "known", "fraud", LOGNAME=name)
        assert f"investigator/{name} says fraud of known" in said

    assert [one["who"] for one in sent(folder)] == ["ann", "bob"]


def test_nobody_at_all_is_refused(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)

    assert "give one with --who" in folder.refusal("feedback", "add", "known", "fraud")
    assert "--who" in folder.refusal("feedback", "add", "known", "fraud", "--who", " ")


def test_a_voice_is_told_when_it_counts(folder: Folder) -> None:
    archived(folder, decision(7, event_time_ms=TIME_MS, account="a7"))
    where = ("--account", "a9", "--event-time", "2026-01-02")

    assert "t7 is archived: it counts at once" in folder.said("feedback", "add", "t7", "fraud")
    waits = folder.said("feedback", "add", "t8", "fraud")
    assert "t8 is not archived in .sentinel/archive yet: the vote counts when" in waits
    assert "since others have spoken of it" in folder.said("feedback", "add", "known", "fraud")
    given = folder.said("feedback", "add", "t9", "fraud", *where)
    assert "t9 is not archived in .sentinel/archive yet; it counts at once" in given
    assert "since you say when and of whom" in given

    placed = [(one["event_time_ms"], one["entities"], one["probability"]) for one in sent(folder)]
    assert placed[0] == (TIME_MS, {"account": "a7", "terminal": "m1"}, 0.25)
    assert placed[1][:2] == (None, None)


def test_a_voice_says_when_it_was_observed_and_how_the_transaction_was_chosen(
    folder: Folder,
) -> None:
    folder.said(
        "feedback", "add", "known", " Fraud", "--observed", "1767312000",
        "--selected-by", "random_check",
    )  # fmt: skip

    (one,) = sent(folder)
    assert one["observed_ms"] == TIME_MS + 86_400_000
    assert (one["label"], one["selected_by"]) == ("fraud", "random_check")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--observed", "2025-12-31"], "observed before the transaction happened"),
        (["--observed", "1999-12-31"], "observed 1999-12-31 00:00:00 is before 2000-01-01"),
        (["--observed", "{soon}"], "is in the future"),
        (["--observed", "yesterday"], 'observed "yesterday" is not a time such as'),
        (["--event-time", "2099-01-01"], "event_time 2099-01-01 00:00:00 is in the future"),
        (["--selected-by", "x" * 65], "selected_by of over 64 characters"),
        (["--account", "a9"], "account a9, but transaction known is of account a1"),
        (["--entity", "terminal=m9"], "terminal m9, but transaction known is of terminal m1"),
        (["--entity", "planet=mars"], "the schema has no \"planet\", but ['terminal']"),
        (["--source", "consensus"], 'source "consensus" is what Sentinel says itself'),
        (["--source", "a/b"], 'source "a/b" must not hold a slash'),
        (["--revision", "9007199254740992"], "revision"),
    ],
)
def test_what_cannot_be_true_of_a_known_transaction_is_refused(
    folder: Folder, more: list[str], words: str
) -> None:
    soon = datetime.fromtimestamp(time.time() + 150, UTC).isoformat()
    options = [soon if word == "{soon}" else word for word in more]

    assert words in folder.refusal("feedback", "add", "known", "fraud", *options)
    assert sent(folder) == []


def test_a_wrong_entity_of_a_known_or_archived_transaction_refuses_its_row(
    folder: Folder,
) -> None:
    archived(folder, decision(7, event_time_ms=TIME_MS, account="a7"))
    rows = [
        {"transaction_id": "known", "account": "a9"},
        {"transaction_id": "t7", "account": "a9", "event_time": "2026-01-01T00:00:00Z"},
        {"transaction_id": "t7", "account": "a7", "event_time": "2026-01-01T00:00:05Z"},
        {"transaction_id": "known", "entity_terminal": "m1", "entity_planet": "mars"},
        {"transaction_id": "new", "account": "a9", "event_time": "2026-01-01T00:00:05Z"},
    ]
    lines = [json.dumps({"label": "fraud", "who": "bob", **row}) for row in rows]
    Path("v.jsonl").write_text("\n".join(lines))

    result = folder.command("feedback", "import", "v.jsonl")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "row 1: account a9, but transaction known is of account a1",
        "row 2: account a9, but transaction t7 is of account a7",
        "unknown columns left out: entity_planet",
    ]
    assert "3 votes sent, 2 refused" in result.stdout
    assert "1 gave another event time than their transaction has" in result.stdout
    assert [(one["transaction_id"], one["event_time_ms"]) for one in sent(folder)] == [
        ("t7", TIME_MS),
        ("known", TIME_MS),
        ("new", TIME_MS + 5_000),
    ]
    assert all("planet" not in one["entities"] for one in sent(folder))


def test_an_odd_file_is_imported_row_by_row(folder: Folder) -> None:
    path = Path(__file__).parent.parent / "data" / "import_odd.jsonl"

    result = folder.command("feedback", "import", path)

    assert result.exit_code == 1
    assert "7 votes sent, 3 refused" in result.stdout
    assert "1 of them name nobody" in result.stdout
    assert [line.split(":")[0] for line in result.stderr.splitlines()[:3]] == [
        "row 1",
        "row 2",
        "row 10",
    ]
    assert [one["transaction_id"] for one in sent(folder)] == [f"T{i}" for i in range(2, 9)]


def test_a_file_that_breaks_off_has_been_sent_up_to_there(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_files, "PIECE_ROW_COUNT", 5)
    rows = "".join(f"T{i},1,{i * 7919 % 1013}\n" for i in range(50_000))
    whole = gzip.compress(f"task,label,notes\n{rows}".encode())
    Path("v.csv.gz").write_bytes(whole[: len(whole) // 50])

    result = folder.command("feedback", "import", "v.csv.gz")

    assert result.exit_code == 2
    assert "v.csv.gz: cannot be read" in result.stderr
    count = int(result.stderr.split()[0].replace(",", ""))
    assert count > 0
    assert len(sent(folder)) == count


def test_what_an_instance_would_refuse_is_refused_here_in_a_line(folder: Folder) -> None:
    assert '"perhaps" is not one of' in folder.refusal("feedback", "add", "known", "perhaps")
    bad_time = ("--account", "a", "--event-time", "yesterday")
    assert "is not a time such as" in folder.refusal("feedback", "add", "x", "fraud", *bad_time)
    bad_entity = ("--account", "a", "--entity", "terminal")
    assert "must be KIND=NAME" in folder.refusal("feedback", "add", "x", "fraud", *bad_entity)
    assert "nobody has said anything of transaction x" in folder.refusal("feedback", "show", "x")
    assert "no such file" in folder.refusal("feedback", "import", "nowhere.csv")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_file_of_voices_is_sent_and_its_bad_rows_are_named(folder: Folder, suffix: str) -> None:
    frame = pl.DataFrame(
        {
            "transaction_id": ["known", "new", "known"],
            "label": ["Fraud", "perhaps", "unsure"],
            "who": ["bob", "bob", "cyd"],
            "observed": ["2026-02-01T00:00:00Z"] * 3,
            "confidence": [0.5, None, None],
        }
    )
    path = Path(f"voices.{suffix}")
    if suffix == "csv":
        frame.write_csv(path)
    elif suffix == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_ndjson(path)

    result = folder.command("feedback", "import", path, "--source", "customer")

    assert result.exit_code == 1
    assert 'row 2: label "perhaps" is not one of' in result.stderr
    assert "2 votes sent, 1 refused" in result.stdout
    first, second = sent(folder)
    assert (first["label"], first["confidence"], first["source"]) == ("fraud", 0.5, "customer")
    assert first["observed_ms"] == TIME_MS + 31 * 86_400_000
    assert (second["who"], second["label"], second["confidence"]) == ("cyd", "unsure", 1.0)


def test_a_case_shows_who_said_what_and_what_came_of_it(folder: Folder) -> None:
    shown = folder.said("feedback", "show", "known")

    assert "known of 2026-01-01 00:00:00, account a1, terminal m1: open" in shown
    assert "probability of fraud 0.830, label none" in shown
    assert "investigator/ann" in shown
    assert "same device" in shown


def test_what_strangers_have_written_acts_nowhere(folder: Folder) -> None:
    names = json.loads((Path(__file__).parent.parent / "data" / "hostile.json").read_text())
    names = [name for name in names if len(name) < 50]

    async def fill() -> None:
        params = replace(folder.redis, key_prefix=folder.name)
        votes = tuple(
            Vote(f"investigator/{name}", "fraud", 0, 1.0, TIME_MS, i, notes=name)
            for i, name in enumerate(names)
        )
        case = Case(names[0], TIME_MS, {"account": names[1]}, votes, 0.5, None, "contested")
        people = {f"investigator/{name}": Annotator(f"investigator/{name}") for name in names}
        async with open_cases(params) as store:
            before = await store.progress()
            assert before is not None
            work = CaseBatch(replace(before, next_offset=9), {names[0]: case}, people)
            await store.save(before, work)

    asyncio.run(fill())
    commands = (("feedback", "show", names[0]), ("investigators",), ("feedback", "ask"))
    outputs = [folder.said(*words, COLUMNS="3000") for words in commands]
    added = folder.said("feedback", "add", names[1], "fraud", "--who", names[3], COLUMNS="3000")

    for output in outputs:
        for name in names:
            assert plain(name) in output
        assert all(line.isprintable() for line in output.splitlines())
    assert r"investigator/x\x1b[31mred says fraud of ACME[bold]77" in added


def test_investigators_are_shown_with_their_skill_and_what_is_odd(folder: Folder) -> None:
    lines = folder.said("investigators").splitlines()
    bank, zed, ann = (
        next(line for line in lines if name in line) for name in ("issuer", "zed", "ann")
    )

    assert lines.index(bank) < lines.index(zed) < lines.index(ann), "who voted last comes first"
    assert "trusted" in bank
    assert "clears everything" in zed
    assert "0.89 (0.7" in ann
    assert "clears" not in ann
    assert "18 of 20" in zed
    assert "0.94" in ann, "the share of recent votes that agree: 50 of 53"


def test_investigators_as_json_are_one_object_a_line(folder: Folder) -> None:
    bank, zed, ann = map(json.loads, folder.said("investigators", "--json").splitlines())

    assert (bank["annotator"], bank["is_trusted"]) == ("chargeback/issuer", True)
    assert "sensitivity" not in bank
    assert (zed["known_count"], zed["known_right_count"]) == (20, 18)
    assert zed["look_into"] == ["clears everything"]
    assert ann["agreement"] == pytest.approx(50 / 53)
    low, high = ann["sensitivity_range"]
    assert low < ann["sensitivity"] < high
    assert (ann["vote_count"], ann["first_ms"], ann["last_ms"]) == (60, TIME_MS, TIME_MS)


def test_what_is_not_settled_is_listed_with_whom_to_ask(folder: Folder) -> None:
    lines = folder.said("feedback", "ask").splitlines()
    first, second = (i for i, line in enumerate(lines) if "investigator/ann" in line)

    assert "2 to settle" in lines[0]
    assert "contested" in lines[first], "a quarrel comes before what is newer"
    assert "customer/eve" in lines[first]
    assert "investigator/zed" in lines[first]
    assert "known" in lines[second]
    assert "0.830" in lines[second]

    alone = folder.said("feedback", "ask", "--capacity", 1, "--limit", 1).splitlines()
    assert "1 to settle" in alone[0]


def test_whom_to_ask_as_json_is_one_object_a_line(folder: Folder) -> None:
    found = list(
        map(json.loads, folder.said("feedback", "ask", "--json", "--capacity", 1).splitlines())
    )

    assert [one["transaction_id"] for one in found] == ["contested", "known"]
    assert sorted((one["ask"] or "") for one in found) == ["", "investigator/zed"]
    assert (found[0]["status"], found[0]["posterior"], found[0]["vote_count"]) == (
        "contested", 0.6, 2,
    )  # fmt: skip
    assert found[0]["says_fraud"] == ["investigator/ann"]
    assert found[0]["says_genuine"] == ["customer/eve"]
    assert found[1]["entities"] == KNOWN.entities
    assert found[1]["newest_ms"] == TIME_MS + 1


def test_that_nobody_is_left_to_ask_is_said(folder: Folder) -> None:
    assert "nobody is left" in folder.said("feedback", "ask", "--source", "auditor")
