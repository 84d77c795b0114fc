"""The report of an experiment as a page: it is whole, it says what is there, nothing in it acts."""

import asyncio
import re
from dataclasses import replace

import pytest

from sentinel.adapters.memory import MemoryDatabase, MemoryDocuments
from sentinel.cli.experiments.html.page import experiment_page
from sentinel.cli.run.view import experiment_words
from sentinel.operations.experiments.acting import Shown
from sentinel.operations.experiments.guards import GuardState
from sentinel.stored.experiments import ArmSpec
from sentinel.stored.looks import PlannedLook
from sentinel.stores import StoredExperiments
from tests.cli.experiment_samples import (
    NOW_MS,
    a_definition,
    a_look,
    a_ramp,
    an_experiment,
    fill,
)
from tests.cli.test_drift_page import HOSTILE, Page, read


def shown(name: str) -> Shown:
    async def main() -> Shown:
        store = StoredExperiments(MemoryDocuments(MemoryDatabase()))
        await fill(store)
        stored = await store.experiment(name)
        assert stored is not None
        guards = [GuardState("challenger", "few_alerts", 0.5, 0.7, 100.0)]
        return Shown(stored, await store.looks(stored.definition.id), guards)

    return asyncio.run(main())


def the_page(found: Shown) -> Page:
    return read(experiment_page(found, 2, made_ms=NOW_MS))


@pytest.mark.parametrize("name", ["fast", "beside", "slow", "cuts", "old"])
def test_a_page_is_whole_and_asks_nobody(name: str) -> None:
    html = experiment_page(shown(name), 2, made_ms=NOW_MS)

    page = read(html)
    assert page.count("h1") == 1
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    assert "http" not in html
    assert all("aria-label" in told for tag, told in page.tags if tag == "svg")


def test_the_primary_metric_and_its_test_are_drawn_look_by_look() -> None:
    page = the_page(shown("fast"))

    assert (page.count("svg"), page.count("circle")) == (2, 6)
    for words in (
        "fast@1 is running: look 3 of 4 has decided nothing",
        "look 3: -12.00, valid at any time -27.00 to +3.00",
        "look 3: -2.25, boundary ±2.36",
        "challenger less the control".capitalize(),
        "few alerts",
        "What is younger than 21 days does not count.",
    ):
        assert words in page.text
    label = next(told["aria-label"] for tag, told in page.tags if tag == "svg")
    assert label is not None
    assert "look 3: -12.00, valid at any time -27.00 to +3.00" in label


def test_a_shadow_has_its_statistic_and_what_one_model_alone_finds() -> None:
    page = the_page(shown("beside"))

    assert page.count("svg") == 1
    assert "690 of 1,000 alerts would be the same." in page.text


def test_before_the_first_look_there_is_nothing_to_draw() -> None:
    page = the_page(shown("slow"))

    assert page.count("svg") == 0
    assert "There was no look yet." in page.text


def test_looks_that_could_test_nothing_say_why() -> None:
    nothing = PlannedLook("challenger", 0.25, None, None, None, why_not="too few accounts")
    look = replace(a_look(1), planned=[nothing], compared=[])

    page = the_page(replace(shown("fast"), looks=[look]))

    assert page.count("svg") == 0
    assert "Nothing could be tested yet; the table says why." in page.text
    assert "too few accounts" in page.text


def test_each_challenger_has_pictures_of_its_own() -> None:
    arms = (ArmSpec("control", 0.4), *(ArmSpec(f"arm-{i}", 0.1, "1.1.0") for i in range(6)))
    one = an_experiment(a_definition(arms=arms))
    looks = [a_look(1, arm=f"arm-{i}") for i in range(6)]
    look = replace(
        looks[0],
        planned=[planned for each in looks for planned in each.planned],
        compared=[compared for each in looks for compared in each.compared],
    )

    page = the_page(Shown(one, [look], []))

    assert page.count("svg") == 12


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1.0, 1e12])
def test_differences_of_any_size_are_drawn(scale: float) -> None:
    look = a_look(2)
    primary = replace(look.compared[0], estimate=scale, interval=(-scale, 3 * scale))
    of_size = replace(look, compared=[primary])

    for looks in ([of_size], [a_look(1), of_size]):
        found = replace(shown("fast"), looks=looks)
        html = experiment_page(found, 2, made_ms=NOW_MS)

        assert read(html).count("svg") == 2
        drawn = html[html.index("<svg") : html.rindex("</svg>")]
        assert not re.search(r"\b(nan|inf)\b", drawn)


def test_early_intervals_do_not_flatten_the_picture() -> None:
    first = a_look(1)
    wide = replace(first.compared[0], interval=(-1e6, 1e6))
    found = replace(shown("fast"), looks=[replace(first, compared=[wide]), a_look(2)])

    assert "Intervals of early looks go beyond the picture." in the_page(found).text


def test_what_strangers_have_written_does_nothing() -> None:
    arms = (ArmSpec("control", 0.5), ArmSpec(HOSTILE, 0.5, HOSTILE, {HOSTILE: 1.0}))
    definition = a_definition(arms=arms, segments={HOSTILE: (HOSTILE,)})
    one = an_experiment(definition, status="paused", who=HOSTILE, why=HOSTILE, control=HOSTILE)
    look = a_look(1, arm=HOSTILE, notes=[HOSTILE])

    page = the_page(Shown(one, [look], [GuardState(HOSTILE, HOSTILE, 1.0, 1.0, 1.0)]))

    assert page.count("script") == page.count("img") == 0
    assert "<script>alert(1)</script>" in page.text


def test_the_view_says_in_a_line_what_runs() -> None:
    running = [
        an_experiment(look=3),
        an_experiment(a_ramp(), step=1, status="paused"),
        *(an_experiment(a_definition(f"more-{i}")) for i in range(3)),
    ]

    assert experiment_words([]) == ""
    assert experiment_words(running) == (
        "fast@1 split, look 3 of 4; slow@1 ramp, step 2 of 4, look 0 of 4, paused; "
        "more-0@1 split, look 0 of 4; and 2 more"
    )
