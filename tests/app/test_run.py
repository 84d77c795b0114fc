"""A run that starts again and again, and is stopped meanwhile."""

import asyncio
from typing import Any, Self

import pytest

from sentinel.app import run as run_module
from sentinel.app.prepare import Prepared
from sentinel.app.status import Status
from sentinel.errors import TransientError
from sentinel.metrics import Metrics
from tests.engine.clock import run
from tests.engine.samples import a_config, serving


class Ending:
    """An instance that decides, and then either loses its partitions or ends as it is told."""

    is_assigned = True
    does_fail = True

    def __init__(self, config: Any, champion: Any, artifact: Any, metrics: Metrics, *_: Any):
        self._metrics = metrics

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def run(self, stop: asyncio.Event) -> None:
        self._metrics.decisions += 1
        stop.set()
        if self.does_fail:
            raise TransientError("the group has already rebalanced")


@pytest.mark.parametrize("does_fail", [True, False])
def test_who_is_stopped_before_it_has_started_again_says_what_that_leaves(
    does_fail: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its decisions are out and its state is not: only the log holds it."""
    monkeypatch.setattr(run_module, "Instance", Ending)
    monkeypatch.setattr(Ending, "does_fail", does_fail)

    async def scenario() -> None:
        config = a_config()
        status = Status(config, Metrics(), "", asyncio.get_running_loop().time())
        prepared = Prepared(serving(), None)  # type: ignore[arg-type]
        await run_module._keep_running(config, prepared, status, asyncio.Event())

    run(scenario())

    assert ("not everything could be written" in caplog.text) == does_fail
