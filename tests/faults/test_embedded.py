"""Struck for real on the embedded servers: a short selection of what `make faults` does at length.

Each is a whole run with processes of its own, and ends by comparing with a run that nothing struck.
"""

import pytest

from tests.faults.run import Options, Outcome, run

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def outcome_of(fault: str, seed: int, *, strike_count: int = 1) -> Outcome:
    options = Options(fault, "tansu", seed, strike_count, rate=400.0)
    return await run(options)


def kept(outcome: Outcome) -> bool:
    """Whether the contract was kept, and there was something to keep."""
    assert outcome.faults == [], (outcome.faults, outcome.comparison, outcome.notes)
    assert outcome.records > 500
    assert outcome.poison > 0
    assert outcome.commit_samples > 10
    return True


async def test_killed_with_9_it_loses_nothing_and_counts_nothing_twice() -> None:
    """On one partition every decision is the one that would have been made in peace."""
    assert kept(await outcome_of("kill-one-partition", 1))


async def test_a_store_that_is_full_and_one_that_dies_lose_no_state() -> None:
    assert kept(await outcome_of("redis-full", 1))


async def test_a_store_and_an_instance_that_die_together_lose_nothing() -> None:
    assert kept(await outcome_of("redis-kill-and-instance", 2))
