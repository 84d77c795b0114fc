"""The hour that clocks show twice in autumn: which of both a row of a sorted file means.

A local time of that hour is read as its first showing, unless that would put the row before the one
ahead of it, and the second showing would not: then it means the second. Where the rows of such an
hour never go back, nobody can tell, and the first it is.
"""

from datetime import datetime, timedelta

import msgspec

from sentinel.codec.records import with_text
from sentinel.codec.schema import SchemaParams
from sentinel.codec.values.zones import repeated_spans


class RepeatedHours:
    """Tells the showings apart, over the rows of one file in their order.

    Attributes
    ----------
    undecided_count
        How many rows so far were read as the first showing without a sign that they mean it.
    """

    def __init__(self, schema: SchemaParams) -> None:
        self._name = schema.event_time
        self._zone = schema.zone
        is_text = schema.event_time_format == "rfc3339"
        self._spans = repeated_spans(schema.event_time_zone) if is_text else []
        self._dates = {
            (begin + timedelta(days=day)).date().isoformat()
            for begin, end in self._spans
            for day in range((end - timedelta(microseconds=1)).toordinal() - begin.toordinal() + 1)
        }
        row = msgspec.defstruct(
            "Row", [("time", str | None, None)], rename={"time": schema.event_time}
        )
        self._decode = msgspec.json.Decoder(row).decode
        self._last = ""
        self._span_at_hand: tuple[datetime, datetime] | None = None
        self._count_at_hand = 0
        self._count_before = 0

    @property
    def undecided_count(self) -> int:
        return self._count_before + self._count_at_hand

    def resolved(self, values: list[bytes]) -> list[bytes]:
        """The rows, with an offset in the time of each that means the second showing."""
        return [self._row(value) for value in values] if self._spans else values

    def _row(self, value: bytes) -> bytes:
        try:
            text = msgspec.structs.astuple(self._decode(value))[0] or ""
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return value  # its reader says why it is refused
        if text[:10] in self._dates and (offset := self._offset(text)):
            text += offset
            value = with_text(value, self._name, text)
        self._last = text or self._last
        return value

    def _offset(self, text: str) -> str:
        """The offset of the second showing, if the row means it."""
        local = _time(text)
        if local is None or local.tzinfo is not None:
            return ""
        span = next((span for span in self._spans if span[0] <= local < span[1]), None)
        if span is None:
            return ""
        if span != self._span_at_hand:
            self._count_before += self._count_at_hand
            self._span_at_hand, self._count_at_hand = span, 0
        first, second = (local.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        last = _time(self._last)
        last = last if last is None or last.tzinfo else last.replace(tzinfo=self._zone)
        if last is not None and first.timestamp() < last.timestamp() <= second.timestamp():
            self._count_at_hand = 0  # those ahead of a step back mean the first
            return second.isoformat()[-6:]
        self._count_at_hand += 1
        return ""


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
