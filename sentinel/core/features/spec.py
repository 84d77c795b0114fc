"""What a user may declare: entities, their kind of state, and the features kept for them."""

import math
import re
from dataclasses import dataclass
from typing import Literal

EntityKind = Literal["events", "tiles"]

WINDOW_STATS = frozenset({"count", "sum", "mean", "std", "max", "distinct"})
LABEL_STATS = frozenset({"fraud_count", "fraud_share", "fraud_min"})
EVENT_STATS = frozenset({"fraud_min"})  # tiles count frauds, but do not keep their amounts
DECAY_STATS = frozenset({"decayed_count", "decayed_sum"})
PAST_STATS = frozenset({"ratio", "z_score", "first_seen", "time_since_last"})
WINDOWED_STATS = WINDOW_STATS | LABEL_STATS | PAST_STATS - {"time_since_last"}
# With a delay, too, against a past that what is happening just now has not moved yet.
DELAYED_STATS = WINDOW_STATS | LABEL_STATS | {"ratio", "z_score"}
ENTITY_STATS = WINDOW_STATS | LABEL_STATS | DECAY_STATS | PAST_STATS
CALENDAR_STATS = frozenset({"hour", "weekday", "night", "weekend"})
FIELD_STATS = frozenset({"amount", "value", "category"})
# Of two other columns, row by row: trees are slow to learn a quotient from cuts at single values.
DERIVED_STATS = frozenset({"quotient"})
STATS = ENTITY_STATS | CALENDAR_STATS | FIELD_STATS | DERIVED_STATS
IN_HOUR = "in_hour"  # read beside what is declared: no configuration may ask for it

_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(\d+)(s|m|h|d|w)")

DURATION_MAX_MS = 5_200 * _UNIT_MS["w"]  # a century

# A window reads its events one by one: this many take about a tenth of a millisecond.
EVENTS_MAX_LIMIT = 65_536


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as "30m", "1h" or "7d". Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f'duration "{text}" must be a whole number and one of s, m, h, d, w')
    duration = int(match[1]) * _UNIT_MS[match[2]]
    if duration > DURATION_MAX_MS:
        raise ValueError(f'duration "{text}" is longer than 5200w')
    return duration


@dataclass(frozen=True, slots=True)
class EntityParams:
    """How the state of one kind of entity is kept."""

    kind: EntityKind = "events"
    events_max: int = 128  # past events kept for each entity, with kind "events"
    tile: str = "1h"  # width of a tile, with kind "tiles"
    grace: str = "1d"  # a record older than the entity's newest by more than this is late
    entities_max: int = 200_000  # entities held in memory; the rest wait in the store

    def __post_init__(self) -> None:
        if self.kind not in ("events", "tiles"):
            raise ValueError(f'kind must be "events" or "tiles", got "{self.kind}"')
        if not 2 <= self.events_max <= EVENTS_MAX_LIMIT:
            raise ValueError(f"events_max must be in 2..{EVENTS_MAX_LIMIT}, got {self.events_max}")
        if duration_ms(self.tile) < 1_000:
            raise ValueError(f'tile must be at least "1s", got "{self.tile}"')
        duration_ms(self.grace)
        if not 1_024 <= self.entities_max <= 100_000_000:
            raise ValueError(f"entities_max must be in 1024..100000000, got {self.entities_max}")


@dataclass(frozen=True, slots=True)
class FeatureParams:
    """One column of the feature matrix.

    Windows are (t − delay − window, t − delay] in event time; without `window` a statistic of the
    entity's own past covers all that is kept. `empty` is the value where there is nothing to say.
    `of` names two features declared before, the first to be divided by the second.
    """

    name: str
    stat: str
    entity: str = ""
    window: str = ""
    delay: str = ""
    half_life: str = ""
    field: str = ""
    values: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    include_current: bool = False
    empty: float = math.nan
    utc_offset_h: float = 0.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a feature needs a name")
        if self.stat not in self._known_stats():
            raise ValueError(f'{self.name}: stat "{self.stat}" must be one of {sorted(STATS)}')
        self._check_entity()
        self._check_field()
        for text in (self.window, self.half_life):
            if text and duration_ms(text) == 0:
                raise ValueError(f'{self.name}: "{text}" is no time at all')
        if self.delay:
            duration_ms(self.delay)
        if not -14 <= self.utc_offset_h <= 14:
            raise ValueError(f"{self.name}: utc_offset_h must be in -14..14")

    def _known_stats(self) -> frozenset[str]:
        return STATS

    def _check_entity(self) -> None:
        of_entity = self.stat in ENTITY_STATS or self.stat == IN_HOUR
        if of_entity != bool(self.entity):
            word = "needs an" if of_entity else "takes no"
            raise ValueError(f'{self.name}: stat "{self.stat}" {word} entity')
        if self.stat in WINDOW_STATS | LABEL_STATS and not self.window:
            raise ValueError(f'{self.name}: stat "{self.stat}" needs a window, such as "1d"')
        if self.window and self.stat not in WINDOWED_STATS:
            raise ValueError(f'{self.name}: stat "{self.stat}" takes no window')
        if (self.stat in DECAY_STATS) != bool(self.half_life):
            word = "needs a" if self.stat in DECAY_STATS else "takes no"
            raise ValueError(f'{self.name}: stat "{self.stat}" {word} half_life')
        if self.delay and self.stat not in DELAYED_STATS:
            raise ValueError(f'{self.name}: stat "{self.stat}" takes no delay')
        takes_current = self.stat in WINDOW_STATS | DECAY_STATS
        if self.include_current and (self.delay or not takes_current):
            raise ValueError(f"{self.name}: include_current fits no delay, nor this stat")

    def _check_field(self) -> None:
        takes_field = self.stat in {"distinct", "first_seen", "value", "category"}
        needs_field = self.stat in {"distinct", "value", "category"}
        if self.field and not takes_field:
            raise ValueError(f'{self.name}: stat "{self.stat}" takes no field')
        if needs_field and not self.field:
            raise ValueError(f'{self.name}: stat "{self.stat}" needs a field')
        if (self.stat == "category") != bool(self.values):
            raise ValueError(f'{self.name}: values belong to stat "category", and only there')
        if len(self.of) != (2 if self.stat in DERIVED_STATS else 0):
            raise ValueError(f'{self.name}: of names two features with stat "quotient", else none')

    @property
    def window_ms(self) -> int:
        """Width of the window in milliseconds; 0 for all that is kept."""
        return duration_ms(self.window) if self.window else 0

    @property
    def delay_ms(self) -> int:
        """By how many milliseconds the window is shifted into the past."""
        return duration_ms(self.delay) if self.delay else 0
