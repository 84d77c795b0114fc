"""Why a run is not well may be in a stranger's words: those of a model, of a server."""

import io

import pytest
from rich.console import Console

from sentinel.app.run import Status
from sentinel.cli.view import View
from sentinel.metrics import Metrics
from tests.engine.samples import a_config


@pytest.mark.parametrize("live", [False, True])
def test_a_reason_is_shown_as_it_is_written_and_does_nothing(live: bool) -> None:
    said = io.StringIO()
    status = Status(a_config(), Metrics(), "1.0.0", 0.0, failure="[/b] [red]x \x1b[2J\x07")
    view = View(Console(file=said, force_terminal=False, width=400), live=live)

    with view:
        view.show(status)
        view.finish(status)

    assert r"stuck (starting again after: [/b] [red]x \x1b[2J\x07)" in said.getvalue()
    assert "\x1b[2J" not in said.getvalue()
