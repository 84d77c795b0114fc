"""The described metrics of an instance as Prometheus names them."""

from sentinel.codec.monitoring.exposition import MetricFamily, Sample
from sentinel.metrics import COUNTERS, Metric, Metrics

PREFIX = "sentinel_"


def counted_families(metrics: Metrics) -> list[MetricFamily]:
    """All that is counted."""
    return [_counter(one, getattr(metrics, one.name)) for one in COUNTERS]


def exposed_name(metric: Metric) -> str:
    """Its name with the unit, as Prometheus' conventions have it."""
    return f"{PREFIX}{metric.name}_total"


def _counter(metric: Metric, value: "int | dict[str, int]") -> MetricFamily:
    counts = value.items() if isinstance(value, dict) else [("", value)]
    samples = tuple(Sample(count, label) for label, count in counts)
    return MetricFamily(exposed_name(metric), "counter", metric.what, samples, metric.label)
