"""The view has what is watched from the descriptions of the metrics."""

import asyncio
import io

from sentinel.app.status import Status
from sentinel.cli.run.view import View, _picture
from sentinel.cli.texts import PlainConsole
from sentinel.metrics import COUNTERS, HISTOGRAMS, Metrics
from tests.engine.samples import a_config


def counted() -> Metrics:
    metrics = Metrics(decisions=1_234, dead_letters=56, late=78, labels_applied=90)
    metrics.actions.update(approve=1_000, block=234)
    metrics.latency_s.observe(0.0123, 1_000)
    metrics.loop_lag_s.observe(0.5)
    return metrics


def test_the_picture_shows_every_metric_that_has_a_title() -> None:
    said = io.StringIO()
    picture = _picture(Status(a_config(), counted(), "1.0.0", 0.0), 200.0)

    PlainConsole(file=said, width=200).print(picture)

    words = " ".join(said.getvalue().replace("│", " ").split())
    titles = [one.title for one in COUNTERS if one.title and not one.label]
    titles += [
        f"{one.title} p{q * 100:g}" for one in HISTOGRAMS if one.title for q in one.quantiles
    ]
    assert [title for title in titles if title not in words] == []
    for figure in ("1,234 decisions", "approve 1,000", "review 0", "block 234", "dead letters 56"):
        assert figure in words
    assert "late 78" in words
    assert "labels learnt 90" in words


def test_a_line_has_the_figures_of_scoring() -> None:
    said = io.StringIO()
    view = View(PlainConsole(file=said, width=400), live=False)

    asyncio.run(view.finish(Status(a_config(), counted(), "1.0.0", 0.0)))

    line = said.getvalue()
    begun = "1,234 decisions · 0/s · 1,000 approve · 234 block · 56 dead letters · 78 late · "
    assert line.startswith(f"{begun}latency p50 ")
    assert "labels learnt" not in line
