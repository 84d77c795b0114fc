"""The field's public files, from nothing to a model: their shapes, with rows of our own."""

import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.cli import app
from tests import shapes

every_shape = pytest.mark.parametrize("name", shapes.SHAPES)

# What `init` should take each for: identifier, time and its format, account, amount, label.
ROLES = {
    "sparkov.csv": ("trans_num", "trans_date_trans_time", "rfc3339", "cc_num", "amt", "is_fraud"),
    "paysim.csv": (None, "step", "steps", "nameOrig", "amount", "isFraud"),
    "baf.csv.gz": (None, "month", "steps", None, "proposed_credit_limit", "fraud_bool"),
    "ieee_cis.csv.gz": (
        "TransactionID",
        "TransactionDT",
        "steps",
        "card1",
        "TransactionAmt",
        "isFraud",
    ),
    "handbook.parquet": (
        "TRANSACTION_ID",
        "TX_DATETIME",
        "rfc3339",
        "CUSTOMER_ID",
        "TX_AMOUNT",
        "TX_FRAUD",
    ),
    "ulb_cards.csv.gz": (None, "Time", "steps", None, "Amount", "Class"),
}
ENTITIES = {
    "sparkov.csv": {"merchant": "merchant"},
    "paysim.csv": {"dest": "nameDest"},
    "handbook.parquet": {"terminal": "TERMINAL_ID"},
}
# What would tell the label, a person's trait or what comes afterwards.
NEVER = {
    "sparkov.csv": {"first", "last", "gender", "street", "dob", "unix_time"},
    "paysim.csv": {"isFlaggedFraud", "newbalanceOrig", "newbalanceDest"},
    "handbook.parquet": {"TX_FRAUD_SCENARIO", "TX_TIME_SECONDS", "TX_TIME_DAYS"},
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def sentinel(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def init(name: str) -> dict[str, Any]:
    result = sentinel("init", shapes.FOLDER / name, "--yes")
    assert result.exit_code == 0, result.output
    return tomllib.loads(Path("mine.toml").read_text())


def test_the_files_are_those_that_the_program_makes(tmp_path: Path) -> None:
    shapes.write(tmp_path)

    for name in shapes.SHAPES:
        read = pl.read_parquet if name.endswith(".parquet") else pl.read_csv
        assert read(tmp_path / name).equals(read(shapes.FOLDER / name)), name


@every_shape
def test_each_column_is_taken_for_what_it_is(name: str) -> None:
    schema = init(name)["schema"]

    identifier, time, time_format, account, amount, _ = ROLES[name]
    assert schema["event_time"] == time
    assert schema["event_time_format"] == time_format
    assert schema["amount"] == amount
    assert schema["transaction_id"] == (identifier or "transaction_id")
    assert schema["account"] == (account or "account")
    rows = [key for key, of in (("transaction_id", identifier), ("account", account)) if not of]
    assert schema.get("row_numbers", []) == rows
    assert schema.get("entities", {}) == ENTITIES.get(name, {})


@every_shape
def test_the_label_and_what_tells_it_are_no_inputs(name: str) -> None:
    table = init(name)

    label = ROLES[name][-1]
    assert table["training"]["label_column"] == label
    schema = table["schema"]
    inputs = {
        *schema.get("numeric", []),
        *schema.get("categorical", []),
        *schema.get("boolean", []),
    }
    assert inputs.isdisjoint({label, *NEVER.get(name, set())})


@every_shape
def test_every_row_is_usable_and_train_makes_a_model_that_tells_frauds(name: str) -> None:
    file = shapes.FOLDER / name
    init(name)

    checked = sentinel("check-config", "-c", "mine.toml", "--file", file)
    trained = sentinel("train", file, "-c", "mine.toml")

    row_count = pl.read_parquet(file).height if file.suffix == ".parquet" else None
    if row_count is None:
        row_count = pl.read_csv(file).height
    assert checked.exit_code == 0, checked.output
    assert f"{row_count:,} of {row_count:,} rows" in checked.output
    assert trained.exit_code == 0, trained.output
    manifest = ModelDirectory(ModelParams()).load("1.0.0").manifest
    assert manifest["rejected_rows"] == 0
    metrics = manifest["metrics"]
    assert metrics["frauds"] >= 10
    assert metrics["average_precision"] > 5 * metrics["prevalence"]


def test_a_file_of_months_is_cut_at_months() -> None:
    training = init("baf.csv.gz")["training"]

    assert training["calibration"].endswith("0d")
    assert training["test"].endswith("0d")
    assert training["label_delay"] == "0s"


def test_what_it_says_names_each_guess_and_the_commands_that_come_next() -> None:
    result = sentinel("init", shapes.FOLDER / "paysim.csv", "--yes", "--out", "pay.toml")

    assert "--step says it" in result.output
    assert "--origin says it" in result.output
    assert "left out: isFlaggedFraud: may tell the label" in result.output
    assert "newbalanceOrig, newbalanceDest: is known only after the transaction" in result.output
    for command in ("check-config -c pay.toml --file", "train", "run -c pay.toml", "produce"):
        assert f"  sentinel {command}" in result.output
