"""Labels of a history that fall due behind its end reach who counts them."""

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from sentinel.adapters.kafka import KafkaParams, KafkaTail
from sentinel.codec.records import decode_feedback
from sentinel.config import Config
from sentinel.engine.tail import read_to_end
from sentinel.operations.data.pending_labels import forget_kept, tell_kept, tell_or_keep
from sentinel.records import Feedback
from tests.app import small
from tests.children import WAIT_S_MAX

LABELS = [
    Feedback(f"t{i}", "fraud", "ground_truth", "history", observed_ms=9, event_time_ms=i,
             entities={"account": "é\n", "terminal": None})
    for i in range(3)
]  # fmt: skip


async def at_once() -> None:
    pass


async def sent(config: Config) -> list[Feedback]:
    topic = config.topics.full(config.topics.feedback)
    async with KafkaTail(config.kafka, [topic]) as tail:
        batches = read_to_end(tail, topic, timeout_s=WAIT_S_MAX)
        return [decode_feedback(record.value) async for some in batches for record in some]


@pytest.mark.integration
async def test_with_brokers_of_ones_own_they_are_sent_at_once(
    tmp_path: Path, kafka_params: KafkaParams
) -> None:
    topics = small.topics(f"{uuid.uuid4().hex}-")
    config = small.config(tmp_path, kafka=kafka_params, topics=topics)

    await tell_or_keep(config, LABELS, tmp_path)

    assert await sent(config) == LABELS


@pytest.mark.integration
async def test_with_an_embedded_broker_every_run_sends_them(
    tmp_path: Path, kafka_params: KafkaParams
) -> None:
    topics = small.topics(f"{uuid.uuid4().hex}-")
    config = small.config(tmp_path, topics=topics)
    await tell_or_keep(config, LABELS, tmp_path)
    running = replace(config, kafka=kafka_params)

    await tell_kept(running, tmp_path, at_once)
    await tell_kept(running, tmp_path, at_once)

    assert await sent(running) == LABELS * 2


async def test_where_nothing_is_kept_nobody_is_waited_for(tmp_path: Path) -> None:
    config = small.config(tmp_path)
    await tell_or_keep(config, LABELS, tmp_path)
    forget_kept(tmp_path)
    forget_kept(tmp_path)

    await tell_kept(config, tmp_path, asyncio.Event().wait)


async def test_a_file_that_cannot_be_read_costs_the_labels_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "history-labels.jsonl").write_bytes(b"{}\n")

    await tell_kept(small.config(tmp_path), tmp_path, asyncio.Event().wait)

    assert "history-labels.jsonl: its labels are not sent" in caplog.text
