"""What a run shows may be in a stranger's words: those of a payment, a model, a server."""

import asyncio
import io
import logging

import pytest

from sentinel.app.status import Status
from sentinel.cli.run.view import View, _alerts
from sentinel.cli.texts import PlainConsole
from sentinel.codec.records import encode
from sentinel.engine.health import Health
from sentinel.metrics import Metrics
from tests.engine.samples import a_config


@pytest.mark.parametrize("live", [False, True])
def test_a_reason_is_shown_as_it_is_written_and_does_nothing(live: bool) -> None:
    said = io.StringIO()
    status = Status(a_config(), Metrics(), "1.0.0", 0.0, failure="[/b] [red]x \x1b[2J\x07")
    view = View(PlainConsole(file=said, force_terminal=False, width=400), live=live)

    async def watched() -> None:
        with view:
            view.show(status)
            await view.finish(status)

    asyncio.run(watched())

    assert r"stuck (starting again after: [/b] [red]x \x1b[2J\x07)" in said.getvalue()
    assert "\x1b[2J" not in said.getvalue()


def test_an_alert_is_shown_as_it_is_written_and_does_nothing() -> None:
    """Whoever pays chooses these words: they must not end the view, and scoring with it."""
    said = io.StringIO()
    alert = {
        "transaction_id": "[/b]t1\x1b[2J",
        "account": "[red]a",
        "amount_minor": 1234,
        "probability": 0.9,
        "action": "block",
        "reasons": [{"feature": "[/x]", "value": 1.0, "usual_low": None, "usual_high": None}],
    }

    PlainConsole(file=said, width=200).print(_alerts([encode(alert)], decimals=2))

    for text in ("[/b]t1\\x1b[2J", "[red]a", "12.34", "[/x] 1"):
        assert text in said.getvalue()
    assert "\x1b[2J" not in said.getvalue()


@pytest.mark.parametrize("live", [False, True])
def test_a_frame_that_fails_is_told_once_and_the_next_one_is_drawn(
    live: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong in it: scoring must not end for a picture."""

    class Odd(Status):
        is_broken = True

        def health(self) -> Health:
            if self.is_broken:
                raise KeyError("a reason nobody thought of")
            return super().health()

    said = io.StringIO()
    view = View(PlainConsole(file=said, force_terminal=True, width=200, height=40), live=live)
    status = Odd(a_config(), Metrics(decisions=1_234), "1.0.0", 0.0)

    async def watched() -> None:
        with view:
            for number in range(4):
                status.is_broken = number < 3
                view.show(status)
                await view.drawn()
            drawn = said.getvalue()
            assert ("1,234 decisions" in drawn) is live  # plain lines wait for an instance
            await view.finish(status)

    with caplog.at_level(logging.WARNING):
        asyncio.run(watched())

    assert "1,234 decisions" in said.getvalue()
    told = [one for one in caplog.messages if "a reason nobody thought of" in one]
    assert len(told) == 1
