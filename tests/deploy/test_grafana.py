"""The dashboard: what is checked in is what the code builds, and it asks for what there is."""

import json
from typing import Any

import pytest

from deploy.grafana.build import DEPLOYMENTS, FILE, ROWS, built, expressions
from tests.deploy.expressions import faults, scraped

BOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS = [one for one in BOARD["panels"] if one["type"] != "row"]

# What no panel needs: others say the same, or it is of a check.
ELSEWHERE = {"up", "sentinel_ready", "sentinel_health_reasons", "sentinel_idle_seconds"}


def test_what_is_checked_in_is_what_the_code_builds() -> None:
    assert FILE.read_text() == built(), "`python -m deploy.grafana.build` writes it anew"


@pytest.mark.parametrize("text", [*expressions(), DEPLOYMENTS])
def test_a_panel_asks_for_what_there_is(text: str) -> None:
    assert faults(text) == []


def test_it_has_a_row_for_each_part_of_the_work() -> None:
    titles = [one["title"] for one in BOARD["panels"] if one["type"] == "row"]

    assert titles == list(ROWS)
    assert [title.lower() for title in titles] == [
        "business", "flow", "model", "drift", "experiments", "learning", "infrastructure",
    ]  # fmt: skip


def test_panels_say_what_they_show_and_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        at = panel["gridPos"]
        area = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not area & taken, panel["title"]
        assert max(x for x, _ in area) < 24
        taken |= area
    numbers = [one["id"] for one in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_each_group_of_metrics_is_somewhere_on_it() -> None:
    asked = " ".join(expressions())
    names = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
             for name in scraped()}  # fmt: skip

    missing = {name for name in names if name not in asked} - ELSEWHERE

    # Small print: what only a person who looks for it needs.
    assert missing <= {
        "sentinel_transactions_total", "sentinel_dead_letters_total", "sentinel_batch_size",
        "sentinel_in_history_total", "sentinel_replayed_total", "sentinel_misplaced_total",
        "sentinel_unplaced_total", "sentinel_contradicted_total", "sentinel_scoring_failures_total",
        "sentinel_deployments_total", "sentinel_model_info", "sentinel_shadow_info",
        "sentinel_update_number", "sentinel_rollout_needs_person", "process_start_time_seconds",
    }  # fmt: skip
