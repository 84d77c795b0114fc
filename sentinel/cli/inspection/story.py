"""The whole story of a transaction, told; and whether it would be told again."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from sentinel.cli.inspection.entries import audit_table
from sentinel.cli.labels.cases import vote_table
from sentinel.cli.texts import PlainConsole, echo, fixed, shown
from sentinel.codec.times import date_text
from sentinel.config import Config
from sentinel.errors import ConfigError, TransientError
from sentinel.operations.feedback import case_of
from sentinel.operations.operating.past import past_policy
from sentinel.operations.why import Account, Replayed
from sentinel.records import WITHDRAWN

_SHOWN_COUNT = 10


def decision_line(decision: Mapping[str, Any]) -> str:
    """What was decided, and what was out of the ordinary: an archived row in a line."""
    degraded = f", degraded: {decision['degraded']}" if decision["degraded"] else ""
    explored = ""
    if decision.get("explored"):  # older files do not say
        share = decision["explore_share"]
        explored = f", explored: a share of {share:g} of such blocks is reviewed instead"
    if decision.get("experiment"):
        explored += f", experiment {decision['experiment']}"
    return (
        f"{decision['transaction_id']} of {date_text(decision['event_time_ms'])}, account "
        f"{decision['account']}: {decision['action']} ({decision['severity']}), probability "
        f"{fixed(decision['probability'], 4)}, score {fixed(decision['score'], 4)}, by model "
        f"{decision['model_version']}, {decision['arm']}, decision {decision['decision_id']}"
        f"{degraded}{explored}"
    )


def show_account(account: Account) -> None:
    """What was decided, because of what, and what came after."""
    decision, console = account.decision, PlainConsole()
    console.print(shown(decision_line(decision)))
    for older in account.older:
        console.print(shown(f"before: {decision_line(older)}, of log {older['log']}"))
    table = Table(title="because")
    for name in ("feature", "value", "adds to the log-odds"):
        table.add_column(name, justify="left" if name == "feature" else "right")
    order = sorted(account.features, key=lambda name: -abs(account.contributions.get(name, 0.0)))
    for name in order[:_SHOWN_COUNT]:
        value = account.features[name]
        added = account.contributions.get(name)
        table.add_row(
            shown(name),
            "missing" if math.isnan(value) else f"{value:,.6g}",
            "" if added is None else f"{added:+.3f}",
        )
    console.print(table)
    for label in account.labels:
        console.print(shown(label_line(label)))
    if account.audit:
        console.print(audit_table(account.audit))


def show_policy(config: Config, decision: Mapping[str, Any]) -> None:
    """By which thresholds it was decided, and whether they would say the same."""
    try:
        found = asyncio.run(past_policy(config, decision))
    except TransientError as error:
        echo(f"the thresholds of then cannot be read now: {error}", err=True)
        return
    if found is None:
        echo(f"what configuration {decision['config_version']} said is not known (any more)")
        return
    policy = found.policy
    words = (
        f"by configuration {found.version}: review from {policy.review_min:g}, "
        f"block from {policy.block_min:g}"
    )
    if found.action and found.action != decision["action"]:
        words += f", which would be {found.action}"
    echo(words)


def label_line(label: Mapping[str, Any]) -> str:
    """An archived label, or its withdrawal, in a line."""
    before = f", before it was {label['supersedes']}" if label["supersedes"] else ""
    done = "withdrawn" if label["label"] == WITHDRAWN else "settled"
    return (
        f"label {label['label']} ({label['posterior']:.3f}) of {date_text(label['observed_ms'])}, "
        f"{label['vote_count']} votes, {done} by {label['source']}{before}"
    )


def show_votes(config: Config, transaction_id: str) -> None:
    """Who said what of it, from the running instance's store."""
    try:
        case = asyncio.run(case_of(config, transaction_id))
    except ConfigError:
        echo("nobody has said anything of it")
    except TransientError as error:
        echo(f"the votes cannot be read now: {error}", err=True)
    else:
        PlainConsole().print(vote_table(case))


def replay_line(one: Replayed) -> str:
    """What came of scoring the decisions of one model again."""
    if one.problem:
        return f"model {one.model_version}: {one.count:,} decisions not scored: {one.problem}"
    words = f"model {one.model_version}: {one.count:,} decisions scored again, "
    words += f"{one.count - one.differing_count:,} the same bit for bit"
    return words + (f", others: {', '.join(one.differing)}" if one.differing_count else "")
