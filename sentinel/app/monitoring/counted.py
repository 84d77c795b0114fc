"""What an instance counts and measures, under the names that Prometheus' conventions ask for."""

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

from sentinel.app.monitoring.labels import VersionSeries, closed_samples
from sentinel.codec.monitoring.exposition import MetricFamily, Sample
from sentinel.metrics import METRICS, SCORE_BUCKET_COUNT, Histogram, Metric, Metrics

PREFIX = "sentinel_"

# Of the two hundred buckets some borders are enough: five to a factor of ten, from 0.1 ms to 100 s;
# and of counts every other factor of two, between whole numbers.
_TIME_PLACES = range(40, 161, 4)
_COUNT_PLACES = range(121, 201, 6)

SCORE = MetricFamily(
    f"{PREFIX}score", "histogram", "scoring: probabilities of fraud that decisions have", ()
)


class CountedFamilies:
    """The described metrics, and the scores, of an instance.

    Parameters
    ----------
    amount_decimals
        How many minor units are a major one: 10 to so much.
    """

    def __init__(self, metrics: Metrics, *, amount_decimals: int) -> None:
        self._metrics = metrics
        self._major: float = 10.0**amount_decimals
        self._versions = VersionSeries(metrics)
        self._names = {one.name: (exposed_name(one), help_of(one)) for one in METRICS}

    def families(self) -> list[MetricFamily]:
        """All of them, as of now."""
        self._versions.look()
        return [*(self._family(one) for one in METRICS), self._scores()]

    def _family(self, metric: Metric) -> MetricFamily:
        value = getattr(self._metrics, metric.name)
        name, what = self._names[metric.name]
        if metric.kind == "histogram":
            return MetricFamily(name, "histogram", what, _buckets(value, metric), "le")
        if metric.label == "version":
            samples = self._versions.samples(metric)
        elif metric.label:
            samples = closed_samples(metric.label, self._in_unit(metric, value))
        else:
            samples = (Sample(value),)
        return MetricFamily(name, "counter", what, samples, metric.label)

    def _in_unit(self, metric: Metric, values: Mapping[str, float]) -> Mapping[str, float]:
        if metric.unit != "minor units":
            return values
        return {label: value / self._major for label, value in values.items()}

    def _scores(self) -> MetricFamily:
        """Probabilities, in buckets of equal width."""
        below = np.cumsum(self._metrics.scores).tolist()
        edges = [f"{(i + 1) / SCORE_BUCKET_COUNT:g}" for i in range(SCORE_BUCKET_COUNT)]
        total = sum(self._metrics.version_probability_sum.values())
        samples = _histogram(zip(edges, below, strict=True), below[-1], total)
        return MetricFamily(SCORE.name, SCORE.kind, SCORE.what, samples, "le")


def exposed_name(metric: Metric) -> str:
    """As scrapes have it: with its unit, and the word of what grows for ever."""
    name = metric.name.removesuffix("_minor").removesuffix("_sum")
    if metric.unit == "seconds":
        name = f"{name.removesuffix('_s')}_seconds"
    return f"{PREFIX}{name}" if metric.kind == "histogram" else f"{PREFIX}{name}_total"


def help_of(metric: Metric) -> str:
    """What it is, standing alone."""
    unit = "" if metric.unit == "count" else f"{metric.unit} "
    unit = "major units " if metric.unit == "minor units" else unit
    return f"{metric.group}: {unit}{metric.what}"


def _buckets(histogram: Histogram, metric: Metric) -> tuple[Sample, ...]:
    counts = histogram.counts
    below = np.cumsum(counts).tolist()
    places = _TIME_PLACES if metric.unit == "seconds" else _COUNT_PLACES
    found = ((edge, below[place]) for place, edge in _edges(places))
    return _histogram(found, below[-1], histogram.total)


@cache
def _edges(places: range) -> tuple[tuple[int, str], ...]:
    return tuple((place, f"{Histogram.upper_edge(place):.6g}") for place in places)


def _histogram(edges: Iterable[tuple[str, int]], count: int, total: float) -> tuple[Sample, ...]:
    found = [Sample(below, edge, "_bucket") for edge, below in edges]
    whole = [Sample(count, "+Inf", "_bucket"), Sample(total, "", "_sum")]
    return (*found, *whole, Sample(count, "", "_count"))
