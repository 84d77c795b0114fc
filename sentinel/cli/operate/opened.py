"""The topic of dead letters, opened: what is wanted of it, found there, and sent back."""

import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from sentinel.adapters.kafka import KafkaBroker, KafkaTail
from sentinel.cli.operate.letters import some
from sentinel.config import Config
from sentinel.core.features.spec import duration_ms
from sentinel.errors import ConfigError
from sentinel.operations.dead_letters import Found, Plan, Wanted, look_through, planned, replay


def wanted_letters(
    config: Config, offsets: Collection[int] = (), *, reason: str, topic: str, since: str
) -> Wanted:
    """What the options that several commands share ask for. Raises ConfigError."""
    full = config.topics.full(topic) if topic in config.topics.names() else topic
    return Wanted(frozenset(offsets), reason, full, _since_ms(since))


def _since_ms(text: str) -> int:
    """A moment, from "2h" (ago) or an RFC 3339 time; 0 for an empty text."""
    if not text:
        return 0
    try:
        return int(time.time() * 1000) - duration_ms(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f'--since: "{text}" must be a duration such as 2h, or a time such as '
            "2026-01-31T12:00:00Z"
        ) from error
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


async def found_letters(config: Config, wanted: Wanted, *, count_max: int | None) -> Found:
    """The newest `count_max` of those wanted, None for all. Raises ConfigError without a topic."""
    async with _opened(config) as (_, topic):
        return await _found(config, topic, wanted, count_max)


async def planned_replay(config: Config, wanted: Wanted, *, again: bool) -> Plan:
    """Which to send back. Raises ConfigError when one is not there, or cannot go back."""
    async with _opened(config) as (broker, topic):
        found = await _found(config, topic, wanted, 0)
        check_offsets(found, wanted.offsets)
        return await planned(broker, found, again=again)


async def replayed_count(config: Config, plan: Plan) -> int:
    """Send them back; how many were sent."""
    timeout_s = config.kafka.request_timeout_s
    async with _opened(config) as (broker, topic), KafkaTail(config.kafka, [topic]) as tail:
        return await replay(tail, broker, topic, plan.offsets, timeout_s=timeout_s)


def check_offsets(found: Found, offsets: Collection[int]) -> None:
    """Raises ConfigError when there is no dead letter at one of them."""
    if missing := sorted(set(offsets) - found.places.keys()):
        raise ConfigError(
            f"there is no dead letter at offset {some(missing)}: see `sentinel dead-letters list`"
        )


@asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[tuple[KafkaBroker, str]]:
    """A broker, and the topic's full name."""
    topic = config.topics.full(config.topics.dead_letters)
    async with KafkaBroker(config.kafka) as broker:
        if not await broker.partition_count(topic):
            raise ConfigError(f"there is no topic {topic}: nothing has run here yet")
        yield broker, topic


async def _found(config: Config, topic: str, wanted: Wanted, count_max: int | None) -> Found:
    timeout_s = config.kafka.request_timeout_s
    async with KafkaTail(config.kafka, [topic]) as tail:
        if wanted.offsets:
            tail.seek(topic, min(wanted.offsets))  # a note lies behind what it is of
        return await look_through(tail, topic, wanted, count_max=count_max, timeout_s=timeout_s)
