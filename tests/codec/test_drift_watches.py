"""A watch that is stored and taken up again goes on as if nothing had happened, to the bit."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from sentinel.codec.drift.watches import restore, watch_values
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.drift.counts.noting import Binning
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import Segmentation
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.drift.watch import (
    Found,
    ReferenceFound,
    StepEvent,
    Watch,
    empty_reference,
    without_scores,
)
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from sentinel.errors import RecordError
from sentinel.stored.drift import DriftProgress
from tests.core.drift import segment_samples as split_by
from tests.core.drift.samples import HOURLY, START_MS, VERSION, a_reference, steps

DAY = 24


def plain(value: object) -> Any:
    """Anything as what can be compared bit for bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(value):
        found = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return type(value).__name__, found
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def seen_by(watch: Watch) -> Any:
    """All that it knows."""
    names = ("reference", "minutes", "score_days", "seasons", "spans", "gathered")
    return {name: plain(getattr(watch, name)) for name in names}


def stored(watch: Watch) -> dict[str, Any]:
    """Its values, as they come back from the store."""
    data = encode_stored(DriftProgress(watch=watch_values(watch)))
    return decode_stored(DriftProgress, data).watch


def found_by(watch: Watch, some: Iterable[ClosedStep]) -> list[Found]:
    return [found for step in some for found in watch.after(step)]


def a_stream(rng: np.random.Generator, reference: Reference) -> list[ClosedStep]:
    """Some days, of which the last is shifted, with a gap and a few steps of many rows."""
    binning = Binning(reference.features)
    usual = list(steps(rng, binning, 2 * DAY, rows=50))
    shifted = steps(rng, binning, DAY, rows=80, shift=1.0, begin_ms=usual[-1].at_ms + 9 * HOUR_MS)
    return [*usual, *shifted]


def the_same_bit_for_bit(
    given: Reference,
    stream: Sequence[ClosedStep],
    ends: Iterable[int],
    later: Reference | None = None,
) -> None:
    """Stored after so many steps and taken up by another one, which has perhaps been given more."""
    whole = Watch(VERSION, given, HOURLY)
    expected = [found_by(whole, [step]) for step in stream]
    assert sum(map(len, expected)) > 0
    for end in ends:
        first, second = Watch(VERSION, given, HOURLY), Watch(VERSION, later or given, HOURLY)
        found = [found_by(first, [step]) for step in stream[:end]]
        restore(second, stored(first))
        assert seen_by(second) == seen_by(first)
        found += [found_by(second, [step]) for step in stream[end:]]
        assert plain(found) == plain(expected)
        assert seen_by(second) == seen_by(whole)


def test_a_watch_goes_on_to_the_bit() -> None:
    rng = np.random.default_rng(1)
    reference = a_reference(rng)
    stream = a_stream(rng, reference)
    the_same_bit_for_bit(reference, stream, [0, 30, 49, len(stream)])


def test_a_watch_that_seasons_have_taught_goes_on_to_the_bit() -> None:
    rng = np.random.default_rng(2)
    reference = a_reference(rng)
    binning = Binning(reference.features)
    # Only the first hours of each day, so that it does not take long.
    stream: list[ClosedStep] = []
    for day in range(5 * 7):
        begin_ms = START_MS + day * DAY * HOUR_MS
        stream += steps(rng, binning, 6, rows=60, begin_ms=begin_ms)
    watch = Watch(VERSION, reference, HOURLY)
    found_by(watch, stream)
    again = Watch(VERSION, reference, HOURLY)

    restore(again, stored(watch))

    assert np.isfinite(again.seasons.means).sum() > 4 * 7 * 6
    begin_ms = START_MS + 35 * DAY * HOUR_MS
    more = list(steps(rng, binning, 6, rows=200, shift=2.0, begin_ms=begin_ms))
    expected = found_by(watch, more)
    assert {type(one).__name__ for one in expected} >= {"HourEvent", "StepEvent"}
    assert plain(found_by(again, more)) == plain(expected)
    assert seen_by(again) == seen_by(watch)


@pytest.mark.parametrize("without", [without_scores, lambda r: empty_reference(r.features)])
def test_a_watch_that_gathers_goes_on_to_the_bit(
    without: Callable[[Reference], Reference],
) -> None:
    rng = np.random.default_rng(3)
    full = a_reference(rng)
    stream = a_stream(rng, full)
    the_same_bit_for_bit(without(full), stream, [0, 5, 18])


def test_a_reference_that_was_kept_before_the_watch_was_is_found_again() -> None:
    """A crash between the two: the reference is there, the watch is from before it."""
    rng = np.random.default_rng(4)
    given = empty_reference(a_reference(rng).features)
    stream = a_stream(rng, given)
    watch = Watch(VERSION, given, HOURLY)
    [kept] = [f.reference for f in found_by(watch, stream) if isinstance(f, ReferenceFound)]

    the_same_bit_for_bit(given, stream, [0, 3, 15], later=kept)


def test_a_watch_behind_its_found_reference_goes_on_with_that() -> None:
    rng = np.random.default_rng(5)
    given = empty_reference(a_reference(rng).features)
    stream = a_stream(rng, given)
    watch = Watch(VERSION, given, HOURLY)
    [kept] = [f.reference for f in found_by(watch, stream) if isinstance(f, ReferenceFound)]
    again = Watch(VERSION, kept, HOURLY)
    restore(again, stored(watch))
    assert seen_by(again) == seen_by(watch)
    with pytest.raises(RecordError, match="another version, reference"):
        restore(Watch(VERSION, given, HOURLY), stored(watch))


@pytest.fixture(scope="module")
def watch() -> Watch:
    rng = np.random.default_rng(6)
    watch = Watch(VERSION, a_reference(rng), HOURLY)
    found_by(watch, steps(rng, Binning(watch.reference.features), 30))
    return watch


def fresh(watch: Watch) -> Watch:
    return Watch(VERSION, watch.reference, HOURLY)


def test_the_same_watch_gives_the_same_values(watch: Watch) -> None:
    again = fresh(watch)
    restore(again, stored(watch))
    assert json.dumps(watch_values(again)) == json.dumps(watch_values(watch))


def test_another_watch_is_not_taken_up(watch: Watch) -> None:
    values, rng = stored(watch), np.random.default_rng(7)
    others = [
        Watch("1.0.1", watch.reference, HOURLY),
        Watch(VERSION, a_reference(rng), HOURLY),
        Watch(VERSION, without_scores(watch.reference), HOURLY),
        Watch(VERSION, watch.reference, replace(HOURLY, step="30m")),
        Watch(VERSION, watch.reference, HOURLY, silent=frozenset({"amount"})),
    ]
    for other in others:
        before = seen_by(other)
        with pytest.raises(RecordError, match="not_a_watch"):
            restore(other, values)
        assert seen_by(other) == before


WRONG: list[Any] = [None, 3, 2**63, 0.5, float("inf"), "", "AAAA", "é", [], {}]


def damaged(values: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any]]:
    """Every place of the values, with what stands there."""
    for name, value in values.items():
        yield (*path, name), value
        if isinstance(value, dict):
            yield from damaged(value, (*path, name))


def with_another(values: dict[str, Any], path: tuple[str, ...], other: Any) -> dict[str, Any]:
    found = dict(values)
    found[path[0]] = other if len(path) == 1 else with_another(found[path[0]], path[1:], other)
    return found


def test_damaged_values_are_refused_and_leave_the_watch_as_it_was(watch: Watch) -> None:
    """At each place one thing that does not belong there; in turn, so that all come often."""
    values, again = stored(watch), fresh(watch)
    before, refused = seen_by(again), 0
    for turn, (path, good) in enumerate(damaged(values)):
        for wrong in (one for one in WRONG[turn % 5 :: 5] if one != good):
            try:
                restore(again, with_another(values, path, wrong))
            except RecordError:
                refused += 1
            else:  # another whole number, or other actions, are as good
                assert isinstance(wrong, int | dict), path
                assert type(good) in (int, dict), path
                again.begin(watch.reference)
    assert seen_by(again) == before
    assert refused > 120


def test_missing_values_are_refused(watch: Watch) -> None:
    values, again = stored(watch), fresh(watch)
    for path, _ in damaged(values):
        if path[-1] in ("approve", "review"):
            continue  # there may be none
        at: Any = values
        for name in path[:-1]:
            at = at[name]
        without = {name: value for name, value in at.items() if name != path[-1]}
        whole = with_another(values, path[:-1], without) if len(path) > 1 else without
        with pytest.raises(RecordError):
            restore(again, whole)


def test_bytes_that_are_cut_or_turned_are_refused(watch: Watch) -> None:
    values, again = stored(watch), fresh(watch)
    rng = np.random.default_rng(8)
    texts = [(p, v) for p, v in damaged(values) if isinstance(v, str) and len(v) > 20]
    assert len(texts) > 30
    for path, text in texts:
        at = int(rng.integers(0, len(text) - 4))
        turned = text[:at] + ("B" if text[at] != "B" else "C") + text[at + 1 :]
        for wrong in (text[: at // 4 * 4], turned):
            with pytest.raises(RecordError):
                restore(again, with_another(values, path, wrong))


def test_an_alarm_on_no_side_is_refused(watch: Watch) -> None:
    again = fresh(watch)
    again.minutes = replace(again.minutes, open_side=again.minutes.open_side + 3)
    with pytest.raises(RecordError, match="on a side that is none"):
        restore(fresh(watch), stored(again))


# --- with segments ------------------------------------------------------------------------------


def split(given: Reference, segmentation: Segmentation = split_by.SEGMENTATION) -> Watch:
    return Watch(VERSION, given, HOURLY, segmentation=segmentation)


def segments_seen_by(watch: Watch) -> Any:
    of_segments = {name: plain(getattr(watch.segments, name)) for name in STATES}
    return seen_by(watch), of_segments


STATES = ("minutes", "score_days", "seasons")
UNSPLIT = split_by.reference(segmentation=Segmentation())


@pytest.mark.parametrize("given", [split_by.REFERENCE, UNSPLIT, without_scores(split_by.REFERENCE)])
@pytest.mark.parametrize("end", [5, 30, 50])
def test_a_watch_of_segments_goes_on_to_the_bit(given: Reference, end: int) -> None:
    """Also one that gathers, behind a crash between the reference that it found and its state."""
    rng = np.random.default_rng(21)
    stream = list(split_by.steps(rng, 2 * DAY, rows=80))
    stream += split_by.steps(rng, 12, first=2 * DAY, rows=80, missing_in=split_by.FR, share=0.7)
    whole = split(given)
    expected = [found_by(whole, [step]) for step in stream]
    flat = [one for found in expected for one in found]
    assert any(isinstance(one, StepEvent) and one.segment for one in flat)
    first = split(given)
    found = [found_by(first, [step]) for step in stream[:end]]
    gave = [one.reference for one in flat if isinstance(one, ReferenceFound)]
    again = split(gave[-1] if gave else given)
    restore(again, stored(first))
    assert segments_seen_by(again) == segments_seen_by(first)
    found += [found_by(again, [step]) for step in stream[end:]]
    assert plain(found) == plain(expected)
    assert segments_seen_by(again) == segments_seen_by(whole)


def test_a_watch_from_before_there_were_segments_goes_on_and_watches_them_anew() -> None:
    rng = np.random.default_rng(22)
    before = Watch(VERSION, split_by.REFERENCE, HOURLY)
    found_by(before, split_by.steps(rng, 30))
    for segmentation in (split_by.SEGMENTATION, Segmentation(split_by.SEGMENTATION.columns[:1])):
        after = split(split_by.REFERENCE, segmentation)
        fresh_states = segments_seen_by(after)[1]
        restore(after, stored(before))
        assert plain(after.minutes) == plain(before.minutes)
        assert segments_seen_by(after)[1] == fresh_states
        assert after.spans["day"].segments is None
        found_by(after, split_by.steps(rng, 2, first=30))
        before = after
    whole = Watch(VERSION, split_by.REFERENCE, HOURLY)
    restore(whole, stored(before))
    assert plain(whole.minutes) == plain(before.minutes)


def test_damaged_segments_are_refused() -> None:
    rng = np.random.default_rng(23)
    watch = split(split_by.REFERENCE)
    found_by(watch, split_by.steps(rng, 30))
    values = stored(watch)
    again = split(split_by.REFERENCE)
    before, refused = segments_seen_by(again), 0
    for turn, (path, good) in enumerate(damaged(values)):
        if "segments" not in path or path == ("segments", "of"):
            continue
        for wrong in (one for one in WRONG[turn % 5 :: 5] if one != good):
            try:
                restore(again, with_another(values, path, wrong))
            except RecordError:
                refused += 1
            else:
                assert isinstance(wrong, int), path
                again.begin(watch.reference)
    assert segments_seen_by(again) == before
    assert refused > 60
