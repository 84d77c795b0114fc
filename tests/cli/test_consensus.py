"""`sentinel consensus` on files of votes."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from tests.cli.test_commands import refusal, sentinel

VOTES = [("t1", "ann", "fraud"), ("t1", "bob", "fraud"), ("t1", "cyd", "fraud")]
VOTES += [("t2", "ann", "genuine"), ("t2", "bob", "genuine"), ("t2", "cyd", "unsure")]
VOTES += [("t3", "ann", "fraud"), ("t3", "bob", "genuine")]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def votes_file(name: str = "votes.csv", **more: Sequence[object]) -> Path:
    columns = list(zip(*VOTES, strict=True))
    frame = pl.DataFrame({"task": columns[0], "worker": columns[1], "label": columns[2], **more})
    path = Path(name)
    if path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_parquet(path)
    return path


@pytest.mark.parametrize("name", ["votes.csv", "votes.jsonl", "votes.parquet"])
def test_a_file_of_votes_becomes_posteriors_labels_and_a_table_of_workers(name: str) -> None:
    result = sentinel(
        "consensus", votes_file(name), "--out", "tasks.csv", "--workers", "workers.parquet"
    )

    assert result.exit_code == 0, result.output
    assert "7 votes of 3 on 3 tasks, 1 unsure" in result.output
    tasks = pl.read_csv("tasks.csv")
    assert tasks["task"].to_list() == ["t1", "t2", "t3"]
    assert tasks["label"].to_list() == ["fraud", "open", "contested"]
    assert tasks["vote_count"].to_list() == [3, 2, 2]
    workers = pl.read_parquet("workers.parquet")
    assert workers["worker"].to_list() == ["ann", "bob", "cyd"]
    assert workers["vote_count"].to_list() == [3, 3, 1]
    for name in ("sensitivity", "specificity"):
        assert (workers[f"{name}_low"] < workers[name]).all()
        assert (workers[name] < workers[f"{name}_high"]).all()


def test_the_order_of_the_rows_changes_nothing() -> None:
    path = votes_file()
    sentinel("consensus", path, "--out", "first.csv")
    pl.read_csv(path).reverse().write_csv(path)
    sentinel("consensus", path, "--out", "second.csv")

    assert Path("first.csv").read_bytes() == Path("second.csv").read_bytes()


def test_workers_of_two_sources_are_two_and_doubt_weighs_less() -> None:
    sources = ["inside"] * 7 + ["outside"]
    path = votes_file(source=sources, confidence=[1.0] * 7 + [0.0])

    result = sentinel("consensus", path, "--out", "tasks.csv", "--workers", "workers.csv")

    assert result.exit_code == 0, result.output
    assert "outside/bob" in pl.read_csv("workers.csv")["worker"].to_list()
    assert pl.read_csv("tasks.csv")["label"][2] != "contested"


def test_of_two_votes_of_one_worker_on_one_task_the_last_counts() -> None:
    pl.DataFrame(
        {"task": ["t", "t"], "worker": ["ann", "ann"], "label": ["fraud", "genuine"]}
    ).write_csv("votes.csv")

    sentinel("consensus", "votes.csv", "--out", "tasks.csv")

    assert pl.read_csv("tasks.csv")["posterior"][0] < 0.5


def test_old_votes_fade_when_the_half_life_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    times = ["2026-01-01T00:00:00Z"] * 7 + ["2026-03-01T00:00:00Z"]
    path = votes_file(time=times)
    sentinel("consensus", path, "--out", "all.csv")
    monkeypatch.setenv("SENTINEL__CONSENSUS__VOTE_HALF_LIFE_S", "86400")
    sentinel("consensus", path, "--out", "fading.csv")

    whole, fading = (pl.read_csv(name)["posterior"][2] for name in ("all.csv", "fading.csv"))
    assert fading < whole, "ann's vote of two months before hardly counts against bob's"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"confidence": [1.0] * 7 + [1.5]}, 'row 8: confidence "1.5" is not in [0, 1]'),
        (
            {"worker": [None, *(who for _, who, _ in VOTES[1:])]},
            "row 1: who is missing, and source, too",
        ),
        ({"label": ["fraud"] * 7 + ["fruad"]}, 'row 8: label "fruad" is not one of fraud, genuine'),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_weighed(
    more: dict[str, list[object]], words: str
) -> None:
    path = votes_file()
    frame = pl.read_csv(path).with_columns(**{k: pl.Series(v) for k, v in more.items()})
    frame.write_csv(path)

    result = sentinel("consensus", path, "--out", "tasks.csv")

    assert result.exit_code == 1
    assert words in result.stderr
    assert "refused: 1 of the rows" in result.stderr
    assert pl.read_csv("tasks.csv")["vote_count"].sum() in (6, 7)


def test_of_many_bad_rows_the_first_are_named() -> None:
    pl.DataFrame({"task": ["t"] * 50, "worker": ["w"] * 50, "label": ["?"] * 50}).write_csv("v.csv")

    result = sentinel("consensus", "v.csv")

    assert result.exit_code == 1
    assert result.stderr.count('label "?" is not one of') == 20
    assert "… and 30 more rows" in result.stderr


def test_feedback_and_votes_have_the_same_words_and_columns() -> None:
    rows = [
        {"transaction_id": "t1", "who": "ann", "label": " FRAUD ", "revision": 1},
        {"transaction_id": "t1", "who": "ann", "label": "genuine"},
        {"transaction_id": "t1", "who": "bob", "label": True, "entities": {"planet": "x"}},
        {"transaction_id": "t1", "who": "cyd", "label": 1, "foo": 1, "observed_ms": 1788256800000},
        {"transaction_id": "t2", "who": "cyd", "label": "fraud"},
        {"transaction_id": "t2", "who": "cyd", "label": "withdrawn", "revision": 1},
    ]
    Path("votes.jsonl").write_text("\n".join(map(json.dumps, rows)))

    result = sentinel("consensus", "votes.jsonl", "--out", "tasks.csv")

    assert result.exit_code == 0, result.output
    assert "3 votes of 3 on 2 tasks, 0 unsure, 1 retracted" in result.output
    assert "unknown columns left out: foo" in result.stderr
    assert "entities that the schema does not have left out: planet" in result.stderr
    tasks = pl.read_csv("tasks.csv")
    assert tasks["vote_count"].to_list() == [3, 0]
    assert tasks["posterior"][0] > 0.9


def test_names_of_strangers_do_nothing_in_the_table() -> None:
    names = ["[/x]", "a[bold]b", "x\x1b[31mred"]
    pl.DataFrame({"task": ["t"] * 3, "worker": names, "label": [1] * 3}).write_csv("v.csv")

    result = sentinel("consensus", "v.csv")

    assert result.exit_code == 0, result.output
    for name in ("[/x]", "a[bold]b", r"x\x1b[31mred"):
        assert name in result.stdout
    assert "\x1b[31m" not in result.output


def test_what_cannot_be_read_or_written_is_one_clear_line() -> None:
    path = votes_file()
    pl.DataFrame({"task": ["t"]}).write_csv("few.csv")
    Path("text.parquet").write_text("not parquet")

    assert "there is no such file" in refusal("consensus", "nowhere.csv")
    assert "has no column label or is_fraud; it has ['task']" in refusal("consensus", "few.csv")
    assert "cannot be read as CSV, Parquet or JSON lines" in refusal("consensus", "text.parquet")
    assert "must end in .csv or .parquet" in refusal("consensus", path, "--out", "tasks.txt")
    assert "cannot be written" in refusal("consensus", path, "--out", "no/tasks.csv")
