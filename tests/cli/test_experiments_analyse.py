"""`sentinel experiments analyse` on files of outcomes."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.random import default_rng

from sentinel.operations.experiments.files.analyse import analyse_outcomes
from sentinel.operations.experiments.files.analysis import AnalyseOptions
from sentinel.operations.experiments.files.columns import OutcomeColumns
from tests.cli.test_commands import refusal, sentinel

DAY_MS = 86_400_000
FIRST_MS = 1_788_220_800_000


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table(
    seed: int,
    lift: float = 1.0,
    *,
    accounts: int = 3_000,
    shares: tuple[float, ...] = (0.5, 0.5),
    names: tuple[str, ...] = ("control", "challenger"),
    rate: float = 0.05,
) -> pl.DataFrame:
    """Transactions of a month; the last arm has `lift` times the fraud."""
    rng = default_rng(seed)
    arm = rng.choice(len(shares), accounts, p=shares)
    own = rng.beta(rate * 9, (1 - rate) * 9, accounts)
    before = rng.binomial(20, own)
    own = np.where(arm == len(shares) - 1, np.minimum(own * lift, 1), own)
    account = np.repeat(np.arange(accounts), 1 + rng.poisson(rng.gamma(0.8, 5, accounts)))
    n = account.size
    frame = pl.DataFrame(
        {
            "account": [f"a{i}" for i in account],
            "arm": [names[i] for i in arm[account]],
            "time": FIRST_MS + rng.integers(0, 30 * DAY_MS, n),
            "outcome": (rng.random(n) < own[account]).astype(np.int64),
            "amount": np.round(rng.lognormal(3, 1.2, n), 2),
            "covariate": before[account],
        }
    )
    return frame.sort("time")


def write(frame: pl.DataFrame, name: str = "arms.parquet") -> str:
    if name.endswith(".csv"):
        frame.write_csv(name)
    elif name.endswith(".jsonl"):
        frame.write_ndjson(name)
    else:
        frame.write_parquet(name)
    return name


def said(file: str, *arguments: object) -> dict[str, Any]:
    """What `--json` prints."""
    result = sentinel("experiments", "analyse", file, *arguments, "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def analysed(frame: pl.DataFrame, *arguments: object) -> dict[str, Any]:
    return said(write(frame), *arguments)


@pytest.mark.parametrize(
    ("lift", "better", "verdict"),
    [(0.6, "lower", "promote"), (0.6, "higher", "harm"), (1.6, "lower", "harm")],
)
def test_a_difference_is_found_and_its_side_is_what_one_calls_better(
    lift: float, better: str, verdict: str
) -> None:
    found = analysed(table(1, lift), "--looks", 20, "--better", better)

    assert found["verdict"] == verdict
    assert len(found["looks"]) == 20
    at = found["looks"][found["decided_at_look"] - 1]
    assert abs(at["statistic"]) >= at["boundary"]
    low, high = at["interval"]
    assert low > 0 or high < 0
    assert all(
        abs(one["statistic"]) < one["boundary"]
        for one in found["looks"][: found["decided_at_look"] - 1]
        if one["boundary"] is not None
    )
    assert found["sample_ratio"]["alarm"] is False
    assert sum(found["sample_ratio"]["accounts"].values()) == 3_000


def test_equal_arms_are_left_as_they_are() -> None:
    found = analysed(table(2), "--looks", 20)

    assert found["verdict"] in ("keep", "futility", "undecided")
    assert found["looks"][-1]["share"] == 1
    assert found["looks"][-1]["level_spent"] == pytest.approx(0.05)


def test_of_forty_pairs_of_equal_arms_hardly_any_is_told_apart() -> None:
    """Five of a hundred at most; and plain tests of rows, repeated, tell many apart."""
    wrong = naive = 0
    for seed in range(40):
        file = Path(write(table(100 + seed, accounts=800), "arms.parquet"))
        found = analyse_outcomes(file, OutcomeColumns(covariate=None), AnalyseOptions(looks=20))
        wrong += found.verdict.kind in ("promote", "harm")
        looks = found.deciding.looks
        naive += any(one.naive_p is not None and one.naive_p < 0.05 for one in looks)
    assert wrong <= 40 * (0.05 + 3 * math.sqrt(0.05 * 0.95 / 40))
    assert naive > 15


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_says_the_same_whatever_its_format(ending: str) -> None:
    frame = table(3, 0.7)

    found = said(write(frame, f"arms.{ending}"), "--better", "lower")
    other = analysed(frame, "--better", "lower")

    assert found == other


def test_the_order_of_rows_and_of_columns_changes_nothing() -> None:
    frame = table(4, 0.7).unique("time", maintain_order=True)

    shuffled = frame.select(reversed(frame.columns)).sample(fraction=1, shuffle=True, seed=1)

    found, other = analysed(frame), analysed(shuffled)
    assert [one["statistic"] for one in other["looks"]] == pytest.approx(
        [one["statistic"] for one in found["looks"]]
    )
    assert other["verdict"] == found["verdict"]


def test_looks_share_the_outcomes_equally_and_never_part_rows_of_one_time() -> None:
    frame = table(5)
    days = frame.with_columns(time=pl.col("time") // DAY_MS * DAY_MS)

    fine, of_days = analysed(frame, "--looks", 50), analysed(days, "--looks", 50)

    parts = np.diff([0, *(one["outcomes"] for one in fine["looks"])])
    assert parts.max() - parts.min() <= 2
    assert len(of_days["looks"]) == 30
    per_day = np.cumsum(days.group_by("time").len().sort("time")["len"].to_numpy())
    assert [one["outcomes"] for one in of_days["looks"]] == per_day.tolist()


def test_five_looks_have_the_known_boundaries() -> None:
    found = analysed(table(6, accounts=4_000), "--looks", 5)

    assert [one["boundary"] for one in found["looks"]] == pytest.approx(
        [4.877, 3.357, 2.680, 2.290, 2.031], rel=0.03
    )


def test_times_may_be_texts_dates_numbers_or_times_of_any_zone() -> None:
    frame = table(7, 0.7).unique("time", maintain_order=True)
    when = pl.from_epoch("time", time_unit="ms")
    forms = {
        "texts": when.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        "without a zone": when.dt.strftime("%Y-%m-%d %H:%M:%S%.3f"),
        "of a zone": when.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
        "seconds": pl.col("time") / 1_000,
    }
    expected = [one["estimate"] for one in analysed(frame)["looks"]]
    for name, form in forms.items():
        for ending in ("parquet", "csv"):
            file = write(frame.with_columns(time=form), f"arms.{ending}")
            found = [one["estimate"] for one in said(file)["looks"]]
            assert found == pytest.approx(expected), (name, ending)
    day = analysed(frame.with_columns(time=when.dt.date()))
    assert day["looks"][0]["time"].startswith("2026-09-0")


def test_outcomes_may_be_booleans_or_words_or_numbers() -> None:
    frame = table(8, 0.7)
    is_one = pl.col("outcome") == 1
    forms = [
        is_one,
        pl.when(is_one).then(pl.lit("fraud")).otherwise(pl.lit("genuine")),
        pl.when(is_one).then(pl.lit("Yes")).otherwise(pl.lit("no")),
        pl.col("outcome").cast(pl.Float64),
        pl.col("outcome").cast(pl.String),
    ]
    expected = analysed(frame)["looks"][-1]["estimate"]
    for form in forms:
        for ending in ("parquet", "csv", "jsonl"):
            file = write(frame.with_columns(outcome=form), f"arms.{ending}")
            assert said(file)["looks"][-1]["estimate"] == pytest.approx(expected)


def test_an_outcome_may_be_money() -> None:
    rng = default_rng(9)
    frame = table(9).drop("amount")
    lost = pl.Series(np.where(rng.random(len(frame)) < 0.1, rng.lognormal(8, 1, len(frame)), 0.0))
    better = pl.when(pl.col("arm") == "challenger").then(0.5).otherwise(1.0)

    found = analysed(frame.with_columns(outcome=lost * better), "--better", "lower")

    assert found["verdict"] == "promote"
    assert found["arms"][0]["other_metric"] is None


def test_amounts_weigh_the_outcome_beside_it_or_decide() -> None:
    """Frauds are as many in both arms, but the challenger's are the small ones."""
    frame = table(10, accounts=6_000).with_columns(
        amount=pl.when((pl.col("arm") == "challenger") & (pl.col("outcome") == 1))
        .then(pl.col("amount") / 5)
        .otherwise("amount")
    )

    counted = analysed(frame, "--better", "lower")
    weighed = analysed(frame, "--better", "lower", "--primary", "amount")

    assert counted["verdict"] in ("keep", "futility", "undecided")
    assert counted["arms"][0]["other_metric"]["name"] == "amount"
    assert counted["arms"][0]["other_metric"]["p"] < 0.001
    assert weighed["verdict"] == "promote"
    assert weighed["arms"][0]["other_metric"]["name"] == "outcome"
    of_challenger = frame.filter(pl.col("arm") == "challenger")
    amounts = of_challenger["amount"].to_numpy()
    share = np.average(of_challenger["outcome"].to_numpy(), weights=amounts)
    rate = weighed["arms"][0]["at_the_end"]["rates"]["challenger"]
    adjusted = said(write(frame.drop("covariate")), "--primary", "amount")
    assert adjusted["arms"][0]["at_the_end"]["rates"]["challenger"] == pytest.approx(share)
    assert rate == pytest.approx(share, rel=0.1)


def test_a_covariate_makes_the_interval_narrower_and_its_first_value_counts() -> None:
    frame = table(11)
    later = pl.when(pl.col("time").rank("ordinal").over("account") > 1).then(pl.lit(99))

    plain, adjusted = analysed(frame.drop("covariate")), analysed(frame)
    changed = analysed(frame.with_columns(covariate=later.otherwise("covariate")))

    def width(found: dict[str, Any]) -> float:
        low, high = found["looks"][-1]["interval"]
        return float(high - low)

    assert width(adjusted) < 0.95 * width(plain)
    assert changed["looks"] == adjusted["looks"]


def test_rows_of_an_account_do_not_count_as_independent() -> None:
    """One account of 2,000 rows, all of them fraud, is one account."""
    frame = table(12, accounts=600)
    heavy = frame.head(1).with_columns(account=pl.lit("heavy"), outcome=pl.lit(1, pl.Int64))
    rows = pl.concat([heavy] * 2_000).with_columns(time=FIRST_MS + pl.int_range(2_000) * 1_000_000)

    found = analysed(pl.concat([frame, rows]).sort("time"), "--looks", 20)

    assert found["verdict"] not in ("promote", "harm")
    assert found["looks"][-1]["naive_p"] < 1e-6


def test_wrong_shares_make_it_invalid_and_right_ones_do_not() -> None:
    frame = table(13, 0.5, shares=(0.9, 0.1), accounts=6_000)

    assert analysed(frame)["verdict"] == "invalid"
    for shares in ("0.9,0.1", "challenger=0.1,control=0.9"):
        found = analysed(frame, "--shares", shares)
        assert found["verdict"] != "invalid"
        assert found["sample_ratio"]["shares"] == {"control": 0.9, "challenger": 0.1}
    assert "90" in analysed(frame)["why"]


def test_an_account_in_two_arms_is_left_out_by_name_and_many_make_it_invalid() -> None:
    frame = table(14)
    other = pl.when((pl.col("account") == "a7") & (pl.int_range(pl.len()) % 2 == 0))
    one = frame.with_columns(arm=other.then(pl.lit("control")).otherwise("arm"))
    by_row = frame.with_columns(
        arm=pl.when(pl.int_range(pl.len()) % 2 == 0)
        .then(pl.lit("control"))
        .otherwise(pl.lit("challenger"))
    )
    crossed = one.filter(account="a7")["arm"].n_unique() > 1

    found, invalid = analysed(one), analysed(by_row)

    assert crossed
    assert found["accounts_in_two_arms"] == 1
    assert any("a7" in note for note in found["notes"])
    assert found["accounts"] == 2_999
    assert invalid["verdict"] == "invalid"
    assert "not given by account" in invalid["why"]


def test_each_of_several_challengers_is_compared_with_the_control() -> None:
    names = ("champion", "same", "good")
    frame = table(15, 0.5, shares=(0.4, 0.3, 0.3), names=names, accounts=6_000)

    found = analysed(frame, "--better", "lower", "--shares", "champion=.4,good=.3,same=.3")

    verdicts = {arm["name"]: arm["verdict"] for arm in found["arms"]}
    assert verdicts["good"] == "promote"
    assert verdicts["same"] in ("keep", "futility", "undecided")
    assert found["verdict"] == "promote"
    assert found["challenger"] == "good"
    assert found["looks"] == found["arms"][0]["looks"]


@pytest.mark.parametrize("outcome", [0, 1])
def test_outcomes_that_are_all_the_same_leave_it_undecided(outcome: int) -> None:
    found = analysed(table(16).with_columns(outcome=pl.lit(outcome)))

    assert found["verdict"] == "undecided"
    assert found["looks"][-1]["statistic"] is None
    assert "too few accounts" in found["looks"][-1]["not_tested"]


def test_few_rows_are_too_few() -> None:
    frame = table(17, accounts=20)

    assert analysed(frame, "--looks", 100)["verdict"] in ("undecided", "futility")
    pair = pl.DataFrame(
        {"account": ["a", "b"], "arm": ["control", "x"], "time": [1, 2], "outcome": [0, 1]}
    )
    assert analysed(pair)["verdict"] == "undecided"


def test_what_is_missing_is_counted_and_the_rest_is_analysed() -> None:
    frame = table(18)
    at = pl.int_range(pl.len()) % 50
    holes = frame.with_columns(
        pl.when(at != k).then(pl.col(name)).alias(name)
        for k, name in enumerate(("account", "arm", "time", "outcome", "amount", "covariate"))
    )
    for ending in ("parquet", "csv", "jsonl"):
        found = said(write(holes, f"holes.{ending}"))
        assert set(found["left_out"]) == {
            "without account", "without arm", "without a readable time", "without outcome",
        }  # fmt: skip
        assert all(
            count == pytest.approx(len(frame) / 50, abs=1) for count in found["left_out"].values()
        )
        assert found["looks"][-1]["statistic"] is not None


def test_outcomes_that_are_missing_in_one_arm_more_are_noted() -> None:
    frame = table(19)
    is_gone = (pl.col("arm") == "challenger") & (pl.int_range(pl.len()) % 4 == 0)

    found = analysed(frame.with_columns(outcome=pl.when(~is_gone).then("outcome")))

    assert any("missing in" in note for note in found["notes"])


def test_a_column_is_found_by_its_usual_name_or_told() -> None:
    frame = table(20).rename(
        {"account": "customerId", "arm": "variant", "time": "created_at", "outcome": "is_fraud"}
    )
    odd = frame.rename({"customerId": "c1", "variant": "c2", "created_at": "c3", "is_fraud": "c4"})

    found = analysed(frame)
    told = analysed(odd, "--account", "c1", "--arm", "c2", "--time", "c3", "--outcome", "c4")

    assert found["columns"]["account"] == "customerId"
    assert found["columns"]["time"] == "created_at"
    assert told["looks"] == found["looks"]


def test_a_person_sees_the_looks_the_verdict_and_why() -> None:
    file = write(table(21, 0.5))

    result = sentinel("experiments", "analyse", file, "--looks", 5, "--better", "lower")

    assert result.exit_code == 0, result.output
    assert result.output.startswith("promote: challenger against control\nthe challenger is better")
    for words in (
        "boundary",
        "lower is better",
        "alarm at 1,000",
        "for contrast",
        "account account",
    ):
        assert words in result.output


def test_markup_in_the_name_of_an_arm_is_shown_as_it_is() -> None:
    frame = table(22, names=("control", "[bold]new[/x]"))

    result = sentinel("experiments", "analyse", write(frame))

    assert result.exit_code == 0, result.output
    assert "[bold]new[/x] against control" in result.output


def test_what_cannot_be_analysed_is_refused_in_one_line() -> None:
    good = write(table(23), "good.parquet")

    def line(*arguments: object) -> str:
        return refusal("experiments", "analyse", *arguments)

    Path("empty.csv").write_text("")
    Path("header.csv").write_text("account,arm,time,outcome\n")
    assert "is empty" in line("empty.csv")
    assert "has no rows" in line("header.csv")
    assert "no such file" in line("gone.csv")
    assert "no such column" in line(good, "--account", "gone")
    assert "--outcome" in line(write(table(23).drop("outcome"), "less.parquet"))
    one = write(table(23).with_columns(arm=pl.lit("control")), "one.parquet")
    assert 'one arm, "control"' in line(one)
    names = write(table(23, names=("a", "b")), "names.parquet")
    assert "--control says which" in line(names)
    assert "there is no such arm" in line(names, "--control", "c")
    both = write(table(23, names=("champion", "control")), "both.parquet")
    assert "two arms are named" in line(both)
    for shares, why in (
        ("0.5,0.6", "must sum to 1"), ("0.5", "one for each arm"), ("a,b", "between 0 and 1"),
        ("control=0.5", "have none"), ("control=0.5,x=0.5", "is no arm"), ("1,0", "between 0 and"),
        ("control=0.5,control=0.5", "two shares"), ("nan,0.5", "between 0 and 1"),
    ):  # fmt: skip
        assert why in line(good, "--shares", shares)
    assert "--looks" in line(good, "--looks", 0)
    assert "1..100" in line(good, "--looks", 1_000)
    assert "--alpha" in line(good, "--alpha", 1)
    assert "--worth" in line(good, "--worth", 0)
    words = write(table(23).with_columns(outcome=pl.col("arm")), "words.parquet")
    assert "must hold numbers" in line(words)
    times = write(table(23).with_columns(time=pl.format("03/04/20{}", "outcome")), "times.parquet")
    assert "ISO 8601" in line(times)
    many = write(table(23).with_columns(arm=pl.col("account")), "many.parquet")
    assert "is it the arm" in line(many)
    assert "both" in line(good, "--account", "arm", "--arm", "arm")
    nested = write(table(23).with_columns(outcome=pl.concat_list("outcome")), "nested.parquet")
    assert "lists or objects" in line(nested)
    no_amount = write(table(23).drop("amount"), "plain.parquet")
    assert "no column of amounts" in line(no_amount, "--primary", "amount")
    bare = write(table(23).with_columns(account=pl.lit(None, pl.String)), "bare.parquet")
    assert "no row has an account" in line(bare)


def test_numbers_that_are_none_or_too_large_are_left_out() -> None:
    frame = table(24).with_columns(pl.col("outcome").cast(pl.Float64))
    at = pl.int_range(pl.len()) % 100
    odd = pl.when(at == 0).then(math.inf).when(at == 1).then(math.nan).otherwise("outcome")

    found = analysed(frame.with_columns(outcome=odd))

    assert found["left_out"]["without outcome"] == pytest.approx(len(frame) / 50, abs=2)
    assert found["looks"][-1]["statistic"] is not None
