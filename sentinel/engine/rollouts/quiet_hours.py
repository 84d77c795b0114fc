"""Hours of a day in which nothing is to change by itself."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sentinel.core.rollouts.params import RolloutParams

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_DAY_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From a minute of the day to before another one, over midnight where that is the smaller.

    By the clock on the wall: a night of a change of the clocks is as long as that makes it.
    """

    begin: int
    end: int
    zone: str

    @classmethod
    def parsed(cls, text: str, zone: str) -> "QuietHours":
        """Of a text such as "22:00-06:00". Raises ValueError."""
        found = _HOURS.fullmatch(text)
        if found is None:
            raise ValueError(f'quiet_hours must look like "22:00-06:00", got "{text}"')
        begin_hour, begin_minute, end_hour, end_minute = (int(part) for part in found.groups())
        begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
        if begin == end:
            raise ValueError(
                f'quiet_hours "{text}" would never end, or never begin: to have a person agree to '
                "everything, use approve"
            )
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f'quiet_zone must be an IANA name such as "Europe/Berlin", got "{zone}"'
            ) from error
        return cls(begin, end, zone)

    @classmethod
    def of(cls, params: RolloutParams) -> "QuietHours | None":
        """Those of the configuration; None where there are none. Raises ValueError."""
        return cls.parsed(params.quiet_hours, params.quiet_zone) if params.quiet_hours else None

    def contains(self, at_ms: int) -> bool:
        """Whether they last at this moment, in epoch milliseconds."""
        return self._is_in(self._local(at_ms))

    def end_ms(self, at_ms: int) -> int:
        """When those of this moment end, in epoch milliseconds; the moment itself if none last."""
        now = self._local(at_ms)
        if not self._is_in(now):
            return at_ms
        minute = now.hour * 60 + now.minute
        days = 1 if self.begin > self.end and minute >= self.begin else 0
        day = (now + timedelta(days=days)).replace(
            hour=self.end // 60, minute=self.end % 60, second=0, microsecond=0
        )
        return round(day.timestamp() * 1000)

    def _is_in(self, now: datetime) -> bool:
        minute = now.hour * 60 + now.minute
        length = (self.end - self.begin) % _DAY_MINUTES
        return (minute - self.begin) % _DAY_MINUTES < length

    def _local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(self.zone))
