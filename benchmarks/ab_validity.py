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
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.ab_streams import LIKENESS, RAMP, Accounts, Looks, clustered, independent
from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.experiments.inference.comparison import ComparedArrays, compared
from sentinel.core.experiments.inference.confidence import POSITIVES_MIN, half_width
from sentinel.core.experiments.inference.sample_ratio import ALARM, log_evidence
from sentinel.core.experiments.inference.spending import Boundaries, spent
from sentinel.records import Floats

SEED = 2026
ALPHA = 0.05
EDGE = -float(ndtri(ALPHA / 2))
CHUNK, SEQUENCE_CHUNK = 100, 10
RATE = 0.02
LOOKS = 1_000
METRICS = ("share", "money")
Row = dict[str, Any]
Flags = NDArray[np.bool_]
Make = Callable[[Generator, int], tuple[Looks, ...]]


@dataclass(frozen=True, slots=True)
class Share:
    """Of the challenger, how it is called, and how many accounts take part."""

    share: float
    name: str
    account_count: int

    def accounts(self) -> Accounts:
        """Without a difference."""
        return Accounts(self.account_count, RATE, (self.share,))


HALF, TENTH = Share(0.5, "50/50", 3_000), Share(0.1, "90/10", 6_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", action="append", choices=list(PARTS), metavar="NAME")
    parser.add_argument("--experiments", type=int, default=10_000, help="of the planned test")
    parser.add_argument("--sequences", type=int, default=2_000, help="of the confidence sequence")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="100 and 50: minutes")
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
def told_apart(found: ComparedArrays, shares: Floats, expected: Floats) -> Flags:
    """Which experiments the planned test tells apart, from arrays (R, L).

    A boundary is not below that of a look which spends alone all that may be spent by then, and not
    above that of one which spends alone what it may add: only between both the recursion is needed.
    `expected` are the positives that each arm would have if both were alike, (R, L, 2).
    """
    z = np.abs(found.estimate / np.sqrt(found.pooled))
    is_look = (expected >= POSITIVES_MIN).all(axis=-1) & (found.pooled > 0) & np.isfinite(z)
    z = np.where(is_look, z, 0.0)
    allowed = np.vectorize(spent)(shares, ALPHA)
    lowest = -ndtri(np.maximum(allowed, 1e-300))
    added = np.maximum(np.diff(allowed, axis=1, prepend=0.0), 1e-300)
    hits: Flags = np.any(z >= -ndtri(added), axis=1)
    for i in np.flatnonzero(np.any(z >= lowest, axis=1) & ~hits):
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


def expected(looks: Looks) -> Floats:
    """The positives that each arm would have if both were alike, (R, L, 2)."""
    accounts = np.einsum("rlkk->rlk", looks.grams[..., 0, 0])
    of_arms = accounts.reshape(*accounts.shape[:2], -1, 2).sum(axis=2)
    total = looks.positives.sum(axis=-1, keepdims=True)
    found: Floats = total * of_arms / np.maximum(of_arms.sum(axis=-1, keepdims=True), 1.0)
    return found


Hits = dict[str, Flags]


def planned(make: Make, rng: Generator, count: int) -> list[Hits]:
    """Of `count` experiments, for each metric: told apart by the planned test, by one look, by a
    plain test of rows at any look, by one of them at the end.
    """
    parts: list[list[Hits]] = []
    for begin in range(0, count, CHUNK):
        metrics = make(rng, min(CHUNK, count - begin))
        parts.append([hits_of(looks) for looks in metrics])
    return [
        {name: np.concatenate([part[m][name] for part in parts]) for name in parts[0][m]}
        for m in range(len(parts[0]))
    ]


@np.errstate(divide="ignore", invalid="ignore")
def hits_of(looks: Looks) -> Hits:
    found = compared(looks.grams)
    is_fixed: Flags = np.abs(found.estimate / np.sqrt(found.pooled)) >= EDGE
    is_plain: Flags = _plain_z(looks.grams) >= EDGE
    return {
        "planned": told_apart(found, clock(looks), expected(looks)),
        "fixed": is_fixed[:, -1],
        "naive": np.any(is_plain, axis=1),
        "rows as independent": is_plain[:, -1],
    }


@np.errstate(divide="ignore", invalid="ignore")
def _plain_z(grams: Floats) -> Floats:
    """Of rows that are taken for independent, all steps in one: |z| of two shares.

    NaN of money, which is none.
    """
    own = np.einsum("...kkij->...kij", grams)
    arms = own.reshape(*own.shape[:-3], -1, 2, 4, 4).sum(axis=-4)
    n, y = arms[..., 0, 1], arms[..., 0, 2]
    rate = y.sum(axis=-1) / n.sum(axis=-1)
    spread = np.sqrt(rate * (1 - rate) * (1 / n).sum(axis=-1))
    z: Floats = np.abs(y[..., 1] / n[..., 1] - y[..., 0] / n[..., 0]) / spread
    return np.where(n.sum(axis=-1) == np.floor(n.sum(axis=-1)), z, np.nan)


def _told(null: Hits, *, is_money: bool = False) -> Row:
    plain = () if is_money else ("naive", "rows as independent")
    row = {"R": len(null["planned"]), "type I": share_text(null["planned"])}
    return row | {name: share_text(null[name]) for name in ("fixed", *plain)}


def _power(word: str, hits: Hits) -> Row:
    return {
        f"power{word}": share_text(hits["planned"]),
        f"power{word} / fixed": ratio_text(hits["planned"], hits["fixed"]),
    }


def independent_outcomes(options: Any, rng: Generator) -> Iterator[Row]:
    """One outcome of each account."""
    for rate, n in ((0.02, 100_000), (0.001, 400_000)):
        for arms in (HALF, TENTH):
            error = np.sqrt(rate * (1 - rate) / (n * arms.share * (1 - arms.share)))
            for looks in (20, 100):
                made = partial(bernoulli, n, looks, arms, rate)
                (null,) = planned(partial(made, 1.0), rng, options.experiments)
                lift = 1 + 2.8 * error / rate
                (better,) = planned(partial(made, lift), rng, options.experiments // 5)
                row = {"rate": rate, "arms": arms.name, "n": n, "looks": looks}
                yield row | _told(null) | _power("", better)


def bernoulli(
    n: int, looks: int, arms: Share, rate: float, lift: float, rng: Generator, r: int
) -> tuple[Looks]:
    """Independent outcomes of 0 and 1."""
    return (independent(rng, r, looks, n, arms.share, (rate, rate * lift)),)


def of_accounts(looks: int, like: Accounts, rng: Generator, r: int) -> tuple[Looks, Looks]:
    """Accounts with many transactions: shares of them, and of money."""
    return clustered(rng, r, looks, like)


def clustered_accounts(options: Any, rng: Generator) -> Iterator[Row]:
    """Rows of an account are alike."""
    for arms in (HALF, TENTH):
        like = arms.accounts()
        null = planned(partial(of_accounts, 20, like), rng, options.experiments)
        for m, name in enumerate(METRICS):
            row = {"arms": arms.name, "metric": name, "looks": 20} | _told(null[m], is_money=m > 0)
            for word, sign in ((" up", 1), (" down", -1)):
                better = replace(like, lift=_lift(rng, like, m, sign))
                made = planned(partial(of_accounts, 20, better), rng, options.experiments // 10)
                row |= _power(word, made[m])
            yield row
    for arms in (HALF, TENTH):
        make = partial(of_accounts, 100, arms.accounts())
        null = planned(make, rng, options.experiments // 2)
        for m, name in enumerate(METRICS):
            row = {"arms": arms.name, "metric": name, "looks": 100}
            yield row | _told(null[m], is_money=m > 0)


def _lift(rng: Generator, like: Accounts, metric: int, sign: int) -> float:
    """With which one look has about 80 % power."""
    found = compared(clustered(rng, 300, 1, like)[metric].grams)
    error = float(np.std(found.estimate[:, -1]))
    return 1 + sign * 2.8 * error / float(found.rates[:, -1, 0].mean())


def ramps(options: Any, rng: Generator) -> Iterator[Row]:
    """The challenger's share grows from 1 to 50 % while the rate of fraud grows threefold."""
    like = Accounts(6_000, RATE, RAMP, trend=1.0)
    make = partial(of_accounts, 20, like)
    null = planned(make, rng, options.experiments)
    apart = planned(partial(_steps_apart, like), rng, options.experiments // 5)
    for m, name in enumerate(METRICS):
        row = {"arms": "1, 5, 25, 50 %", "metric": name, "looks": 20}
        row |= _told(null[m], is_money=m > 0)
        yield row | {"steps as independent": share_text(apart[m]["planned"])}


def _steps_apart(like: Accounts, rng: Generator, r: int) -> tuple[Looks, ...]:
    """The same without what is known of pairs of steps."""
    found = clustered(rng, r, 20, like)
    for looks in found:
        k = np.arange(looks.grams.shape[-4])
        own = looks.grams[..., k, k, :, :].copy()
        looks.grams[:] = 0.0
        looks.grams[..., k, k, :, :] = own
    return found


# --- the confidence sequence --------------------------------------------------------------------


@np.errstate(divide="ignore", invalid="ignore")
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
    make: Make, rng: Generator, count: int, truth: float, *, with_covariate: bool = False
) -> list[Row]:
    """Over `count` experiments, for each metric."""
    hits: dict[int, list[Flags]] = defaultdict(list)
    plain: dict[int, list[Flags]] = defaultdict(list)
    for begin in range(0, count, SEQUENCE_CHUNK):
        for m, looks in enumerate(make(rng, min(SEQUENCE_CHUNK, count - begin))):
            found = compared(looks.grams, with_covariate=with_covariate)
            hits[m].append(misses(found, looks, truth))
            plain[m].append(np.any(_plain_z(looks.grams) >= EDGE, axis=1))
    rows = []
    for m, some in hits.items():
        row = {"R": count, "miss": share_text(np.concatenate(some))}
        if truth == 0 and m == 0:
            row["naive"] = share_text(np.concatenate(plain[m]))
        rows.append(row)
    return rows


def sequences(options: Any, rng: Generator) -> Iterator[Row]:
    """The interval at any time, looked at 1,000 times."""
    for lift in (1.0, 1.5, 0.5):
        for arms in (HALF, TENTH):
            for rate, n in ((0.02, 20_000), (0.001, 400_000)):
                row = {"outcomes": f"independent {100 * rate:g} %", "arms": arms.name, "lift": lift}
                make = partial(bernoulli, n, LOOKS, arms, rate, lift)
                yield row | missed(make, rng, options.sequences, rate * (lift - 1))[0]
            like = replace(arms.accounts(), lift=lift)
            found = missed(
                partial(of_accounts, LOOKS, like), rng, options.sequences, true_difference(lift)
            )
            for name, some in zip(METRICS, found, strict=True):
                yield {"outcomes": f"clustered {name}", "arms": arms.name, "lift": lift} | some


def true_difference(lift: float) -> float:
    """Of the rates of clustered accounts, of which each has at most 1."""
    spread = 1 / LIKENESS - 1
    own = default_rng(0).beta(RATE * spread, (1 - RATE) * spread, 4_000_000)
    return float((np.minimum(own * lift, 1.0) - own).mean())


def with_cuped(options: Any, rng: Generator) -> Iterator[Row]:
    """The covariate of before taken out, in the sequence and in the planned test."""
    for arms in (HALF, TENTH):
        for lift in (1.0, 1.5, 0.5):
            make = partial(of_accounts, LOOKS, replace(arms.accounts(), lift=lift))
            truth = true_difference(lift)
            found = missed(make, rng, options.sequences, truth, with_covariate=True)
            for name, row in zip(METRICS, found, strict=True):
                yield {"outcomes": name, "arms": arms.name, "lift": lift} | row
        hits, variances = [], []
        for begin in range(0, options.experiments, CHUNK):
            r = min(CHUNK, options.experiments - begin)
            looks, _ = clustered(rng, r, 20, arms.accounts())
            adjusted = compared(looks.grams, with_covariate=True)
            hits.append(told_apart(adjusted, clock(looks), expected(looks)))
            variances.append(adjusted.pooled[:, -1] / compared(looks.grams[:, -1:]).pooled[:, 0])
        yield {
            "outcomes": "share, planned test", "arms": arms.name, "lift": 1.0,
            "R": options.experiments, "type I": share_text(np.concatenate(hits)),
            "variance left": f"{np.concatenate(variances).mean():.3f}",
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
