"""Struck for real on Apache Kafka: several instances, and brokers that die."""

import pytest

from tests.conftest import ON_KAFKA
from tests.faults import labels
from tests.faults.run import Options, Outcome, run

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.skipif(not ON_KAFKA, reason="needs Apache Kafka: `make test-kafka`"),
]


def kept(outcome: Outcome) -> bool:
    """Whether the contract was kept, and there was something to keep."""
    assert outcome.faults == [], (outcome.faults, outcome.comparison, outcome.notes)
    assert outcome.records > 500
    assert outcome.poison > 0
    assert outcome.commit_samples > 10
    return True


async def test_an_instance_that_wakes_after_its_session_cannot_write_over_its_heir() -> None:
    assert kept(await run(Options("stop-pair", "kafka", 1, 2, rate=400.0)))


async def test_instances_that_come_and_go_lose_nothing_between_them() -> None:
    assert kept(await run(Options("storm", "kafka", 1, 6, rate=400.0)))


async def test_a_broker_of_three_that_dies_takes_nothing_with_it() -> None:
    assert kept(await run(Options("broker-of-three", "kafka3", 1, 2, rate=400.0)))


async def test_votes_become_examples_whoever_dies_between() -> None:
    outcome = await labels.run(1, 2, broker="kafka")

    assert outcome.verdict == "kept", outcome.offences
    assert min(outcome.votes, outcome.placed, outcome.labels, outcome.examples) > 20
