"""`sentinel feedback waiting`: by the archive's folder, whatever runs."""

import json
import os
from pathlib import Path

import pytest

from sentinel.codec.stored import encode_stored
from sentinel.engine.archive.linking import LinkingProgress, Waiting
from sentinel.records import Feedback
from tests.cli.test_commands import refusal, sentinel

TIME_MS = 1_767_225_600_000  # 2026-01-01
NOTES = Path(".sentinel/archive/notes")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def note(*waiting: Waiting, log: str = "0badcafe", at_s: float = TIME_MS / 1000) -> None:
    NOTES.mkdir(parents=True, exist_ok=True)
    path = NOTES / f"{log}-feedback.json"
    path.write_bytes(encode_stored(LinkingProgress(5, list(waiting))))
    os.utime(path, (at_s, at_s))


def waiting(name: str, who: str = "ann", since_ms: int = TIME_MS, source: str = "desk") -> Waiting:
    return Waiting(Feedback(name, "fraud", source, who), since_ms)


def test_what_waits_is_listed_newest_first() -> None:
    note(waiting("old"), waiting("new", "bob", TIME_MS + 60_000), at_s=TIME_MS / 1000 + 90)

    result = sentinel("feedback", "waiting")

    assert result.exit_code == 0, result.output
    assert "2 wait for their transaction, as of 2026-01-01 00:01:30" in result.stdout
    lines = result.stdout.splitlines()
    new, old = (next(i for i, line in enumerate(lines) if name in line) for name in ("new ", "old"))
    assert new < old
    assert "desk/bob" in lines[new]
    assert "2026-01-01 00:01:00" in lines[new]
    assert " d" in lines[old], "how long, too"


def test_the_list_is_bounded_and_one_object_a_line_with_json() -> None:
    note(*(waiting(f"t{i}", since_ms=TIME_MS + i) for i in range(30)))

    shown = sentinel("feedback", "waiting", "--limit", 3).stdout
    assert "30 wait" in shown
    assert "the newest 3" in shown
    assert "t26" not in shown
    lines = sentinel("feedback", "waiting", "--json").stdout.splitlines()
    assert len(lines) == 20
    first = json.loads(lines[0])
    assert first.pop("waits_s") > 0
    assert first == {
        "transaction_id": "t29", "source": "desk", "who": "ann", "label": "fraud",
        "observed_ms": 0, "since_ms": TIME_MS + 29,
    }  # fmt: skip


def test_the_newest_of_several_logs_is_shown_and_that_there_are_more() -> None:
    note(waiting("dead"), log="00000000", at_s=1.0)
    note(waiting("live"))

    shown = sentinel("feedback", "waiting").stdout
    assert "1 wait for their transaction, of the newest of 2 logs" in shown
    assert "live" in shown
    assert "dead" not in shown


def test_names_of_strangers_do_nothing() -> None:
    note(waiting("[/x]", "x\x1b[31mred"))

    shown = sentinel("feedback", "waiting").stdout
    assert "[/x]" in shown
    assert r"x\x1b[31mred" in shown


def test_nothing_waits_and_no_note_are_two_things() -> None:
    assert "holds no note of feedback" in refusal("feedback", "waiting")
    note()
    assert "0 wait" in sentinel("feedback", "waiting").stdout
    (NOTES / "0badcafe-feedback.json").write_text('{"next_offset": "x"}')
    assert "is not what the archive writes" in refusal("feedback", "waiting")
