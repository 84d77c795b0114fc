"""What a watch of examples has seen, as plain values."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sentinel.codec.drift.watches import state_as_told, told_state
from sentinel.core.drift.detectors.base_rates import BaseRate
from sentinel.core.drift.detectors.examples import ExampleState
from sentinel.core.drift.outcomes.examples import (
    BASE_COUNT,
    OUTCOMES,
    ExamplePosition,
    ExampleWatch,
)
from sentinel.errors import RecordError


def example_values(watch: ExampleWatch) -> dict[str, Any]:
    """What it has seen, of what JSON has."""
    return {
        "version": watch.version,
        "position": msgspec.to_builtins(watch.position()),
        "bases": msgspec.to_builtins(watch.bases),
        "state": state_as_told(watch.state),
    }


def example_watch_of(
    values: Mapping[str, Any],
    version: str,
    *,
    maturity_ms: int,
    run_length: int,
    base_count: int = BASE_COUNT,
) -> ExampleWatch:
    """What was kept; of another version, how far it had read. Raises RecordError if damaged."""
    try:
        position = msgspec.convert(values.get("position", {}), ExamplePosition)
        bases = msgspec.convert(values.get("bases", []), tuple[BaseRate, ...])
    except (msgspec.ValidationError, AssertionError) as error:
        raise RecordError("not_a_watch", f"of examples: {error}") from error
    if values.get("version") != version:
        begin = ExamplePosition(position.next_offset, position.next_offset, position.newest_ms)
        return ExampleWatch(
            version, begin, maturity_ms=maturity_ms, run_length=run_length, base_count=base_count
        )
    if [base.name for base in bases] not in ([], [name for name, _ in OUTCOMES]):
        raise RecordError("not_a_watch", "of examples: it watches other outcomes")
    state = (
        told_state(ExampleState.fresh(bases), values.get("state"), "examples") if bases else None
    )
    return ExampleWatch(
        version,
        position,
        maturity_ms=maturity_ms,
        run_length=run_length,
        base_count=base_count,
        bases=bases,
        state=state,
    )
