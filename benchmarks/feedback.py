"""Votes into labels while transactions are scored: how many a second, and what scoring pays.

    python -m benchmarks.feedback [--votes N] [--count N] [--json FILE] [--quick]

One instance on the embedded broker drains a preloaded topic of transactions three times: alone,
with as many votes as asked preloaded beside it, and with the votes alone. Three of thirty
investigators vote on each transaction, and a bank on each tenth. A vote counts when it is saved
with its case and its annotator; its label is out before that.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from benchmarks.harness import (
    Instance,
    Site,
    facts,
    header,
    make_model,
    preload,
    print_table,
    site,
    write_json,
)
from sentinel.adapters.redis import RedisCaseStore
from sentinel.app.sender import Sender
from sentinel.records import Feedback

SEED = 11
START_MS = 1_767_225_600_000
INVESTIGATOR_COUNT = 30
DRAIN_S_MAX = 300.0
A_CALL = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--votes", type=int, default=60_000)
    parser.add_argument("--count", type=int, default=300_000, help="transactions")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="9,000 votes, 60,000 transactions")
    options = parser.parse_args()
    if options.quick:
        options.votes, options.count = 9_000, 60_000
    about = facts(SEED)
    runs = uvloop.run(measure(options))
    print(f"\n{options.votes:,} votes beside {options.count:,} transactions, Tansu")
    print(f"  {header(about)}")
    rows = [
        [name, *(_shown(run.get(key)) for key in ("votes_per_s", "transactions_per_s"))]
        for name, run in runs.items()
    ]
    print_table(("", "votes/s", "transactions/s"), rows)
    write_json(options.json, {"benchmark": "feedback", **about, "runs": runs})


def _shown(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}"


async def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Each of the three on a broker of its own."""
    plans = {
        "transactions alone": (0, options.count),
        "both": (options.votes, options.count),
        "votes alone": (options.votes, 0),
    }
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = await asyncio.to_thread(make_model, folder / "model")
        for number, (title, (vote_count, count)) in enumerate(plans.items()):
            async with site(folder / str(number), kafka=False, models=models) as at:
                if count:
                    await preload(at, count, account_count=50_000, seed=SEED)
                await send_votes(at, vote_count)
                found[title] = await drained(at, vote_count, count)
    return found


def votes(count: int) -> list[Feedback]:
    """Feedback on transactions of long ago, in some order."""
    rng = np.random.default_rng(SEED)
    found: list[Feedback] = []
    number = 0
    while len(found) < count:
        is_fraud = bool(rng.random() < 0.3)
        voices = [
            ("investigator", f"i{who}", bool(rng.random() < 0.9) == is_fraud)
            for who in rng.choice(INVESTIGATOR_COUNT, 3, replace=False)
        ]
        if number % 10 == 0:
            voices.append(("chargeback", "issuer", is_fraud))
        found += [
            Feedback(
                transaction_id=f"old{number}",
                label="fraud" if says_fraud else "genuine",
                source=source,
                who=who,
                observed_ms=START_MS + 1000 * number,
                event_time_ms=START_MS,
                entities={"account": f"A{number % 1000}"},
            )
            for source, who, says_fraud in voices
        ]
        number += 1
    return found[:count]


async def send_votes(at: Site, count: int) -> None:
    async with Sender(at.config) as sender:
        made = votes(count)
        for begin in range(0, count, A_CALL):
            await sender.feedback(made[begin : begin + A_CALL])
        await sender.flush()


async def drained(at: Site, vote_count: int, count: int) -> dict[str, Any]:
    """Rates from the first that was counted to the last."""
    begun_s = ended_s = 0.0
    seen = 0
    async with Instance(at) as instance, RedisCaseStore(at.config.redis) as store:
        async with asyncio.timeout(DRAIN_S_MAX):
            while seen < vote_count:
                instance.check()
                progress = await store.progress()
                now = 0 if progress is None else progress.next_offset
                if now and not begun_s:
                    begun_s, first = time.monotonic(), now
                seen = now
                await asyncio.sleep(0.05)
        ended_s = time.monotonic()
        found: dict[str, Any] = {}
        if vote_count:
            found["votes_per_s"] = (vote_count - first) / max(ended_s - begun_s, 1e-9)
        if count:
            sample = await instance.transactions(count, DRAIN_S_MAX)
            found["transactions_per_s"] = count / (
                sample["last_decision_s"] - sample["first_record_s"]
            )
    return found


if __name__ == "__main__":
    main()
