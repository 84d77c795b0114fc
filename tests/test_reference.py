"""docs/reference.md says what the code does."""

import re

import pytest

from sentinel.app.run import report
from sentinel.app.status import Status
from sentinel.engine.params import TopicParams
from sentinel.engine.topics import TOPICS
from sentinel.metrics import COUNTERS, HISTOGRAMS, Metrics
from tests.engine.samples import a_config
from tests.reference import PAGE, PARTS, block, comments, rows_of, settings, written


@pytest.mark.parametrize("part", PARTS)
def test_what_is_made_from_the_code_is_as_the_code_is(part: str) -> None:
    page = PAGE.read_text()

    (said,), (made,) = block(part).finditer(page), block(part).finditer(written(page))

    assert said[0] == made[0], "`python -m tests.reference` writes it anew"


def test_every_topic_is_in_the_table_as_it_is_kept_written_and_read() -> None:
    names = TopicParams()
    said = {name: cells for name, *cells, _ in rows_of("| topic | key |", PAGE.read_text())}

    assert said == {
        f"`{getattr(names, topic.setting)}`": [
            {"": "–", "subject": "transaction, who votes, or version"}.get(topic.key, topic.key),
            "many" if topic.is_spread else "one",
            ", ".join(topic.writers),
            ", ".join(topic.readers),
        ]
        for topic in TOPICS
    }


async def test_every_field_of_a_report_is_in_the_table() -> None:
    rows = rows_of("| field | unit | what |", PAGE.read_text())

    made = report(Status(a_config(), Metrics(), "1.0.0", 0.0))

    told = [name for cell, *_ in rows for name in re.findall(r"`(\w+)`", cell)]
    told += [metric.name for metric in COUNTERS]
    told += [metric.reported_as for metric in HISTOGRAMS if metric.quantiles]
    assert sorted(told) == sorted(made)


def test_a_comment_is_of_the_key_that_it_stands_behind_or_before() -> None:
    text = '[a] # the section\nx = "#" # of x\n# and more of x\n\n# of y\ny = 1 # too\nz = 2\n'

    assert comments(text) == {"a": "the section", "a.x": "of x and more of x", "a.y": "of y too"}


def test_every_setting_says_what_it_is_for() -> None:
    unsaid = [line for line in settings().splitlines() if line.endswith("|  |")]

    assert not unsaid
