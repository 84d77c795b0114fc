"""The Handbook's transactions, served: train on the first days, stream the rest, judge the scores.

Starts an embedded broker and store, trains with `sentinel train`, plays the later days with
`sentinel produce` into `sentinel run`, then reads every decision back: one for each transaction,
and the average precision of the served scores, also without the customers whose frauds were known
(Fraud Detection Handbook, chapter 5).

    python benchmarks/handbook_stream.py handbook_transactions.parquet [--json FILE] [--quick]
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.codec.records import decode_object
from sentinel.core.learning.evaluation import auc, average_precision
from sentinel.records import TopicPartition

CONFIG = Path(__file__).parents[1] / "config" / "handbook.toml"
SENTINEL = [sys.executable, "-m", "sentinel"]
LABEL_DELAY_DAYS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--train-days", type=int, default=100)
    parser.add_argument("--from-day", type=int, default=130, help="judge scores from this day on")
    parser.add_argument("--speed", default="", help="pace, such as 200000x; empty: full speed")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="40 days, trained on 30")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(options, Path(folder)))
    for name, value in figures.items():
        print(f"{name:45} {value:,.4f}" if isinstance(value, float) else f"{name:45} {value:,}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    train_days, from_day, day_count = (
        (30, 33, 40) if options.quick else (options.train_days, options.from_day, None)
    )
    frame = transactions(options.file, day_count)
    decisions, report = await served(frame, folder, train_days, speed=options.speed)
    return judge(frame, decisions, train_days, from_day) | {
        "throughput_per_s": report["throughput_per_s"],
        "alerts": report["alerts"],
        "dead_letters": report["dead_letters"],
        "late": report["late"],
        "labels applied": report["labels_applied"],
        "unexplained alerts": report["unexplained"],
    }


def transactions(path: Path, day_count: int | None = None) -> pl.DataFrame:
    """The first days of the file, or all, in the order of time, with the number of the day."""
    frame = pl.read_parquet(path).sort("TX_DATETIME", maintain_order=True)
    day = (frame["TX_DATETIME"].dt.date() - frame["TX_DATETIME"][0].date()).dt.total_days()
    frame = frame.with_columns(day=day)
    return frame if day_count is None else frame.filter(pl.col("day") < day_count)


async def served(
    frame: pl.DataFrame, folder: Path, train_days: int, *, speed: str = "", idle_s: int = 15
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Decisions on the days behind those trained on, and the report; the model stays in `folder`.

    The instance ends when it has had nothing to do for `idle_s`.
    """
    path = folder / "transactions.parquet"
    frame.drop("day").write_parquet(path)
    skip = int((frame["day"] < train_days).sum())
    async with EmbeddedServers(folder / "servers") as servers:
        environment = {
            **os.environ,
            "PYTHONPATH": str(CONFIG.parents[1]),  # this checkout, whichever is installed
            "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": servers.kafka_servers,
            "SENTINEL__KAFKA__IDEMPOTENCE": "false",
            "SENTINEL__REDIS__URL": servers.redis_url,
        }
        await serve(path, folder, environment, train_days, skip, speed, idle_s)
        values = await read_topic(servers.kafka_servers, "decisions")
    report = json.loads((folder / "report.json").read_text())
    return [decode_object(value) for value in values], report


async def serve(
    path: Path,
    folder: Path,
    environment: dict[str, str],
    days: int,
    skip: int,
    speed: str,
    idle_s: int,
) -> None:
    """Train, start an instance, play the rest, and wait until the instance is idle."""
    common = ["--config", str(CONFIG)]
    label = ["--label-column", "TX_FRAUD"]
    train = [*SENTINEL, "train", str(path), *common, *label, "--days", str(days)]
    await asyncio.to_thread(subprocess.run, train, cwd=folder, env=environment, check=True)
    run = [*SENTINEL, "run", *common, "--no-stream", "--plain", "--exit-when-idle", str(idle_s)]
    instance = await asyncio.create_subprocess_exec(
        *run, "--report", "report.json", cwd=folder, env=environment
    )
    play = [*SENTINEL, "produce", str(path), *common, *label, "--frauds-only", "--skip", str(skip)]
    if speed:
        play += ["--speed", speed]
    try:
        await asyncio.to_thread(subprocess.run, play, cwd=folder, env=environment, check=True)
        code = await instance.wait()
    finally:
        if instance.returncode is None:
            instance.kill()
    if code != 0:
        raise SystemExit(f"sentinel run ended with {code}")


async def read_topic(servers: str, topic: str) -> list[bytes]:
    """The values of all records of a topic, those of each partition in their order."""
    assigned: set[TopicPartition] = set()

    async def on_assigned(partitions: Any) -> None:
        assigned.update(partitions)

    async def on_revoked(partitions: Any) -> None:
        assigned.difference_update(partitions)

    params = KafkaParams(group_id="benchmark").embedded_at(servers)
    found: list[bytes] = []
    async with KafkaBroker(params) as broker:
        await broker.subscribe([topic], on_assigned=on_assigned, on_revoked=on_revoked)
        quiet = 0
        while quiet < 20:
            polled = await broker.poll(sorted(assigned), timeout_s=0.2, count_max=20_000)
            for records in polled.values():
                found += [record.value or b"" for record in records]
            quiet = 0 if polled or not assigned else quiet + 1
    return found


def judge(
    frame: pl.DataFrame,
    decisions: list[dict[str, Any]],
    train_days: int,
    from_day: int,
) -> dict[str, Any]:
    """Whether each transaction was decided once, and how well."""
    counts = Counter(decision["transaction_id"] for decision in decisions)
    score = {decision["transaction_id"]: decision["probability"] for decision in decisions}
    later = frame.filter(pl.col("day") >= train_days)
    ids = later["TRANSACTION_ID"].cast(pl.String).to_list()
    probability = np.array([score.get(name, np.nan) for name in ids])
    labels = later["TX_FRAUD"].to_numpy().astype(np.int64)
    days = later["day"].to_numpy()
    late = days >= from_day
    unknown = late & ~known_customers(frame, days, later["CUSTOMER_ID"].to_numpy(), train_days)
    return {
        "transactions": len(ids),
        "decisions": len(decisions),
        "transactions without a decision": sum(name not in counts for name in ids),
        "transactions with several": sum(count > 1 for count in counts.values()),
        "average precision": average_precision(probability[late], labels[late]),
        "area under the ROC curve": auc(probability[late], labels[late]),
        "rows judged": int(late.sum()),
        "average precision, unknown customers": average_precision(
            probability[unknown], labels[unknown]
        ),
        "area under the ROC curve, unknown customers": auc(probability[unknown], labels[unknown]),
        "rows judged, unknown customers": int(unknown.sum()),
    }


def known_customers(
    frame: pl.DataFrame, days: np.ndarray[Any, Any], customers: np.ndarray[Any, Any], first: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows of customers with a fraud in training, or one whose label had come by that day."""
    frauds = frame.filter(pl.col("TX_FRAUD") == 1)
    by_day = dict(frauds.group_by("day").agg(pl.col("CUSTOMER_ID")).iter_rows())
    known = {c for day, names in by_day.items() if day < first for c in names}
    result = np.zeros(days.size, dtype=np.bool_)
    for day in np.unique(days).tolist():
        known |= set(by_day.get(day - LABEL_DELAY_DAYS - 1, []))
        today = days == day
        result[today] = np.isin(customers[today], list(known))
    return result


if __name__ == "__main__":
    main()
