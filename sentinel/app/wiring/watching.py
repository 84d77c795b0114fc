"""Wires what looks for drift."""

from sentinel.app.wiring.control_plane import control
from sentinel.app.wiring.shared import Shared, clock_s
from sentinel.config import Config
from sentinel.core.drift.params import segmentation_of, silent_features
from sentinel.engine.audit import AuditLog
from sentinel.engine.drift.alarms import AlarmDesk
from sentinel.engine.drift.columns import DriftColumns
from sentinel.engine.drift.examples import PerformanceWatch
from sentinel.engine.drift.references import References
from sentinel.engine.drift.task import DriftTask
from sentinel.engine.drift.windows import Windows
from sentinel.engine.operating.following import OperatingTask
from sentinel.engine.scoring.summarising import Summaries


def summaries(shared: Shared) -> Summaries:
    """What notes the decisions of this instance, and counts them."""
    config = shared.config
    return Summaries(
        shared.ports.broker,
        shared.topics.summaries,
        shared.owner.name,
        shared.partitions,
        shared.metrics,
        config.drift,
        segmentation_of(config.features, config.drift),
    )


def drift_columns(shared: Shared, summaries: Summaries) -> DriftColumns:
    """What says in which cells is counted."""
    names = [feature.name for feature in shared.config.features]
    return DriftColumns(shared.ports.drift, shared.ports.models, summaries, names)


def drift(shared: Shared, operating: OperatingTask) -> DriftTask:
    """What watches for drift, where the control plane is."""
    config, ports, topics = shared.config, shared.ports, shared.topics
    silent = silent_features(config.features, config.drift)
    segmentation = segmentation_of(config.features, config.drift)
    sources = {one.name: one.field or one.stat for one in config.features if not one.entity}
    audit = AuditLog(ports.broker, topics.audit)
    references = References(ports.drift, ports.models, config.drift, segmentation)
    task = DriftTask(
        control(shared),
        ports.broker,
        ports.drift_tail,
        ports.drift,
        ports.models,
        references,
        Windows(ports.drift, sources, silent, segmentation),
        AlarmDesk(
            ports.drift,
            ports.broker,
            topics.drift_alerts,
            audit,
            shared.metrics,
            is_paused=operating.asks("drift"),
        ),
        PerformanceWatch(config.drift, maturity_ms=round(config.maturity.horizon_min_s * 1000)),
        shared.metrics,
        config.drift,
        topic=topics.summaries,
        example_topic=topics.examples,
        silent=silent,
        segmentation=segmentation,
        clock_s=clock_s,
    )

    def reload(config: Config) -> None:
        task.retune(config.drift)
        references.params = config.drift

    shared.reloaders.append(reload)
    return task
