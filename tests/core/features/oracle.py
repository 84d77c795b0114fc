"""The feature contract in plain Python over sorted lists: slow, obvious, exact where it can be."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from sentinel.core.features.hashing import hash64
from sentinel.core.features.spec import EntityParams, FeatureParams, duration_ms

BITMAP_BITS = 256
NAN = math.nan


@dataclass(slots=True)
class Payment:
    """One transaction of a test stream."""

    name: str
    time_ms: int
    amount: int
    keys: dict[str, str | None]
    texts: dict[str, str | None] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        return self.keys[name] if name in self.keys else self.texts[name]


@dataclass(slots=True)
class Past:
    """What was counted into one entity: all of it, for ever."""

    events: list[Payment] = field(default_factory=list)
    frauds: set[str] = field(default_factory=set)
    newest_ms: int | None = None


class Oracle:
    """Features of one transaction after the other, from lists of all that went before."""

    def __init__(
        self, entities: dict[str, EntityParams], features: list[FeatureParams], decimals: int
    ) -> None:
        self.entities = entities
        self.features = features
        self.scale: int = 10**decimals
        self.past: dict[tuple[str, str], Past] = {}

    def row(self, payment: Payment) -> list[float]:
        """The features of a payment, which is then counted in."""
        values = [self.value(feature, payment) for feature in self.features]
        for entity, key in payment.keys.items():
            if key is not None:
                self.count_in(entity, key, payment)
        return [
            feature.empty if math.isnan(value) else value
            for feature, value in zip(self.features, values, strict=True)
        ]

    def is_late(self, entity: str, payment: Payment) -> bool:
        key = payment.keys[entity]
        past = self.past.get((entity, key)) if key is not None else None
        if past is None or past.newest_ms is None:
            return False
        return past.newest_ms - payment.time_ms > duration_ms(self.entities[entity].grace)

    def count_in(self, entity: str, key: str, payment: Payment) -> None:
        if self.is_late(entity, payment):
            return
        past = self.past.setdefault((entity, key), Past())
        past.events.append(payment)
        past.newest_ms = max(past.newest_ms or 0, payment.time_ms)

    def label(self, payment: Payment, *, is_fraud: bool) -> None:
        """What is known now of a payment that was counted in; what is withdrawn is no fraud."""
        for entity, key in payment.keys.items():
            past = self.past.get((entity, key)) if key is not None else None
            if past is not None and any(event.name == payment.name for event in past.events):
                (past.frauds.add if is_fraud else past.frauds.discard)(payment.name)

    def value(self, feature: FeatureParams, payment: Payment) -> float:  # noqa: C901 -- a table
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            milliseconds=payment.time_ms, hours=feature.utc_offset_h
        )
        match feature.stat:
            case "quotient":
                by_name = {other.name: other for other in self.features}
                above, below = (self.value(by_name[name], payment) for name in feature.of)
                return above / below if below != 0 else NAN
            case "amount":
                return payment.amount / self.scale
            case "value":
                return payment.numbers[feature.field]
            case "category":
                text = payment.texts[feature.field]
                if text is None:
                    return NAN
                values = feature.values
                return float(values.index(text) if text in values else len(values))
            case "hour":
                return float(local.hour)
            case "weekday":
                return float(local.weekday())
            case "night":
                return float(local.hour <= 6)
            case "weekend":
                return float(local.weekday() >= 5)
        key = payment.keys[feature.entity]
        if key is None:
            return NAN
        past = self.past.get((feature.entity, key), Past())
        if self.entities[feature.entity].kind == "events":
            return self.of_events(feature, payment, past)
        return self.of_tiles(feature, payment, past)

    # Rings of events

    def of_events(self, feature: FeatureParams, payment: Payment, past: Past) -> float:
        t = payment.time_ms
        kept = sorted(past.events, key=lambda event: event.time_ms)  # stable: arrival breaks ties
        kept = kept[-self.entities[feature.entity].events_max :]
        before = [event for event in kept if event.time_ms <= t]
        half_life = duration_ms(feature.half_life) if feature.half_life else 0
        match feature.stat:
            case "time_since_last":
                return (t - before[-1].time_ms) / 1000 if before else NAN
            case "decayed_count":
                weights = [math.pow(2.0, -(t - event.time_ms) / half_life) for event in before]
                return math.fsum(weights) + feature.include_current
            case "decayed_sum":
                weights = [
                    math.pow(2.0, -(t - event.time_ms) / half_life) * event.amount
                    for event in before
                ]
                current = payment.amount if feature.include_current else 0
                return (math.fsum(weights) + current) / self.scale
        end = t - feature.delay_ms
        begin = end - feature.window_ms if feature.window_ms else -1
        window = [event for event in kept if begin < event.time_ms <= end]
        if feature.stat == "first_seen":
            if not feature.field:
                return float(not window)
            text = payment.text(feature.field)
            seen = {event.text(feature.field) for event in window}
            return NAN if not text else float(text not in seen)
        if feature.stat == "distinct":
            texts = [event.text(feature.field) for event in window]
            texts += [payment.text(feature.field)] if feature.include_current else []
            return float(len({text for text in texts if text}))
        frauds = sum(event.name in past.frauds for event in window)
        amounts = [event.amount for event in window]
        if feature.stat == "fraud_min":
            known = [event.amount for event in window if event.name in past.frauds]
            return min(known) / self.scale if known else NAN
        return self.of_amounts(feature, payment, amounts, frauds)

    def of_amounts(  # noqa: C901 -- a table
        self, feature: FeatureParams, payment: Payment, amounts: list[int], frauds: int
    ) -> float:
        if feature.include_current:
            amounts = [*amounts, payment.amount]
        n, total = len(amounts), sum(amounts)
        match feature.stat:
            case "count":
                return float(n)
            case "sum":
                return total / self.scale
            case "fraud_count":
                return float(frauds)
        if n == 0:
            return NAN
        match feature.stat:
            case "mean":
                return float(Fraction(total, n) / self.scale)
            case "max":
                return max(amounts) / self.scale
            case "fraud_share":
                return frauds / n
            case "ratio":
                return float(Fraction(payment.amount * n, total)) if total > 0 else NAN
        std = NAN
        if n > 1:
            mean = Fraction(total, n)
            std = math.sqrt(sum((amount - mean) ** 2 for amount in amounts) / (n - 1))
        if feature.stat == "std":
            return std / self.scale
        return float(payment.amount - Fraction(total, n)) / std if std > 0 else NAN

    # Rings of tiles

    def of_tiles(self, feature: FeatureParams, payment: Payment, past: Past) -> float:
        t, params = payment.time_ms, self.entities[feature.entity]
        width = duration_ms(params.tile)
        own = [f for f in self.features if f.entity == feature.entity and f.window_ms]
        reach = max((f.delay_ms + f.window_ms for f in own), default=width)
        capacity = -(-(reach + duration_ms(params.grace)) // width) + 2
        newest = past.newest_ms // width if past.newest_ms is not None else -1
        kept = self.kept_in_tiles(past, width, capacity)
        if feature.stat == "time_since_last":
            return NAN if past.newest_ms is None else max(t - past.newest_ms, 0) / 1000
        if feature.half_life:
            return self.decayed_tiles(feature, payment, kept, width)
        last = min((t - feature.delay_ms) // width, newest)
        first = (t - feature.delay_ms - feature.window_ms + 1) // width if feature.window_ms else 0
        window = [event for event in kept if first <= event.time_ms // width <= last]
        if feature.stat in ("first_seen", "distinct"):
            return self.bitmap(feature, payment, window)
        frauds = sum(event.name in past.frauds for event in window)
        return self.of_amounts(feature, payment, [event.amount for event in window], frauds)

    def kept_in_tiles(self, past: Past, width: int, capacity: int) -> list[Payment]:
        """What is still there: a tile leaves when a newer one takes its place, and stays away."""
        newest = -1
        kept: list[Payment] = []
        for event in past.events:
            tile = event.time_ms // width
            newest = max(newest, tile)
            kept = [other for other in kept if other.time_ms // width > newest - capacity]
            if tile > newest - capacity:
                kept.append(event)
        return kept

    def decayed_tiles(
        self, feature: FeatureParams, payment: Payment, kept: list[Payment], width: int
    ) -> float:
        t, half_life = payment.time_ms, duration_ms(feature.half_life)
        is_sum = feature.stat == "decayed_sum"
        total = float((payment.amount if is_sum else 1) if feature.include_current else 0)
        for event in kept:
            tile = event.time_ms // width
            if tile <= t // width:
                age = max(t - (tile + 1) * width, 0)
                total += math.pow(2.0, -age / half_life) * (event.amount if is_sum else 1)
        return total / self.scale if is_sum else total

    def bitmap(self, feature: FeatureParams, payment: Payment, window: list[Payment]) -> float:
        if feature.stat == "first_seen" and not feature.field:
            return float(not window)
        texts = [event.text(feature.field) for event in window]
        current = payment.text(feature.field)
        bits = {_bit(text) for text in texts if text}
        if feature.stat == "first_seen":
            return NAN if not current else float(_bit(current) not in bits)
        if feature.include_current and current:
            bits.add(_bit(current))
        full = min(len(bits), BITMAP_BITS - 1)
        return -BITMAP_BITS * math.log(1 - full / BITMAP_BITS)


def _bit(text: str) -> int:
    return int(hash64([text])[0]) & (BITMAP_BITS - 1)
