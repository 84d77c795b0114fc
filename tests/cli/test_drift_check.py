"""`sentinel drift check` on two files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.random import default_rng

from tests.cli.test_commands import refusal, sentinel

ROW_COUNT = 2_000


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table(seed: int, n: int = ROW_COUNT) -> pl.DataFrame:
    """Rows of a payment company: identifiers, times, numbers, booleans, texts; with gaps."""
    rng = default_rng(seed)
    frame = pl.DataFrame(
        {
            "transaction_id": [f"t{seed}-{i}" for i in range(n)],
            "time": np.sort(rng.integers(1_770_000_000, 1_770_900_000, n)),
            "amount": np.round(rng.lognormal(3, 1.2, n), 2),
            "score": rng.standard_normal(n),
            "items": rng.poisson(2, n),
            "is_online": rng.random(n) < 0.3,
            "country": rng.choice(["DE", "FR", "US"], n, p=[0.6, 0.3, 0.1]),
            "merchant": [f"m{i}" for i in rng.zipf(1.5, n) % 3_000],
        }
    )
    gone = pl.Series(rng.random(n) < 0.01)
    return frame.with_columns(score=pl.when(gone).then(None).otherwise("score"))


def write(frame: pl.DataFrame, name: str) -> str:
    if name.endswith(".csv"):
        frame.write_csv(name)
    elif name.endswith(".jsonl"):
        frame.write_ndjson(name)
    else:
        frame.write_parquet(name)
    return name


def checked(file: pl.DataFrame, reference: pl.DataFrame, *more: str) -> dict[str, Any]:
    """What `--json` prints."""
    names = write(file, "file.parquet"), write(reference, "reference.parquet")
    return said(names[0], "--reference", names[1], *more)


def said(*arguments: str) -> dict[str, Any]:
    result = sentinel("drift", "check", *arguments, "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def features(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {feature["name"]: feature for feature in found["features"]}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_like_its_reference_has_not_changed_whatever_its_format(ending: str) -> None:
    names = write(table(1), f"file.{ending}"), write(table(2), "reference.parquet")

    found = said(names[0], "--reference", names[1])

    assert found["alarm"] is False
    assert found["rows"] == {"reference": ROW_COUNT, "file": ROW_COUNT}
    assert {one["name"] for one in found["left_out"]} == {"transaction_id", "time"}
    assert set(features(found)) == {
        "amount", "score", "items", "is_online", "country", "merchant",
    }  # fmt: skip
    for feature in found["features"]:
        assert feature["alarm"] is False
        assert feature["kind"] is None
        assert 0.01 < feature["p"] <= 1
        assert 0 <= feature["effect"] < 0.1


def test_each_planted_change_is_named_first_with_its_kind() -> None:
    new = pl.when(pl.int_range(pl.len()) % 50 == 0).then(pl.lit("XX")).otherwise("country")
    changes = [
        ("amount", pl.col("amount") * 100, "unit", "× 100"),
        ("amount", pl.format("v{}", "amount"), "type", "0 % -> 100 % are no numbers"),
        ("score", pl.col("score") + 0.5, "location", "median"),
        ("items", pl.lit(3), "constant", 'always "3"'),
        ("country", new, "new_category", '"XX": 0 % -> 2.0 %'),
        ("merchant", pl.lit(None, dtype=pl.String), "missing", "0 % -> 100 % missing"),
    ]
    for name, change, kind, words in changes:
        found = checked(table(1).with_columns(change.alias(name)), table(2))

        first, *others = found["features"]
        assert found["alarm"] is True
        assert (first["name"], first["alarm"], first["kind"]) == (name, True, kind)
        assert first["p"] <= 0.01
        assert words in first["what"]
        assert not any(other["alarm"] for other in others)


def test_a_number_of_few_values_that_gets_another_one_has_a_new_value_or_moved() -> None:
    found = features(checked(table(1).with_columns(pl.col("items") + 1), table(2)))

    assert found["items"]["alarm"]
    assert found["items"]["kind"] == "location"
    assert found["items"]["effect"] == pytest.approx(0.27, abs=0.05)


def test_a_person_sees_what_changed_and_what_was_left_out() -> None:
    file = table(1).with_columns(pl.col("amount") / 100)
    names = write(file, "file.csv"), write(table(2), "reference.csv")

    result = sentinel("drift", "check", names[0], "--reference", names[1])

    assert result.exit_code == 0, result.output
    assert "1 of 6 columns changed" in result.output
    assert "÷ 100" in result.output
    assert "2,000 rows against 2,000" in result.output
    assert "no --account was given" in result.output
    assert "transaction_id (an identifier" in result.output


def of_accounts(seed: int, account_count: int, rows: int = 20) -> pl.DataFrame:
    """Rows of one account are nearly equal."""
    rng = default_rng(seed)
    account = np.repeat(np.arange(account_count), rows)
    level = rng.standard_normal((account_count, 5))[account]
    values = level + 0.3 * rng.standard_normal(level.shape)
    frame = pl.DataFrame({f"x{f}": values[:, f] for f in range(5)})
    names = pl.Series("account", [f"a{seed}-{i}" for i in account])
    return frame.with_columns(names, kind=pl.Series([f"k{i % 7}" for i in account % 11]))


def test_rows_of_an_account_are_alike_where_it_is_given_and_said_to_be_where_it_is_not() -> None:
    file, reference = of_accounts(1, 60), of_accounts(2, 300)

    alone = checked(file, reference)
    found = checked(file, reference, "--account", "account")

    assert alone["alarm"] is True
    assert "account comes back with the same values" in alone["warnings"][0]
    assert found["alarm"] is False
    assert found["warnings"] == []
    assert found["rows_per_account"]["file"] == pytest.approx(20, rel=0.3)
    assert {"name": "account", "why": "the account"} in found["left_out"]


def test_one_account_with_half_of_all_rows_is_no_change() -> None:
    file = of_accounts(1, 100)
    heavy = pl.concat([file, *[file.head(1)] * 2_000])

    found = checked(heavy, of_accounts(2, 300), "--account", "account")

    assert found["alarm"] is False
    assert found["rows"]["file"] == 4_000
    assert found["counted_rows"]["file"] < 2_100


def test_only_the_columns_that_are_asked_for_are_compared() -> None:
    found = checked(table(1), table(2), "--columns", "amount,country", "--columns", "score")

    assert set(features(found)) == {"amount", "country", "score"}
    assert found["left_out"] == []


def test_what_only_one_file_has_is_said() -> None:
    file = table(1).drop("score").with_columns(fresh=1.5)

    found = checked(file, table(2))

    assert features(found)["score"]["kind"] == "missing"
    assert {"name": "fresh", "why": "the reference does not have it"} in found["left_out"]
    assert "score is not in the file" in found["warnings"][0]


def test_booleans_are_one_however_they_are_spelled_and_numbers_however_they_are_typed() -> None:
    words = pl.when("is_online").then(pl.lit("Y")).otherwise(pl.lit("N"))
    file = table(1).with_columns(is_online=words, items=pl.col("items").cast(pl.Float64))
    reference = table(2).with_columns(pl.col("is_online").cast(pl.Int8), pl.col("items").cast(str))

    assert checked(file, reference)["alarm"] is False


def test_odd_columns_are_compared_or_left_out_with_a_reason() -> None:
    def odd(seed: int) -> pl.DataFrame:
        rng = default_rng(seed)
        x = rng.standard_normal(ROW_COUNT)
        return pl.DataFrame(
            {
                "constant": np.full(ROW_COUNT, 7.0),
                "empty": pl.Series([None] * ROW_COUNT, dtype=pl.Float64),
                "ties": np.where(x > 2, x, 0.0),
                "infinite": np.where(x > 1.5, np.inf, np.where(x < -1.5, -np.inf, x)),
                "huge": x * 1e306,
                "not_a_number": np.where(x > 1, np.nan, x),
                "day": [f"2026-0{1 + seed}-{1 + i % 28:02d}" for i in range(ROW_COUNT)],
                "when": pl.Series([1_770_000_000_000 + seed] * ROW_COUNT).cast(pl.Datetime("ms")),
                "many": [f"v{i}" for i in rng.integers(0, 3_000, ROW_COUNT)],
                "nested": [[1, 2]] * ROW_COUNT,
                "row_id": rng.integers(0, 2**60, ROW_COUNT),
                "cents": rng.integers(100, 10_000_000, ROW_COUNT),
            }
        )

    found = checked(odd(1), odd(2))

    assert found["alarm"] is False
    why = {one["name"]: one["why"] for one in found["left_out"]}
    assert set(why) == {"empty", "day", "when", "nested", "row_id"}
    assert why["day"] == why["when"] == "times"
    assert set(features(found)) == {
        "constant", "ties", "infinite", "huge", "not_a_number", "many", "cents",
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_what_lies_in_objects_is_compared_under_its_path(ending: str) -> None:
    def nested(seed: int, factor: float) -> pl.DataFrame:
        inner = pl.struct(pl.col("amount") * factor, "country")
        return table(seed).select(after=pl.struct("score", card=inner))

    names = [write(nested(1, 100.0), f"file.{ending}"), write(nested(2, 1.0), f"old.{ending}")]

    found = features(said(names[0], "--reference", names[1]))

    assert set(found) == {"after.score", "after.card.amount", "after.card.country"}
    assert found["after.card.amount"]["kind"] == "unit"
    assert not found["after.card.country"]["alarm"]
    assert found["after.score"]["missing"]["file"] < 0.03


def test_the_files_of_a_folder_are_one() -> None:
    Path("days").mkdir()
    for day, rows in enumerate(table(1).iter_slices(ROW_COUNT // 4)):
        write(rows, f"days/{day}.parquet")

    found = said("days", "--reference", write(table(2), "old.parquet"))

    assert found["rows"]["file"] == ROW_COUNT
    assert found["alarm"] is False


@pytest.mark.parametrize("n", [1, 20])
def test_a_tiny_reference_says_little_but_a_number(n: int) -> None:
    found = checked(table(1), table(2, n))

    assert found["alarm"] is False
    assert all(0 < feature["p"] <= 1 for feature in found["features"])


def test_the_order_of_rows_and_columns_changes_nothing() -> None:
    file = table(1).with_columns(pl.col("amount") * 3, country=pl.lit("DE"))

    found = checked(file, table(2))
    other = checked(
        file.select(reversed(file.columns)).sample(fraction=1, shuffle=True, seed=1), table(2)
    )

    assert [f["name"] for f in other["features"]] == [f["name"] for f in found["features"]]
    assert [f["kind"] for f in other["features"]] == [f["kind"] for f in found["features"]]


def test_what_cannot_be_compared_is_refused_in_one_line() -> None:
    reference = write(table(2), "reference.parquet")
    Path("empty.csv").write_text("")
    Path("header.csv").write_text("amount,score\n")
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("bad.jsonl").write_text('{"amount": 1}\n{"amount": NaN}\n')

    def line(*arguments: str) -> str:
        return refusal("drift", "check", *arguments)

    assert "is empty" in line("empty.csv", "--reference", reference)
    assert "has no rows" in line("header.csv", "--reference", reference)
    assert "no such file" in line("gone.csv", "--reference", reference)
    assert "no column in common" in line("other.csv", "--reference", reference)
    assert "line 2" in line("bad.jsonl", "--reference", reference)
    for more in (("--account", "gone"), ("--columns", "amount,gone")):
        said = line(reference, "--reference", reference, *more)
        assert "gone" in said
        assert "it has ['amount'" in said
    assert "between 0 and 1" in line(reference, "--reference", reference, "--alpha", "1")
