"""The long run: every fault on its brokers, many strikes each, and a table of what came of it.

python -m tests.faults [--fault NAME]... [--broker tansu|kafka|kafka3] [--strikes 20] [--seed S]

What operators do to Kafka and Redis (tests/faults/operators) comes last, on Apache Kafka only, and
in a table of its own.
"""

import argparse
import asyncio
import json
import logging
import sys
import traceback
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka.errors import KafkaError

from sentinel.errors import SentinelError
from tests.faults.operators import run as operators
from tests.faults.plan import FAULTS
from tests.faults.run import Options, Outcome, run

HEAD = (
    *("fault", "broker", "seed", "strikes", "records", "lost", "state", "repeats", "differ"),
    *("of own", "early", "back", "windows", "alarms", "recovery s (start)", "verdict"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fault", action="append", choices=sorted([*FAULTS, *operators.SCENES]))
    parser.add_argument("--broker", action="append", choices=["tansu", "kafka", "kafka3"])
    parser.add_argument("--strikes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1_000.0, help="transactions a second")
    parser.add_argument("--backlog", type=int, default=0, help="records there at the start")
    parser.add_argument("--json", type=Path, help="one outcome a line, added to the file")
    parser.add_argument("--keep", type=Path, help="where to leave the instances' output")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    is_kept = _struck(options) & _operated(options)
    raise SystemExit(0 if is_kept else 1)


def _struck(options: argparse.Namespace) -> bool:
    """Every fault of the world that was asked for; whether the contract was kept."""
    names = [name for name in options.fault or FAULTS if name in FAULTS]
    if names:
        print(row(HEAD), flush=True)  # noqa: T201
    is_kept = True
    for name in names:
        for broker in FAULTS[name].brokers:
            if options.broker and broker not in options.broker:
                continue
            wanted = Options(
                fault=name,
                broker=broker,
                seed=options.seed,
                strike_count=options.strikes,
                rate=options.rate,
                backlog_count=options.backlog or (300_000 if name == "backlog" else 0),
                keep=options.keep / f"{name}-{broker}-{options.seed}" if options.keep else None,
            )
            outcome = lived_through(wanted)
            is_kept &= not outcome.faults
            report(outcome, options.json)
    return is_kept


def _operated(options: argparse.Namespace) -> bool:
    """Every fault of an operator that was asked for; whether each strike was exact or stopped."""
    names = [name for name in options.fault or operators.SCENES if name in operators.SCENES]
    if options.broker and "kafka" not in options.broker:
        return True
    if names:
        print(operators.HEAD, flush=True)  # noqa: T201
    is_kept = True
    for name in names:
        found = asyncio.run(
            operators.run(
                name,
                seed=options.seed,
                strike_count=options.strikes,
                keep=options.keep,
                tell=tell,
            )
        )
        is_kept &= found.is_kept
        print(operators.row(found), flush=True)  # noqa: T201
        write(found.as_json(), options.json)
    return is_kept


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def lived_through(options: Options) -> Outcome:
    """The outcome; of a run that could not be brought to its end, why not."""
    try:
        return asyncio.run(run(options))
    except (AssertionError, OSError, KafkaError, SentinelError) as error:  # a timeout is an OSError
        text = "".join(traceback.format_exception(error))
        return Outcome(options, broken_off=text)


def report(outcome: Outcome, file: Path | None) -> None:
    print(row(figures(outcome)), flush=True)  # noqa: T201
    write(outcome.as_json(), file)


def write(outcome: dict[str, Any], file: Path | None) -> None:
    if file is not None:
        with file.open("a") as sink:
            sink.write(json.dumps(outcome) + "\n")


def figures(outcome: Outcome) -> tuple[str, ...]:
    found, asked, watch = outcome.comparison, outcome.options, outcome.watch
    if found is None:
        nothing = ("-",) * (len(HEAD) - 4)
        why = outcome.broken_off.strip().splitlines()[-1]
        return (asked.fault, asked.broker, str(asked.seed), *nothing, f"broken off: {why}")
    caught_up = [recovery.caught_up_s for recovery in outcome.recoveries]
    live = [recovery.live_s for recovery in outcome.recoveries if recovery.live_s is not None]
    recovery = f"{median(caught_up):.1f} to {max(caught_up):.1f}" if caught_up else "-"
    recovery += f" ({median(live):.1f})" if live else ""
    return (
        *(asked.fault, asked.broker, str(asked.seed), str(outcome.strikes), str(outcome.records)),
        str(found.lost),
        f"{found.blobs_differing + found.blobs_missing}/{found.blobs}",
        *(str(outcome.repeated), str(outcome.differing), str(outcome.differing_account)),
        *(str(outcome.early_commits), str(outcome.backward_commits)),
        "-" if watch is None else f"{watch.windows_differing}/{watch.windows}",
        "-" if watch is None else f"{watch.alarms_differing}/{watch.alarms}",
        recovery,
        "; ".join(outcome.faults) or "kept",
    )


def row(cells: tuple[str, ...]) -> str:
    widths = (24, 7, 4, 7, 8, 5, 11, 8, 7, 7, 6, 5, 8, 7, 20, 0)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


if __name__ == "__main__":
    main()
