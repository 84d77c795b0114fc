"""Examples on their way to the watch of performance."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sentinel.codec.drift.example_watches import example_values, example_watch_of
from sentinel.codec.records import decode_example
from sentinel.core.drift.detectors.examples import ExampleEvent
from sentinel.core.drift.outcomes.examples import ExamplePosition, ExampleWatch
from sentinel.core.drift.params import DriftParams
from sentinel.engine.drift.alarms import DetectedChange
from sentinel.errors import RecordError
from sentinel.records import InputRecord

log = logging.getLogger(__name__)


class PerformanceWatch:
    """Reads the examples of the champion's decisions.

    Parameters
    ----------
    maturity_ms
        So old is a transaction whose label comes no more.
    """

    def __init__(self, params: DriftParams, *, maturity_ms: int) -> None:
        self._maturity_ms = maturity_ms
        self._run_length = params.example_run_length
        self._base_count = params.example_base_count
        self._watch = self._fresh("", ExamplePosition())

    def _fresh(self, version: str, position: ExamplePosition) -> ExampleWatch:
        return ExampleWatch(
            version,
            position,
            maturity_ms=self._maturity_ms,
            run_length=self._run_length,
            base_count=self._base_count,
        )

    def go_on(self, values: Mapping[str, Any], version: str) -> int:
        """Go on from what was kept; returns from which offset on examples are to be read."""
        try:
            self._watch = example_watch_of(
                values,
                version,
                maturity_ms=self._maturity_ms,
                run_length=self._run_length,
                base_count=self._base_count,
            )
        except RecordError as error:
            log.warning("performance is watched anew: %s", error.unquoted)
            self._watch = self._fresh(version, ExamplePosition())
        return self._watch.position().reads_from

    def values(self) -> dict[str, Any]:
        """What is to be kept."""
        return example_values(self._watch)

    def follow(self, version: str) -> None:
        """Another version serves: its own decisions are watched, from the next examples on."""
        at = self._watch.position()
        begin = ExamplePosition(at.next_offset, at.next_offset, at.newest_ms)
        self._watch = self._fresh(version, begin)

    def performance(self) -> dict[str, float | None]:
        """Of the newest mature examples, by name."""
        return asdict(self._watch.performance())

    def take(self, records: Sequence[InputRecord]) -> Iterator[DetectedChange]:
        """What examples say, in their order."""
        for record in records:
            try:
                example = decode_example(record.value)
            except RecordError as error:
                log.warning("example at offset %d: %s", record.offset, error.unquoted)
                continue
            for event in self._watch.take(record.offset, example):
                # Not the example's own time, which is a maturity ago: alarms are compared with
                # updates, which are known by the newest one.
                yield _change(event, self._watch.newest_ms)


def _change(event: ExampleEvent, at_ms: int) -> DetectedChange:
    moved = event.rate - event.expected
    return DetectedChange(
        "examples", event.name, "rate", event.side, event.since, at_ms, moved, moved,
        event.kind == "over",
    )  # fmt: skip
