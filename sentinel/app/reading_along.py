"""How far those of an instance are who read topics outside of its consumer group."""

from dataclasses import dataclass

from sentinel.app.wiring.assembly import Parts
from sentinel.app.wiring.shared import Ports
from sentinel.engine.params import TopicParams
from sentinel.ports import Tail


@dataclass(frozen=True, slots=True)
class ReadingAlong:
    """What waits for them; None while that is not known.

    Attributes
    ----------
    watched_version
        Whose decisions are watched for drift; None where this instance does not watch.
    """

    labels: int | None = None
    drift: int | None = None
    watched_version: str | None = None


def reading_along(ports: Ports | None, parts: Parts | None, topics: TopicParams) -> ReadingAlong:
    """As it is now."""
    if ports is None or parts is None:
        return ReadingAlong()
    watch = parts.drift.watch
    return ReadingAlong(
        labels=_unread(ports.tail, topics.full(topics.labels)),
        drift=_unread(
            ports.drift_tail, topics.full(topics.summaries), topics.full(topics.examples)
        ),
        watched_version=None if watch is None else watch.version,
    )


def _unread(tail: Tail, *topics: str) -> int | None:
    lags = [tail.lag(one) for one in topics]
    return None if None in lags else sum(one or 0 for one in lags)
