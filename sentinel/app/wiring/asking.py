"""Wires what follows operators: what is paused, and which settings were applied."""

import logging

from sentinel.app.reload.settings import LiveSettings
from sentinel.app.wiring.control_plane import control
from sentinel.app.wiring.shared import Shared, clock_ms
from sentinel.config import Config
from sentinel.engine.audit import AuditLog
from sentinel.engine.operating.desk import OperatingDesk
from sentinel.engine.operating.following import OperatingTask
from sentinel.operations.operating.layers import reloadable_values
from sentinel.operations.operating.telling import changes_text
from sentinel.stored.switches import AppliedConfig, ConfigInForce

log = logging.getLogger(__name__)


def operating(shared: Shared, settings: LiveSettings) -> OperatingTask:
    """What follows operators, and hands on what may change while the instance runs."""
    ports, topics, memory = shared.ports, shared.topics, settings.memory

    def note(config: Config) -> None:
        values = reloadable_values(config)
        memory.note(ConfigInForce(config.version, values, settings.rest, clock_ms(), ports.name))

    def take(applied: AppliedConfig) -> None:
        before = settings.applied
        changed = settings.take_applied(applied)
        if not applied.values:
            if before.values:
                log.warning("applied settings are reset by %s: %s",
                            applied.who, changes_text(changed))  # fmt: skip
            return
        log.warning("applied by %s, and over this instance's file until `sentinel config reset`: "
                    "%s", applied.who, changes_text(changed))  # fmt: skip
        if settings.unknown:
            log.warning("applied, and not known to this version of Sentinel: %s",
                        ", ".join(settings.unknown))  # fmt: skip

    def say(config: Config) -> None:
        logging.getLogger().setLevel(config.logging.level.upper())

    note(shared.config)
    shared.reloaders += [note, say]
    settings.readers = shared.reloaders
    desk = OperatingDesk(
        ports.operating, ports.broker, topics.control, AuditLog(ports.broker, topics.audit)
    )
    return OperatingTask(ports.operating, ports.operating_tail, desk, control(shared), memory, take)
