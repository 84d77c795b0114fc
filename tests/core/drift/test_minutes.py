"""The detector of minutes against slow, obvious versions, and what it promises."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng

from sentinel.core.drift.counts.columns import MISSING, UNSEEN, BinnedColumn, column_of, edges_of
from sentinel.core.drift.counts.counting import GroupCounts, count
from sentinel.core.drift.detectors.minute_state import MinuteEvent, MinuteState
from sentinel.core.drift.detectors.minutes import Expected, MinuteParams, after_minute, after_sums
from sentinel.core.drift.detectors.mixture import SIZES, log_mean, look
from sentinel.core.drift.detectors.series import MinuteReference
from sentinel.core.drift.detectors.spread import BlockSpread
from sentinel.core.drift.storing import state_of, state_values
from sentinel.records import Floats

PARAMS = MinuteParams()


def drawn(rng: Generator, n: int) -> Floats:
    """A number with gaps, a code of few values, and a constant."""
    values = np.stack(
        [
            np.where(rng.random(n) < 0.05, np.nan, rng.normal(size=n)),
            rng.choice([0.0, 1.0, 2.0], p=[0.9, 0.09, 0.01], size=n),
            np.full(n, 7.5),
        ],
        axis=1,
    )
    return values


def columns_of(values: Floats) -> list[BinnedColumn]:
    found = [column_of(name, values[:, i]) for i, name in enumerate(("amount", "code", "fixed"))]
    assert [column.kind for column in found] == ["numeric", "values", "values"]
    return found


class Site:
    """A reference of independent rows, and minutes to be counted with its columns."""

    def __init__(self, seed: int = 1, n: int = 50_000) -> None:
        self.rng = default_rng(seed)
        values = drawn(self.rng, n)
        self.columns = columns_of(values)
        self.counted = self.count(values)
        self.reference = MinuteReference.of(self.columns, self.counted)

    def count(self, values: Floats) -> GroupCounts:
        accounts = self.rng.integers(2**62, size=len(values))
        return count(values, accounts, *edges_of(self.columns))

    def minute(self, n: int = 200, shift: float = 0.0) -> GroupCounts:
        values = drawn(self.rng, n)
        values[:, 0] += shift
        return self.count(values)


def run(
    site: Site, minutes: Sequence[GroupCounts | None], params: MinuteParams = PARAMS
) -> tuple[MinuteState, list[MinuteEvent]]:
    state = MinuteState.fresh([site.reference])
    events: list[MinuteEvent] = []
    for minute, counts in enumerate(minutes):
        state, found = after_minute(state, [site.reference], [counts], minute, params)
        events += found
    return state, events


def alarms(events: Sequence[MinuteEvent]) -> list[tuple[str, str, str]]:
    return [(e.column, e.part, e.side) for e in events if e.kind == "alarm"]


def same(one: MinuteState, other: MinuteState) -> bool:
    """Bit for bit."""

    def plain(state: MinuteState) -> str:
        return repr(
            {
                name: value.tobytes() if isinstance(value, np.ndarray) else value
                for name, value in {
                    **state_values(state),
                    **state_values(state.spread),
                    "spread": 0,
                }.items()
            }
        )

    return plain(one) == plain(other)


# What is watched


def test_each_contrast_has_mean_zero_and_variance_one_in_the_reference_itself() -> None:
    site = Site()

    rows, sums = site.reference.sums(site.counted)

    is_numeric = np.array([part == "value" for part in site.reference.parts])
    assert np.abs(sums / rows)[is_numeric].max() < 1e-3
    cells = site.counted.cells.sum(axis=1)[site.reference.places]
    squares = np.nansum(cells * site.reference.units**2, axis=1) / rows
    assert squares[is_numeric] == pytest.approx(1, abs=0.02)


def test_a_ridit_is_the_share_below_the_middle_of_the_cell() -> None:
    site = Site()
    of_code = next(
        i
        for i, (place, part) in enumerate(
            zip(site.reference.places, site.reference.parts, strict=True)
        )
        if place == 1 and part == "value"
    )
    totals = site.counted.cells[1].sum(axis=0)[:3]
    shares = totals / totals.sum()
    expected = [shares[:k].sum() + shares[k] / 2 for k in range(3)]

    found = (
        site.reference.units[of_code, :3] * site.reference.deviations[of_code]
        + site.reference.means[of_code]
    )

    assert found == pytest.approx(expected)
    assert np.isnan(site.reference.units[of_code, [MISSING, UNSEEN]]).all()


def test_silent_columns_are_watched_for_what_is_missing_only() -> None:
    site = Site()

    found = MinuteReference.of(site.columns, site.counted, silent=frozenset({"amount"}))

    of_amount = [part for place, part in zip(found.places, found.parts, strict=True) if place == 0]
    assert of_amount == ["missing"]


def test_rows_of_one_account_that_are_alike_show_in_the_reference() -> None:
    rng = default_rng(3)
    of_account = np.repeat(rng.normal(size=2_000), 20)
    values = (math.sqrt(0.5) * of_account + math.sqrt(0.5) * rng.normal(size=40_000))[:, None]
    columns = [column_of("amount", values[:, 0])]
    counted = count(values, np.repeat(rng.integers(2**62, size=2_000), 20), *edges_of(columns))

    found = MinuteReference.of(columns, counted)

    assert found.likeness[0] == pytest.approx(0.5, abs=0.25)  # 64 groups: 18 per cent
    # Of 40,000 rows with a design effect of 10.5.
    assert found.errors[0] == pytest.approx(math.sqrt(10.5 / 40_000), rel=0.3)


# The evidence


def slow_look(
    support: Floats, masses: Floats, minutes: Sequence[tuple[float, float]], floor: float
) -> Floats:
    """M itself of one series, by its definition; (2, K)."""
    m = np.zeros((2, len(SIZES)))
    for rows, total in minutes:
        for side, sign in enumerate((1.0, -1.0)):
            for k, size in enumerate(SIZES.tolist()):
                tilt = size / math.sqrt(60.0)
                moment = sum(
                    p * math.exp(sign * tilt * u) for u, p in zip(support, masses, strict=True)
                )
                psi = max(tilt**2 / 2, math.log(moment))
                e = math.exp(tilt * (sign * total - floor * rows) - rows * psi)
                m[side, k] = (m[side, k] + 1) * e
    return m


@given(
    st.lists(st.tuples(st.floats(1, 100), st.floats(-30, 30)), min_size=1, max_size=12),
    st.floats(0, 0.5),
)
@settings(max_examples=30, deadline=None)
def test_evidence_is_shiryaev_and_roberts_sum_of_likelihood_ratios(
    minutes: list[tuple[float, float]], floor: float
) -> None:
    support, masses = np.array([[-1.0, 0.5, 2.0]]), np.array([[0.4, 0.4, 0.2]])
    evidence, runs = np.zeros((1, 2, len(SIZES))), np.zeros((1, 2, len(SIZES), 3))
    since = np.zeros((1, 2, len(SIZES)), dtype=np.int64)

    for minute, (rows, total) in enumerate(minutes):
        look(
            support,
            masses,
            np.array([rows]),
            np.array([total]),
            np.array([60.0]),
            np.full((1, 2), floor),
            SIZES,
            minute,
            evidence,
            runs,
            since,
        )

    slow = slow_look(support[0], masses[0], minutes, floor)
    assert evidence[0] == pytest.approx(np.log1p(slow), rel=1e-9, abs=1e-12)
    assert log_mean(evidence) == pytest.approx(math.log(slow.mean()), rel=1e-6, abs=1e-9)


def test_evidence_of_months_in_alarm_does_not_overflow() -> None:
    evidence = np.full((1, 2, 7), 1e6)

    assert log_mean(evidence) == pytest.approx(1e6)
    assert log_mean(np.zeros((3, 2, 7))) == -math.inf


def test_the_run_length_of_normal_minutes_is_the_stated_one_or_longer() -> None:
    """Shiryaev and Roberts' M less the number of looks is a martingale, so the mean length
    is at least A.
    """
    site = Site()
    reference, rng = site.reference, default_rng(4)
    params = MinuteParams(run_length_minutes=50.0, floor=0.0, reference_errors=0.0)
    d, lengths = reference.series_count, []
    known = BlockSpread.fresh(d).after(np.zeros(d), np.zeros(d), 30)
    known = replace(known, weights=np.full(d, 1e9), squares=np.full(d, 1e9))  # independent
    for _ in range(40):
        state = MinuteState.fresh([reference], spread=known)
        for minute in range(400):
            sums = math.sqrt(60.0) * rng.normal(size=d)
            rows = np.full(d, 60.0)
            state, events = after_sums(state, [reference], rows, sums, minute, params)
            if events:
                break
        lengths.append(minute + 1)

    assert np.mean(lengths) > 50
    assert np.mean(lengths) < 400  # but it does alarm: nothing is silent by mistake


# Alarms


def test_a_moved_mean_alarms_with_its_column_direction_and_beginning() -> None:
    site = Site()
    minutes = [site.minute() for _ in range(60)] + [site.minute(shift=0.5) for _ in range(20)]

    _, events = run(site, minutes)

    first = events[0]
    assert (first.column, first.part, first.side) == ("amount", "value", "up")
    assert first.is_first
    assert abs(first.since - 60) <= 3
    assert first.effect == pytest.approx(0.5, abs=0.25)


@pytest.mark.parametrize(
    ("place", "value", "part"), [(0, np.nan, "missing"), (1, 9.0, "unseen"), (2, 8.0, "unseen")]
)
def test_what_was_rare_or_never_alarms_at_once(place: int, value: float, part: str) -> None:
    site = Site()
    values = drawn(site.rng, 200)
    values[:, place] = value

    _, events = run(site, [site.minute() for _ in range(60)] + [site.count(values)])

    assert (site.columns[place].name, part, "up") in alarms(events)


def test_a_share_of_missing_that_doubles_is_found() -> None:
    site = Site()
    minutes = [site.minute() for _ in range(60)]
    for _ in range(120):
        values = drawn(site.rng, 200)
        values[site.rng.random(200) < 0.05, 0] = np.nan
        minutes.append(site.count(values))

    _, events = run(site, minutes)

    assert alarms(events)[0] == ("amount", "missing", "up")


def test_a_rare_value_now_and_then_is_no_alarm() -> None:
    """A normal approximation would take three of a value of one in a hundred for a proof."""
    site = Site()

    _, events = run(site, [site.minute(20) for _ in range(1_500)])

    assert events == []


def test_an_alarm_is_over_when_the_mean_is_back_and_can_come_again() -> None:
    site = Site()
    spans = [(60, 0.0), (60, 0.5), (100, 0.0), (60, 0.5)]

    _, events = run(site, [site.minute(shift=s) for n, s in spans for _ in range(n)])

    assert [(e.kind, e.column) for e in events] == [
        ("alarm", "amount"),
        ("over", "amount"),
        ("alarm", "amount"),
    ]
    assert 120 <= events[1].minute < 220
    assert abs(events[1].since - 120) <= 5


def test_an_alarm_stays_open_while_the_mean_stays_away() -> None:
    site = Site()

    state, events = run(
        site, [site.minute(shift=0.0 if minute < 60 else 0.4) for minute in range(700)]
    )

    assert [e.kind for e in events] == ["alarm"]
    assert (state.open_side >= 0).sum() == 1


def test_an_alarm_of_something_rare_stays_open_while_it_is_not_rare() -> None:
    """Of a thousand rows one misses it in the reference, then thirty: such minutes differ far more
    than those of the reference do.
    """
    rng = default_rng(7)
    values = rng.normal(size=(50_000, 1))
    values[::1000] = np.nan
    columns = [column_of("amount", values[:, 0])]

    def counted(rows: Floats) -> GroupCounts:
        return count(rows, rng.integers(2**62, size=len(rows)), *edges_of(columns))

    reference = MinuteReference.of(columns, counted(values))
    state = MinuteState.fresh([reference])
    events: list[MinuteEvent] = []
    for minute in range(3_000):
        rows = rng.normal(size=(50, 1))
        rows[rng.random(50) < (0.03 if minute < 2_000 else 0.001)] = np.nan
        state, found = after_minute(state, [reference], [counted(rows)], minute, PARAMS)
        events += found
    of_missing = [one for one in events if one.part == "missing"]
    assert [one.kind for one in of_missing] == ["alarm", "over"]
    assert of_missing[1].minute >= 2_000


def test_within_the_floor_nothing_has_changed() -> None:
    site = Site()
    wide = MinuteParams(floor=0.5)

    _, events = run(site, [site.minute(shift=0.3) for _ in range(200)], wide)

    assert events == []


def test_a_higher_floor_never_gives_more_evidence() -> None:
    site = Site()
    minutes = [site.minute(shift=0.05) for _ in range(40)]

    low, high = (run(site, minutes, MinuteParams(floor=f))[0] for f in (0.05, 0.2))

    assert (high.evidence <= low.evidence).all()


def test_a_small_reference_has_a_high_floor() -> None:
    """What it does not know it does not alarm at: of 60 rows half a standard deviation."""
    site = Site(n=60)

    _, events = run(site, [site.minute(shift=0.2) for _ in range(300)])

    assert ("amount", "value", "up") not in alarms(events)


def test_minutes_that_are_alike_are_found_out_and_allowed_for() -> None:
    rng, z = default_rng(5), np.zeros(40)
    spread = BlockSpread.fresh(40)
    for _ in range(20_000):
        z = 0.6 * z + 0.8 * rng.normal(size=40)
        spread = spread.after(np.full(40, 60.0), math.sqrt(60.0) * z, 30)

    # (1 + a) / (1 - a) = 4
    assert spread.factors().mean() == pytest.approx(3.7, abs=0.3)


def test_a_lasting_change_is_not_taken_for_minutes_that_are_alike() -> None:
    rng, spread = default_rng(6), BlockSpread.fresh(40)
    for minute in range(6_000):
        sums = math.sqrt(60.0) * rng.normal(size=40) + 60.0 * (minute > 3_000)
        spread = spread.after(np.full(40, 60.0), sums, 30)

    assert spread.factors().mean() < 1.2


# Bad input


def test_silence_of_two_weeks_and_a_clock_that_jumps_change_nothing() -> None:
    site = Site()
    reference, state = site.reference, MinuteState.fresh([site.reference])
    times = [*range(30), 30 + 20_160, 10**9, *range(31, 60), 45, 45]
    events: list[MinuteEvent] = []
    for minute in times:
        state, found = after_minute(state, [reference], [site.minute()], minute, PARAMS)
        events += found
    assert events == []

    for minute in range(60, 70):
        counts = [site.minute(shift=0.8)]
        state, found = after_minute(state, [reference], counts, minute, PARAMS)
        events += found

    assert alarms(events) == [("amount", "value", "up")]


def test_minutes_without_rows_leave_the_evidence_as_it_is() -> None:
    site = Site()
    state, _ = run(site, [site.minute() for _ in range(5)])

    for empty in (None, GroupCounts.empty(3)):
        after, events = after_minute(state, [site.reference], [empty], 6, PARAMS)

        assert events == ()
        assert (after.evidence == state.evidence).all()


def test_a_reference_without_rows_has_no_series_and_never_alarms() -> None:
    site = Site()
    reference = MinuteReference.of(site.columns, GroupCounts.empty(3))
    assert reference.series_count == 0

    _, events = after_minute(
        MinuteState.fresh([reference]), [reference], [site.minute()], 1, PARAMS
    )

    assert events == ()


def test_one_account_with_half_of_all_rows_does_not_alarm_for_being_different() -> None:
    """Its rows are divided by the design effect; taken for independent they alarm."""
    rng, half = default_rng(7), math.sqrt(0.5)
    of_account = np.repeat(rng.normal(size=1_000), 20)
    alike = (half * of_account + half * rng.normal(size=20_000))[:, None]
    columns = [column_of("amount", alike[:, 0])]
    edges = edges_of(columns)
    counted = count(alike, np.repeat(rng.integers(2**62, size=1_000), 20), *edges)
    reference = MinuteReference.of(columns, counted)
    minutes = []
    for _ in range(200):
        accounts = rng.integers(2**61, size=100)
        accounts[:50] = 2**61 + 5
        means = np.where(accounts == accounts[0], 0.8, rng.normal(size=100))
        values = half * means + half * rng.normal(size=100)
        minutes.append(count(values[:, None], accounts, *edges))

    found = []
    for one in (reference, replace(reference, likeness=np.zeros(reference.series_count))):
        state = MinuteState.fresh([one])
        events: list[MinuteEvent] = []
        for minute, counts in enumerate(minutes):
            state, more = after_minute(state, [one], [counts], minute, PARAMS)
            events += more
        found.append(alarms(events))

    assert found == [[], [("amount", "value", "up")]]


# Seasons and segments


def test_what_the_season_moves_is_no_change_and_what_is_unknown_is_not_judged() -> None:
    site = Site()
    known = Expected(np.array([0.4, 0.0, 0.0]), np.array([0.01, 0.01, 0.01]))
    unknown = Expected(np.zeros(3), np.full(3, np.inf))
    value = site.reference.parts.index("value")
    for expected, limit in ((known, 0.1), (unknown, 0.6)):
        state = MinuteState.fresh([site.reference])
        events: list[MinuteEvent] = []
        for minute in range(60):
            state, found = after_minute(
                state,
                [site.reference],
                [site.minute(shift=0.4)],
                minute,
                PARAMS,
                expected=[expected],
            )
            events += found

        assert ("amount", "value", "up") not in alarms(events)
        assert abs(state.effects()[value]) < limit


@pytest.mark.parametrize("error", [0.01, np.inf])
def test_hours_that_differ_are_not_taken_for_minutes_that_are_alike(error: float) -> None:
    """Neither when they are expected, nor before: else nothing would be found afterwards."""
    site, rng = Site(), default_rng(15)
    reference, d = site.reference, site.reference.series_count
    is_value = np.array([part == "value" for part in reference.parts])
    state, rows = MinuteState.fresh([reference]), np.full(d, 600.0)
    for minute in range(3 * 1_440):
        shift = 0.5 * math.sin(2 * math.pi * (minute // 30) / 48)
        expected = Expected(np.full(3, shift), np.full(3, error))
        sums = math.sqrt(600.0) * rng.normal(size=d) + 600.0 * shift * is_value
        state, _ = after_sums(state, [reference], rows, sums, minute, PARAMS, expected=[expected])

    assert state.spread.factors().max() < 1.5


def test_what_is_unknown_is_not_judged_without_any_floor_either() -> None:
    site, bare = Site(), MinuteParams(floor=0.0, reference_errors=0.0)
    unknown = Expected(np.zeros(3), np.full(3, np.inf))
    state = MinuteState.fresh([site.reference])

    state, _ = after_minute(state, [site.reference], [site.minute()], 1, bare, expected=[unknown])

    is_value = np.array([part == "value" for part in site.reference.parts])
    assert (state.evidence[is_value] == 0).all()
    assert np.isfinite(state.evidence).all()
    assert (state.evidence[~is_value] > 0).any()


def test_a_change_of_one_segment_is_named_with_its_segment() -> None:
    site = Site()
    references = [site.reference, site.reference, site.reference]
    state = MinuteState.fresh(references)
    events: list[MinuteEvent] = []
    for minute in range(80):
        shift = 0.8 if minute >= 60 else 0.0
        counts = [site.minute(), None, site.minute(shift=shift)]
        state, found = after_minute(state, references, counts, minute, PARAMS)
        events += found

    assert [(e.segment, e.column) for e in events] == [(2, "amount")]


# Storing


@given(st.integers(1, 39), st.booleans())
@settings(max_examples=8, deadline=None)
def test_a_stored_state_goes_on_as_if_nothing_had_been(cut: int, as_json: bool) -> None:
    site = Site(n=5_000)
    minutes = [site.minute(50, shift=0.0 if i < 25 else 1.0) for i in range(40)]
    whole, events = run(site, minutes)

    state, before = run(site, minutes[:cut])
    values = state_values(state)
    if as_json:
        text = json.dumps(values, default=lambda array: array.tolist())
        values = json.loads(text)
    state = state_of(MinuteState.fresh([site.reference]), values)
    after: list[MinuteEvent] = []
    for minute in range(cut, 40):
        state, found = after_minute(state, [site.reference], [minutes[minute]], minute, PARAMS)
        after += found

    assert same(state, whole)
    assert before + after == events


@pytest.mark.parametrize(
    ("name", "value"),
    [("typical", [1.0]), ("typical", "x"), ("last_minute", None), ("spread", 3), ("gone", 1)],
)
def test_the_state_of_something_else_is_refused(name: str, value: object) -> None:
    fresh = MinuteState.fresh([Site(n=1_000).reference])

    with pytest.raises(ValueError, match=r"of the stored state|has not the fields"):
        state_of(fresh, state_values(fresh) | {name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_length_minutes": 1.0},
        {"floor": -1.0},
        {"floor": float("nan")},
        {"reference_errors": -1.0},
        {"horizon_minutes": 0.0},
        {"block_minutes": 1},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        MinuteParams(**wrong)  # type: ignore[arg-type]
