"""What the latency benchmark computes: a schedule, who was decided when, and batches read."""

import asyncio
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from benchmarks import wire
from benchmarks.latency import latencies_ms
from benchmarks.load import (
    STREAM_COUNT_MAX,
    STREAM_SPAN_MS,
    Decisions,
    batch_builder,
    due_count,
    renewed,
    schedule_s,
)
from benchmarks.workloads import card_stream
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.core.topics import TopicSpec
from tests.children import WAIT_S_MAX

RATE, DURATION_S = 1_000.0, 20.0


def test_a_schedule_is_fixed_by_its_seed_and_ascends_within_its_duration() -> None:
    times_s = schedule_s(RATE, DURATION_S, seed=3)

    assert np.array_equal(times_s, schedule_s(RATE, DURATION_S, seed=3))
    assert np.all(np.diff(times_s) >= 0)
    assert times_s[0] >= 0
    assert times_s[-1] < DURATION_S


def test_a_schedule_has_the_rate_and_the_gaps_of_a_poisson_process() -> None:
    times_s = schedule_s(RATE, DURATION_S, seed=3)

    gaps_s = np.diff(times_s)
    assert times_s.size == pytest.approx(RATE * DURATION_S, rel=0.03)
    # An exponential gap spreads as much as its mean, and one in e is longer than it.
    assert gaps_s.std() == pytest.approx(1 / RATE, rel=0.05)
    assert np.mean(gaps_s > 1 / RATE) == pytest.approx(np.exp(-1), abs=0.02)


def test_what_is_due_does_not_depend_on_what_became_of_the_rest() -> None:
    times_s = np.array([0.0, 0.1, 0.2, 0.3, 0.4])

    assert due_count(times_s, 0, 0.25, 100) == 3
    assert due_count(times_s, 0, 9.0, 100) == 5, "after a stall all of them at once"
    assert due_count(times_s, 1, 9.0, 2) == 3, "but no more than a batch"


def test_latency_counts_from_the_planned_time_to_the_batch_with_the_decision() -> None:
    due_ms = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    partitions = np.array([0, 1, 0, 0, 1])
    before = np.array([10, 20])  # transactions that went before, in each partition
    seen = np.array(
        [
            (0, 11, 5.0),  # the first of partition 0, alone
            (1, 22, 6.0),  # both of partition 1 in one batch
            (0, 13, 50.0),
        ]
    )
    measured = np.array([True, True, True, True, False])

    latencies = latencies_ms(due_ms, partitions, before, seen, measured)

    assert latencies.tolist() == [5.0, 5.0, 48.0, 47.0]


def test_a_stream_that_starts_over_has_new_identifiers_and_later_times() -> None:
    _, values = card_stream(2_000, account_count=10)
    first, again = json.loads(values[7]), json.loads(renewed(values[7], 2))

    assert again["id"] != first["id"]
    assert again["time_ms"] == first["time_ms"] + 2 * STREAM_SPAN_MS
    assert {**again, "id": 0, "time_ms": 0} == {**first, "id": 0, "time_ms": 0}
    per_ms = 2_000 / (json.loads(values[-1])["time_ms"] - json.loads(values[0])["time_ms"])
    assert STREAM_SPAN_MS * per_ms >= STREAM_COUNT_MAX


def test_the_heads_of_batches_are_read_and_a_cut_off_batch_is_left() -> None:
    batches = []
    for first, count in ((7, 3), (10, 1)):
        builder = batch_builder()
        for i in range(count):
            builder.append(i, 1_000 + i, b"k", b"v", [])
        batch = bytearray(builder.build())
        struct.pack_into(">q", batch, 0, first)  # the broker gives the offsets
        batches.append(bytes(batch))
    records = b"".join(batches)

    heads = [head[:2] for head in wire.batch_heads(records)]

    assert heads == [(7, 9), (10, 10)]
    assert len(list(wire.batch_heads(records[:-1]))) == 1
    assert next(iter(wire.batch_heads(records))).timestamp_ms == 1_002


@pytest.mark.integration
async def test_what_is_produced_by_hand_is_read_back_from_a_broker(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path, redis=False) as servers:
        async with KafkaBroker(KafkaParams().embedded_at(servers.kafka_servers)) as broker:
            await broker.ensure_topics([TopicSpec("decisions", 2)])
        connection = await wire.connect(servers.kafka_servers)
        builders = {partition: batch_builder() for partition in (0, 1)}
        for partition, builder in builders.items():
            for i in range(3 + partition):
                builder.append(i, 1_000 + i, b"k", b"v", [])
        batches = {partition: bytes(builder.build()) for partition, builder in builders.items()}
        request = wire.produce_request("decisions", batches)
        wire.produced(await connection.send(wire.PRODUCE, wire.PRODUCE_VERSION, request))
        decisions = Decisions(servers.kafka_servers, "decisions", 2)
        await decisions.connect()
        await decisions.read(wait_ms=50)
        await decisions.connect()  # and goes on where it was

        async with asyncio.timeout(WAIT_S_MAX):
            while decisions.count < 7:
                await decisions.read(wait_ms=50)

        assert sorted((partition, end) for partition, end, _ in decisions.seen) == [(0, 3), (1, 4)]
        connection.close()
        decisions.close()
