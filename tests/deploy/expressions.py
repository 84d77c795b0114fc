"""What an expression of PromQL asks for, held against what there is to ask for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import promql_parser
import yaml

from sentinel.app.monitoring.counted import SCORE, exposed_name
from sentinel.app.monitoring.gauges import GAUGES
from sentinel.app.monitoring.labels import OTHER
from sentinel.core.decision import ACTIONS
from sentinel.engine.health import HealthName
from sentinel.engine.registry.lifecycle import UpdateState
from sentinel.errors import RecordReason
from sentinel.metrics import METRICS, Stage
from sentinel.ports import UpdateOutcome
from sentinel.stored.experiments import ExperimentStatus
from sentinel.stored.rollouts import CHAMPION, RolloutStatus, StepName
from sentinel.stored.switches import SWITCHES
from tests.reference import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"

# What every scrape adds.
TARGET = frozenset({"job", "instance"})

# What a label may be, by the metric where its name is not enough.
WORDS: dict[str, tuple[str, ...]] = {
    "action": ACTIONS,
    "outcome": get_args(UpdateOutcome),
    "stage": get_args(Stage),
    "reason": (*get_args(RecordReason), OTHER),
    "status": (*get_args(HealthName), *get_args(ExperimentStatus), *get_args(RolloutStatus)),
    "step": (*get_args(StepName), CHAMPION),
    "state": get_args(UpdateState),
    "to": ("begin", "judge"),
    "switch": SWITCHES,
}


def scraped() -> dict[str, frozenset[str]]:
    """Every name that a scrape has, and its labels."""
    found = {"up": TARGET}
    for metric in METRICS:
        name, own = exposed_name(metric), {metric.label} - {""}
        if metric.kind == "histogram":
            found |= histogram(name)
        else:
            found[name] = TARGET | own
    found |= histogram(SCORE.name)
    return found | {gauge.name: TARGET | {gauge.label} - {""} for gauge in GAUGES}


def histogram(name: str) -> dict[str, frozenset[str]]:
    return {f"{name}_bucket": TARGET | {"le"}, f"{name}_sum": TARGET, f"{name}_count": TARGET}


@dataclass(frozen=True)
class Rule:
    """One of a file of rules: it records under a name, or alerts."""

    record: str
    alert: str
    expr: str
    annotations: dict[str, str]
    severity: str


def rules(file: Path) -> list[Rule]:
    groups = yaml.safe_load(file.read_text())["groups"]
    return [
        Rule(
            one.get("record", ""),
            one.get("alert", ""),
            one["expr"],
            one.get("annotations", {}),
            one.get("labels", {}).get("severity", ""),
        )
        for group in groups
        for one in group["rules"]
    ]


def recorded() -> dict[str, frozenset[str]]:
    """Every name that is recorded; the labels are in it, before the first colon."""
    return {
        one.record: frozenset(re.findall(r"[a-z]+", one.record.partition(":")[0]))
        for one in rules(PROMETHEUS / "recording.yml")
    }


def parts(expression: Any) -> Iterator[Any]:
    """An expression and all that it is made of."""
    yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector", "args", "param"):
        below = getattr(expression, name, None)
        for one in below if isinstance(below, list) else [below]:
            if one is not None and type(one).__module__.endswith("promql_parser"):
                yield from parts(one)


def faults(text: str) -> list[str]:
    """What an expression asks for that is not there. Raises ValueError where it is none."""
    known = scraped() | recorded()
    found, labels = [], set(TARGET)
    whole = list(parts(promql_parser.parse(as_scraped(text))))
    for one in whole:
        if not isinstance(one, promql_parser.VectorSelector):
            continue
        if one.name not in known:
            found.append(f"there is no {one.name}")
            continue
        labels |= known[one.name]
        for matcher in one.matchers.matchers:
            if matcher.name not in known[one.name]:
                found.append(f"{one.name} has no label {matcher.name}")
            elif matcher.name in WORDS and matcher.value not in WORDS[matcher.name]:
                found.append(f"{matcher.name} is never {matcher.value}")
    for one in whole:
        modifier = getattr(one, "modifier", None)
        if isinstance(one, promql_parser.AggregateExpr) and modifier is not None:
            found += [f"nothing in it has {name}" for name in set(modifier.labels) - labels]
    return found


def as_scraped(text: str) -> str:
    """An expression of a dashboard with what Grafana puts in."""
    return text.replace("$__rate_interval", "5m").replace("$instance", "x").replace("$job", "x")
