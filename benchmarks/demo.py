"""The demo with several seeds: what it saved, and how long each part of the answer took.

    python -m benchmarks.demo [--seeds N]... [--days N] [--customers N] [--json FILE] [--png FILE]

Each seed is another town, played by `sentinel demo` as a process of its own. `--png` draws the
first one, as README shows it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import facts, header, print_table, write_json

SEEDS = (1, 2, 3)
_COLUMNS = {
    "saved": "saved",
    "lost": "lost",
    "recall_before": "recall before",
    "recall_low": "worst 72 h",
    "recall_after": "after",
    "static_recall_after": "static",
    "hours_to_alarm": "h to alarm",
    "hours_to_promotion": "h to promotion",
    "hours_to_countered": "h to countered",
    "static_hours_to_countered": "static",
    "rolled_back_after_hours": "h to rollback",
    "took_s": "took, s",
}
_SMOOTH_DAYS = 3
_DRAWN = {
    "pattern": "tab:red",
    "performance_alarm": "tab:orange",
    "promoted": "tab:green",
    "mistake": "tab:red",
    "rolled_back": "tab:green",
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--days", type=int, help="default: half a year")
    parser.add_argument("--customers", type=int)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--png", type=Path, metavar="FILE", help="needs matplotlib")
    options = parser.parse_args(arguments)
    about = facts(options.seeds[0])
    print(header(about))
    more = [f"--days={options.days}"] if options.days else []
    more += [f"--customers={options.customers}"] if options.customers else []
    found = [_played(seed, more) for seed in options.seeds]
    rows = [[f"{one['seed']}", *(_said(one[name]) for name in _COLUMNS)] for one in found]
    print_table(["seed", *_COLUMNS.values()], rows)
    countered = [one["hours_to_countered"] for one in found]
    known = [hours for hours in countered if hours is not None]
    if known:
        print(
            f"countered in {len(known)} of {len(found)}, after {median(known):.0f} hours (median)"
        )
    if options.png is not None:
        draw(found[0], options.png)
    write_json(options.json, {"benchmark": "demo", **about, "demos": found})


def _played(seed: int, more: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sentinel-demo-") as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "sentinel", "demo", f"--seed={seed}", f"--out={folder}"]
        subprocess.run([*command, f"--report={report}", *more], check=True)
        found: dict[str, Any] = json.loads(report.read_bytes())
        return found


def _said(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value:.2f}" if abs(value) < 1.5 else f"{value:,.0f}"


def draw(demo: dict[str, Any], path: Path) -> None:
    """Recall and money by day, with what happened."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    days, begin_ms = demo["days"], demo["versions"][0]["from_ms"]
    figure, (recall, money) = pyplot.subplots(
        2, 1, figsize=(10, 5.6), sharex=True, layout="constrained"
    )
    for name, label, style in (
        ("", "Sentinel", "-"),
        ("static_", "a model that never learns", ":"),
    ):
        caught = [(one[f"{name}caught"], one["frauds"]) for one in days]
        recall.plot(_together(caught), style, label=label)
        money.plot(_together([(one[f"{name}lost"] / 100, 1) for one in days]), style, label=label)
    for event in demo["events"]:
        if event["kind"] in _DRAWN:
            day = (event["at"] - begin_ms) / 86_400_000
            for axes in (recall, money):
                axes.axvline(day, color=_DRAWN[event["kind"]], linestyle="--", linewidth=0.8)
            recall.text(day, 1.02, event["kind"].replace("_", " "), rotation=35, fontsize=7,
                        color=_DRAWN[event["kind"]])  # fmt: skip
    recall.set(ylabel="recall", ylim=(0, 1))
    money.set(ylabel="money lost a day", xlabel="day")
    recall.legend(loc="lower left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _together(pairs: Sequence[tuple[float, float]]) -> list[float]:
    """Ratios of sums over some days, up to each."""
    found = []
    for i in range(len(pairs)):
        some = pairs[max(i - _SMOOTH_DAYS + 1, 0) : i + 1]
        found.append(sum(one[0] for one in some) / max(sum(one[1] for one in some), 1))
    return found


if __name__ == "__main__":
    main()
