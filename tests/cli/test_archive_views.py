"""`sentinel archive schema` and `history`, which read files and ask nobody."""

import json
from pathlib import Path

import polars as pl
import pytest

from sentinel.core.logs import log_id
from tests.archive.samples import COUNT, archive_at, changed_twice, decided, write
from tests.cli.test_commands import refusal, sentinel


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")


def lines(text: str) -> dict[str, list[str]]:
    """The cells of each row of a table, by its first one."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    return {row[0]: row[1:] for row in rows if row}


def test_the_schema_says_which_columns_have_come_and_gone() -> None:
    files = changed_twice(Path(".sentinel/archive"))
    first, second, _ = files.segments("decisions")
    pl.read_parquet(first.path).cast({"feature_amount": pl.Int64}).write_parquet(first.path)

    result = sentinel("archive", "schema")

    assert result.exit_code == 0, result.output
    told = lines(result.output)
    assert told["account"] == ["String", "2026-03-01", "", "3 of 3", ""]
    assert told["feature_risk"] == [
        "Float64", "2026-03-02", "", "2 of 3", f"came with {second.path.name}"
    ]  # fmt: skip
    assert told["feature_ratio"] == [
        "Float64", "2026-03-01", "2026-03-02", "2 of 3", "the newest file is without"
    ]  # fmt: skip
    assert told["feature_amount"][-1] == "was Int64 in 1, Float64 in 2 files"
    assert "posterior" in lines(sentinel("archive", "schema", "labels").output)


def test_a_history_shows_the_newest_decisions_of_an_account() -> None:
    changed_twice(Path(".sentinel/archive"))

    result = sentinel("archive", "history", "C1", "--limit", "4")

    assert result.exit_code == 0, result.output
    assert [name for name in lines(result.output) if name.startswith("2026")] != []
    assert "the last 4 of 6" in result.output
    (row,) = sentinel(
        "archive", "history", "C1", "--since", "2026-03-03", "--limit", "1", "--json"
    ).stdout.splitlines()
    assert json.loads(row)["transaction_id"] == f"t{3 * COUNT - 2}"
    assert json.loads(row)["feature_score"] == 3 * COUNT - 2 + 0.2


def test_names_of_strangers_are_shown_as_they_are() -> None:
    files = archive_at(Path(".sentinel/archive"))
    value = decided(0, [1.0], account="[red]C[/red]", transaction_id="[/]", action="[b]block")
    write(files, "decisions", [value], names=["[bold]a"])

    shown = sentinel("archive", "history", "[red]C[/red]").output
    assert "[/]" in shown
    assert "[b]block" in shown
    assert "feature_[bold]a" in sentinel("archive", "schema").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("schema",), "decisions: there are no archived files"),
        (("schema", "alerts"), '"alerts" is not archived, but decisions, labels, audit are'),
        (("history", "C1"), "decisions: there are no archived files; `sentinel archive run`"),
    ],
)
def test_an_empty_archive_is_one_sentence(words: tuple[str, ...], told: str) -> None:
    assert told in refusal("archive", *words)


def test_what_is_not_there_or_not_whole_is_one_sentence() -> None:
    files = changed_twice(Path(".sentinel/archive"))

    assert "no decision on account nobody" in refusal("archive", "history", "nobody")
    assert "is no day" in refusal("archive", "history", "C1", "--since", "soon")
    path = files.segments("decisions")[0].path
    path.write_bytes(path.read_bytes()[:-9])
    for words in (("schema",), ("history", "C1")):
        assert f"{path}: cannot be read as Parquet" in refusal("archive", *words)


def test_what_is_archived_is_told_of_while_nothing_runs() -> None:
    """Neither of the brokers whose logs it came of is there any more."""
    files = changed_twice(Path(".sentinel/archive"))
    again = decided(0, [7.0], decision_id="transactions.1-0-0", action="review")
    write(files, "decisions", [again], day=3, names=["other"], log="another/1")
    entry = {"id": "feedback-0-vote", "kind": "vote", "subject": "t0", "who": "bank", "at_ms": 1}
    write(files, "audit", [{**entry, "before": None, "after": {"label": "fraud"}}])

    why = sentinel("why", "t0")

    assert why.exit_code == 0, why.output
    told = why.output.splitlines()
    assert "decision transactions.1-0-0" in told[0]
    assert told[1].startswith("before: t0 of")
    assert "decision transactions-0-0" in told[1]
    assert f"of log {log_id('memory/1')}" in told[1]
    assert "label fraud" in why.output
    assert "the votes are shown while `sentinel run` is running" in why.output
    assert "bank" in sentinel("audit", "t0").output
    assert "19 decisions" in sentinel("why", "--replay").output
    made = sentinel("archive", "examples", "examples.parquet")
    assert made.exit_code == 0, made.output
    assert len(pl.read_parquet("examples.parquet")) == 3
    assert sentinel("archive", "compact").exit_code == 0
