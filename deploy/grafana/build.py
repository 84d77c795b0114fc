"""Builds the dashboard for Grafana: `python -m deploy.grafana.build` writes dashboard.json anew.

Import the JSON into Grafana, or have provisioning.yml name its folder; that needs no Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    GridPos,
    VariableRefresh,
)

FILE = Path(__file__).parent / "dashboard.json"

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_OF = 'job=~"$job",instance=~"$instance"'
_WIDTH, _HEIGHT = 8, 7  # three beside each other


@dataclass(frozen=True)
class Query:
    """An expression, and what its lines are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class PanelSpec:
    """What a panel shows, of which unit, and what a reader should see in it."""

    title: str
    what: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Literal["lines", "stack", "number"] = "lines"


def rate(name: str, by: str = "", of: str = "", window: str = "$__rate_interval") -> str:
    """How fast a counter grows, over all instances that are chosen."""
    labels = f"{_OF},{of}" if of else _OF
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({name}{{{labels}}}[{window}]))"


def quantile(q: float, name: str, by: str = "le") -> str:
    """Of a histogram, over all instances that are chosen."""
    return f"histogram_quantile({q:g}, {rate(f'{name}_bucket', by)})"


def total(name: str, by: str = "", of: str = "") -> str:
    """A gauge, over all instances that are chosen."""
    labels = f"{_OF},{of}" if of else _OF
    return f"sum{f' by ({by})' if by else ''} ({name}{{{labels}}})"


def most(name: str, by: str = "") -> str:
    """A gauge that one instance has and the others have not."""
    return f"max{f' by ({by})' if by else ''} ({name}{{{_OF}}})"


def share(part: str, whole: str) -> str:
    """One rate of another."""
    return f"{part} / {whole}"


def one(expr: str, legend: str = "") -> tuple[Query, ...]:
    """A panel's only query."""
    return (Query(expr, legend),)


def _action(word: str) -> str:
    return rate("sentinel_actions_total", of=f'action="{word}"')


_DECISIONS = rate("sentinel_decisions_total")

ROWS: dict[str, tuple[PanelSpec, ...]] = {
    "Business": (
        PanelSpec("Decisions", "How much is decided, by what is done.", one(
            rate("sentinel_actions_total", "action"), "{{action}}"), "ops", "stack"),
        PanelSpec("Stopped", "The share that is reviewed or blocked.", (
            Query(share(_action("review"), _DECISIONS), "review"),
            Query(share(_action("block"), _DECISIONS), "block"),
        ), "percentunit"),
        PanelSpec("Money", "What is decided on an hour, by what is done, in major units.", one(
            f"3600 * {rate('sentinel_amount_total', 'action')}", "{{action}}"), "short", "stack"),
        PanelSpec("Alerts", "How many go out, and how many without reasons.", (
            Query(rate("sentinel_alerts_total"), "alerts"),
            Query(rate("sentinel_unexplained_total"), "without reasons"),
        ), "ops"),
        PanelSpec("Explored", "Reviewed at random, though the policy blocks.", one(
            rate("sentinel_explored_total"), "explored"), "ops"),
        PanelSpec("Feedback", "What people say, and what of it has become known to features.", (
            Query(rate("sentinel_feedback_total"), "feedback"),
            Query(rate("sentinel_labels_applied_total"), "labels learnt"),
        ), "ops"),
    ),
    "Flow": (
        PanelSpec("Health", "Instances by how they are.", one(
            total("sentinel_health", "status"), "{{status}}"), "short", "stack"),
        PanelSpec("Latency", "From the append of a record to its decision.", (
            Query(quantile(0.5, "sentinel_latency_seconds"), "p50"),
            Query(quantile(0.99, "sentinel_latency_seconds"), "p99"),
            Query(quantile(0.99, "sentinel_engine_seconds"), "p99 in the engine"),
        ), "s"),
        PanelSpec("Lag", "Transactions that wait to be read.", one(
            total("sentinel_lag_records", "instance"), "{{instance}}"), "short", "stack"),
        PanelSpec("Dead letters", "Records that could not be used, by why.", one(
            rate("sentinel_dead_letter_reasons_total", "reason"), "{{reason}}"), "ops", "stack"),
        PanelSpec("Decided with less", "What is late, repeated, or lacks something.", (
            Query(rate("sentinel_late_total"), "late"),
            Query(rate("sentinel_duplicates_total"), "repeated"),
            Query(rate("sentinel_degraded_total"), "something missing"),
            Query(rate("sentinel_unscored_total"), "without a model"),
        ), "ops"),
        PanelSpec("Paused", "What somebody has switched off, and maintenance.", one(
            most("sentinel_switched", "switch"), "{{switch}}"), "short", "stack"),
        PanelSpec("Partitions", "Who has how many.", one(
            total("sentinel_partitions", "instance"), "{{instance}}"), "short", "stack"),
    ),
    "Model": (
        PanelSpec("Who decides", "Decisions by the version that made them.", one(
            rate("sentinel_version_decisions_total", "version"), "{{version}}"), "ops", "stack"),
        PanelSpec("Mean probability", "Of fraud, by version, as it is said.", one(
            share(rate("sentinel_version_probability_total", "version"),
                  rate("sentinel_version_decisions_total", "version")), "{{version}}"),
            "percentunit"),
        PanelSpec("Alerts by version", "The share of them that is not approved.", one(
            share(rate("sentinel_version_alerts_total", "version"),
                  rate("sentinel_version_decisions_total", "version")), "{{version}}"),
            "percentunit"),
        PanelSpec("Probabilities", "Below which nine, ninety-nine and 99.9 in a hundred lie.", (
            Query(quantile(0.9, "sentinel_score"), "p90"),
            Query(quantile(0.99, "sentinel_score"), "p99"),
            Query(quantile(0.999, "sentinel_score"), "p99.9"),
        ), "percentunit"),
        PanelSpec("Time to score", "That a version takes for a decision.", one(
            share(rate("sentinel_version_score_seconds_total", "version"),
                  rate("sentinel_version_decisions_total", "version")), "{{version}}"), "s"),
        PanelSpec("Failures", "Models that could not score, or could not be loaded.", (
            Query(rate("sentinel_version_failures_total", "version"), "{{version}} cannot score"),
            Query(rate("sentinel_shadow_failures_total"), "a shadow cannot score"),
            Query(rate("sentinel_deployment_failures_total"), "cannot be loaded"),
        ), "ops"),
    ),
    "Drift": (
        PanelSpec("Open alarms", "Changes of the stream that are not over.", one(
            most("sentinel_drift_alarms_open"), "open"), "short", "number"),
        PanelSpec("Alarms", "That were opened in an hour.", one(
            f"sum (increase(sentinel_drift_alarms_total{{{_OF}}}[1h]))", "opened")),
        PanelSpec("Watched", "Steps and windows that were judged, and what came too late.", (
            Query(rate("sentinel_drift_steps_total"), "steps"),
            Query(rate("sentinel_drift_windows_total"), "windows"),
            Query(rate("sentinel_drift_late_total"), "decisions too late"),
            Query(rate("sentinel_unsummarised_total"), "decisions left out"),
        ), "ops"),
        PanelSpec("Summaries", "Read where the control plane is, and refused.", (
            Query(rate("sentinel_summaries_total"), "read"),
            Query(rate("sentinel_summaries_refused_total"), "refused"),
        ), "ops"),
        PanelSpec("Not watched", "1 while what the stream is compared with is missing.", one(
            most("sentinel_drift_reference_missing"), "reference missing"), "short", "number"),
    ),
    "Experiments": (
        PanelSpec("At work", "Experiments by their status.", one(
            most("sentinel_experiments", "status"), "{{status}}"), "short", "stack"),
        PanelSpec("Looks", "At what has matured, and stops by a guardrail, an hour.", (
            Query(f"sum (increase(sentinel_experiment_looks_total{{{_OF}}}[1h]))", "looks"),
            Query(f"sum (increase(sentinel_guardrail_trips_total{{{_OF}}}[1h]))", "stopped"),
        )),
        PanelSpec("In shadow", "Transactions that a shadow scores, too.", one(
            rate("sentinel_shadowed_total"), "shadowed"), "ops"),
    ),
    "Learning": (
        PanelSpec("Newest update", "Where it is.", one(
            most("sentinel_update_state", "state"), "{{state}}"), "short", "stack"),
        PanelSpec("Newest rollout", "How it stands, and the step that it takes or takes next.", (
            Query(most("sentinel_rollout_status", "status"), "{{status}}"),
            Query(most("sentinel_rollout_step", "step"), "step: {{step}}"),
        ), "short", "stack"),
        PanelSpec("Updates", "By what the gate said, in a day.", one(
            f"sum by (outcome) (increase(sentinel_updates_total{{{_OF}}}[1d]))", "{{outcome}}"),
            "short", "stack"),
        PanelSpec("Next update", "Until all that it needs is there, at the pace of late.", one(
            most("sentinel_update_wait_seconds"), "to wait"), "s", "number"),
        PanelSpec("Examples", "That the trainer takes, and refuses.", (
            Query(rate("sentinel_examples_total"), "taken"),
            Query(rate("sentinel_examples_refused_total"), "refused"),
            Query(rate("sentinel_examples_stumbled_total"), "the learner fails at"),
        ), "ops"),
        PanelSpec("Labels", "That wait for their time.", one(
            total("sentinel_labels_waiting"), "waiting")),
        PanelSpec("Unmet needs", "Of the next update: to begin, and to be judged.", one(
            most("sentinel_update_needs_unmet", "to"), "to {{to}}")),
    ),
    "Infrastructure": (
        PanelSpec("Processor", "Cores that each instance takes.", one(
            rate("process_cpu_seconds_total", "instance"), "{{instance}}")),
        PanelSpec("Memory", "Of each instance.", one(
            total("process_resident_memory_bytes", "instance"), "{{instance}}"), "bytes"),
        PanelSpec("Loop lag", "By how much the event loop is late.", one(
            quantile(0.99, "sentinel_loop_lag_seconds", "instance, le"), "p99 {{instance}}"), "s"),
        PanelSpec("Where time goes", "Of the loop, by what batches spend it on.", one(
            rate("sentinel_stage_seconds_total", "stage"), "{{stage}}"), "short", "stack"),
        PanelSpec("Entities in memory", "Of what memory holds of each kind.", one(
            share(total("sentinel_entities", "kind"), total("sentinel_entities_max", "kind")),
            "{{kind}}"), "percentunit"),
        PanelSpec("State", "Rows written, and commits of offsets.", (
            Query(rate("sentinel_blobs_saved_total"), "rows saved"),
            Query(rate("sentinel_commits_total"), "commits"),
            Query(rate("sentinel_state_unreadable_total"), "damaged"),
            Query(rate("sentinel_entities_shed_total"), "left for want of memory"),
        ), "ops"),
        PanelSpec("Open files", "Of those that each instance may have.", one(
            share(total("process_open_fds", "instance"), total("process_max_fds", "instance")),
            "{{instance}}"), "percentunit"),
        PanelSpec("Archive", "Whether the archive beside each instance runs.", one(
            most("sentinel_archive_up", "instance"), "{{instance}}")),
        PanelSpec("Releases", "Instances by release and by settings.", (
            Query(f"count by (version) (sentinel_build_info{{{_OF}}})", "release {{version}}"),
            Query(f"count by (version) (sentinel_config_info{{{_OF}}})", "settings {{version}}"),
        ), "short", "stack"),
    ),
}  # fmt: skip


def built() -> str:
    """The dashboard as Grafana reads it."""
    board = (
        dashboards.Dashboard("Sentinel")
        .uid("sentinel")
        .description("Fraud scoring: what is decided, how fast, by which model, and what changes.")
        .tags(["sentinel"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboards.DatasourceVariable("source").label("Prometheus").type("prometheus")
        )
        .with_variable(_variable("job", "label_values(sentinel_ready, job)"))
        .with_variable(_variable("instance", 'label_values(sentinel_ready{job=~"$job"}, instance)'))
        .annotation(_deployments())
    )
    top, numbers = 0, count(1)
    for title, panels in ROWS.items():
        row = dashboards.Row(title).id(next(numbers)).grid_pos(GridPos(h=1, w=24, x=0, y=top))
        board = board.with_row(row)
        top += 1
        for number, spec in enumerate(panels):
            line, place = divmod(number, 24 // _WIDTH)
            at = GridPos(h=_HEIGHT, w=_WIDTH, x=place * _WIDTH, y=top + line * _HEIGHT)
            board = board.with_panel(_panel(spec, at).id(next(numbers)))
        top += -(-len(panels) * _WIDTH // 24) * _HEIGHT
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def expressions() -> list[str]:
    """All that the panels ask."""
    return [query.expr for panels in ROWS.values() for spec in panels for query in spec.queries]


def _variable(name: str, query: str) -> dashboards.QueryVariable:
    return (
        dashboards.QueryVariable(name)
        .datasource(_SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
        .multi(True)
    )


def _deployments() -> dashboards.AnnotationQuery:
    """A mark on every panel where another model takes over."""
    return (
        dashboards.AnnotationQuery()
        .name("another model serves")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(DEPLOYMENTS)
    )


DEPLOYMENTS = f"sum (increase(sentinel_deployments_total{{{_OF}}}[1m])) > 0"


def _panel(spec: PanelSpec, at: GridPos) -> "timeseries.Panel | stat.Panel":
    if spec.kind == "number":
        number = stat.Panel().title(spec.title).description(spec.what).unit(spec.unit)
        number = number.datasource(_SOURCE).grid_pos(at)
        number = number.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        return number.targets(_targets(spec.queries))
    lines = timeseries.Panel().title(spec.title).description(spec.what).unit(spec.unit)
    lines = lines.datasource(_SOURCE).grid_pos(at).min(0).line_width(1)
    lines = lines.fill_opacity(40 if spec.kind == "stack" else 10)
    if spec.kind == "stack":
        lines = lines.stacking(StackingConfig().mode(StackingMode.NORMAL))
    lines = lines.tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    lines = lines.legend(
        VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    return lines.targets(_targets(spec.queries))


def _targets(queries: Sequence[Query]) -> "list[Builder[Dataquery]]":
    return [
        prometheus.Dataquery()
        .expr(query.expr)
        .legend_format(query.legend)
        .ref_id(chr(ord("A") + number))
        for number, query in enumerate(queries)
    ]


if __name__ == "__main__":
    FILE.write_text(built())
