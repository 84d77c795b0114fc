"""The text that a scrape reads, as the official client's own parser understands it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sentinel.codec.monitoring.exposition import MetricFamily, Sample, exposition, number_text

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100)
numbers = st.one_of(st.integers(-(10**15), 10**15), st.floats(allow_nan=False))


@given(label=texts, what=texts, value=numbers)
def test_whatever_a_label_or_a_help_holds_it_is_read_back(
    label: str, what: str, value: float
) -> None:
    family = MetricFamily("a_name", "gauge", what, (Sample(value, label),), "of")

    page = exposition([family]).decode()

    [read] = text_string_to_metric_families(page)
    [sample] = read.samples
    assert (sample.name, sample.labels, sample.value) == ("a_name", {"of": label}, value)
    assert read.type == "gauge"
    assert len(page.split("\n")) == 4, "one line each, whatever is in them"


def test_a_family_without_a_number_is_left_out() -> None:
    assert exposition([MetricFamily("empty", "gauge", "nothing", ())]) == b""


def test_a_label_of_any_length_takes_no_room() -> None:
    page = exposition([MetricFamily("a", "gauge", "", (Sample(1, "x" * 10_000),), "of")])

    assert len(page) < 300


def test_what_is_no_text_ends_no_scrape() -> None:
    page = exposition([MetricFamily("a", "gauge", "", (Sample(1, "\udc80"),), "of")])

    assert b'a{of="?"} 1' in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (True, "1"),
        (0.5, "0.5"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_a_number_is_written_as_the_format_has_it(value: float, text: str) -> None:
    assert number_text(value) == text
