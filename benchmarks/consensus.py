"""Consensus against crowd-kit's Dawid–Skene: on public crowds and on simulated investigators.

    python -m benchmarks.consensus [FOLDER] [--seeds N] [--json FILE] [--quick]

FOLDER holds {rte,sentiment}_votes.csv.gz (task, worker, label) and {…}_truth.csv.gz (task, truth);
without it only the simulation runs: 1,500 transactions, 30 % fraud, two to five votes of thirty
investigators each. crowd-kit runs in a virtual environment of its own, in one process for all
files, so that importing it does not count. Both are given the same votes.

Accuracy at one half, log-loss with posteriors cut at 1e-12, calibration error over 15 equal bins;
seconds of one fit, the median of five of ours, one of theirs.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.harness import facts, header, print_table, write_json
from benchmarks.peers.environments import PeerFailedError, interpreter
from sentinel.core.consensus.batch.dawid_skene import fit
from sentinel.core.consensus.batch.votes import Votes, numbers_of
from sentinel.core.consensus.online import Ballots, settle_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.records import Floats
from sentinel.simulation.investigators import TEAMS, cases, half_collapsing

SEED = 11
CROWDKIT = ("crowd-kit==1.4.2",)
PUBLIC = ("rte", "sentiment")
PARAMS = ConsensusParams()
REPEAT_COUNT = 5
THEIRS_S_MAX = 600.0
BIN_COUNT = 15


@dataclass(frozen=True, slots=True)
class Task:
    """Votes and the truth, bool (n_tasks,)."""

    name: str
    votes: Votes
    truth: NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, help="of the public crowds")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="two seeds")
    options = parser.parse_args()
    about = facts(SEED)
    tasks = [*public(options.folder), *simulated(2 if options.quick else options.seeds)]
    theirs, reason = by_crowdkit(tasks)
    results: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        results.setdefault(task.name.split("#")[0], []).append(compared(task, theirs))
    print(f"\nconsensus of votes, ours | crowd-kit's Dawid–Skene\n  {header(about)}")
    print_table(
        ("votes", "accuracy", "", "log-loss", "", "calibration error", "", "ms", "", "faster"),
        [_row(name, found) for name, found in results.items()],
    )
    if reason:
        print(f"  crowd-kit: {reason}")
    collapse = [after_a_collapse(seed) for seed in range(2 if options.quick else 10)]
    before, after = np.mean(collapse, axis=0)
    print(f"  half of twenty fall from .92 to .55, online: {before:.3f} before, {after:.3f} after")
    write_json(
        options.json, {"benchmark": "consensus", **about, "results": results, "collapse": collapse}
    )


def public(folder: Path | None) -> Iterator[Task]:
    """The public crowds in a folder."""
    for name in PUBLIC if folder else ():
        assert folder is not None
        votes = pl.read_csv(folder / f"{name}_votes.csv.gz")
        truth = pl.read_csv(folder / f"{name}_truth.csv.gz").cast({"task": pl.String})
        tasks, task = numbers_of(votes["task"].cast(pl.String).to_list())
        workers, worker = numbers_of(votes["worker"].cast(pl.String).to_list())
        by_task = dict(truth.iter_rows())
        yield Task(
            name,
            Votes.of(
                task,
                worker,
                votes["label"].to_numpy() == 1,
                task_count=len(tasks),
                annotator_count=len(workers),
            ),
            np.array([by_task[name] == 1 for name in tasks]),
        )


def simulated(seed_count: int) -> Iterator[Task]:
    """Every kind of team, as often as asked."""
    for name, team in TEAMS.items():
        for seed in range(seed_count):
            rng = np.random.default_rng([SEED, seed])
            found = cases(team(30, rng), rng)
            yield Task(f"{name}#{seed}", found.votes, found.truth)


def by_crowdkit(tasks: list[Task]) -> tuple[dict[str, tuple[Floats, float]], str]:
    """Posteriors and seconds by task; and why there are none."""
    try:
        python = interpreter("crowdkit", CROWDKIT)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for number, task in enumerate(tasks):
                columns = {
                    "task": task.votes.task,
                    "worker": task.votes.annotator,
                    "label": task.votes.says_fraud.astype(int),
                }
                pl.DataFrame(columns).write_csv(folder / f"{number:04}.votes.csv")
            program = Path(__file__).parent / "peers" / "with_crowdkit.py"
            done = subprocess.run(
                [str(python), str(program), str(folder)],
                capture_output=True,
                text=True,
                timeout=THEIRS_S_MAX,
                check=False,
            )
            if done.returncode != 0:
                raise PeerFailedError(done.stderr.strip().splitlines()[-1][:120])
            seconds = json.loads((folder / "crowdkit.json").read_text())
            return {
                task.name: (_theirs(folder, number, task), seconds[f"{number:04}"])
                for number, task in enumerate(tasks)
            }, ""
    except PeerFailedError as error:
        return {}, str(error)


def _theirs(folder: Path, number: int, task: Task) -> Floats:
    table = pl.read_csv(folder / f"{number:04}.crowdkit.csv")
    posterior = np.full(task.truth.size, 0.5)
    posterior[table["task"].to_numpy()] = table["posterior"].to_numpy()
    return posterior


def compared(task: Task, theirs: dict[str, tuple[Floats, float]]) -> dict[str, Any]:
    """Ours and theirs on the same votes."""
    seconds = []
    for _ in range(REPEAT_COUNT):
        begun = time.perf_counter()
        posterior = fit(task.votes, PARAMS).posterior
        seconds.append(time.perf_counter() - begun)
    found = {"ours": {**quality(posterior, task.truth), "s": median(seconds)}}
    if task.name in theirs:
        other, other_s = theirs[task.name]
        found["theirs"] = {**quality(other, task.truth), "s": other_s}
    return found


def quality(posterior: Floats, truth: NDArray[np.bool_]) -> dict[str, float]:
    """Accuracy, log-loss and calibration error of posteriors."""
    p = np.clip(np.where(truth, posterior, 1 - posterior), 1e-12, 1)
    bins = np.minimum((posterior * BIN_COUNT).astype(int), BIN_COUNT - 1)
    gap = np.bincount(bins, posterior - truth, BIN_COUNT)
    return {
        "accuracy": float(np.mean((posterior > 0.5) == truth)),
        "log_loss": float(-np.log(p).mean()),
        "calibration_error": float(np.abs(gap).sum() / truth.size),
    }


def _row(name: str, found: list[dict[str, Any]]) -> list[str]:
    cells = [name]
    for measure, digits in (("accuracy", 4), ("log_loss", 3), ("calibration_error", 3)):
        for who in ("ours", "theirs"):
            values = [run[who][measure] for run in found if who in run]
            cells.append(f"{np.mean(values):.{digits}f}" if values else "-")
    ours_ms = median(run["ours"]["s"] for run in found) * 1000
    theirs = [run["theirs"]["s"] * 1000 for run in found if "theirs" in run]
    cells += [f"{ours_ms:.1f}", f"{median(theirs):.0f}" if theirs else "-"]
    return [*cells, f"{median(theirs) / ours_ms:.0f}x" if theirs else "-"]


def after_a_collapse(seed: int) -> tuple[float, float]:
    """Online accuracy before half of the investigators collapse, and behind the next 200 tasks."""
    shown = half_collapsing(np.random.default_rng([SEED, seed]))
    votes, n = shown.votes, len(shown.votes)
    ballots = Ballots(
        0, votes.task, votes.annotator, votes.says_fraud.astype(np.int64), np.ones(n),
        np.zeros(n, np.int64), np.full(n, -1), np.zeros(n, np.bool_), np.full(n, np.nan),
    )  # fmt: skip
    nobody = AnnotatorSkills(*(np.zeros(votes.annotator_count) for _ in range(4)))
    unknown = np.full(votes.task_count, np.nan)
    settled = settle_votes(ballots, unknown, nobody, PARAMS)
    is_right = (settled.posterior[2::3] > 0.5) == shown.truth
    half = votes.task_count // 2
    return float(np.mean(is_right[:half])), float(np.mean(is_right[half + 200 :]))


if __name__ == "__main__":
    main()
