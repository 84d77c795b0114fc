"""What may change in the simulated world, scripted: a fraud pattern, the population, the season."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints

DAY_S = 86_400
_ONLINE_EACH = 10  # of the terminals one in so many is a shop that sells online only
_YEAR_DAYS = 365.25


@dataclass(frozen=True, slots=True)
class CardTesting:
    """A fraud pattern that the published data lack: stolen cards are tried, then emptied.

    Each day `burst_count` cards are attacked. A burst is 5 to 15 small purchases within minutes,
    each at a terminal of the half of the grid's terminals that is farther from the cardholder,
    and then a large one. All are labelled scenario 4.
    """

    start_day: int
    burst_count: int = 5
    probe_count_min: int = 5
    probe_count_max: int = 15
    probe_minor_min: int = 50
    probe_minor_max: int = 300
    cash_out_minor_min: int = 15_000
    cash_out_minor_max: int = 60_000
    duration_s: int = 600

    def __post_init__(self) -> None:
        _check_start(self.start_day)
        if self.burst_count < 1:
            raise ValueError(f"burst_count must be at least 1, got {self.burst_count}")
        if not 1 <= self.probe_count_min <= self.probe_count_max:
            raise ValueError("expected 1 <= probe_count_min <= probe_count_max")
        if not 0 <= self.probe_minor_min <= self.probe_minor_max:
            raise ValueError("expected 0 <= probe_minor_min <= probe_minor_max")
        if not 0 <= self.cash_out_minor_min <= self.cash_out_minor_max:
            raise ValueError("expected 0 <= cash_out_minor_min <= cash_out_minor_max")
        if not 1 <= self.duration_s < DAY_S:
            raise ValueError(f"duration_s must be in 1..{DAY_S - 1}, got {self.duration_s}")


@dataclass(frozen=True, slots=True)
class LeakingShops:
    """A fraud pattern that the published data lack: shops that sell online only leak cards.

    A tenth of the terminals are such shops: their numbers end in 0. Each day `shop_count` of them
    are compromised, for `leaking_days`; `stolen_share` of what is bought there meanwhile is fraud,
    of any amount, which nothing but the label tells. All are labelled scenario 5.
    """

    start_day: int
    shop_count: int = 10
    leaking_days: int = 28
    stolen_share: float = 0.5

    def __post_init__(self) -> None:
        _check_start(self.start_day)
        if self.shop_count < 1:
            raise ValueError(f"shop_count must be at least 1, got {self.shop_count}")
        if self.leaking_days < 1:
            raise ValueError(f"leaking_days must be at least 1, got {self.leaking_days}")
        if not 0.0 < self.stolen_share <= 1.0:
            raise ValueError(f"stolen_share must be in (0, 1], got {self.stolen_share}")


@dataclass(frozen=True, slots=True)
class AmountShift:
    """From `start_day` on, everybody's amounts (mean and spread alike) are `factor` times as large.

    What makes a fraud stays as it is, so a factor above 1 also brings more amounts over 220.
    """

    start_day: int
    factor: float

    def __post_init__(self) -> None:
        _check_start(self.start_day)
        if not 0.0 < self.factor < math.inf:
            raise ValueError(f"factor must be positive and finite, got {self.factor}")


@dataclass(frozen=True, slots=True)
class NewCohort:
    """On `start_day`, `customer_count` new customers arrive, with identifiers after all others'.

    They are drawn as the Handbook draws its own, but for mean amounts `amount_factor` times as
    large. Their terminals may be compromised; their cards are never drawn for scenario 3.
    """

    start_day: int
    customer_count: int
    amount_factor: float = 1.0

    def __post_init__(self) -> None:
        _check_start(self.start_day)
        if self.customer_count < 1:
            raise ValueError(f"customer_count must be at least 1, got {self.customer_count}")
        if not 0.0 < self.amount_factor < math.inf:
            raise ValueError(f"amount_factor must be positive, got {self.amount_factor}")


@dataclass(frozen=True, slots=True)
class Seasonality:
    """From `start_day` on, the mean daily count follows the day of the week and of the year.

    The factor of a day is ``weekly[weekday] * (1 + yearly_amplitude * cos(phase))``, where the
    phase is 0 on day `yearly_peak_day` of the year and one turn is a year.
    """

    start_day: int = 0
    weekly: tuple[float, ...] = (0.95, 0.90, 0.95, 1.00, 1.20, 1.25, 0.75)  # Monday first, mean 1
    yearly_amplitude: float = 0.15
    yearly_peak_day: int = 350  # the middle of December

    def __post_init__(self) -> None:
        _check_start(self.start_day)
        if len(self.weekly) != 7:
            raise ValueError(f"weekly must hold 7 factors, got {len(self.weekly)}")
        if not all(0.0 <= factor < math.inf for factor in self.weekly):
            raise ValueError("the factors in weekly must be finite and not negative")
        if not 0.0 <= self.yearly_amplitude <= 1.0:
            raise ValueError(f"yearly_amplitude must be in [0, 1], got {self.yearly_amplitude}")


Change = CardTesting | LeakingShops | AmountShift | NewCohort | Seasonality


class Burst(NamedTuple):
    """Purchases of an attacked card within a day, in order of time; each column int64 (n,)."""

    second: Ints
    customer_id: Ints
    terminal_id: Ints
    amount_minor: Ints


def rate_factor(changes: Sequence[Change], *, day: int, today: date) -> float:
    """By how much the mean daily count of every customer differs from the Handbook's; 1 if not."""
    seasons = [c for c in changes if isinstance(c, Seasonality) and day >= c.start_day]
    return math.prod((_season_factor(season, today) for season in seasons), start=1.0)


def amount_factor(changes: Sequence[Change], *, day: int) -> float:
    """By how much every amount of the day differs from the Handbook's; 1 if not."""
    shifts = [c for c in changes if isinstance(c, AmountShift) and day >= c.start_day]
    return math.prod((shift.factor for shift in shifts), start=1.0)


def bursts(
    change: CardTesting, rng: np.random.Generator, *, customer_xy: Floats, terminal_xy: Floats
) -> list[Burst]:
    """The bursts of one day, each on a card drawn evenly from the rows of `customer_xy`."""
    victims = rng.integers(len(customer_xy), size=change.burst_count).tolist()
    return [
        _burst(change, rng, victim, _far_terminals(customer_xy[victim], terminal_xy))
        for victim in victims
    ]


def are_stolen(
    changes: Sequence[Change], seed: int, day: int, terminal_id: Ints, terminal_count: int
) -> NDArray[np.bool_]:
    """Which of a day's purchases are fraud at a shop that leaks, bool (n,)."""
    found = np.zeros(terminal_id.size, dtype=np.bool_)
    for position, change in enumerate(changes):
        if isinstance(change, LeakingShops) and day >= change.start_day:
            shops = _leaking(change, [seed, position], day, terminal_count)
            draw = np.random.default_rng([seed, position, day, 1]).random(terminal_id.size)
            found |= np.isin(terminal_id, shops) & (draw < change.stolen_share)
    return found


def _leaking(change: LeakingShops, seed: Sequence[int], day: int, terminal_count: int) -> Ints:
    """Shops that were compromised lately: those of each day are drawn with its number."""
    shops = np.arange(0, terminal_count, _ONLINE_EACH)
    size = min(change.shop_count, shops.size)
    first = max(change.start_day, day - change.leaking_days + 1)
    drawn = [
        np.random.default_rng([*seed, since]).choice(shops, size=size, replace=False)
        for since in range(first, day + 1)
    ]
    return np.concatenate(drawn)


def _burst(
    change: CardTesting, rng: np.random.Generator, customer_id: int, terminals: Ints
) -> Burst:
    probe_count = int(rng.integers(change.probe_count_min, change.probe_count_max + 1))
    first = rng.integers(DAY_S - change.duration_s)
    second = np.sort(first + rng.integers(change.duration_s, size=probe_count + 1))
    amount_minor = rng.integers(
        change.probe_minor_min, change.probe_minor_max + 1, size=probe_count + 1
    )
    amount_minor[-1] = rng.integers(change.cash_out_minor_min, change.cash_out_minor_max + 1)
    terminal_id = rng.choice(terminals, size=probe_count + 1)
    return Burst(second, np.full(probe_count + 1, customer_id), terminal_id, amount_minor)


def _far_terminals(customer_xy: Floats, terminal_xy: Floats) -> Ints:
    """The farther half of the terminals: never empty, whatever the radius and the grid."""
    distance = np.hypot(*(terminal_xy - customer_xy).T)
    return np.flatnonzero(distance >= np.median(distance))


def _season_factor(season: Seasonality, today: date) -> float:
    day_of_year = today.timetuple().tm_yday
    phase = 2.0 * math.pi * (day_of_year - season.yearly_peak_day) / _YEAR_DAYS
    return season.weekly[today.weekday()] * (1.0 + season.yearly_amplitude * math.cos(phase))


def _check_start(start_day: int) -> None:
    if start_day < 0:
        raise ValueError(f"start_day must not be negative, got {start_day}")
