"""What a run shows may be in a stranger's words: those of a payment, a model, a server."""

import io

import pytest
from rich.console import Console

from sentinel.app.run import Status
from sentinel.cli.run.view import View, _alerts
from sentinel.codec.records import encode
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

    Console(file=said, width=200).print(_alerts([encode(alert)], decimals=2))

    for text in ("[/b]t1\\x1b[2J", "[red]a", "12.34", "[/x] 1"):
        assert text in said.getvalue()
    assert "\x1b[2J" not in said.getvalue()
