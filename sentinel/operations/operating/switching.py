"""Switches, by a person: what is paused, and maintenance mode."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sentinel.adapters.kafka import KafkaBroker
from sentinel.config import Config
from sentinel.core.switches import Switched, switched_off, switched_on
from sentinel.engine.audit import AuditLog
from sentinel.engine.operating.desk import SWITCHED, OperatingDesk, change_switches
from sentinel.errors import ConfigError, RecordError, TransientError
from sentinel.operations.models.registry import now_ms
from sentinel.operations.said import checked_text
from sentinel.operations.stores import open_operating
from sentinel.operations.topics import topic_specs
from sentinel.ports import OperatingStore
from sentinel.stored.switches import SwitchName


@dataclass(frozen=True, slots=True)
class SwitchChange:
    """What came of it, and why the topics do not tell of it yet; empty when they do."""

    done: Switched
    untold: str


async def switch(
    config: Config, names: Sequence[SwitchName], *, to_on: bool, who: str, why: str
) -> SwitchChange:
    """Pause these, or let them go on. Raises ConfigError of a text that cannot be kept."""
    who, why = checked_text("--who", who, is_needed=True), checked_text("--why", why)
    step = partial(
        switched_on if to_on else switched_off, names=names, who=who, why=why, at_ms=now_ms()
    )
    async with open_operating(config.redis) as store:
        try:
            done = await change_switches(store, step)
        except RecordError as error:
            raise ConfigError(f"what is paused is damaged in the store: {error.detail}") from error
        untold = ""
        if done.changed:
            untold = await tell_now(config, store, SWITCHED, who=who, why=why)
    return SwitchChange(done, untold)


async def tell_now(config: Config, store: OperatingStore, kind: str, *, who: str, why: str) -> str:
    """Have all instances look now, and tell the audit; why that is not possible, else nothing."""
    topics = config.topics.in_full()
    try:
        async with KafkaBroker(config.kafka) as broker:
            await broker.ensure_topics(topic_specs(config))
            desk = OperatingDesk(store, broker, topics.control, AuditLog(broker, topics.audit))
            await desk.ring(kind, who=who, why=why)
            await desk.tell_untold()
    except (ConfigError, TransientError) as error:
        return str(error)
    return ""
