"""What is logged while strangers send all they can: never whom it is about."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sentinel.engine.topics import TOPICS
from tests.app.monitoring.odd_input import CARD, SECRET, odd_feedback, odd_input
from tests.engine.clock import run
from tests.engine.samples import START_MS, a_config, transactions
from tests.engine.world import World

FIELDS = (
    "transaction_id", "account", "label", "who", "source", "entities", "version", "decision_id",
    "kind", "name", "id", "event_time_ms", "status", "action", "model_version", "offset", "log",
)  # fmt: skip


def odd_records() -> Iterator[bytes]:
    """What any topic may hold: garbage, and records of ours with one thing wrong."""
    fine: dict[str, Any] = {"v": 1, **dict.fromkeys(FIELDS, CARD), "event_time_ms": START_MS}
    yield CARD.encode()
    yield b'{"' + CARD.encode() + b'": ' + SECRET.encode()
    yield json.dumps({CARD: SECRET}).encode()
    yield json.dumps([CARD, {"a": SECRET}]).encode()
    yield json.dumps(fine).encode()
    for name in FIELDS:
        yield json.dumps(fine | {name: {CARD: SECRET}}).encode()
        yield json.dumps(fine | {name: [CARD]}).encode()
        yield json.dumps(fine | {name: None}).encode()


def test_no_line_of_the_log_names_an_account_or_what_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    world = World(config=a_config())
    ours = {"transactions", "decisions", "alerts", "dead_letters"}  # which the world itself reads
    inner = [topic.setting for topic in TOPICS if topic.setting not in ours]

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send(transactions(50))
            await instance.idle()
            world.send(list(odd_input()))
            world.send_feedback(list(odd_feedback()))
            for setting in inner:
                for value in odd_records():
                    world.append(getattr(world.config.topics, setting), value)
            world.send(transactions(50, first=50))
            await instance.idle()

    run(scenario())

    told = [record for record in caplog.records if record.name.startswith("sentinel")]
    assert len(told) > 10, "it was odd, and that was said"
    leaked = [
        one.getMessage() for one in told if CARD in one.getMessage() or SECRET in one.getMessage()
    ]
    assert leaked == []
