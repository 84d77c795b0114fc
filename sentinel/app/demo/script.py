"""What happens in the demo, and what of it is scripted: the frauds, and one mistake of a person."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import numpy as np

from sentinel.codec.records import encode
from sentinel.config import Config
from sentinel.records import Feedback
from sentinel.simulation.changes import LeakingShops
from sentinel.simulation.chargebacks import DAY_MS, ChargebackParams, Chargebacks, chargebacks
from sentinel.simulation.handbook import Day, SimulationParams, days

_BEGINS = date(2026, 1, 1)  # the first day that is played
DAY_COUNT = 121  # with those of the history half a year
_SHORT_DAYS_MAX = 80
_ONLINE_EACH = 10  # a tenth of the terminals are shops that sell online only
_TERMINALS_EACH = 5  # so many terminals for each customer
_SHOP_SHARE = 0.12  # of the online shops, that are newly compromised each day
_LEAKING_DAYS = 7  # so long each of them leaks: when chargebacks tell of it, it is others' turn
_STOLEN_SHARE = 0.6
# A chargeback comes about a week later; who denies what they bought themselves comes as late.
CHARGEBACKS = ChargebackParams(
    fraud_share=0.95,
    genuine_share=0.0003,
    delay_median_days=7.0,
    delay_spread=0.07,
    delay_days_min=6.0,
    delay_days_max=8.0,
)


@dataclass(frozen=True, slots=True)
class Script:
    """When it happens, and to how many.

    Attributes
    ----------
    seed
        Of the town: the same seed is the same purchases and the same frauds, to the second.
    history_day_count
        Before the first day that is played: what the first model is made of.
    day_count
        That are played.
    pattern_day, mistake_day
        Of these, counted from 0: when the new pattern begins, and when a bad model is promoted.
    """

    seed: int = 1
    customer_count: int = 1_000
    history_day_count: int = 60
    day_count: int = DAY_COUNT
    pattern_day: int = 56
    mistake_day: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.pattern_day < self.mistake_day < self.day_count:
            raise ValueError("expected 0 < pattern_day < mistake_day < day_count")

    @property
    def begin_ms(self) -> int:
        """Event time of the first day that is played."""
        return _midnight_ms(_BEGINS)

    def at_ms(self, day: int) -> int:
        """Event time of a day that is played, counted from 0."""
        return self.begin_ms + day * DAY_MS

    @property
    def simulation(self) -> SimulationParams:
        """The town, its shops, and what befalls them."""
        terminal_count = _TERMINALS_EACH * self.customer_count
        pattern = LeakingShops(
            start_day=self.history_day_count + self.pattern_day,
            shop_count=max(round(_SHOP_SHARE * terminal_count / _ONLINE_EACH), 1),
            leaking_days=_LEAKING_DAYS,
            stolen_share=_STOLEN_SHARE,
        )
        return SimulationParams(
            customer_count=self.customer_count,
            terminal_count=terminal_count,
            start=(_BEGINS - timedelta(days=self.history_day_count)).isoformat(),
            day_count=None,
            seed=self.seed,
            changes=(pattern,),
        )

    def history(self) -> Iterator[tuple[list[bytes], list[bool | None]]]:
        """The days before: their records, and the truth of each."""
        for day in islice(days(self.simulation), self.history_day_count):
            yield records_of(day), day.is_fraud.tolist()

    def played(self) -> Iterator[Day]:
        """The days that are played."""
        last = self.history_day_count + self.day_count
        return islice(days(self.simulation), self.history_day_count, last)

    def left_over(self) -> Iterator[Day]:
        """The last days of the history, whose chargebacks are still to come."""
        since = self.history_day_count - math.ceil(CHARGEBACKS.delay_days_max) - 1
        return islice(days(self.simulation), since, self.history_day_count)

    def claims(self, day: Day) -> list[Feedback]:
        """What cardholders will deny of a day: nearly every fraud, and some of what was none."""
        rng = np.random.default_rng([self.seed, day.index, 1])
        found: Chargebacks = chargebacks(day.is_fraud, rng, CHARGEBACKS)
        return [
            Feedback(
                transaction_id=transaction_name(int(day.transaction_id[i])),
                label="fraud",
                source="chargeback",
                who="issuer",
                observed_ms=int(day.event_time_ms[i]) + delay_ms,
                event_time_ms=int(day.event_time_ms[i]),
                entities={
                    "account": account_name(int(day.customer_id[i])),
                    "terminal": f"M{day.terminal_id[i]}",
                },
            )
            for i, delay_ms in zip(found.row.tolist(), found.delay_ms.tolist(), strict=True)
        ]


def script_of(seed: int, day_count: int, customer_count: int) -> Script:
    """The story in so many days; in few of them the parts are as short as labels allow."""
    whole = Script()
    pattern_day = round(day_count * whole.pattern_day / whole.day_count)
    mistake_day = round(day_count * whole.mistake_day / whole.day_count)
    if day_count <= _SHORT_DAYS_MAX:
        pattern_day, mistake_day = round(0.35 * day_count), day_count - 5
    return Script(
        seed=seed,
        customer_count=customer_count,
        day_count=day_count,
        pattern_day=pattern_day,
        mistake_day=mistake_day,
    )


def fitted(script: Script, config: Config) -> Config:
    """A short story has no time for weeks: only alarms ask for models, and a canary is enough."""
    if script.day_count > _SHORT_DAYS_MAX:
        return config
    triggers = replace(config.updates.triggers, every_s=0.0)
    return replace(
        config,
        updates=replace(config.updates, triggers=triggers),
        rollouts=replace(config.rollouts, steps=("canary",)),
    )


def transaction_name(number: int) -> str:
    """As the records name it."""
    return f"T{number}"


def account_name(number: int) -> str:
    """As the records name a customer."""
    return f"C{number}"


def records_of(day: Day) -> list[bytes]:
    """A day as records of the schema in config/demo.toml."""
    columns = zip(
        day.transaction_id.tolist(),
        (day.event_time_ms / 1000.0).tolist(),
        day.customer_id.tolist(),
        day.terminal_id.tolist(),
        day.amount_minor.tolist(),
        strict=True,
    )
    return [
        encode(
            {
                "transaction_id": transaction_name(transaction),
                "event_time": datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "account": account_name(customer),
                "terminal": f"M{terminal}",
                "amount": amount / 100,
                "channel": "online" if terminal % _ONLINE_EACH == 0 else "shop",
            }
        )
        for transaction, time_s, customer, terminal, amount in columns
    ]


def _midnight_ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
