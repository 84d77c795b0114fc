"""What a label may be: closed sets, and for versions of models a bound. Everything else is "other".

No label is ever something that a stranger has written, so that the number of series of an instance
is known before it starts.
"""

from collections.abc import Mapping
from typing import get_args

from sentinel.codec.monitoring.exposition import Sample
from sentinel.core.decision import ACTIONS
from sentinel.errors import RecordReason
from sentinel.metrics import METRICS, Metric, Metrics, Stage
from sentinel.ports import UpdateOutcome

OTHER = "other"
VERSION_COUNT_MAX = 20

# Those that are always shown: a rate misses the first of what was not there as a zero before.
_SHOWN: dict[str, tuple[str, ...]] = {
    "action": ACTIONS,
    "outcome": get_args(UpdateOutcome),
    "stage": get_args(Stage),
}
# And those that are shown once there is one.
_KNOWN = _SHOWN | {"reason": get_args(RecordReason)}

CLOSED_LABELS = frozenset(_KNOWN)


def closed_samples(label: str, values: Mapping[str, float]) -> tuple[Sample, ...]:
    """The numbers by the words that there are; those of others together."""
    known = _KNOWN[label]
    found: dict[str, float] = dict.fromkeys(_SHOWN.get(label, ()), 0)
    for text, value in values.items():
        word = text if text in known else OTHER
        found[word] = found.get(word, 0) + value
    return tuple(Sample(value, word) for word, value in found.items())


class VersionSeries:
    """The numbers by version of a model: of those that were at work last, and of all others.

    What others have counted is added up from look to look, so that no number of a version that is
    no longer shown comes back as a step in theirs.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._names = [one.name for one in METRICS if one.label == "version"]
        self._recent: dict[str, None] = {}  # who was at work last is last
        self._values: dict[str, dict[str, float]] = {name: {} for name in self._names}
        self._others: dict[str, float] = dict.fromkeys(self._names, 0)

    def look(self) -> None:
        """Find out which were at work since the last look."""
        before = self._values
        self._values = {name: dict(getattr(self._metrics, name)) for name in self._names}
        at_work = {
            version
            for name, values in self._values.items()
            for version, value in values.items()
            if value != before[name].get(version)
        }
        for version in sorted(at_work):
            self._recent.pop(version, None)
            self._recent[version] = None
        hidden = at_work.difference(self.shown())
        for name, values in self._values.items():
            self._others[name] += sum(
                values[one] - before[name].get(one, 0) for one in hidden if one in values
            )

    def shown(self) -> list[str]:
        """The versions that have numbers of their own."""
        return list(self._recent)[-VERSION_COUNT_MAX:]

    def samples(self, metric: Metric) -> tuple[Sample, ...]:
        """As of the last look."""
        values, others = self._values[metric.name], self._others[metric.name]
        own = [Sample(values[one], one) for one in self.shown() if one in values]
        return (*own, *([Sample(others, OTHER)] if others else []))
