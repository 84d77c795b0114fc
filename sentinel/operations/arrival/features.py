"""Features that suit what a file has: of the transaction, its account, and further entities."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sentinel.core.features.spec import duration_ms
from sentinel.operations.arrival.durations import DAY_MS, longest
from sentinel.operations.arrival.inputs import Input

_WEEK_MS = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class Ground:
    """What features can stand on.

    Attributes
    ----------
    has_account
        Whether accounts come back; where a row stands for its own account there is no past.
    entities
        Names of further entities.
    windows
        Which the history is long enough for, ascending.
    label_delay
        Until a label is known; it is told only where there are labels.
    has_hours, has_days
        Whether the time of day, and the day of the week, mean anything.
    """

    has_account: bool
    entities: tuple[str, ...]
    windows: tuple[str, ...]
    label_delay: str
    has_labels: bool
    has_hours: bool
    has_days: bool


Table = dict[str, Any]


def proposed_features(ground: Ground, inputs: Sequence[Input], transaction_id: str) -> list[Table]:
    """The tables of [[features]], in the order in which they are written."""
    found: list[Table] = [{"name": "amount", "stat": "amount"}]
    calendar = ["hour", "night"] * ground.has_hours + ["weekday", "weekend"] * ground.has_days
    found += [{"name": stat, "stat": stat} for stat in calendar]
    if ground.has_account:
        found += _of_account(ground)
    for name in ground.entities:
        found += _of_entity(name, ground)
    found += [_of_field(one) for one in inputs if one.use in ("number", "boolean", "category")]
    return _named(found, {transaction_id, "event_time_ms"})


def _of_account(ground: Ground) -> list[Table]:
    windows, long = list(ground.windows), longest(ground.windows)
    about: Table = {"entity": "account"}
    found: list[Table] = [
        {
            "name": "account_{stat}_{window}",
            **about,
            "stat": ["count", "sum", "max"],
            "window": windows,
            "include_current": True,
        },
        {"name": "account_amount_{stat}", **about, "stat": ["ratio", "z_score"]},
        {"name": "account_seconds_since_last", **about, "stat": "time_since_last"},
    ]
    for name in ground.entities:
        distinct = {"stat": "distinct", "field": name, "window": long}
        found.append({"name": f"account_{name}s_{long}", **about, **distinct})
        found.append(
            {"name": f"account_first_{name}", **about, "stat": "first_seen", "field": name}
        )
    if ground.has_labels:
        found.append(
            {"name": f"account_frauds_{long}", **about, "stat": "fraud_count", "window": long}
        )
    return found


def _of_entity(name: str, ground: Ground) -> list[Table]:
    long = longest(ground.windows)
    usual = longest([one for one in ground.windows if duration_ms(one) <= _WEEK_MS] or [long])
    about: Table = {"entity": name}
    found: list[Table] = [
        {"name": f"{name}_{{stat}}_{usual}", **about, "stat": ["count", "mean"], "window": usual},
        {"name": f"{name}_amount_z_score", **about, "stat": "z_score", "window": usual},
    ]
    if ground.has_account:
        distinct = {"stat": "distinct", "field": "account", "window": usual}
        found.append({"name": f"{name}_accounts_{usual}", **about, **distinct})
    if ground.has_labels:
        risk: Table = {"stat": "fraud_share", "window": long}
        if duration_ms(ground.label_delay):
            risk["delay"] = ground.label_delay
        found.append({"name": f"{name}_risk_{long}", **about, **risk, "empty": 0})
    return found


def _of_field(one: Input) -> Table:
    field = one.column.name
    name = re.sub(r'[\s",:\[\]{}]+', "_", field)
    if one.use == "category":
        return {"name": name, "stat": "category", "field": field, "values": list(one.values)}
    return {"name": name, "stat": "value", "field": field}


def _named(tables: list[Table], taken: set[str]) -> list[Table]:
    """The same, each under names of its own."""
    for table in tables:
        number, name = 1, table["name"]
        while taken & set(_names(table)):
            number += 1
            table["name"] = f"{name}_{number}"
        taken.update(_names(table))
    return tables


def _names(table: Table) -> list[str]:
    """The names that a table with lists of stats and windows stands for."""
    stats, windows = (
        one if isinstance(one, list) else [one] for one in (table["stat"], table.get("window", ""))
    )
    name = table["name"]
    return [name.replace("{window}", w).replace("{stat}", s) for w in windows for s in stats]
