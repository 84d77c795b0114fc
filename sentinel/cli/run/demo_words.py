"""The demo in words."""

from sentinel.app.demo.outcome import DemoFigures
from sentinel.app.demo.performance import Stage
from sentinel.app.demo.script import Script
from sentinel.app.demo.told import Happening
from sentinel.codec.times import date_text
from sentinel.simulation.chargebacks import DAY_MS

_NAMES = {
    "pattern": "FRAUD", "mistake": "MISTAKE", "drift_alarm": "alarm", "performance_alarm": "alarm",
    "rollout": "rollout", "alarm_over": "alarm", "rolled_back": "ROLLBACK", "promoted": "PROMOTED",
}  # fmt: skip


def in_a_sentence(figures: DemoFigures) -> str:
    """What it came to."""
    countered = (
        "new pattern not countered"
        if figures.hours_to_countered is None
        else f"new pattern countered in {figures.hours_to_countered:,.0f} hours"
    )
    static = (
        "never"
        if figures.static_hours_to_countered is None
        else f"after {figures.static_hours_to_countered:,.0f} hours"
    )
    return (
        f"{figures.saved:,.0f} saved of {figures.lost:,.0f} lost, {countered} "
        f"(by a model that never learns: {static})."
    )


def story_line(happening: Happening, script: Script) -> str:
    """An event in a line."""
    day = (happening.at_ms - script.begin_ms) // DAY_MS
    name = _NAMES.get(happening.kind, happening.kind)
    return f"{date_text(happening.at_ms)[:16]}  day {day:>3}  {name:<9} {happening.what}"


def status_words(stage: Stage, seconds: float) -> str:
    """Where it stands."""
    clock, metrics = stage.clock, stage.status.metrics
    frauds, version = len(clock.truth.frauds), stage.hearing.champion or stage.first_version
    return (
        f"{date_text(clock.now_ms)[:10]} · {metrics.decisions:,} decisions · {frauds:,} frauds, "
        f"{len(stage.hearing.caught):,} caught · {metrics.labels_applied:,} labels · "
        f"{metrics.examples:,} examples · model {version} · {seconds:,.0f} s"
    )
