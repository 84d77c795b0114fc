"""The built-in stream's investigators: some of them look at each alert, and may err."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from sentinel.adapters.kafka import KafkaTail
from sentinel.app.builtin.stream import DemoStream
from sentinel.codec.records import decode_object
from sentinel.config import Config
from sentinel.core.features.hashing import hash64
from sentinel.engine.patience import Patience
from sentinel.errors import RecordError, TransientError
from sentinel.records import Feedback
from sentinel.simulation.alert_centre import HOUR_MS
from sentinel.simulation.investigators import Team, one_careless

log = logging.getLogger(__name__)

NAMES = ("ann", "ben", "cem", "dua", "eve", "finn", "gus", "hal")  # the last one is careless
TEAM: Team = one_careless(len(NAMES), np.random.default_rng(8))
_VOTES_MIN, _VOTES_MAX = 2, 3
_HOURS_MAX = 8.0
_POLL_S, _POLL_COUNT_MAX = 0.2, 500
_FETCH_WAIT_MS = 500  # nobody is in a hurry: a fetch costs the broker a look through its log


def votes_on_alert(alert: Mapping[str, Any], *, is_fraud: bool) -> list[Feedback]:
    """What they say of an alert; the same each time."""
    rng = np.random.default_rng(abs(int(hash64([alert["transaction_id"]])[0])))
    count = int(rng.integers(_VOTES_MIN, _VOTES_MAX + 1))
    skill = TEAM.sensitivity if is_fraud else TEAM.specificity
    found = []
    for i in rng.choice(len(NAMES), count, replace=False).tolist():
        says_fraud = is_fraud == bool(rng.random() < skill[i])
        found.append(
            Feedback(
                transaction_id=alert["transaction_id"],
                label="fraud" if says_fraud else "genuine",
                source="investigator",
                who=NAMES[i],
                observed_ms=alert["event_time_ms"] + int(rng.uniform(0, _HOURS_MAX) * HOUR_MS),
                event_time_ms=alert["event_time_ms"],
                entities={"account": alert["account"], **alert["entities"]},
                selected_by="explored" if alert["explored"] else alert["action"],
            )
        )
    return found


async def investigate(
    config: Config, stream: DemoStream, ready: Callable[[], Awaitable[object]]
) -> None:
    """Vote on alerts until cancelled."""
    await ready()
    patience = Patience("the stream's investigators see no alerts")
    while True:
        try:
            await _investigate(config, stream, patience)
        except TransientError as error:
            await patience.failed(error)


async def _investigate(config: Config, stream: DemoStream, patience: Patience) -> None:
    kafka = replace(config.kafka, fetch_wait_ms_max=_FETCH_WAIT_MS)
    topic = config.topics.full(config.topics.alerts)
    async with AsyncExitStack() as stack:
        tails = [
            await stack.enter_async_context(KafkaTail(kafka, [topic], partition=number))
            for number in range(config.topics.partition_count)
        ]
        patience.over()
        while True:
            for tail in tails:
                polled = await tail.poll(timeout_s=_POLL_S, count_max=_POLL_COUNT_MAX)
                for record in polled.get(topic, ()):
                    _hear(record.value, stream)


def _hear(value: bytes | None, stream: DemoStream) -> None:
    try:
        alert = decode_object(value or b"")
    except RecordError as error:
        log.warning("an alert that is none: %s", error.unquoted)
        return
    is_fraud = stream.truth(alert["transaction_id"], alert["event_time_ms"])
    if is_fraud is not None:
        stream.say(votes_on_alert(alert, is_fraud=is_fraud))
