"""The transaction generator of the Fraud Detection Handbook, draw for draw, as a stream of days.

Le Borgne, Siblini, Lebichot, Bontempi: *Reproducible Machine Learning for Credit Card Fraud
Detection - Practical Handbook*, Université Libre de Bruxelles, 2022, chapter 3.
"""

import random
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints
from sentinel.simulation.changes import (
    DAY_S,
    Burst,
    CardTesting,
    Change,
    NewCohort,
    amount_factor,
    are_stolen,
    bursts,
    rate_factor,
)

LARGE_AMOUNT = 1  # over 220
COMPROMISED_TERMINAL = 2
COMPROMISED_CUSTOMER = 3
CARD_TESTING = 4  # not the Handbook's: see CardTesting
LEAKING_SHOP = 5  # nor this: see LeakingShops

# The Handbook's own constants.
_LARGE_MINOR = 22_000
_TERMINALS_A_DAY = 2
_TERMINAL_DAYS = 28
_CUSTOMERS_A_DAY = 3
_CUSTOMER_DAYS = 14
_STOLEN_AMOUNT_FACTOR = 5

# A run uses the seeds 0, 1, 2 ... (customers, days), so different runs' must lie far apart.
_SEED_STRIDE = 1_000_000
_SEED_MAX = 4_000  # numpy's legacy seeds end at 2**32


@dataclass(frozen=True, slots=True)
class SimulationParams:
    """What to simulate; the defaults are the published data.

    `day_count` None means without end. `seed` 0 is the published data, any other seed an
    independent draw. A bounded run ends as the Handbook's: nothing is newly compromised on its
    last day, and a card compromised shortly before is sampled from the days that are left.
    """

    customer_count: int = 5_000
    terminal_count: int = 10_000
    radius: float = 5.0
    start: str = "2018-04-01"
    day_count: int | None = 183
    seed: int = 0
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        if not _CUSTOMERS_A_DAY <= self.customer_count <= _SEED_STRIDE // 2:
            raise ValueError(f"customer_count must be in 3..500000, got {self.customer_count}")
        if self.terminal_count < _TERMINALS_A_DAY:
            raise ValueError(f"terminal_count must be at least 2, got {self.terminal_count}")
        if not self.radius > 0.0:
            raise ValueError(f"radius must be positive, got {self.radius}")
        if self.day_count is not None and self.day_count < 1:
            raise ValueError(f"day_count must be at least 1, got {self.day_count}")
        if not 0 <= self.seed <= _SEED_MAX:
            raise ValueError(f"seed must be in 0..{_SEED_MAX}, got {self.seed}")
        date.fromisoformat(self.start)  # a ValueError that names the string


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """The transactions of one day as columns of equal length n, ordered by time.

    Attributes
    ----------
    index
        0 for the first day.
    transaction_id
        0, 1, 2 ... over all days, int64 (n,).
    event_time_ms
        Epoch milliseconds UTC, a whole number of seconds, int64 (n,).
    customer_id, terminal_id
        int64 (n,).
    amount_minor
        Cents, int64 (n,).
    scenario
        Why a transaction is a fraud, the last reason of several; 0 if it is genuine. int8 (n,).
    """

    index: int
    transaction_id: Ints
    event_time_ms: Ints
    customer_id: Ints
    terminal_id: Ints
    amount_minor: Ints
    scenario: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.transaction_id)

    @property
    def is_fraud(self) -> NDArray[np.bool_]:
        """True where a scenario made the transaction a fraud, bool (n,)."""
        fraud: NDArray[np.bool_] = self.scenario != 0
        return fraud


def days(params: SimulationParams) -> Iterator[Day]:
    """Simulate day by day; equal times are ordered by customer, then as drawn.

    The first day needs `_CUSTOMER_DAYS` days drawn, because scenario 3 chooses among two weeks of
    a card's transactions. That look-ahead and two generators a customer are all the memory
    (8 kB a customer, 33 bytes a transaction), however long the run.
    """
    world = _world(params)
    ordered = (_by_time(rows) for rows in _drawn(world, params))
    return _finished(_labelled(ordered, params), world, params)


def published_days(params: SimulationParams) -> Iterator[Day]:
    """As `days`, with equal times in the very order of the published file.

    The Handbook sorts the whole table with an unstable sort. numpy's has no vectorised variant
    for datetimes, so its order is the same on every machine; but it depends on all rows, so all
    days are drawn before the first comes out.
    """
    if params.day_count is None:
        raise ValueError("the published order needs a day_count")
    world = _world(params)
    ordered = _in_published_order(list(_drawn(world, params)))
    return _finished(_labelled(ordered, params), world, params)


class _Rows(NamedTuple):
    """A day in the making; scenario 3 changes `amount_minor` and `scenario` in place."""

    day: int
    second: Ints
    customer_id: Ints
    terminal_id: Ints
    amount_minor: Ints
    scenario: NDArray[np.int8]


class _Customers(NamedTuple):
    """Customers that arrive on the same day; row i of each column is one customer."""

    first_day: int
    first_id: int
    xy: Floats
    mean_amount: Floats
    daily_rate: Floats


class _World(NamedTuple):
    cohorts: list[_Customers]  # the Handbook's own customers first
    terminal_xy: Floats


def _world(params: SimulationParams) -> _World:
    seed = params.seed * _SEED_STRIDE
    cohorts = [_customers(np.random.RandomState(seed), params.customer_count)]
    for position, change in enumerate(params.changes):
        if isinstance(change, NewCohort):
            drawn = _customers(np.random.RandomState([seed, position]), change.customer_count)
            cohorts.append(
                drawn._replace(
                    first_day=change.start_day,
                    first_id=cohorts[-1].first_id + len(cohorts[-1].xy),
                    mean_amount=drawn.mean_amount * change.amount_factor,
                )
            )
    terminal_xy = np.random.RandomState(seed + 1).random_sample((params.terminal_count, 2)) * 100
    return _World(cohorts, terminal_xy)


def _customers(draw: np.random.RandomState, customer_count: int) -> _Customers:
    unit = draw.random_sample((customer_count, 4))
    return _Customers(0, 0, unit[:, :2] * 100, 5 + 95 * unit[:, 2], 4 * unit[:, 3])


def _neighbours(customer_xy: Floats, terminal_xy: Floats, radius: float) -> list[list[int]]:
    """For each customer the terminals nearer than `radius`, in ascending order."""
    by_x = np.argsort(terminal_xy[:, 0])
    xs = terminal_xy[by_x, 0]
    reach = radius * (1 + 1e-9)  # a hair wider than the circle, so that rounding loses nobody
    lows = np.searchsorted(xs, customer_xy[:, 0] - reach)
    highs = np.searchsorted(xs, customer_xy[:, 0] + reach)
    near: list[list[int]] = []
    for xy, low, high in zip(customer_xy, lows, highs, strict=True):
        candidates = by_x[low:high]
        distance = np.sqrt(np.square(terminal_xy[candidates] - xy).sum(axis=1))
        near.append(np.sort(candidates[distance < radius]).tolist())
    return near


def _drawn(world: _World, params: SimulationParams) -> Iterator[_Rows]:
    """The days before any fraud, rows by customer and then as drawn."""
    sink: list[float] = []
    cohorts = [(c.first_day, _shoppers(c, world, params, sink)) for c in world.cohorts]
    start = date.fromisoformat(params.start)
    for day in count() if params.day_count is None else range(params.day_count):
        rate = rate_factor(params.changes, day=day, today=start + timedelta(days=day))
        for first_day, shoppers in cohorts:
            if day >= first_day:
                for shopper in shoppers:
                    shopper.send(rate)
        yield _rows(day, sink, amount_factor(params.changes, day=day))
        sink.clear()


def _shoppers(
    customers: _Customers, world: _World, params: SimulationParams, sink: list[float]
) -> list[Generator[None, float, None]]:
    near = _neighbours(customers.xy, world.terminal_xy, params.radius)
    profiles = zip(customers.mean_amount.tolist(), customers.daily_rate.tolist(), near, strict=True)
    shoppers = [
        _shopper(customer_id, params.seed * _SEED_STRIDE + customer_id, *profile, sink)
        for customer_id, profile in enumerate(profiles, start=customers.first_id)
    ]
    for shopper in shoppers:
        next(shopper)  # to its first `yield`, where it waits for a day
    return shoppers


def _shopper(
    customer_id: int,
    seed: int,
    mean_amount: float,
    daily_rate: float,
    terminals: list[int],
    sink: list[float],
) -> Generator[None, float, None]:
    """Add a day of one customer to `sink` for each factor of the daily rate that is sent.

    This is the Handbook's loop, on streams of its own. Almost all the time of a simulation goes
    here, so the draws are bound to names and the sink is flat: second, customer, terminal, amount.
    """
    stream = np.random.RandomState(seed)
    poisson, normal, uniform = stream.poisson, stream.standard_normal, stream.random_sample
    choice = random.Random(seed).choice  # noqa: S311 - a simulation, not a secret
    std_amount = mean_amount / 2
    while True:
        factor = yield
        for _ in range(poisson(daily_rate * factor)):
            second = int(43_200.0 + 20_000.0 * normal())
            if 0 < second < DAY_S:
                amount = mean_amount + std_amount * normal()
                if amount < 0:
                    amount = mean_amount * 2 * uniform()
                if terminals:
                    sink.extend((second, customer_id, choice(terminals), amount))


def _rows(day: int, sink: list[float], factor: float) -> _Rows:
    second, customer_id, terminal_id, amount = np.array(sink).reshape(-1, 4).T
    amount_minor = np.rint(amount * factor * 100).astype(np.int64)
    return _Rows(
        day,
        second.astype(np.int64),
        customer_id.astype(np.int64),
        terminal_id.astype(np.int64),
        amount_minor,
        np.where(amount_minor > _LARGE_MINOR, LARGE_AMOUNT, 0).astype(np.int8),
    )


def _ordered(rows: _Rows, order: NDArray[np.intp]) -> _Rows:
    return _Rows(
        rows.day,
        rows.second[order],
        rows.customer_id[order],
        rows.terminal_id[order],
        rows.amount_minor[order],
        rows.scenario[order],
    )


def _by_time(rows: _Rows) -> _Rows:
    return _ordered(rows, np.argsort(rows.second, kind="stable"))


def _in_published_order(drawn: Sequence[_Rows]) -> Iterator[_Rows]:
    """Order all days at once as pandas' ``sort_values("TX_DATETIME")`` orders the whole table."""
    second = np.concatenate([rows.day * DAY_S + rows.second for rows in drawn])
    customer_id = np.concatenate([rows.customer_id for rows in drawn])
    by_customer = np.argsort(customer_id, kind="stable")  # the table as the Handbook builds it
    # As datetimes: numpy sorts integers with instructions that differ between machines.
    by_time = np.argsort(second[by_customer].astype("datetime64[s]"), kind="quicksort")
    order = by_customer[by_time]
    first = 0
    for rows in drawn:
        last = first + len(rows.second)
        yield _ordered(rows, order[first:last] - first)
        first = last


def _labelled(ordered: Iterable[_Rows], params: SimulationParams) -> Iterator[_Rows]:
    """Scenarios 2 and 3, in the Handbook's order, over a window of `_CUSTOMER_DAYS` days."""
    window: deque[_Rows] = deque()
    compromised: deque[Ints] = deque(maxlen=_TERMINAL_DAYS)
    for rows in ordered:
        compromised.append(_sample(rows.day, params.terminal_count, _TERMINALS_A_DAY, params))
        rows.scenario[np.isin(rows.terminal_id, np.concatenate(compromised))] = COMPROMISED_TERMINAL
        window.append(rows)
        if len(window) == _CUSTOMER_DAYS:
            _steal(window, params)
            yield window.popleft()
    while window:
        _steal(window, params)
        yield window.popleft()


def _steal(window: Sequence[_Rows], params: SimulationParams) -> None:
    """Scenario 3: a third of what the day's victims buy while the window lasts is stolen."""
    day = window[0].day
    victims = _sample(day, params.customer_count, _CUSTOMERS_A_DAY, params)
    theirs = [np.flatnonzero(np.isin(rows.customer_id, victims)) for rows in window]
    total = sum(map(len, theirs))
    stolen = np.zeros(total, dtype=np.bool_)
    picker = random.Random(params.seed * _SEED_STRIDE + day)  # noqa: S311 - not a secret
    stolen[picker.sample(range(total), k=total // 3)] = True
    ends = np.cumsum([len(rows) for rows in theirs])
    for rows, mine, taken in zip(window, theirs, np.split(stolen, ends[:-1]), strict=True):
        rows.amount_minor[mine[taken]] *= _STOLEN_AMOUNT_FACTOR
        rows.scenario[mine[taken]] = COMPROMISED_CUSTOMER


def _sample(day: int, population: int, size: int, params: SimulationParams) -> Ints:
    """Who is compromised from `day` on, as pandas' ``sample``; nobody on the last day of a run.

    (The Handbook's loops run over ``range(TX_TIME_DAYS.max())``, which leaves that day out.)
    """
    if params.day_count is not None and day == params.day_count - 1:
        return np.empty(0, dtype=np.int64)
    draw = np.random.RandomState(params.seed * _SEED_STRIDE + day)
    return draw.choice(population, size=size, replace=False)


def _finished(labelled: Iterable[_Rows], world: _World, params: SimulationParams) -> Iterator[Day]:
    """Days with the scripted attacks among their rows, and with identifiers."""
    start_s = int(datetime.fromisoformat(params.start).replace(tzinfo=UTC).timestamp())
    next_id = 0
    for plain in labelled:
        places = plain.terminal_id, params.terminal_count
        stolen = are_stolen(params.changes, params.seed, plain.day, *places)
        plain.scenario[stolen] = LEAKING_SHOP
        rows = _attacked(plain, world, params)
        yield Day(
            index=rows.day,
            transaction_id=np.arange(next_id, next_id + len(rows.second)),
            event_time_ms=(start_s + rows.day * DAY_S + rows.second) * 1000,
            customer_id=rows.customer_id,
            terminal_id=rows.terminal_id,
            amount_minor=rows.amount_minor,
            scenario=rows.scenario,
        )
        next_id += len(rows.second)


def _attacked(rows: _Rows, world: _World, params: SimulationParams) -> _Rows:
    customer_xy = world.cohorts[0].xy
    attacks: list[Burst] = []
    for position, change in enumerate(params.changes):
        if isinstance(change, CardTesting) and rows.day >= change.start_day:
            rng = np.random.default_rng([params.seed, position, rows.day])
            attacks += bursts(change, rng, customer_xy=customer_xy, terminal_xy=world.terminal_xy)
    if not attacks:
        return rows
    second, customer_id, terminal_id, amount_minor = map(np.concatenate, zip(*attacks, strict=True))
    together = _Rows(
        rows.day,
        np.concatenate([rows.second, second]),
        np.concatenate([rows.customer_id, customer_id]),
        np.concatenate([rows.terminal_id, terminal_id]),
        np.concatenate([rows.amount_minor, amount_minor]),
        np.concatenate([rows.scenario, np.full(len(second), CARD_TESTING, dtype=np.int8)]),
    )
    return _by_time(together)
