"""Rules for Prometheus ask for what there is, fire when they should, and lead to the runbook."""

import re

import pytest
import yaml

from tests.app.monitoring.scrapes import promtool
from tests.deploy.expressions import PROMETHEUS, Rule, faults, recorded, rules
from tests.reference import ROOT

ALERTS = rules(PROMETHEUS / "alerts.yml")
RECORDING = rules(PROMETHEUS / "recording.yml")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule.alert)
every_rule = pytest.mark.parametrize(
    "rule", [*ALERTS, *RECORDING], ids=lambda rule: rule.alert or rule.record
)


@every_rule
def test_a_rule_asks_for_what_there_is(rule: Rule) -> None:
    assert faults(rule.expr) == []


@every_alert
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(alert: Rule) -> None:
    assert alert.annotations.keys() == {"summary", "description", "runbook"}
    assert alert.severity in {"critical", "warning", "info"}
    assert alert.annotations["runbook"] == f"docs/runbook.md#{alert.alert.lower()}"


@every_alert
def test_an_alert_has_its_part_in_the_runbook(alert: Rule) -> None:
    [text] = re.findall(rf"(?ms)^### {alert.alert}\n\n(.+?)(?=^##|\Z)", RUNBOOK)

    assert len(text.split()) >= 15


def test_the_runbook_has_no_alert_that_is_not_there() -> None:
    told = re.findall(r"(?m)^### (\w+)$", RUNBOOK)

    assert told == [one.alert for one in ALERTS]


def test_what_is_recorded_is_named_by_its_labels() -> None:
    for one in RECORDING:
        [by] = re.findall(r"by \(([a-z, ]+)\)", one.expr)[:1]
        assert recorded()[one.record] == set(by.split(", ")) - {"le"}, one.record


def test_each_alert_is_caused_in_the_tests_of_the_rules() -> None:
    tests = yaml.safe_load((PROMETHEUS / "tests.yml").read_text())["tests"]

    assert {one["name"] for one in tests} == {one.alert for one in ALERTS}
    for one in tests:
        [case] = one["promql_expr_test"]
        assert f'alertname="{one["name"]}"' in case["expr"]
        assert len(case["exp_samples"]) == 1, "and what is no cause does not fire"


def test_prometheus_own_tool_takes_the_configuration_and_the_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.slow
def test_each_alert_fires_for_its_cause_and_for_nothing_beside() -> None:
    promtool("test", "rules", str(PROMETHEUS / "tests.yml"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("sum(rate(sentinel_decision_total[5m]))", "there is no sentinel_decision_total"),
        ('sentinel_health{state="ok"}', "sentinel_health has no label state"),
        ('sentinel_health{status="fine"}', "status is never fine"),
        ("sum by (version) (sentinel_lag_records)", "nothing in it has version"),
        (
            "sum by (le) (rate(sentinel_latency_seconds[5m]))",
            "there is no sentinel_latency_seconds",
        ),
    ],
)
def test_what_asks_for_nothing_is_found(text: str, fault: str) -> None:
    assert fault in faults(text)
