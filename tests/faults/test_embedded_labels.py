"""The label chain struck for real: a short run of what `make faults` does at length."""

import pytest

from tests.faults.labels import run

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def test_killed_with_9_between_vote_and_example_nothing_is_lost_or_counted_twice() -> None:
    """The instance, the archive, and both."""
    outcome = await run(seed=1, strike_count=3)

    assert outcome.verdict == "kept", outcome.offences
    assert outcome.strikes == 3
    assert min(outcome.records, outcome.votes) > 300
    assert min(outcome.placed, outcome.labels, outcome.examples) > 30
