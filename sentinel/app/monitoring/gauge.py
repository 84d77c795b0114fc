"""One number, or some, that are read at a scrape."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from sentinel.app.status import Status
from sentinel.codec.monitoring.exposition import MetricFamily, Sample

Samples = Iterable[Sample]


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is read at a scrape, as a `Metric` is counted.

    Attributes
    ----------
    name
        As scrapes have it.
    group
        The capability that it is of.
    """

    name: str
    group: str
    what: str
    read: Callable[[Status], Samples]
    label: str = ""
    kind: Literal["gauge", "counter"] = "gauge"

    def family(self, status: Status) -> MetricFamily:
        """What there is to say now."""
        what = f"{self.group}: {self.what}"
        return MetricFamily(self.name, self.kind, what, tuple(self.read(status)), self.label)


def if_known(value: float | None) -> Samples:
    """The number, if it is known."""
    return () if value is None else (Sample(value),)


def one_of(words: Iterable[str], now: str) -> Samples:
    """A 1 for what is so, a 0 for all else that could be."""
    return [Sample(int(word == now), word) for word in words]
