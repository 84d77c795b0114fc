"""A scrape as Prometheus reads it."""

import shutil
import subprocess

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from sentinel.app.monitoring.pages import pages
from sentinel.app.status import Status

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def page_of(status: Status) -> str:
    return pages(status)["/metrics"]().body.decode()


def families_of(page: str) -> dict[str, Metric]:
    """By name; of what grows for ever without the word for it, as the parser has it."""
    return {one.name: one for one in text_string_to_metric_families(page)}


def series_of(page: str) -> Series:
    """Every number by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def labels_of(page: str, label: str) -> set[str]:
    """What one label is, anywhere."""
    return {value for _, pairs in series_of(page) for name, value in pairs if name == label}


def promtool(*arguments: str, text: str = "") -> str:
    """What it says, having found no fault; skips where it is not installed."""
    if (found := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed: it comes with Debian's prometheus")
    done = subprocess.run(
        [found, *arguments], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
