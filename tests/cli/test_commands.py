"""The commands: what they say, what they write, and that a mistake is one clear line."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from sentinel import __version__
from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.cli import app
from sentinel.cli.commands import PANELS
from tests.app import small


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands keep what is theirs in the folder in which they are called."""
    monkeypatch.chdir(tmp_path)


def sentinel(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    """What a command says when it is the user's turn: exit code 2, one line, no traceback."""
    result = sentinel(*arguments)
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("sentinel: ")
    return lines[0].removeprefix("sentinel: ")


def history_file(folder: Path, *, is_fraud: bool = True) -> Path:
    rows = [
        json.loads(value) | ({"is_fraud": fraud} if is_fraud else {})
        for value, fraud in small.flat()
    ]
    path = folder / "history.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def loaded_by(*arguments: str) -> set[str]:
    """The modules that are there when a command has ended."""
    program = (
        "import sys; from sentinel.cli import app; "
        f"app({arguments!r}, standalone_mode=False); print('loaded:', *sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(found.stdout.partition("loaded:")[2].split())


COMMAND_MODULES = {
    f"sentinel.cli.{module}" for panel in PANELS.values() for module in panel.values()
}


def test_the_command_line_loads_nothing_heavy_before_it_is_needed() -> None:
    """The help of all asks every command, and none needs for that what it needs to run."""
    modules = loaded_by("--help")

    heavy = {
        "numpy",
        "lightgbm",
        "aiokafka",
        "polars",
        "scipy",
        "numba",
        "redis",
        "uvloop",
        "uvicorn",
    }
    assert heavy.isdisjoint(modules)
    assert modules >= COMMAND_MODULES


def test_a_command_is_loaded_without_the_others() -> None:
    """And without what LightGBM and scipy bring along for others."""
    modules = loaded_by("check-config")

    assert modules & COMMAND_MODULES == {"sentinel.cli.data.check_config"}
    assert "lightgbm" in modules, "all that the configuration names is there"
    assert modules.isdisjoint({"pandas", "pyarrow", "sklearn", "scipy.optimize", "scipy.stats"})


def test_help_names_every_command_along_a_users_way() -> None:
    result = sentinel("--help")

    assert result.exit_code == 0
    said = [line.strip("│ ").split(" ")[0] for line in result.output.splitlines()]
    names = [name for panel in PANELS.values() for name in panel]
    assert [one for one in said if one in names] == names
    assert said.index("run") < said.index("train") < said.index("warm")
    assert sentinel("--version").output.strip() == __version__


def test_python_m_sentinel_is_the_command() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "sentinel", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == __version__


@pytest.mark.parametrize("name", ["sentinel.toml", "handbook.toml", "card.toml"])
def test_check_config_says_what_is_in_force(name: str) -> None:
    path = Path(__file__).parents[2] / "config" / name

    result = sentinel("check-config", "-c", path)

    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "is valid: version" in words
    assert "account" in words


def test_check_config_without_a_file_checks_the_built_in_one() -> None:
    words = " ".join(sentinel("check-config").output.split())
    assert "the built-in configuration (sentinel.toml, and stream.toml over it) is valid" in words


def test_check_config_knows_a_configuration_without_any_entity(tmp_path: Path) -> None:
    path = tmp_path / "least.toml"
    path.write_text('[[features]]\nname = "amount"\nstat = "amount"\n')

    assert sentinel("check-config", "-c", path).exit_code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[kafka]\nx = 1", "[kafka] has unknown keys ['x']"),
        ("kafka = 1", "[kafka] must be a table"),
        ("a = ", "is not TOML"),
        ("", "[[features]] is empty"),
    ],
)
def test_check_config_says_in_one_line_what_is_wrong(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)

    found = refusal("check-config", "-c", path)

    assert found.startswith(f"{path}: ")
    assert message in found


@pytest.mark.parametrize("command", ["check-config", "run", "produce", "train", "features"])
def test_every_command_refuses_a_configuration_that_is_not_there(command: str) -> None:
    more: dict[str, Sequence[str]] = {
        "produce": ["a.csv"],
        "train": ["a.csv"],
        "features": ["a.csv", "--out", "b.parquet"],
    }

    assert "none.toml: cannot be read" in refusal(
        command, *more.get(command, ()), "-c", "none.toml"
    )


def test_train_makes_a_champion_and_shows_how_good_it_is(tmp_path: Path) -> None:
    file, config = history_file(tmp_path), small.config_file(tmp_path)

    first = sentinel("train", file, "-c", config)
    second = sentinel("train", file, "-c", config, "--days", "27")

    assert first.exit_code == 0, first.output
    assert "average precision" in first.output
    assert "sentinel models import 1.0.0" in first.output
    assert second.exit_code == 0, second.output
    models = ModelDirectory(ModelParams())
    assert models.versions() == ["1.0.0", "1.1.0"]
    assert models.champion() == "1.1.0"
    whole, part = (models.load(version).manifest for version in models.versions())
    assert whole["metrics"]["auc"] > 0.7
    assert whole["rejected_rows"] == 0
    day_ms = 86_400_000
    assert whole["window"]["test"]["last_ms"] - part["window"]["test"]["last_ms"] == pytest.approx(
        day_ms, abs=day_ms / 10
    )


def test_train_gives_the_model_that_the_library_gives(tmp_path: Path) -> None:
    sentinel("train", history_file(tmp_path), "-c", small.config_file(tmp_path))
    text = ModelDirectory(ModelParams()).load("1.0.0").text

    other = tmp_path / "other"
    other.mkdir()
    assert ModelDirectory(small.add_model(other).model).load("1.0.0").text == text


def test_features_writes_the_matrix_that_training_sees(tmp_path: Path) -> None:
    file, config, out = history_file(tmp_path), small.config_file(tmp_path), tmp_path / "f.parquet"

    result = sentinel("features", file, "-c", config, "--out", out, "--label-column", "is_fraud")

    assert result.exit_code == 0, result.output
    frame = pl.read_parquet(out)
    expected, _, times, _ = small.folded(small.config(tmp_path))
    names = [feature.name for feature in small.config(tmp_path).features]
    assert frame.columns == ["transaction_id", "event_time_ms", *names]
    assert frame["event_time_ms"].to_list() == times.tolist()
    assert np.array_equal(frame.select(names).to_numpy(), expected, equal_nan=True)


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    rows = [value.decode() for value, _ in small.flat()][:50]
    file.write_text("\n".join([*rows, "garbage", "{}"]))

    result = sentinel(
        "features", file, "-c", small.config_file(tmp_path), "--out", tmp_path / "f.parquet"
    )

    assert "50 rows" in result.output
    assert "2 rows could not be used" in result.output


def test_what_train_cannot_use_is_said_in_one_line(tmp_path: Path) -> None:
    config = small.config_file(tmp_path)
    unlabelled = history_file(tmp_path, is_fraud=False)
    short = tmp_path / "short.jsonl"
    short.write_text('{"transaction_id":1,"event_time":"2024-01-01T00:00:00Z","account":"a",')
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(unlabelled.read_bytes()[:1000])
    unsorted = tmp_path / "unsorted.parquet"
    pl.read_parquet(unlabelled).reverse().with_columns(is_fraud=0).write_parquet(unsorted)

    assert "has no column ['is_fraud']" in refusal("train", unlabelled, "-c", config)
    assert "no row has a label" in refusal("train", unlabelled, "-c", config, "--label-column", "")
    assert "has no column" in refusal("train", short, "-c", config, "--label-column", "")
    assert "cannot be read" in refusal("train", damaged, "-c", config)
    assert "not in the order of event time" in refusal("train", unsorted, "-c", config)
    assert "there is no such file" in refusal("train", tmp_path / "none.csv", "-c", config)
    assert "must end in" in refusal("train", config, "-c", config)
    assert "the span for train" in refusal(
        "train", history_file(tmp_path), "-c", config, "--days", "10"
    )


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, config = history_file(tmp_path), small.config_file(tmp_path)

    assert "its folder does not exist" in refusal(
        "features", file, "-c", config, "--out", tmp_path / "none" / "f.parquet"
    )
    assert "cannot be written" in refusal("features", file, "-c", config, "--out", tmp_path)
    monkeypatch.setenv("SENTINEL__MODEL__DIRECTORY", str(file))
    assert "cannot write model 1.0.0" in refusal("train", file, "-c", config)


def test_produce_needs_somebody_to_produce_for(tmp_path: Path) -> None:
    message = refusal("produce", history_file(tmp_path))

    assert "no `sentinel run` is running in this folder" in message
    # Nor does the note of a run that is over help: its process is gone.
    (tmp_path / ".sentinel").mkdir()
    (tmp_path / ".sentinel" / "embedded.json").write_text(
        json.dumps({"pid": 2**22 + 1, "kafka": "127.0.0.1:1", "redis": "redis://127.0.0.1:1"})
    )
    assert "no `sentinel run` is running" in refusal("produce", history_file(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--speed", "fast"], '--speed: "fast" must be a number such as 60x'),
        (["--speed", "0x"], '--speed: "0x" must be'),
        (["--label-delay", "soon"], '--label-delay: duration "soon" must be'),
        (["--label-column", "x"], "has no column ['x']"),
    ],
)
def test_produce_says_which_option_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setenv("SENTINEL__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")

    assert message in refusal("produce", history_file(tmp_path), *options)


def test_a_broker_that_is_away_is_no_mistake_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINEL__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")

    result = sentinel("produce", history_file(tmp_path))

    assert result.exit_code == 1
    assert "sentinel: " in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_run_refuses_what_it_could_not_finish(tmp_path: Path) -> None:
    assert "its folder does not exist" in refusal("run", "--report", tmp_path / "none" / "r.json")
    assert sentinel("run", "--rate", "0").exit_code == 2
    assert sentinel("run", "--duration", "-1").exit_code == 2


@pytest.mark.parametrize(
    ("clocks", "said"),
    [(("01:59:59", "02:30:00", "02:10:00"), False), (("02:10:00", "02:30:00", "03:00:00"), True)],
)
def test_a_history_in_local_times_is_in_order_in_autumn(
    tmp_path: Path, clocks: Sequence[str], said: bool
) -> None:
    """What the order of rows does not tell of the hour that clocks repeat, the command says."""
    config, file = tmp_path / "berlin.toml", tmp_path / "autumn.csv"
    config.write_text(
        '[schema]\nevent_time_zone = "Europe/Berlin"\nrow_numbers = ["transaction_id"]\n'
        '[[features]]\nname = "amount"\nstat = "amount"\n'
    )
    lines = [f"2026-10-25 {clock},C1,1" for clock in clocks]
    file.write_text("event_time,account,amount\n" + "\n".join(lines) + "\n")

    result = sentinel("features", file, "-c", config, "--out", tmp_path / "out.parquet")

    assert result.exit_code == 0, result.output
    assert ("2 rows have a time that clocks of Europe/Berlin" in result.output) == said
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert frame["event_time_ms"].is_sorted()
    assert frame["transaction_id"].to_list() == ["autumn-1", "autumn-2", "autumn-3"]
