"""The Handbook's stream with a scripted change: alarms, estimated harm and true performance by day.

    python -m benchmarks.drift_timeline [SCENARIO]... [--plot FILE] [--customers N] [--quick] …

A model is trained on the first 100 days of the simulation. The days behind them are played through
the engine (`drift_play`), and from the day 120 on something changes:

- `none`: nothing but what the generator itself does;
- `leaking shops`: half of what is bought at some shops that sell online only is fraud;
- `new customers`: half as many again come, who spend twice as much;
- `unit`: for three days all amounts are sent in cents.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift_play import Played, Told, Trained, played, trained
from benchmarks.harness import facts, header, print_table, write_json
from sentinel.simulation.changes import Change, LeakingShops, NewCohort
from sentinel.simulation.handbook import SimulationParams, days

TRAIN_DAYS, CHANGE_DAY, DAY_COUNT = 100, 120, 183
DAY_MS = 86_400_000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What changes, and for how many days amounts are sent in cents."""

    name: str
    change: type[Change] | None = None
    cents_days: int = 0


SCENARIOS = (
    Scenario("none"),
    Scenario("leaking shops", LeakingShops),
    Scenario("new customers", NewCohort),
    Scenario("unit", cents_days=3),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="none: all of them")
    parser.add_argument("--customers", type=int, default=3_000, help="with twice as many terminals")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation; 0 is the published")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="SVG or PNG, by its ending")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="200 customers, a few days")
    options = parser.parse_args(arguments)
    about = facts(options.seed)
    print(header(about))
    wanted = [one for one in SCENARIOS if not options.scenarios or one.name in options.scenarios]
    params = SimulationParams(
        customer_count=200 if options.quick else options.customers,
        terminal_count=400 if options.quick else 2 * options.customers,
        day_count=DAY_COUNT - 55 if options.quick else DAY_COUNT,
        seed=options.seed,
    )
    model = trained(list(islice(days(params), TRAIN_DAYS)))
    found: dict[str, Played] = {}
    for scenario in wanted:
        found[scenario.name] = _through(scenario, params, model)
        print(f"  … {scenario.name}: {len(found[scenario.name].told)} times something was told",
              flush=True)  # fmt: skip
    rows = [figures(name, one) for name, one in found.items()]
    print_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    for name, one in found.items():
        print(f"\n{name}")
        print("\n".join(f"  {line}" for line in lines(one)))
    if options.plot is not None:
        draw(found, options.plot)
    write_json(options.json, {"benchmark": "drift_timeline", **about, **_as_json(found)})


def _through(scenario: Scenario, params: SimulationParams, model: Trained) -> Played:
    changes: tuple[Change, ...] = ()
    if scenario.change is LeakingShops:
        changes = (LeakingShops(CHANGE_DAY),)
    elif scenario.change is NewCohort:
        changes = (NewCohort(CHANGE_DAY, params.customer_count // 2, amount_factor=2.0),)
    stream = islice(days(replace(params, changes=changes)), TRAIN_DAYS, None)
    in_cents = range(CHANGE_DAY, CHANGE_DAY + scenario.cents_days)
    return played(model, stream, cents_as_units=in_cents)


# --- figures ------------------------------------------------------------------------------------


def figures(name: str, one: Played) -> Row:
    """When somebody heard of it: in days from the first day of the change on."""
    opened = _opened(one.told)
    before = [told for told in opened if _at(told) < CHANGE_DAY]
    after = [told for told in one.told if told not in before and _at(told) >= CHANGE_DAY]
    first = min(after, key=lambda told: told.day, default=None)
    labels = [told for told in after if told.alarm.detector == "examples"]
    critical = [told for told in after if told.alarm.severity == "critical"]
    return {
        "change": name,
        "days watched": len(one.figures),
        "alarms before": len(before),
        "alarms after": len(opened) - len(before),
        "first alarm, days": _since(first),
        "of": "-" if first is None else f"{first.alarm.column} {first.alarm.part}",
        "critical, days": _since(min(critical, key=lambda told: told.day, default=None)),
        "by labels, days": _since(min(labels, key=lambda told: told.day, default=None)),
    }


def _opened(told: Sequence[Told]) -> list[Told]:
    """What was said first of each alarm."""
    first: dict[str, Told] = {}
    for one in told:
        first.setdefault(one.alarm.id, one)
    return list(first.values())


def _at(told: Told) -> float:
    return told.day


def _since(told: Told | None) -> str:
    return "-" if told is None else f"{told.day - CHANGE_DAY:.1f}"


def lines(one: Played) -> list[str]:
    """Each alarm in a line, and what estimates and truth say of the days before and after."""
    found = []
    for told in _opened(one.told):
        alarm = told.alarm
        later = [x for x in one.told if x.alarm.id == alarm.id]
        over = next((f", over on {x.day:.1f}" for x in later if x.alarm.is_over), "")
        worst = max(later, key=lambda x: ("info", "warning", "critical").index(x.alarm.severity))
        kinds = [x.alarm.kind for x in later if x.alarm.kind]
        words = [x.alarm.words for x in later if x.alarm.words]
        found.append(
            f"day {told.day:6.1f} {alarm.detector} {alarm.column} {alarm.part} {alarm.side}, "
            f"{worst.alarm.severity}, {kinds[-1] if kinds else '-'} {words[-1] if words else ''}"
            f"{over}"
        )
    for begin, end in ((TRAIN_DAYS, CHANGE_DAY), (CHANGE_DAY, CHANGE_DAY + 14),
                       (CHANGE_DAY + 14, DAY_COUNT)):  # fmt: skip
        some = [day for day in one.figures if begin <= day.day < end]
        if some:
            true = np.average([d.missed_minor for d in some], weights=[d.rows for d in some])
            caught, alerts, frauds = (
                sum(getattr(day, name) for day in some) for name in ("caught", "alerts", "frauds")
            )
            estimates = [x for day, x in _estimated(one).items() if begin <= day < end]
            estimated = np.mean(estimates) if estimates else float("nan")
            found.append(
                f"days {begin} to {end}: missed {true / 100:.3f} a transaction, estimated "
                f"{estimated / 100:.3f}; precision {caught / max(alerts, 1):.2f}, recall "
                f"{caught / max(frauds, 1):.2f}"
            )
    return found


def _estimated(one: Played) -> dict[int, float]:
    """Missed money a transaction as windows of a day estimate it, in minor units, by day."""
    first_ms = min((w.begin_ms for w in one.windows if w.scale == "day"), default=0)
    first_day = one.figures[0].day
    return {
        first_day + round((window.end_ms - DAY_MS - first_ms // DAY_MS * DAY_MS) / DAY_MS):
        window.harm.missed_amount_minor[0]
        for window in one.windows
        if window.scale == "day" and window.harm is not None
    }  # fmt: skip


def _as_json(found: dict[str, Played]) -> dict[str, Any]:
    return {
        name: {
            "days": [asdict(day) for day in one.figures],
            "estimated": _estimated(one),
            "told": [{"day": told.day, **asdict(told.alarm)} for told in one.told],
        }
        for name, one in found.items()
    }


# --- a picture ----------------------------------------------------------------------------------


def draw(found: dict[str, Played], path: Path) -> None:
    """Money and precision by day, true and estimated, and alarms where they were told."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(
        3, len(found), figsize=(4.5 * len(found), 8), sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    colours = {"info": "tab:blue", "warning": "tab:orange", "critical": "tab:red"}
    for column, (name, one) in enumerate(found.items()):
        money, rates, alarms = grid[:, column]
        at = [day.day for day in one.figures]
        money.set_title(name)
        money.plot(at, [day.missed_minor / 100 for day in one.figures], label="true")
        estimated = _estimated(one)
        money.plot(list(estimated), [x / 100 for x in estimated.values()], ".", label="estimated")
        rates.plot(at, [day.caught / max(day.alerts, 1) for day in one.figures], label="precision")
        rates.plot(at, [day.caught / max(day.frauds, 1) for day in one.figures], label="recall")
        names = sorted({f"{told.alarm.column} {told.alarm.part}" for told in one.told})
        for told in one.told:
            row = names.index(f"{told.alarm.column} {told.alarm.part}")
            mark = "x" if told.alarm.is_over else "o"
            alarms.plot(told.day, row, mark, color=colours[told.alarm.severity], markersize=4)
        alarms.set_yticks(range(len(names)), names, fontsize=6)
        alarms.set_xlabel("day of the simulation")
        for axes in grid[:, column]:
            axes.axvline(CHANGE_DAY, color="grey", linestyle=":")
    grid[0][0].set_ylabel("missed money a transaction")
    grid[1][0].set_ylabel("true precision, recall")
    grid[2][0].set_ylabel("alarms told: o open, x over")
    grid[0][0].legend()
    grid[1][0].legend()
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
