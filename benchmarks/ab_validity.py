"""How often equal arms are told apart, and different ones are: the inference of experiments.

    python -m benchmarks.ab_validity [--only NAME]... [--experiments N] [--sequences N] [--seed N]
                                     [--json FILE] [--quick]

Parts: independent, clustered, ramp, sequence, cuped, ratio. Each simulated experiment is judged by
the formulas of the product. "type I": how often equal arms are told apart (aim .05); "fixed": by
one look at the end; "naive": by a plain z-test that is repeated at each look; "power" at a lift
with which one look has about 80 %, as a share of the power of that one look on the same data.
"miss": how often the interval at any time does not hold the true difference at any of 1,000 looks.

Clustered accounts: gamma-distributed activity (shape .8), 20 transactions in a whole period, fraud
alike within an account (intraclass correlation .1), enrolment spread over the first 80 %.
Every figure is followed by its standard error.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.ab_streams import (
    LIKENESS,
    Looks,
    independent,
    ramped,
    running,
    transactions,
)
from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.experiments.inference.comparison import ComparedArrays, compared
from sentinel.core.experiments.inference.confidence import POSITIVES_MIN, half_width
from sentinel.core.experiments.inference.sample_ratio import ALARM, log_evidence
from sentinel.core.experiments.inference.spending import Boundaries, spent
from sentinel.records import Floats

SEED = 2026
ALPHA = 0.05
EDGE = -float(ndtri(ALPHA / 2))
CHUNK = 200
ACCOUNTS = 6_000
RATE = 0.02
LOOKS = 1_000
Row = dict[str, Any]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Share:
    """Of the challenger, and how it is called."""

    share: float
    name: str


HALF, TENTH = Share(0.5, "50/50"), Share(0.1, "90/10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", action="append", choices=list(PARTS), metavar="NAME")
    parser.add_argument("--experiments", type=int, default=10_000, help="of the planned test")
    parser.add_argument("--sequences", type=int, default=2_000, help="of the confidence sequence")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="100 and 50: two minutes")
    options = parser.parse_args()
    if options.quick:
        options.experiments, options.sequences = 100, 50
    about = facts(options.seed)
    print(header(about), flush=True)
    found: dict[str, list[Row]] = {}
    for number, (name, part) in enumerate(PARTS.items()):
        if options.only and name not in options.only:
            continue
        rows = []
        for row in part(options, default_rng([options.seed, number])):
            print(json.dumps(row, ensure_ascii=False), flush=True)
            rows.append(row)
        found[name] = rows
    for name, rows in found.items():
        print(f"\n{name}")
        columns = list(dict.fromkeys(key for row in rows for key in row))
        print_table(columns, [[str(row.get(key, "")) for key in columns] for row in rows])
    write_json(options.json, {"benchmark": "ab_validity", **about, "figures": found})


def share_text(hits: Flags) -> str:
    """A share of experiments, and its standard error."""
    p = float(np.mean(hits))
    return f"{p:.4f} ± {np.sqrt(p * (1 - p) / len(hits)):.4f}"


def ratio_text(hits: Flags, of: Flags) -> str:
    """How the share of one compares with that of the other on the same experiments."""
    a, b = hits.astype(float), of.astype(float)
    ratio = a.mean() / max(b.mean(), 1e-9)
    error = np.std(a - ratio * b) / max(b.mean(), 1e-9) / np.sqrt(len(a))
    return f"{ratio:.3f} ± {error:.3f}"


# --- the planned test ---------------------------------------------------------------------------


@np.errstate(divide="ignore", invalid="ignore")
def told_apart(found: ComparedArrays, shares: Floats, positives: Floats) -> Flags:
    """Which experiments the planned test tells apart, from arrays (R, L).

    A boundary lies between that which spends all that may be spent by then, and that which spends
    what this look may at least: outside of both no recursion is needed to know.
    """
    z = found.estimate / np.sqrt(found.pooled)
    is_look = (positives >= POSITIVES_MIN).all(axis=-1) & (found.pooled > 0)
    z = np.where(is_look & np.isfinite(z), np.abs(z), 0.0)
    allowed = np.vectorize(spent)(shares, ALPHA)
    lowest = -ndtri(np.maximum(allowed, 1e-300))
    hits = np.zeros(len(z), dtype=bool)
    for i in np.flatnonzero((z >= lowest).any(axis=1)):
        edges = Boundaries(ALPHA)
        for k in np.flatnonzero(is_look[i]):
            if z[i, k] >= edges.add(float(shares[i, k]), 1 / float(found.pooled[i, k])):
                hits[i] = True
                break
    return hits


def clock(looks: Looks) -> Floats:
    """The share of what is planned at each look, (R, L): 1 at the last one, and only there."""
    planned = looks.n[:, -1].mean()
    shares: Floats = np.minimum(looks.n / planned, 1 - 1e-6 * np.arange(looks.n.shape[1], 0, -1))
    shares[:, -1] = 1.0
    return shares


@np.errstate(divide="ignore", invalid="ignore")
def planned(
    make: Callable[[Generator, int], Looks], rng: Generator, count: int
) -> dict[str, Flags]:
    """Of `count` experiments: told apart by the planned test, by one look, by naive looks."""
    hits: dict[str, list[Flags]] = {"planned": [], "fixed": [], "naive": [], "naive fixed": []}
    for begin in range(0, count, CHUNK):
        looks = make(rng, min(CHUNK, count - begin))
        found = compared(looks.grams)
        hits["planned"].append(told_apart(found, clock(looks), looks.positives))
        is_fixed: Flags = np.abs(found.estimate / np.sqrt(found.pooled)) >= EDGE
        hits["fixed"].append(is_fixed[:, -1])
        is_plain: Flags = np.nan_to_num(_plain_z(looks.grams)) >= EDGE
        hits["naive"].append(np.any(is_plain, axis=1))
        hits["naive fixed"].append(is_plain[:, -1])
    return {name: np.concatenate(parts) for name, parts in hits.items()}


@np.errstate(divide="ignore", invalid="ignore")
def _plain_z(grams: Floats) -> Floats:
    """Of rows that are taken for independent, all steps in one: |z| of two shares."""
    own = np.einsum("...kkij->...kij", grams)
    arms = own.reshape(*own.shape[:-3], -1, 2, 4, 4).sum(axis=-4)
    n, y = arms[..., 0, 1], arms[..., 0, 2]
    rate = y.sum(axis=-1) / n.sum(axis=-1)
    spread = np.sqrt(rate * (1 - rate) * (1 / n).sum(axis=-1))
    z: Floats = np.abs(y[..., 1] / n[..., 1] - y[..., 0] / n[..., 0]) / spread
    return z


def independent_outcomes(options: Any, rng: Generator) -> Iterator[Row]:
    """One outcome of each account."""
    for rate, n in ((0.02, 100_000), (0.001, 400_000), (0.001, 1_000_000)):
        for arms in (HALF, TENTH) if n < 1_000_000 else (TENTH,):
            error = np.sqrt(rate * (1 - rate) / (n * arms.share * (1 - arms.share)))
            for looks in (20, 100):
                made = partial(bernoulli, n, looks, arms, rate)
                null = planned(partial(made, 1.0), rng, options.experiments)
                better = planned(partial(made, 1 + 2.8 * error / rate), rng, options.experiments)
                row = {"rate": rate, "arms": arms.name, "n": n, "looks": looks}
                yield row | _told(null, better)


def bernoulli(
    n: int, looks: int, arms: Share, rate: float, lift: float, rng: Generator, r: int
) -> Looks:
    """Independent outcomes of 0 and 1."""
    return independent(rng, r, looks, n, arms.share, (rate, rate * lift))


def _told(null: dict[str, Flags], better: dict[str, Flags] | None = None) -> Row:
    row = {
        "R": len(null["planned"]),
        "type I": share_text(null["planned"]),
        "fixed": share_text(null["fixed"]),
        "naive": share_text(null["naive"]),
        "rows as independent": share_text(null["naive fixed"]),
    }
    if better is not None:
        row |= {
            "power": share_text(better["planned"]),
            "fixed power": share_text(better["fixed"]),
            "power / fixed": ratio_text(better["planned"], better["fixed"]),
        }
    return row


def _of_shares(row: Row, money: bool) -> Row:
    """Without what a plain test of rows says, which tests shares alone."""
    plain = ("naive", "rows as independent") if money else ()
    return {key: value for key, value in row.items() if key not in plain}


def many(make: Callable[[Generator], Looks]) -> Callable[[Generator, int], Looks]:
    """Experiments that are simulated one by one, as one."""

    def some(rng: Generator, r: int) -> Looks:
        found = [make(rng) for _ in range(r)]
        return Looks(
            *(
                np.concatenate([getattr(one, name) for one in found])
                for name in ("grams", "n", "positives")
            )
        )

    return some


def clustered(
    arms: Share, looks: int, lift: float, money: bool, accounts: int = ACCOUNTS, rate: float = RATE
) -> Callable[[Generator, int], Looks]:
    """Accounts with many transactions."""
    return many(
        lambda g: running(
            transactions(g, accounts, rate, arms.share, lift), arms.share, looks, money=money
        )
    )


def clustered_accounts(options: Any, rng: Generator) -> Iterator[Row]:
    """Rows of an account are alike."""
    for arms in (HALF, TENTH):
        for money in (False, True):
            looks = 20
            base = {"arms": arms.name, "metric": "money" if money else "ratio", "looks": looks}
            null = planned(clustered(arms, looks, 1.0, money), rng, options.experiments)
            row = base | _of_shares(_told(null), money)
            for word, sign in (("up", 1), ("down", -1)):
                lift = _lift(rng, arms, money, sign)
                other = planned(clustered(arms, looks, lift, money), rng, options.experiments // 4)
                row |= {
                    f"power {word}": share_text(other["planned"]),
                    f"/ fixed {word}": ratio_text(other["planned"], other["fixed"]),
                }
            yield row
    null = planned(clustered(TENTH, 100, 1.0, False), rng, options.experiments)
    yield {"arms": "90/10", "metric": "ratio", "looks": 100} | _told(null)


def _lift(rng: Generator, arms: Share, money: bool, sign: int) -> float:
    """With which one look has about 80 % power."""
    found = compared(clustered(arms, 1, 1.0, money)(rng, 300).grams)
    error = float(np.std(found.estimate[:, -1]))
    return 1 + sign * 2.8 * error / float(found.rates[:, -1, 0].mean())


def ramps(options: Any, rng: Generator) -> Iterator[Row]:
    """The challenger's share grows from 1 to 50 % while the rate of fraud grows threefold."""
    for money in (False, True):
        make = many(partial(_ramp, money))
        null = planned(make, rng, options.experiments)
        row = {"arms": "1, 5, 25, 50 %", "metric": "money" if money else "ratio", "looks": 20}
        yield (
            row
            | _of_shares(_told(null), money)
            | {"steps taken for independent": _as_independent(make, rng, options)}
        )


def _ramp(money: bool, rng: Generator) -> Looks:
    return ramped(transactions(rng, ACCOUNTS, RATE, 0.0, 1.0, trend=1.0), 20, money=money)


def _as_independent(make: Callable[[Generator, int], Looks], rng: Generator, options: Any) -> str:
    """Type I where pairs of steps are left out of the variance."""
    hits = []
    for _ in range(0, options.experiments // 5, CHUNK):
        looks = make(rng, CHUNK)
        k = np.arange(looks.grams.shape[-4])
        only = np.zeros_like(looks.grams)
        only[..., k, k, :, :] = looks.grams[..., k, k, :, :]
        hits.append(told_apart(compared(only), clock(looks), looks.positives))
    return share_text(np.concatenate(hits))


# --- the confidence sequence --------------------------------------------------------------------


def misses(found: ComparedArrays, looks: Looks, truth: float) -> Flags:
    """Which experiments have an interval without the truth at any look."""
    shares = np.maximum(looks.n / looks.n[:, -1].mean(), 1e-9)
    largest = np.fmax(found.pooled, found.separate)
    is_known = (looks.positives >= POSITIVES_MIN).all(axis=-1) & (largest > 0)
    unit = np.vectorize(lambda share: half_width(1.0, share, ALPHA))(shares)
    away = np.abs(found.estimate - truth) > unit * np.sqrt(largest)
    hits: Flags = (is_known & np.isfinite(largest) & away).any(axis=1)
    return hits


def missed(
    make: Callable[[Generator, int], Looks],
    rng: Generator,
    count: int,
    truth: float,
    *,
    with_covariate: bool = False,
    chunk: int = 20,
) -> Row:
    """Over `count` experiments."""
    hits, naive = [], []
    for begin in range(0, count, chunk):
        looks = make(rng, min(chunk, count - begin))
        found = compared(looks.grams, with_covariate=with_covariate)
        hits.append(misses(found, looks, truth))
        if truth == 0:
            naive.append((np.nan_to_num(_plain_z(looks.grams)) >= EDGE).any(axis=1))
    row = {"R": count, "miss": share_text(np.concatenate(hits))}
    return row | {"naive": share_text(np.concatenate(naive)) if naive else "-"}


def sequences(options: Any, rng: Generator) -> Iterator[Row]:
    """The interval at any time, looked at 1,000 times."""
    for lift in (0.5, 1.0, 1.5):
        for arms in (HALF, TENTH):
            for rate, n in ((0.02, 20_000), (0.001, 400_000)):
                row = {"outcomes": f"independent {100 * rate:g} %", "arms": arms.name, "lift": lift}

                made = partial(bernoulli, n, LOOKS, arms, rate, lift)
                yield row | missed(made, rng, options.sequences, rate * (lift - 1))
            for money in (False, True):
                row = {"outcomes": "clustered " + ("money" if money else "ratio")}
                row |= {"arms": arms.name, "lift": lift}
                make = clustered(arms, LOOKS, lift, money)
                truth = true_difference(lift)
                yield row | _of_shares(missed(make, rng, options.sequences, truth), money)


def true_difference(lift: float) -> float:
    """Of the rates of clustered accounts, of which each has at most 1."""
    spread = 1 / LIKENESS - 1
    own = default_rng(0).beta(RATE * spread, (1 - RATE) * spread, 4_000_000)
    return float((np.minimum(own * lift, 1.0) - own).mean())


def with_cuped(options: Any, rng: Generator) -> Iterator[Row]:
    """The covariate of before taken out, in the sequence and in the planned test."""
    for arms in (HALF, TENTH):
        for lift in (0.5, 1.0, 1.5):
            row = {"outcomes": "clustered ratio", "arms": arms.name, "lift": lift}
            make = clustered(arms, LOOKS, lift, False)
            truth = true_difference(lift)
            yield row | missed(make, rng, options.sequences, truth, with_covariate=True)
        hits, variances = [], []
        for begin in range(0, options.experiments, CHUNK):
            looks = clustered(arms, 20, 1.0, False)(rng, min(CHUNK, options.experiments - begin))
            found = compared(looks.grams, with_covariate=True)
            hits.append(told_apart(found, clock(looks), looks.positives))
            variances.append(found.pooled[:, -1] / compared(looks.grams[:, -1:]).pooled[:, 0])
        yield {
            "outcomes": "clustered ratio, planned test", "arms": arms.name, "lift": 1.0,
            "R": options.experiments, "miss": share_text(np.concatenate(hits)),
            "naive": f"variance x {np.concatenate(variances).mean():.3f}",
        }  # fmt: skip


# --- the sample ratio ---------------------------------------------------------------------------


def sample_ratios(options: Any, rng: Generator) -> Iterator[Row]:
    """Accounts by arm, looked at 1,000 times until there are 100,000."""
    for shares, true in (
        ((0.5, 0.5), 0.5), ((0.9, 0.1), 0.1), ((0.5, 0.5), 0.51), ((0.5, 0.5), 0.505),
        ((0.9, 0.1), 0.09), ((0.9, 0.1), 0.095),
    ):  # fmt: skip
        hits = []
        for begin in range(0, options.experiments, CHUNK):
            r = min(CHUNK, options.experiments - begin)
            of_challenger = rng.binomial(100, true, size=(r, LOOKS)).cumsum(axis=1)
            both = 100 * np.arange(1, LOOKS + 1)
            counts = np.stack([both - of_challenger, of_challenger], axis=-1)
            hits.append((log_evidence(counts, shares) >= np.log(ALARM)).any(axis=1))
        found = np.concatenate(hits)
        yield {
            "shares": "/".join(f"{100 * s:g}" for s in shares),
            "true": f"{100 * (1 - true):g}/{100 * true:g}",
            "R": len(found),
            "alarm": share_text(found),
        }


PARTS: dict[str, Callable[[Any, Generator], Iterator[Row]]] = {
    "independent": independent_outcomes,
    "clustered": clustered_accounts,
    "ramp": ramps,
    "sequence": sequences,
    "cuped": with_cuped,
    "ratio": sample_ratios,
}

if __name__ == "__main__":
    main()
