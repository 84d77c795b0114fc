"""The paired shadow test against a split by accounts: labels, and how often each is wrong.

    python -m benchmarks.paired_shadow [--part sizes|handbook|null|money|maturity] [--seed N]
                                       [--json FILE] [--quick]

Sizes: two models with correlated scores, 2 % fraud, 1 % alerted on; how many transactions and
labels find their difference with a probability of 80 %, at a two-sided 5 %. Handbook: the same of
models that were trained on simulated days of the Fraud Detection Handbook, and the day on which
each would have been told better. Null: equal models, looked at after every discordant fraud.
Money: models that find as much money, the one in many small frauds and the other in few large
ones. Maturity: equal models of which the champion's alerts are labelled at once and the others
weeks later, counted by age and by the arrival of labels.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from scipy.special import ndtri

from benchmarks.harness import facts, header, print_table, write_json
from benchmarks.paired_handbook import on_handbook
from sentinel.core.experiments.inference.spending import boundaries
from sentinel.core.experiments.shadow.betting import log_evidence
from sentinel.core.experiments.shadow.capacity import alerts_at_capacity
from sentinel.core.experiments.shadow.comparison import PairedComparison, compare
from sentinel.core.experiments.shadow.pairs import PairColumns
from sentinel.core.learning.training_data.examples import Bools
from sentinel.records import Floats, Ints

SEED = 2026
Z = float(ndtri(0.975) + ndtri(0.8))
CAPACITY, FRAUD_RATE = 0.01, 0.02
DAY_MS = 86_400_000
PARTS = ("sizes", "handbook", "null", "money", "maturity")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=PARTS, help="this one alone")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="a hundredth of it: a minute")
    options = parser.parse_args()
    about = facts(options.seed)
    print(header(about), flush=True)
    found: dict[str, Any] = {"benchmark": "paired_shadow", **about}
    runs = {
        "sizes": sizes,
        "handbook": on_handbook,
        "null": null,
        "money": money,
        "maturity": maturity,
    }
    for number, (part, run) in enumerate(runs.items()):
        if options.part in (None, part):
            rows = run(default_rng([options.seed, number]), options.quick)
            print(f"\n{part}")
            print_table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows])
            found[part] = rows
    write_json(options.json, found)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return value if isinstance(value, str) else f"{value:,}"


# Sizes


def sizes(rng: Generator, quick: bool) -> list[dict[str, Any]]:
    """Transactions and labels for 80 % power, by how alike the models' scores are."""
    n, repeats = (200_000, 2) if quick else (1_000_000, 8)
    rows = []
    for correlation in (0.6, 0.84, 0.915, 0.955):
        many = [_of_scores(*_scores(rng, n, correlation)) for _ in range(repeats)]
        mean = {name: float(np.mean([one[name] for one in many])) for name in many[0]}
        errors = {
            f"{name} s.e.": float(np.std([one[name] for one in many]) / math.sqrt(repeats))
            for name in ("transactions", "known frauds", "reviews")
        }
        rows.append({"correlation": correlation, **mean, **errors})
        print(f"  … {correlation}", flush=True)
    return rows


def _scores(rng: Generator, n: int, correlation: float) -> tuple[Floats, Floats, Floats]:
    """Scores of champion and challenger, which is a little better, and which are frauds."""
    is_fraud = (rng.random(n) < FRAUD_RATE).astype(np.float64)
    common = rng.standard_normal(n)
    own = rng.standard_normal((2, n))
    a, b = math.sqrt(correlation), math.sqrt(1 - correlation)
    champion = a * common + b * own[0] + 2.0 * is_fraud
    challenger = a * common + b * own[1] + 2.15 * is_fraud
    return champion, challenger, is_fraud


def _of_scores(champion: Floats, challenger: Floats, is_fraud: Floats) -> dict[str, float]:
    n = is_fraud.size
    hashes = np.arange(n, dtype=np.int64)
    alerts = [alerts_at_capacity(s, hashes, round(CAPACITY * n)) for s in (champion, challenger)]
    first, second = (alert * is_fraud for alert in alerts)
    return ratios(first, second, float((alerts[0] & alerts[1]).sum() / alerts[0].sum()))


def ratios(first: Floats, second: Floats, common: float) -> dict[str, float]:
    """What a split needs over what a pair needs, from each model's finds, 1 or 0, by transaction.

    Of a split the variance is that of two means of half of the transactions each, of a pair that of
    the difference. Known frauds: those that either arm's model found, and those that one of the
    pair found alone. Reviews: alerts whose truth is needed.
    """
    difference = float((second - first).mean())
    split = 2 * float(first.var() + second.var()) * Z**2 / difference**2
    pair = float((second - first).var()) * Z**2 / difference**2
    found = float(first.mean() + second.mean()) / 2
    alone = float((first != second).mean())
    return {
        "alerts in common": common,
        "split transactions": split,
        "paired transactions": pair,
        "split frauds": split * found,
        "paired frauds": pair * alone,
        "transactions": split / pair,
        "known frauds": split * found / (pair * alone),
        "reviews": split / (pair * 2 * (1 - common)),
    }


# Null


def null(rng: Generator, quick: bool) -> list[dict[str, Any]]:
    """Any look of equal models beyond 1 / alpha, alpha 5 %, over 3,000 discordant frauds."""
    run_count, length = (200, 1_000) if quick else (4_000, 3_000)
    needed = counts_needed(length)
    rows = [_null_row("each fraud by itself", _false(rng, run_count, needed, 1, ""))]
    for cluster in (3, 10):
        by_account = _false(rng, run_count, needed, cluster, "account")
        by_fraud = _false(rng, run_count, needed, cluster, "fraud")
        rows.append(_null_row(f"{cluster} alike an account, first of account", by_account))
        rows.append(_null_row(f"{cluster} alike an account, all counted", by_fraud))
    for better in (0.55, 0.6, 0.65):
        stops = _stops(rng, run_count // 10, needed, better)
        fixed = math.ceil((ndtri(0.95) + ndtri(0.8)) ** 2 / (2 * better - 1) ** 2)
        rows.append(
            _null_row(f"better in {better:.0%}", stops < length)
            | {"median stop": float(np.median(stops)), "fixed one-sided": fixed}
        )
    return rows


def _null_row(name: str, is_beyond: Bools) -> dict[str, Any]:
    rate, n = float(is_beyond.mean()), is_beyond.size
    error = math.sqrt(max(rate * (1 - rate), 1 / n) / n)
    return {
        "setting": name,
        "R": n,
        "beyond": rate,
        "s.e.": error,
        "median stop": "",
        "fixed one-sided": "",
    }


def counts_needed(length: int, alpha: float = 0.05) -> Ints:
    """How many of n discordant frauds must be the challenger's for 1 / alpha, by n."""
    needed, at = np.zeros(length + 1, dtype=np.int64), 0
    for n in range(length + 1):
        at = max(at, n // 2)
        while at <= n and log_evidence(at, n - at) < -math.log(alpha):
            at += 1
        needed[n] = at
    return needed


def _stops(rng: Generator, run_count: int, needed: Ints, chance: float) -> Ints:
    """After how many frauds there is enough; the length if there never is."""
    stops = np.full(run_count, needed.size, dtype=np.int64)
    for run in range(run_count):
        counts = np.cumsum(rng.random(needed.size - 1) < chance)
        at = np.flatnonzero(counts >= needed[1:])
        stops[run] = at[0] + 1 if at.size else needed.size
    return stops


def _false(rng: Generator, run_count: int, needed: Ints, cluster: int, counted: str) -> Bools:
    """Of equal models: accounts' frauds are all found by the one or all by the other."""
    found = np.zeros(run_count, dtype=np.bool_)
    for run in range(run_count):
        steps = rng.random(needed.size - 1) < 0.5
        if counted == "fraud":
            steps = np.repeat(steps[: math.ceil(steps.size / cluster)], cluster)[: steps.size]
        found[run] = bool(np.any(np.cumsum(steps) >= needed[1:]))
    return found


# Money


def money(rng: Generator, quick: bool) -> list[dict[str, Any]]:
    """Models that find as much money: how often the boundary promotes, and the other way."""
    run_count = 500 if quick else 10_000
    settings = {
        "gains and losses alike": (0.5, 1.0, 0.0),
        "the same, amounts lognormal(1.2)": (0.5, 1.0, 1.2),
        "losses 4 times as large as gains": (0.8, 4.0, 0.0),
        "9 times": (0.9, 9.0, 0.0),
        "19 times": (0.95, 19.0, 0.0),
        "49 times": (0.98, 49.0, 0.0),
        "199 times": (0.995, 199.0, 0.0),
        "better in 65 %, amounts lognormal(0.8)": (0.65, 1.0, 0.8),
        "better in 70 %, amounts lognormal(1.2)": (0.7, 1.0, 1.2),
        "9 times, amounts lognormal(1)": (0.9, 9.0, 1.0),
        "19 times, amounts lognormal(1)": (0.95, 19.0, 1.0),
    }
    rows = []
    for name, setting in settings.items():
        for accounts in (60, 200, 600):
            sums, large = _equal_money(rng, run_count, accounts, setting)
            promoted, kept = _decided(sums, large)
            naive, _ = _decided(sums, 0.0)
            rows.append(
                {
                    "setting": name,
                    "accounts": accounts,
                    "R": run_count,
                    "promoted": float(promoted.mean()),
                    "s.e.": float(promoted.std() / math.sqrt(run_count)),
                    "told worse": float(kept.mean()),
                    "promoted without the large loss": float(naive.mean()),
                }
            )
    return rows


def _equal_money(
    rng: Generator, run_count: int, accounts: int, setting: tuple[float, float, float]
) -> tuple[Floats, float]:
    """Sums of accounts that are 0 in expectation, and the money that one in a thousand exceeds."""
    chance, loss, spread = setting
    sums = np.where(rng.random((run_count, accounts)) < chance, 1.0, -loss)
    if spread:
        sums = sums * rng.lognormal(0, spread, sums.shape)
    return sums, float(np.quantile(np.abs(sums), 0.999))


def _decided(sums: Floats, large: float) -> tuple[Bools, Bools]:
    """Twenty equal looks; whether the upper, and whether the lower boundary came first."""
    run_count, accounts = sums.shape
    at = np.round(np.arange(1, 21) / 20 * accounts).astype(int) - 1
    total, squares = np.cumsum(sums, axis=1)[:, at], np.cumsum(sums**2, axis=1)[:, at]
    z = np.sign(total) * np.maximum(np.abs(total) - large, 0) / np.sqrt(squares + large**2)
    # The information that is expected: the same for all runs.
    shares = ((at + 1) / accounts).tolist()
    edges = np.array(boundaries(shares, shares))
    upper, lower = (np.argmax(np.c_[side >= edges, np.ones(run_count)], axis=1) for side in (z, -z))
    return upper < lower, lower < upper


# Maturity


def maturity(rng: Generator, quick: bool) -> list[dict[str, Any]]:
    """Equal models, two frauds a day each, of which the challenger's are known after 30 days."""
    run_count = 20 if quick else 200
    rows = []
    for rule, maturity_ms in (("labels that have come", 0), ("older than 30 days", 30 * DAY_MS)):
        at_40, worse, better = [], 0, 0
        for _ in range(run_count):
            looks = _looks(rng, maturity_ms)
            at_40.append((looks[39].better_count, looks[39].worse_count))
            worse += any(look.log_e_worse >= math.log(20) for look in looks)
            better += any(look.log_e_better >= math.log(20) for look in looks)
        mean = np.mean(at_40, axis=0)
        error = math.sqrt(max(worse, 1) * max(run_count - worse, 1) / run_count**3)
        rows.append(
            {
                "counted": rule,
                "R": run_count,
                "challenger's at day 40": float(mean[0]),
                "champion's": float(mean[1]),
                "told worse by day 90": worse / run_count,
                "s.e.": error,
                "told better": better / run_count,
            }
        )
    return rows


def _looks(rng: Generator, maturity_ms: int) -> list[PairedComparison]:
    """A look at the end of each of 90 days."""
    counts = rng.poisson(4, 90)
    day = np.repeat(np.arange(90), counts)
    n = day.size
    side = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    known = day + np.where(side > 0, 30, 0)
    times = (day * DAY_MS).astype(np.int64)

    def look(now: int) -> PairedComparison:
        pairs = PairColumns(
            account=np.arange(n, dtype=np.int64),
            event_time_ms=times,
            side=side,
            value=np.ones(n),
            weight=np.ones(n),
            is_fraud=known <= now,
            is_blind=np.zeros(n, dtype=np.bool_),
        )
        return compare(pairs, now * DAY_MS, maturity_ms=maturity_ms)

    return [look(now) for now in range(1, 91)]


if __name__ == "__main__":
    main()
