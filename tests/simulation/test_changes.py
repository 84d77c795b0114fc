"""Each scripted change does what it says, from its day on, and touches nothing else."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from sentinel.simulation.changes import (
    AmountShift,
    CardTesting,
    Change,
    LeakingShops,
    NewCohort,
    Seasonality,
    amount_factor,
    rate_factor,
)
from sentinel.simulation.handbook import (
    CARD_TESTING,
    COMPROMISED_CUSTOMER,
    LEAKING_SHOP,
    Day,
    SimulationParams,
    days,
)

WORLD = SimulationParams(customer_count=60, terminal_count=100, radius=20.0, day_count=20)


def simulated(*changes: Change, day_count: int = 20) -> list[Day]:
    return list(days(replace(WORLD, changes=changes, day_count=day_count)))


def content(day: Day, keep: Any = slice(None)) -> list[list[int]]:
    """The columns of the rows to keep, but for the identifiers, which shift with every new row."""
    names = ("event_time_ms", "customer_id", "terminal_id", "amount_minor", "scenario")
    return [getattr(day, name)[keep].tolist() for name in names]


@pytest.mark.parametrize(
    "change",
    [
        CardTesting(start_day=7),
        LeakingShops(start_day=7, stolen_share=1.0),
        AmountShift(start_day=7, factor=2.0),
        NewCohort(start_day=7, customer_count=20),
        Seasonality(start_day=7),
    ],
    ids=lambda change: type(change).__name__,
)
def test_a_change_leaves_the_amounts_times_and_places_before_its_start_day(change: Change) -> None:
    plain, changed = simulated(), simulated(change)

    for before, after in zip(plain[:7], changed[:7], strict=True):
        # Which of a card's transactions scenario 3 takes depends on two weeks to come.
        assert after.event_time_ms.tolist() == before.event_time_ms.tolist()
        assert after.customer_id.tolist() == before.customer_id.tolist()
        assert after.terminal_id.tolist() == before.terminal_id.tolist()
    assert content(changed[7]) != content(plain[7])
    assert [content(day) for day in simulated(change)] == [content(day) for day in changed]


def test_card_testing_only_adds_rows_of_scenario_4() -> None:
    plain, changed = simulated(), simulated(CardTesting(start_day=7))

    for before, after in zip(plain, changed, strict=True):
        added = after.scenario == CARD_TESTING
        assert added.any() == (after.index >= 7)
        assert after.is_fraud[added].all()
        assert sorted(zip(*content(after, ~added), strict=True)) == sorted(
            zip(*content(before), strict=True)
        )
        assert np.all(np.diff(after.event_time_ms) >= 0)
    identifiers = np.concatenate([day.transaction_id for day in changed])
    assert identifiers.tolist() == list(range(len(identifiers)))


def test_a_burst_is_many_small_amounts_within_minutes_and_then_a_large_one() -> None:
    change = CardTesting(start_day=0, burst_count=1)

    for day in simulated(change):
        burst = day.scenario == CARD_TESTING
        amounts, times = day.amount_minor[burst], day.event_time_ms[burst]

        assert len(set(day.customer_id[burst].tolist())) == 1
        assert 5 <= len(amounts) - 1 <= 15
        assert times[-1] - times[0] < change.duration_s * 1000
        assert amounts[:-1].min() >= change.probe_minor_min
        assert amounts[:-1].max() <= change.probe_minor_max
        assert change.cash_out_minor_min <= amounts[-1] <= change.cash_out_minor_max


def test_card_testing_uses_terminals_far_from_the_cardholder() -> None:
    usual: dict[int, set[int]] = {}
    for day in simulated(day_count=60):
        for customer, terminal in zip(
            day.customer_id.tolist(), day.terminal_id.tolist(), strict=True
        ):
            usual.setdefault(customer, set()).add(terminal)

    for day in simulated(CardTesting(start_day=0)):
        burst = day.scenario == CARD_TESTING
        for customer, terminal in zip(
            day.customer_id[burst].tolist(), day.terminal_id[burst].tolist(), strict=True
        ):
            assert terminal not in usual.get(customer, set())


def test_card_testing_attacks_as_many_cards_a_day_as_it_says() -> None:
    change = CardTesting(start_day=3, burst_count=4)

    cash_outs = [
        int(np.sum((day.scenario == CARD_TESTING) & (day.amount_minor >= 15_000)))
        for day in simulated(change)
    ]

    assert cash_outs == [0] * 3 + [4] * 17


def test_card_testing_attacks_other_cards_on_other_days() -> None:
    victims = {
        tuple(day.customer_id[day.scenario == CARD_TESTING].tolist())
        for day in simulated(CardTesting(start_day=0))
    }

    assert len(victims) == 20


def test_an_amount_shift_scales_the_amounts_and_moves_nothing_else() -> None:
    plain, changed = simulated(), simulated(AmountShift(start_day=7, factor=2.0))

    for before, after in zip(plain, changed, strict=True):
        factor = 2.0 if after.index >= 7 else 1.0
        # Scenario 3 multiplies a rounded amount by 5, once for each time it takes it.
        tolerance = np.where(before.scenario == COMPROMISED_CUSTOMER, 125, 1)
        assert np.all(np.abs(after.amount_minor - factor * before.amount_minor) <= tolerance)
        assert after.event_time_ms.tolist() == before.event_time_ms.tolist()
        assert after.customer_id.tolist() == before.customer_id.tolist()
        assert after.terminal_id.tolist() == before.terminal_id.tolist()


def test_a_new_cohort_arrives_on_its_day_beside_undisturbed_old_customers() -> None:
    cohorts = (
        NewCohort(start_day=9, customer_count=40),
        NewCohort(start_day=4, customer_count=30, amount_factor=10.0),
    )

    changed = simulated(*cohorts)

    for before, after in zip(simulated(), changed, strict=True):
        old = after.customer_id < 60
        late = (after.customer_id >= 60) & (after.customer_id < 100)
        early = after.customer_id >= 100
        assert after.customer_id.max(initial=0) < 130
        assert late.any() == (after.index >= 9)
        assert early.any() == (after.index >= 4)
        assert content(after, old) == content(before)
    amounts = np.concatenate([day.amount_minor for day in changed])
    customers = np.concatenate([day.customer_id for day in changed])
    assert amounts[customers >= 100].mean() > 4 * amounts[customers < 60].mean()


def test_seasonality_raises_and_lowers_the_daily_count() -> None:
    weekends_only = Seasonality(weekly=(0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0), yearly_amplitude=0.0)

    counts = [len(day) for day in simulated(weekends_only)]

    assert date.fromisoformat(WORLD.start).strftime("%A") == "Sunday"
    assert [count > 0 for count in counts] == [day % 7 in (0, 6) for day in range(20)]


def test_a_season_of_factor_1_is_no_season() -> None:
    flat = Seasonality(weekly=(1.0,) * 7, yearly_amplitude=0.0)

    assert [content(day) for day in simulated(flat)] == [content(day) for day in simulated()]


def test_the_year_peaks_on_the_day_it_says() -> None:
    season = Seasonality(weekly=(1.0,) * 7, yearly_amplitude=0.5, yearly_peak_day=350)

    peak = rate_factor([season], day=0, today=date(2018, 12, 16))
    trough = rate_factor([season], day=0, today=date(2018, 6, 16))

    assert peak == pytest.approx(1.5)
    assert trough == pytest.approx(0.5, abs=1e-3)


def test_factors_of_several_changes_multiply_from_their_days_on() -> None:
    changes: list[Change] = [AmountShift(2, 3.0), AmountShift(4, 0.5), CardTesting(0)]

    factors = [amount_factor(changes, day=day) for day in range(6)]

    assert factors == [1.0, 1.0, 3.0, 3.0, 1.5, 1.5]
    assert rate_factor(changes, day=9, today=date(2020, 1, 1)) == 1.0


def test_the_usual_week_is_neither_busier_nor_quieter_on_the_whole() -> None:
    assert np.mean(Seasonality().weekly) == pytest.approx(1.0)


def test_leaking_shops_change_nothing_but_labels_at_online_shops_while_they_leak() -> None:
    change = LeakingShops(start_day=7, shop_count=2, leaking_days=3, stolen_share=1.0)
    plain, changed = simulated(), simulated(change)

    shops: list[set[int]] = []
    for before, after in zip(plain, changed, strict=True):
        stolen = after.scenario == LEAKING_SHOP
        assert content(after)[:4] == content(before)[:4]
        assert after.scenario[~stolen].tolist() == before.scenario[~stolen].tolist()
        assert (after.terminal_id[stolen] % 10 == 0).all()
        shops.append(set(after.terminal_id[stolen].tolist()))
    assert not any(shops[:7])
    assert all(len(day) <= 6 for day in shops)
    assert all(shops[7:])
    for day in range(7, len(shops)):  # all that is bought at a leaking shop is stolen here
        at = np.isin(changed[day].terminal_id, list(shops[day]))
        assert (changed[day].scenario[at] == LEAKING_SHOP).all()


def test_of_what_is_bought_at_leaking_shops_the_share_is_stolen() -> None:
    all_of_it, some = (
        sum(
            int((day.scenario == LEAKING_SHOP).sum())
            for day in simulated(LeakingShops(0, shop_count=20, stolen_share=share))
        )
        for share in (1.0, 0.3)
    )
    assert some / all_of_it == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (CardTesting, {"start_day": -1}),
        (CardTesting, {"start_day": 0, "burst_count": 0}),
        (CardTesting, {"start_day": 0, "probe_count_min": 16}),
        (CardTesting, {"start_day": 0, "probe_minor_min": 301}),
        (CardTesting, {"start_day": 0, "cash_out_minor_min": -1}),
        (CardTesting, {"start_day": 0, "duration_s": 86_400}),
        (LeakingShops, {"start_day": -1}),
        (LeakingShops, {"start_day": 0, "shop_count": 0}),
        (LeakingShops, {"start_day": 0, "leaking_days": 0}),
        (LeakingShops, {"start_day": 0, "stolen_share": 0.0}),
        (AmountShift, {"start_day": 0, "factor": 0.0}),
        (AmountShift, {"start_day": 0, "factor": float("inf")}),
        (NewCohort, {"start_day": 0, "customer_count": 0}),
        (NewCohort, {"start_day": 0, "customer_count": 1, "amount_factor": -1.0}),
        (Seasonality, {"weekly": (1.0,) * 6}),
        (Seasonality, {"weekly": (-1.0,) * 7}),
        (Seasonality, {"yearly_amplitude": 1.1}),
    ],
)
def test_a_change_that_cannot_be_is_refused(kind: type[Change], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|expected"):
        kind(**wrong)
