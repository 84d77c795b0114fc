"""When too many failures in a row are too many."""

import asyncio

import pytest

from sentinel.app.backoff import back_off, failures_in_a_row
from sentinel.engine.params import EngineParams
from sentinel.errors import RefusedError, TransientError


def test_a_failure_behind_progress_is_the_first_of_its_row() -> None:
    error = TransientError("away")
    assert failures_in_a_row(0, error, has_committed=False) == 1
    assert failures_in_a_row(4, error, has_committed=False) == 5
    assert failures_in_a_row(4, error, has_committed=True) == 1


def test_what_else_is_committed_is_no_progress_of_a_topic_that_takes_nothing() -> None:
    assert failures_in_a_row(4, RefusedError("decisions-0"), has_committed=True) == 5


async def test_told_to_stop_it_gives_up_nothing_and_waits_for_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = asyncio.Event()
    stop.set()

    await back_off(TransientError("away"), 99, EngineParams(), stop)

    assert "away; it stops" in caplog.text
