"""What a watch has seen, as plain values: whoever takes over goes on from them, to the bit."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.codec.drift.counts import pack_counts, unpack_counts
from sentinel.core.drift.counts.columns import digest
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import SegmentCounts
from sentinel.core.drift.counts.spans import SpanCounts
from sentinel.core.drift.storing import state_of, state_values
from sentinel.core.drift.watch import SCALES, Watch, empty_reference, without_scores
from sentinel.errors import RecordError

_LEVEL = 1  # most of what is kept are counts and empty places: these are small at any level
_INT_MAX = 2**63 - 1
_STATES = ("minutes", "score_days", "seasons")  # of the whole stream, and of its segments


def watch_values(watch: Watch) -> dict[str, Any]:
    """What a watch has seen, of what JSON has."""
    spans = {name: _span_values(span) for name, span in watch.spans.items()}
    reference = watch.reference
    found: dict[str, Any] = {
        "of": _of(watch, reference),
        "has_counts": reference.counts.row_count > 0,
        "has_scores": reference.scores.row_count > 0,
        **{name: state_as_told(getattr(watch, name)) for name in _STATES},
        "spans": {**spans, "gathered": _span_values(watch.gathered)},
    }
    if watch.segmentation.columns:
        states = {name: state_as_told(getattr(watch.segments, name)) for name in _STATES}
        found["segments"] = {"of": _of_segments(watch, reference), **states}
    return found


def restore(watch: Watch, values: Mapping[str, Any]) -> None:
    """Go on from there, with a watch that has seen nothing.

    What its reference has by now, and the stream had still to give then, the stream gives again.
    Segments that are others are watched anew. Raises RecordError when the values are damaged, or of
    another version, reference or step; the watch is then as it was.
    """
    given = watch.reference
    then = _as_it_was(watch, values)
    if values.get("of") != _of(watch, then):
        raise _not_a_watch("it is of another version, reference or length of steps")
    if then is not given:
        watch.begin(then)
    try:
        states = {
            name: told_state(getattr(watch, name), values.get(name), name) for name in _STATES
        }
        told = _table(values.get("spans"), "spans")
        spans = {name: _span(told.get(name), watch.spans["rows"], name) for name in SCALES}
        gathered = _span(told.get("gathered"), watch.gathered, "gathered")
        of_segments = _segment_states(watch, values)
    except RecordError:
        if then is not given:
            watch.begin(given)
        raise
    for name, state in states.items():
        setattr(watch, name, state)
    for name, state in of_segments.items():
        setattr(watch.segments, name, state)
    watch.spans, watch.gathered = spans, gathered
    if not of_segments:
        for span in (*watch.spans.values(), watch.gathered):
            span.segments = None


def _segment_states(watch: Watch, values: Mapping[str, Any]) -> dict[str, Any]:
    """By name; none where there were no segments, or others."""
    if "segments" not in values:
        return {}
    table = _table(values["segments"], "segments")
    if table.get("of") != _of_segments(watch, watch.reference):
        return {}
    return {
        name: told_state(getattr(watch.segments, name), table.get(name), f"segments.{name}")
        for name in _STATES
    }


def _not_a_watch(detail: str) -> RecordError:
    return RecordError("not_a_watch", detail)


def _of(watch: Watch, reference: Reference) -> list[Any]:
    """Whose values these are: those of others would be of other columns, or in other units."""
    counted = hashlib.sha256(digest(reference.features).encode())
    for counts in (reference.counts, reference.scores):
        counted.update(counts.cells.astype("<i8").tobytes() + counts.sizes.astype("<i8").tobytes())
    return [watch.version, watch.step_ms, sorted(watch.silent), counted.hexdigest()[:16]]


def _of_segments(watch: Watch, reference: Reference) -> str:
    """The same of segments; with nothing behind the colon they have no reference yet."""
    of = f"{watch.segmentation.digest}:"
    if reference.segments is None:
        return of
    counted = hashlib.sha256()
    for counts in (reference.segments.features, reference.segments.score):
        counted.update(counts.cells.astype("<i8").tobytes() + counts.sizes.astype("<i8").tobytes())
    return of + counted.hexdigest()[:16]


def _as_it_was(watch: Watch, values: Mapping[str, Any]) -> Reference:
    """Without what the stream had still to give."""
    reference = watch.reference
    had = values.get("has_counts"), values.get("has_scores")
    if not all(isinstance(one, bool) for one in had):
        raise _not_a_watch("it does not say what the reference had")
    if had == (False, False):
        return empty_reference(reference.features)
    then = reference if had[1] else without_scores(reference)
    told = values.get("segments")
    of = told.get("of") if isinstance(told, Mapping) else None
    if reference.segments is not None and of == f"{watch.segmentation.digest}:":
        return replace(then, segments=None, segmentation="")
    return then


def state_as_told(state: object) -> dict[str, Any]:
    """A detector's state, of what JSON has."""
    return _told(state_values(state))


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """With arrays as tables, at any depth."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found[name] = _told(value)
        else:
            found[name] = _array_values(value) if isinstance(value, np.ndarray) else value
    return found


def told_state(fresh: Any, told: object, name: str) -> Any:
    """A state of the same kind and shapes as a fresh one. Raises RecordError."""
    try:
        state = state_of(fresh, _as_fresh(state_values(fresh), told, name))
    except ValueError as error:
        raise _not_a_watch(f"{name}: {error}") from error
    if not ((state.open_side >= -1) & (state.open_side <= 1)).all():
        raise _not_a_watch(f"{name} has an alarm on a side that is none")
    return state


def _as_fresh(fresh: Any, told: object, name: str) -> Any:
    """What was told of a table, an array or a number like this one."""
    if isinstance(fresh, Mapping):
        table = _table(told, name)
        if table.keys() != fresh.keys():
            raise _not_a_watch(f"{name} has not the fields {', '.join(fresh)}")
        return {key: _as_fresh(value, table[key], f"{name}.{key}") for key, value in fresh.items()}
    return _array(told, fresh, name) if isinstance(fresh, np.ndarray) else _whole(told, name)


def _span_values(span: SpanCounts) -> dict[str, Any]:
    return {
        "features": base64.b64encode(pack_counts(span.features)).decode(),
        "score": base64.b64encode(pack_counts(span.score)).decode(),
        "scores": _array_values(span.scores),
        "row_count": span.row_count,
        "actions": dict(span.actions),
        "begin_ms": span.begin_ms,
        **({} if span.segments is None else {"segments": _segment_values(span.segments)}),
    }


def _segment_values(segments: SegmentCounts) -> dict[str, str]:
    return {
        "features": base64.b64encode(pack_counts(segments.features)).decode(),
        "score": base64.b64encode(pack_counts(segments.score)).decode(),
    }


def _span(told: object, like: SpanCounts, name: str) -> SpanCounts:
    table = _table(told, name)
    actions = _table(table.get("actions"), f"{name}.actions")
    return SpanCounts(
        features=_counts(table.get("features"), like.features, f"{name}.features"),
        score=_counts(table.get("score"), like.score, f"{name}.score"),
        scores=_array(table.get("scores"), like.scores, f"{name}.scores"),
        row_count=_whole(table.get("row_count"), f"{name}.row_count"),
        actions={action: _whole(n, f"{name}.actions") for action, n in actions.items()},
        begin_ms=_whole(table.get("begin_ms"), f"{name}.begin_ms"),
        segments=_segments(table["segments"], like, f"{name}.segments")
        if "segments" in table
        else None,
    )


def _segments(told: object, like: SpanCounts, name: str) -> SegmentCounts:
    table = _table(told, name)
    return SegmentCounts(
        _counts(table.get("features"), like.features, f"{name}.features"),
        _counts(table.get("score"), like.score, f"{name}.score"),
    )


def _counts(told: object, like: GroupCounts, name: str) -> GroupCounts:
    return unpack_counts(_bytes(told, name), len(like.cells))


def _array_values(array: NDArray[Any]) -> dict[str, Any]:
    little = array.astype(array.dtype.newbyteorder("<"))
    return {
        "dtype": little.dtype.str,
        "shape": list(array.shape),
        "data": base64.b64encode(zlib.compress(little.tobytes(), _LEVEL)).decode(),
    }


def _array(told: object, like: NDArray[Any], name: str) -> NDArray[Any]:
    """An array of the same dtype and shape; nothing larger is unfolded."""
    table = _table(told, name)
    dtype = like.dtype.newbyteorder("<")
    if table.get("dtype") != dtype.str or table.get("shape") != list(like.shape):
        raise _not_a_watch(f"{name} is no array of {dtype.str} {list(like.shape)}")
    unfolding = zlib.decompressobj()
    try:
        # At least one byte, as 0 would be no limit.
        raw = unfolding.decompress(_bytes(table.get("data"), name), like.nbytes + 1)
    except zlib.error as error:
        raise _not_a_watch(f"{name}: {error}") from error
    if not unfolding.eof or len(raw) != like.nbytes:
        raise _not_a_watch(f"{name} has not the numbers that its shape says")
    return np.frombuffer(raw, dtype).astype(like.dtype).reshape(like.shape)


def _bytes(told: object, name: str) -> bytes:
    try:
        return base64.b64decode(told if isinstance(told, str) else "?", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _not_a_watch(f"{name}: {error}") from error


def _table(told: object, name: str) -> Mapping[str, Any]:
    if not isinstance(told, Mapping) or not all(isinstance(key, str) for key in told):
        raise _not_a_watch(f"{name} is no table")
    return told


def _whole(told: object, name: str) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or abs(told) > _INT_MAX:
        raise _not_a_watch(f"{name} is no whole number")
    return told
