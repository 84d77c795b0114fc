"""`sentinel init`, and what commands say of rows that cannot be used."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sentinel.cli import app
from tests import shapes
from tests.app import small

PAYSIM = shapes.FOLDER / "paysim.csv"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def sentinel(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> list[str]:
    """The lines of a command that refuses: exit code 2, and no traceback."""
    result = sentinel(*arguments)
    assert result.exit_code == 2, result.output
    first, *more = result.stderr.strip().splitlines()
    assert first.startswith("sentinel: ")
    return [first.removeprefix("sentinel: "), *more]


# --- init ---------------------------------------------------------------------------------------


def test_without_a_terminal_what_is_open_is_said_with_its_flags() -> None:
    [line] = refusal("init", PAYSIM)

    assert line == (
        "paysim.csv does not say everything: say --step (guess: 1h), --origin (guess: "
        "2020-01-01T00:00:00Z), or take the guesses with --yes"
    )
    assert not Path("mine.toml").exists()


def test_flags_answer_and_then_nothing_is_guessed() -> None:
    result = sentinel("init", PAYSIM, "--step", "1h", "--origin", "2026-01-01T00:00:00Z")

    assert result.exit_code == 0, result.output
    assert "guessed" not in result.output
    assert 'event_time_origin = "2026-01-01T00:00:00Z"' in Path("mine.toml").read_text()


def test_a_configuration_that_is_there_stays_unless_it_may_go() -> None:
    Path("mine.toml").write_text("mine")

    [line] = refusal("init", PAYSIM, "--yes")
    assert line.startswith("mine.toml: is there already: name another with --out")
    assert Path("mine.toml").read_text() == "mine"
    assert sentinel("init", PAYSIM, "--yes", "--overwrite").exit_code == 0
    assert sentinel("check-config", "-c", "mine.toml").exit_code == 0


def test_entities_and_what_to_ignore_are_said() -> None:
    arguments = ("--entity", "kind=type", "--ignore", "oldbalanceOrg", "--yes")
    assert sentinel("init", PAYSIM, *arguments).exit_code == 0

    text = Path("mine.toml").read_text()
    assert 'entities = { kind = "type", dest = "nameDest" }' in text
    assert "#   oldbalanceOrg: as you said" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("step,amount\n", "has no rows"),
        ("a,b\n1,2\n", "say it with --time"),
        ("step,b\n1,x\n2,y\n", "say it with --amount"),
        ("%PDF-1.7", "its name says csv, but it is a PDF"),
    ],
)
def test_what_no_configuration_fits_is_one_sentence(content: str, message: str) -> None:
    Path("rows.csv").write_text(content)

    [line] = refusal("init", "rows.csv", "--yes")

    assert message in line
    assert not Path("mine.toml").exists()


def test_a_folder_that_cannot_be_written_is_named() -> None:
    [line] = refusal("init", PAYSIM, "--yes", "--out", "none/mine.toml")

    assert line == "none/mine.toml: cannot be written: No such file or directory"


def test_hostile_names_and_values_act_nowhere() -> None:
    name, value = "\x1b[31m[/x] kind", '[bold]"\x1b]0;x\x07\n= 1'
    rows = [
        {
            "time": f"2026-03-01T12:00:{i:02}Z",
            "amount": i + 0.5,
            name: value,
            "kind": value + "xy"[i % 2],
        }
        for i in range(40)
    ]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))

    result = sentinel("init", "rows.jsonl", "--yes")
    checked = sentinel("check-config", "-c", "mine.toml", "--file", "rows.jsonl")

    assert result.exit_code == checked.exit_code == 0, result.output + checked.output
    assert "\x1b" not in result.output + checked.output + Path("mine.toml").read_text()
    assert r"\x1b[31m[/x] kind" in result.output
    assert "40 of 40 rows" in checked.output


def test_in_a_terminal_it_asks_what_the_file_does_not_say_and_again_what_cannot_be() -> None:
    said = in_a_terminal(["init", str(PAYSIM)], [b"soon\n", b"30m\n", b"\n"])

    assert "How long is a step of step?" in said
    assert '--step: duration "soon" must be' in said
    text = Path("mine.toml").read_text()
    assert 'event_time_step = "30m"' in text
    assert 'event_time_origin = "2020-01-01T00:00:00Z"' in text


def in_a_terminal(arguments: Sequence[str], answers: Sequence[bytes]) -> str:
    """What a command shows to a person who answers when they are asked."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sentinel", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said, waiting = b"", list(answers)
        while data := _read(ours):
            said += data
            if waiting and said.endswith(b"]: "):
                os.write(ours, waiting.pop(0))
        assert process.wait() == 0, said
    os.close(ours)
    return said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4_096)
    except OSError:  # Linux says so when the other side is gone
        return b""


# --- a folder -----------------------------------------------------------------------------------


def parts(count: int = 3, folder: str = "parts") -> Path:
    """The file of payments in pieces: each with a header of its own."""
    Path(folder).mkdir()
    header, *lines = PAYSIM.read_text().splitlines(keepends=True)
    size = -(-len(lines) // count)
    for i in range(count):
        piece = header + "".join(lines[i * size : (i + 1) * size])
        (Path(folder) / f"part-{i + 9}.csv").write_text(piece)
    return Path(folder)


def test_of_a_folder_all_files_are_looked_at_tried_and_trained_on() -> None:
    folder, whole = parts(), Path("paysim.csv")
    whole.write_bytes(PAYSIM.read_bytes())
    said = sentinel("init", folder, "--yes").output
    assert sentinel("init", whole, "--yes", "--out", "whole.toml").exit_code == 0

    checked = sentinel("check-config", "-c", "mine.toml", "--file", folder)
    trained = sentinel("train", folder, "-c", "mine.toml")

    assert "parts: 2,000 rows, all looked at" in said
    assert "sentinel train parts -c mine.toml" in said
    own, other = (Path(name).read_text().splitlines()[2:] for name in ("mine.toml", "whole.toml"))
    assert own == other
    assert "2,000 of 2,000 rows of parts are usable" in checked.output
    assert trained.exit_code == 0, trained.output


def test_rows_of_a_folder_are_named_by_their_files() -> None:
    folder = parts()
    assert sentinel("init", folder, "--yes").exit_code == 0
    middle = folder / "part-10.csv"
    header, first, second, *rest = middle.read_text().splitlines(keepends=True)
    bad = "x," + first.partition(",")[2]
    middle.write_text("".join((header, bad, "1," + second.partition(",")[2], *rest)))

    checked = sentinel("check-config", "-c", "mine.toml", "--file", folder)
    refused = refusal("train", folder, "-c", "mine.toml")

    assert 'column step: 1 row: row 1 of part-10.csv has "x"' in checked.output
    assert "row 2 of part-10.csv is earlier than the one before it" in checked.output
    assert refused[0].startswith("row 2 of part-10.csv is earlier than one before it")


def test_a_configuration_does_not_go_among_the_files_that_it_is_of() -> None:
    folder = parts()

    [line] = refusal("init", folder, "--yes", "--out", folder / "mine.toml")

    assert line == "parts/mine.toml: would lie among the files of parts: name another with --out"


def test_a_file_of_the_folder_that_does_not_fit_is_named() -> None:
    folder = parts()
    (folder / "part-12.csv").write_text("step,amount\n1,2\n")

    [line] = refusal("init", folder, "--yes")

    assert line.startswith("parts/part-12.csv: does not fit: unlike part-9.csv it lacks ['isFlag")


# --- rows that cannot be used -------------------------------------------------------------------


def rows(*changes: tuple[int, str, object], count: int = 30) -> list[dict[str, object]]:
    """The first rows of a small history, some of them changed."""
    found = [json.loads(value) | {"is_fraud": fraud} for value, fraud in list(small.flat())[:count]]
    for row, field, value in changes:
        found[row - 1][field] = value
    return found


def write(found: list[dict[str, object]], path: str = "rows.jsonl") -> Path:
    Path(path).write_text("\n".join(map(json.dumps, found)))
    return Path(path)


def test_a_dry_run_says_what_is_usable_and_shows_the_first_three(tmp_path: Path) -> None:
    config = small.config_file(tmp_path)
    bad = [(2, "amount", "12,50"), (7, "amount", -1), (8, "account", None), (9, "amount", "x")]
    file = write(rows(*bad))

    result = sentinel("check-config", "-c", config, "--file", file)

    assert result.exit_code == 0, result.output
    assert f"26 of 30 rows of {file} are usable" in result.output
    assert "4 rows could not be used" in result.output
    amounts = 'column amount: 3 rows: row 2 has "12,50", row 7 has -1, row 9 has "x"; allowed: '
    assert amounts + "a number from 0 to 10,000,000,000" in result.output
    assert "column account: 1 row: row 8 has null; allowed: a text of 1 to" in result.output
    words = result.output.split()
    first = rows()[0]
    for shown in (first["transaction_id"], first["account"], first["terminal"], "account_count_7d"):
        assert str(shown) in words


def test_a_dry_run_says_which_row_is_out_of_order_and_that_there_are_no_labels(
    tmp_path: Path,
) -> None:
    found = rows()
    found[9], found[10] = found[10], found[9]
    for row in found:
        del row["is_fraud"]

    result = sentinel("check-config", "-c", small.config_file(tmp_path), "--file", write(found))

    assert result.exit_code == 0, result.output
    assert "row 11 is earlier than the one before it" in result.output
    assert "no labels: it has no column is_fraud" in result.output


@pytest.mark.parametrize("command", ["train", "features", "check-config"])
def test_where_no_row_is_usable_every_command_says_why(tmp_path: Path, command: str) -> None:
    config = small.config_file(tmp_path)
    file = write([row | {"amount": "?"} for row in rows()])
    arguments = {
        "train": (file,),
        "features": (file, "--out", "f.parquet"),
        "check-config": ("--file", file),
    }

    first, second = refusal(command, *arguments[command], "-c", config)

    assert first == f"{file}: there is not one usable row"
    assert second.startswith('  column amount: 30 rows: row 1 has "?", row 2 has "?"')


def test_of_a_csv_only_the_field_that_is_wrong_is_blamed(tmp_path: Path) -> None:
    config = small.config_file(tmp_path)
    fields = 'numeric = ["a", "b"]\nboolean = ["c"]'
    config.write_text(config.read_text().replace("[schema]", f"[schema]\n{fields}"))
    Path("rows.csv").write_text(
        "transaction_id,event_time,account,terminal,amount,a,b,c\n"
        "T1,2026-01-01T00:00:00Z,A,M,1,2.5,oops,Y\n"
        "T2,2026-01-01T00:00:00Z,A,M,1,2.5,1,maybe\n"
        "T3,2026-01-01T00:00:00Z,A,M,x,2.5,1,Y\n"
        "T4,2026-01-01T00:00:00Z,A,M,1,2.5,1,Y\n"
    )

    result = sentinel("check-config", "-c", config, "--file", "rows.csv")

    assert 'column b: 1 row: row 1 has "oops"' in result.output
    assert 'column c: 1 row: row 2 has "maybe"' in result.output
    assert 'column amount: 1 row: row 3 has "x"' in result.output
    assert "1 of 4 rows" in result.output


def test_train_tells_the_rows_that_it_left_out(tmp_path: Path) -> None:
    found = rows((5, "event_time", "soon"), count=12_000)

    result = sentinel("train", write(found), "-c", small.config_file(tmp_path))

    assert result.exit_code == 0, result.output
    assert 'column event_time: 1 row: row 5 has "soon"; allowed: a time such as' in result.output


def test_kinds_of_refusals_are_bounded_and_counted(tmp_path: Path) -> None:
    from sentinel.codec.rows import Rejected
    from sentinel.codec.schema import SchemaParams
    from sentinel.errors import RecordError
    from sentinel.operations.data.refusals import RefusedRows

    refusals = RefusedRows(SchemaParams())
    for i in range(100):
        error = RecordError(f"reason_{i % 50}", "x")  # type: ignore[arg-type]
        refusals.add([b"{}"], [Rejected(0, error)], rows_before=i)

    assert refusals.count == 100
    assert len(refusals.lines()) == 21
    assert refusals.lines()[-1] == "and 60 rows for yet other reasons"


# --- the column of labels -----------------------------------------------------------------------


def test_the_configured_column_of_labels_needs_no_flag(tmp_path: Path) -> None:
    config = small.config_file(tmp_path)
    config.write_text(config.read_text().replace("[training]", '[training]\nlabel_column = "bad"'))
    found = [{("bad" if k == "is_fraud" else k): v for k, v in row.items()} for row in rows()]

    labelled = sentinel("check-config", "-c", config, "--file", write(found))
    [lacking] = refusal("train", write(rows()), "-c", config)

    assert "genuine" in labelled.output
    assert "has no column ['bad']" in lacking


def test_a_label_among_the_inputs_is_refused(tmp_path: Path) -> None:
    config = small.config_file(tmp_path)
    config.write_text(config.read_text().replace("[schema]", '[schema]\nnumeric = ["is_fraud"]'))

    [line] = refusal("check-config", "-c", config)

    assert "[training] label_column is a field of [schema]: it may be no input" in line
