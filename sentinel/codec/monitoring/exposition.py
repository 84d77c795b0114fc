"""Prometheus' text format 0.0.4: what a scrape of an instance reads.

Written here and not by the official client, whose counters cost microseconds on the hot path and
whose scrape holds the loop for milliseconds; a test reads it with that client's parser.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABEL_LENGTH_MAX = 120
_KEPT_COUNT = 2_048  # several times the series of an instance
_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Sample(NamedTuple):
    """A number of a family, and what tells it from the others of it.

    Attributes
    ----------
    suffix
        Behind the family's name, as of the parts of a histogram.
    """

    value: float
    label: str = ""  # its value; the family names it
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """Samples under one name, of one meaning.

    Attributes
    ----------
    label
        By what they are split; empty where there is one number.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    what: str
    samples: tuple[Sample, ...]
    label: str = ""


def exposition(families: Iterable[MetricFamily]) -> bytes:
    """The page of a scrape; a family without samples is left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            name, label = family.name, family.label
            lines.append(_about(name, family.kind, family.what))
            lines += [
                f"{_series(name, suffix, label, text)} {number_text(value)}\n"
                for value, text, suffix in family.samples
            ]
    return "".join(lines).encode(errors="replace")


# From scrape to scrape they are the same.
@lru_cache(_KEPT_COUNT)
def _about(name: str, kind: str, what: str) -> str:
    return f"# HELP {name} {what.translate(_IN_HELP)}\n# TYPE {name} {kind}\n"


@lru_cache(_KEPT_COUNT)
def _series(name: str, suffix: str, label: str, text: str) -> str:
    """What stands before a number."""
    if not text:
        return f"{name}{suffix}"
    return f'{name}{suffix}{{{label}="{text[:_LABEL_LENGTH_MAX].translate(_IN_LABEL)}"}}'


def number_text(value: float) -> str:
    """A number as the format has it."""
    if isinstance(value, int):
        return str(int(value))
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
