"""`sentinel backfill` and `sentinel state`, with the store of embedded mode: one folder, no run."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sentinel.cli import app
from sentinel.codec.records import decode_feedback
from sentinel.operations import embedded
from tests.app import small
from tests.cli.test_commands import history_file

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the state of a history."""
    path = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(path)
        small.config_file(path)
        history_file(path)
        said = called("backfill", "history.parquet", "--label-column", "is_fraud")
        assert said.exit_code == 0, said.output
        assert "the entities of history.parquet are stored (account" in said.output
    return path


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def called(*words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, [*words, "-c", "small.toml"], input=answer)


def newest_row(folder: Path) -> dict[str, object]:
    return json.loads(list(small.flat())[-1][0])  # type: ignore[no-any-return]


def test_what_the_history_says_of_an_account_is_shown(folder: Path) -> None:
    row = newest_row(folder)

    shown = called("state", "show", "account", str(row["account"]))
    whole = called("state", "show", "account", str(row["account"]), "--json")

    assert shown.exit_code == 0, shown.output
    assert f"account {row['account']}: " in shown.output
    assert f"{row['amount']:.2f}" in shown.output
    found = json.loads(whole.output)
    assert found["events"][-1]["amount_minor"] == round(float(str(row["amount"])) * 100)
    assert found["last_ms"] == found["events"][-1]["event_time_ms"]


def test_the_tiles_of_a_shared_entity_are_shown(folder: Path) -> None:
    shown = called("state", "show", "terminal", str(newest_row(folder)["terminal"]))

    assert shown.exit_code == 0, shown.output
    assert "known frauds" in shown.output


def test_of_nobody_nothing_is_known() -> None:
    assert called("state", "show", "account", "nobody").output == (
        "account nobody: nothing is known\n"
    )
    refused = called("state", "show", "shop", "S1")
    assert refused.exit_code == 2
    assert '"shop" is no kind of entity: there are account, terminal' in refused.output


def test_labels_that_fall_due_later_are_kept_for_the_next_run(folder: Path) -> None:
    lines = (folder / ".sentinel" / "history-labels.jsonl").read_bytes().splitlines()

    waiting = [decode_feedback(line) for line in lines]
    assert waiting
    assert {one.label for one in waiting} == {"fraud"}
    newest = max(one.event_time_ms or 0 for one in waiting)
    assert all(one.observed_ms > newest - 1 for one in waiting)


def test_nothing_is_changed_beside_a_run(folder: Path) -> None:
    with embedded.run_folder(folder / ".sentinel"):
        for words in (("state", "reset", "--yes"), ("backfill", "history.parquet")):
            refused = called(*words)
            assert refused.exit_code == 2
            assert "another `sentinel run` is at work in" in refused.output


def test_a_reset_asks_and_forgets_everything(folder: Path) -> None:
    row = newest_row(folder)
    kept = called("state", "reset", answer="n\n")
    assert kept.exit_code == 1
    assert "every vote and every label" in kept.output

    gone = called("state", "reset", answer="y\n")

    assert gone.exit_code == 0, gone.output
    assert "keys are forgotten" in gone.output
    assert "nothing is known" in called("state", "show", "account", str(row["account"])).output
    assert not (folder / ".sentinel" / "history-labels.jsonl").exists()
