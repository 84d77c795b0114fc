"""`sentinel experiments plan`: by the archive, and by a file of history."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.random import default_rng

from tests.archive.samples import DAY_MS, archive_at, decided, write
from tests.cli.test_commands import refusal, sentinel

ACCOUNT_COUNT = 60
ROWS_A_DAY = 150


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def history(name: str = "history.csv", *, n: int = 4_000, fraud_rate: float = 0.05) -> str:
    rng = default_rng(1)
    seconds = np.sort(rng.integers(0, 20 * 86_400, n)).tolist()
    start = datetime(2026, 3, 1, tzinfo=UTC)
    pl.DataFrame(
        {
            "transaction_id": [f"t{i}" for i in range(n)],
            "event_time": [(start + timedelta(seconds=s)).isoformat() for s in seconds],
            "account": [f"a{i}" for i in rng.integers(0, 300, n)],
            "amount": np.round(rng.lognormal(3, 1, n), 2),
            "is_fraud": (rng.random(n) < fraud_rate).astype(int),
        }
    ).write_csv(name)
    return name


@pytest.fixture
def config() -> str:
    Path("small.toml").write_text(
        '[training]\nlabel_column = "is_fraud"\nlabel_delay = "5d"\n'
        '[archive]\ndirectory = "archive"\n[[features]]\nname = "amount"\nstat = "amount"\n'
    )
    return "small.toml"


def planned(*arguments: str) -> dict[str, Any]:
    result = sentinel("experiments", "plan", *arguments, "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def archived(day_count: int, *, log: str = "memory/1", delay_days: float = 1.0) -> None:
    """Decisions and labels up to today: a fifth of the frauds is let through."""
    rng = default_rng(2)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    first_ms = now_ms - day_count * DAY_MS
    files = archive_at(Path("archive"))
    day_0 = (first_ms // DAY_MS * DAY_MS - 1_772_323_200_000) // DAY_MS  # of `samples`
    for day in range(day_count):
        decisions, labels = [], []
        for i in range(ROWS_A_DAY):
            offset, at_ms = day * ROWS_A_DAY + i, first_ms + day * DAY_MS + i * 500_000
            is_fraud = rng.random() < 0.1
            is_alert = is_fraud and rng.random() < 0.8
            decisions.append(
                decided(
                    offset, [1.0], event_time_ms=at_ms, action="review" if is_alert else "approve",
                    account=f"a{rng.integers(ACCOUNT_COUNT)}", amount_minor=1_000,
                )
            )  # fmt: skip
            if is_fraud:
                said = {"label": "fraud", "observed_ms": at_ms + round(delay_days * DAY_MS)}
                labels.append(
                    {
                        "transaction_id": f"t{offset}", "posterior": 1.0, "vote_count": 1,
                        "source": "chargeback", "event_time_ms": at_ms, "entities": {},
                        "supersedes": None, "feedback_offset": offset, **said,
                    }
                )  # fmt: skip
        places: dict[str, Any] = {"day": day_0 + day, "log": log}
        write(files, "decisions", decisions, first=day * ROWS_A_DAY, names=["x"], **places)
        write(files, "labels", labels, first=day * ROWS_A_DAY, **places)


def test_a_file_of_history_is_planned_by(config: str) -> None:
    found = planned(history(), "-c", config)

    seen = found["history"]
    assert (seen["transactions"], seen["accounts"], seen["days"]) == (4_000, 300, 20)
    assert seen["fraud_rate"] == pytest.approx(0.05, abs=0.015)
    assert seen["recall"] == 0.5
    assert found["maturity_days"] == 5.0
    assert [(one["design"], one["metric"], one["setting"]) for one in found["designs"]] == [
        (design, metric, setting)
        for design, setting in (("split", 0.5), ("split", 0.1), ("paired", 0.6), ("paired", 0.8))
        for metric in ("fraud_missed", "fraud_loss")
    ]
    for one in found["designs"]:
        if one["days"] is not None:
            assert one["verdict_days"] == one["days"] + 5.0
        assert [each["days"] for each in one["least_effects"]] == [7, 14, 28, 56]
    assert "--recall" in found["warnings"][0]


def test_a_person_sees_a_line_a_design_within_eighty_columns(config: str) -> None:
    result = sentinel("experiments", "plan", history(), "-c", config, "--effect", "0.5")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    table = [line for line in lines if line.startswith(("split", "paired "))]
    assert len(table) == 9  # one line more explains
    assert all("…" not in line for line in table)
    assert "4,000 transactions of 300 accounts in 20 days" in result.stdout
    assert "two-sided 0.05, 20 looks" in result.stdout


def test_the_archive_is_planned_by_its_matured_days(config: str) -> None:
    archived(40)

    found = planned("-c", config)

    seen = found["history"]
    # Chargebacks take a day; the horizon is never shorter than a fortnight.
    assert found["maturity_days"] == pytest.approx(14, abs=0.1)
    assert 25 <= seen["days"] <= 27
    assert seen["recall"] == pytest.approx(0.8, abs=0.05)
    assert seen["fraud_rate"] == pytest.approx(0.1, abs=0.02)
    assert seen["accounts"] == ACCOUNT_COUNT
    assert found["warnings"] == []
    assert planned("-c", config, "--maturity", "2")["history"]["days"] > seen["days"]
    assert planned("-c", config, "--days", "30")["history"]["days"] < seen["days"]


def test_a_transaction_that_two_logs_hold_counts_once(config: str) -> None:
    archived(10)
    once = planned("-c", config, "--maturity", "0")
    archived(10, log="memory/2")
    twice = planned("-c", config, "--maturity", "0")

    assert twice["history"]["transactions"] == once["history"]["transactions"]
    assert twice["history"]["frauds"] == once["history"]["frauds"]


def test_a_young_archive_is_planned_by_all_its_days_and_that_is_said(config: str) -> None:
    archived(9)

    found = planned("-c", config)

    assert 9 <= found["history"]["days"] <= 10
    assert "have matured" in found["warnings"][0]


def refused(*arguments: str) -> str:
    """The last line, behind the progress of reading."""
    result = sentinel("experiments", "plan", *arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.stderr.strip().splitlines()[-1]


def test_what_cannot_be_planned_is_one_sentence(config: str) -> None:
    assert "there are no archived files" in refusal("experiments", "plan", "-c", config)
    assert "frauds known of these days: 0" in refused(history(fraud_rate=0.0), "-c", config)
    assert "no column" in refused(history(), "-c", config, "--label-column", "other")
    Path("empty.csv").write_text("transaction_id,event_time,account,amount,is_fraud\n")
    assert "no rows" in refused("empty.csv", "-c", config)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--effect", "7"], "effect must be in"),
        (["--shares", "0.5,x"], "must be numbers"),
        (["--shares", "nan"], "share must be in"),
        (["--shares", "", "--overlaps", ""], "no design"),
        (["--recall", "1"], "--recall 1: must lie between 0 and 1"),
        (["--maturity", "-3"], "--maturity -3"),
        (["--durations", "0"], "days must be in"),
        (["--looks", "1000"], "looks must be in"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(
    options: list[str], words: str
) -> None:
    assert words in refusal("experiments", "plan", "none.csv", *options)


def test_rows_that_cannot_be_used_are_told_and_left_out(config: str) -> None:
    rows = Path(history()).read_text().splitlines()
    rows[5] = "t,not a time,a1,12.5,1"
    Path("bad.csv").write_text("\n".join(rows))

    result = sentinel("experiments", "plan", "bad.csv", "-c", config, "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["history"]["transactions"] == 3_999
    assert "1 row could not be used" in result.stderr
