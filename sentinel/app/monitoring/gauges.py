"""What is so at the moment of a scrape: health, lag, what waits, what is held, what is open.

A gauge that this instance cannot know has no sample: another one trains, watches for drift, or
looks after experiments.
"""

from typing import get_args

from sentinel import __version__
from sentinel.app.monitoring.counted import PREFIX
from sentinel.app.monitoring.gauge import Gauge, Samples, if_known, one_of
from sentinel.app.monitoring.process import PROCESS_GAUGES
from sentinel.app.status import Status
from sentinel.codec.monitoring.exposition import Sample
from sentinel.core.drift.telling import DriftView
from sentinel.core.learning.awaiting import longest_wait_s
from sentinel.engine.health import HealthName
from sentinel.engine.registry.lifecycle import Update, UpdateState
from sentinel.engine.updates.awaiting import Outlook
from sentinel.stored.experiments import ExperimentStatus
from sentinel.stored.rollouts import CHAMPION, RolloutStatus, StepName, StoredRollout
from sentinel.stored.switches import SWITCHES


def _health(status: Status) -> Samples:
    return one_of(get_args(HealthName), status.health().status)


def _ready(status: Status) -> Samples:
    return if_known(int(status.health().is_ready))


def _reasons(status: Status) -> Samples:
    return if_known(len(status.health().reasons))


def _switched(status: Status) -> Samples:
    paused = status.paused_names()
    return [Sample(int(name in paused), name) for name in SWITCHES]


def _lag(status: Status) -> Samples:
    return if_known(None if status.instance is None else status.instance.lag())


def _idle(status: Status) -> Samples:
    return if_known(None if status.instance is None else status.instance.idle_s())


def _partitions(status: Status) -> Samples:
    parts = None if status.instance is None else status.instance.parts
    return if_known(0 if parts is None else len(parts.partitions))


def _entities(status: Status) -> Samples:
    counts = {} if status.instance is None else status.instance.entity_counts()
    return [Sample(count, kind) for kind, count in counts.items()]


def _entities_max(status: Status) -> Samples:
    return [Sample(one.entities_max, kind) for kind, one in status.config.entities.items()]


def _model(status: Status) -> Samples:
    return [Sample(1, status.model_version)] if status.model_version else ()


def _shadow(status: Status) -> Samples:
    parts = None if status.instance is None else status.instance.parts
    shadow = None if parts is None else parts.serving.shadow
    return () if shadow is None else [Sample(1, shadow.version)]


def _labels_waiting(status: Status) -> Samples:
    return if_known(0 if status.instance is None else status.instance.labels_waiting().count)


def _experiments(status: Status) -> Samples:
    running = None if status.instance is None else status.instance.experiments()
    if running is None:
        return ()
    words = [one for one in get_args(ExperimentStatus) if one not in ("draft", "ended")]
    return [Sample(sum(one.status == word for one in running), word) for word in words]


def _drift(status: Status) -> DriftView | None:
    return None if status.instance is None else status.instance.drift()


def _drift_open(status: Status) -> Samples:
    view = _drift(status)
    return if_known(None if view is None else view.open_count)


def _drift_blind(status: Status) -> Samples:
    view = _drift(status)
    return if_known(None if view is None else int(view.is_reference_missing))


def _learning(status: Status) -> tuple[Update | None, Outlook | None]:
    return (None, None) if status.instance is None else status.instance.learning()


def _update_state(status: Status) -> Samples:
    update, _ = _learning(status)
    return () if update is None else one_of(get_args(UpdateState), update.state)


def _update_number(status: Status) -> Samples:
    update, _ = _learning(status)
    return if_known(None if update is None else update.number)


def _rollout(status: Status) -> StoredRollout | None:
    return None if status.instance is None else status.instance.rollout()


def _rollout_status(status: Status) -> Samples:
    newest = _rollout(status)
    return () if newest is None else one_of(get_args(RolloutStatus), newest.status)


def _rollout_step(status: Status) -> Samples:
    newest = _rollout(status)
    if newest is None:
        return ()
    return one_of((*get_args(StepName), CHAMPION), "" if newest.is_over else newest.next_place)


def _rollout_asks(status: Status) -> Samples:
    newest = _rollout(status)
    return if_known(None if newest is None else int(newest.needs_person and not newest.is_over))


def _update_needs(status: Status) -> Samples:
    _, outlook = _learning(status)
    if outlook is None:
        return ()
    return [Sample(len(outlook.to_judge), "judge"), Sample(len(outlook.to_begin), "begin")]


def _update_wait(status: Status) -> Samples:
    _, outlook = _learning(status)
    if outlook is None:
        return ()
    return if_known(longest_wait_s([*outlook.to_judge, *outlook.to_begin]))


def _archive(status: Status) -> Samples:
    return if_known(None if status.archive is None else int(not status.archive.trouble))


def _build(status: Status) -> Samples:
    return [Sample(1, __version__)]


def _configuration(status: Status) -> Samples:
    return [Sample(1, status.settings.in_force.version)]


GAUGES = (
    Gauge(f"{PREFIX}health", "health", "1 for the word that says how it is", _health, "status"),
    Gauge(f"{PREFIX}ready", "health", "whether what comes now is decided soon", _ready),
    Gauge(f"{PREFIX}health_reasons", "health", "reasons for that word", _reasons),
    Gauge(f"{PREFIX}switched", "health", "1 for what somebody has paused", _switched, "switch"),
    Gauge(f"{PREFIX}lag_records", "scoring", "transactions that wait to be read", _lag),
    Gauge(f"{PREFIX}idle_seconds", "scoring", "seconds since a record was taken", _idle),
    Gauge(f"{PREFIX}partitions", "scoring", "partitions of the transactions", _partitions),
    Gauge(f"{PREFIX}entities", "state", "entities in memory", _entities, "kind"),
    Gauge(f"{PREFIX}entities_max", "state", "what memory holds of them", _entities_max, "kind"),
    Gauge(f"{PREFIX}model_info", "serving", "1 for the version that serves", _model, "version"),
    Gauge(f"{PREFIX}shadow_info", "serving", "1 for the version in shadow", _shadow, "version"),
    Gauge(
        f"{PREFIX}labels_waiting", "feedback", "labels that wait for their time", _labels_waiting
    ),
    Gauge(
        f"{PREFIX}experiments",
        "experiments",
        "experiments that are at work",
        _experiments,
        "status",
    ),
    Gauge(f"{PREFIX}drift_alarms_open", "drift", "alarms that are not over", _drift_open),
    Gauge(
        f"{PREFIX}drift_reference_missing",
        "drift",
        "whether what is compared with is yet to come",
        _drift_blind,
    ),
    Gauge(
        f"{PREFIX}update_state",
        "learning",
        "1 for where the newest update of the model is",
        _update_state,
        "state",
    ),
    Gauge(f"{PREFIX}update_number", "learning", "updates that were begun", _update_number),
    Gauge(
        f"{PREFIX}update_needs_unmet",
        "learning",
        "of what the next update needs to begin, and to be judged, how much is not there",
        _update_needs,
        "to",
    ),
    Gauge(
        f"{PREFIX}update_wait_seconds",
        "learning",
        "seconds until all of that is there, at the pace of late",
        _update_wait,
    ),
    Gauge(
        f"{PREFIX}rollout_status",
        "learning",
        "1 for how the newest rollout stands",
        _rollout_status,
        "status",
    ),
    Gauge(
        f"{PREFIX}rollout_step",
        "learning",
        "1 for the step that it takes or takes next; none when it is over",
        _rollout_step,
        "step",
    ),
    Gauge(
        f"{PREFIX}rollout_needs_person",
        "learning",
        "whether only a person can have it go on",
        _rollout_asks,
    ),
    Gauge(f"{PREFIX}archive_up", "archive", "whether the archive beside a run runs", _archive),
    Gauge(f"{PREFIX}build_info", "process", "1 for the release of Sentinel", _build, "version"),
    Gauge(
        f"{PREFIX}config_info",
        "process",
        "1 for the settings in force, as decisions name them",
        _configuration,
        "version",
    ),
    *PROCESS_GAUGES,
)
