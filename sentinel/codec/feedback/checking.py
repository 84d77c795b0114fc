"""What feedback may be: checked alike where it is counted, sent, and read from files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from sentinel.codec.records import decode_feedback
from sentinel.codec.schema import EVENT_TIME_MS_MAX, SchemaParams, rfc3339_ms
from sentinel.codec.times import date_text
from sentinel.core.consensus.channels import CHANNEL_LENGTH_MAX
from sentinel.errors import RecordError
from sentinel.records import Feedback, InputRecord
from sentinel.stored.votes import RETRACTED

WORDS = ("fraud", "genuine", "unsure", RETRACTED)
REVISION_MAX = 2**53 - 1  # what every reader of JSON knows exactly

_ID_LENGTH_MAX = 4096  # no schema takes longer ones (sentinel/codec/transactions.py)
_NAME_LENGTH_MAX = 256
_NOTES_LENGTH_MAX = 10_000


def checked(voice: Feedback) -> Feedback:
    """The voice, if its values can be true. Raises RecordError, whose detail names the field."""
    _check_names(voice)
    if voice.label not in WORDS:
        raise RecordError("bad_label", f'label "{voice.label}" is not one of {", ".join(WORDS)}')
    if not 0 <= voice.confidence <= 1:
        raise RecordError("bad_confidence", f"confidence {voice.confidence} is not in [0, 1]")
    if voice.probability is not None and not 0 <= voice.probability <= 1:
        raise RecordError("bad_probability", f"probability {voice.probability} is not in [0, 1]")
    if not 0 <= voice.revision <= REVISION_MAX:
        raise RecordError(
            "bad_revision", f"revision {voice.revision} is not from 0 to {REVISION_MAX}"
        )
    if len(voice.notes) > _NOTES_LENGTH_MAX:
        raise RecordError("too_large", f"notes of {len(voice.notes)} characters")
    if voice.event_time_ms is not None and 0 < voice.observed_ms < voice.event_time_ms:
        raise RecordError("bad_time", "observed before the transaction happened")
    return voice


def _check_names(voice: Feedback) -> None:
    if not voice.transaction_id:
        raise RecordError("bad_id", "transaction_id is empty")
    for name, text in (("transaction_id", voice.transaction_id), *(voice.entities or {}).items()):
        if text is not None and len(text) > _ID_LENGTH_MAX:
            raise RecordError("bad_id", f"{name} of {len(text)} characters")
    names = (
        ("source", voice.source, _NAME_LENGTH_MAX),
        ("who", voice.who, _NAME_LENGTH_MAX),
        ("selected_by", voice.selected_by or "", CHANNEL_LENGTH_MAX),
    )
    for name, text, length_max in names:
        if len(text) > length_max:
            raise RecordError("bad_id", f"{name} of over {length_max} characters")
    if "/" in voice.source:
        raise RecordError("bad_source", f'source "{voice.source}" must not hold a slash')


def is_placed(voice: Feedback) -> bool:
    """Whether it says when and of whom its transaction was."""
    return voice.event_time_ms is not None and bool((voice.entities or {}).get("account"))


def other_entities(voice: Feedback, known: Mapping[str, str | None]) -> list[tuple[str, str, str]]:
    """Where a voice names another entity than its transaction has: kind, its name, the known one.

    What only one of the two knows is no contradiction.
    """
    found = []
    for kind, said in (voice.entities or {}).items():
        right = known.get(kind)
        if said and right and said != right:
            found.append((kind, said, right))
    return found


@dataclass(frozen=True, slots=True)
class FeedbackBounds:
    """What a schema makes of feedback: its kinds of entities, and when its transactions can be.

    Attributes
    ----------
    time_min_ms
        No transaction is older.
    future_ms_max
        How far ahead of the time at hand one may be.
    """

    kinds: frozenset[str]
    time_min_ms: int
    future_ms_max: float

    @classmethod
    def of(cls, schema: SchemaParams) -> Self:
        """The bounds that hold for its transactions, too."""
        return cls(
            frozenset({"account", *schema.entities}),
            rfc3339_ms(schema.event_time_min),
            schema.future_s_max * 1000.0,
        )

    def check_time(self, name: str, time_ms: int, now_ms: int) -> None:
        """Whether anything can have happened then; 0 for `now_ms`: now is not known.

        Raises RecordError.
        """
        if time_ms > EVENT_TIME_MS_MAX:
            raise RecordError("bad_time", f"{name} is after the year 9999")
        if time_ms < self.time_min_ms:
            raise RecordError(
                "bad_time",
                f"{name} {date_text(time_ms)} is before {date_text(self.time_min_ms)} "
                "(schema.event_time_min)",
            )
        if 0 < now_ms < time_ms - self.future_ms_max:
            raise RecordError("bad_time", f"{name} {date_text(time_ms)} is in the future")

    def unknown_kinds(self, voice: Feedback) -> list[str]:
        """The kinds of entities that it names and the schema does not have."""
        return [kind for kind in voice.entities or {} if kind not in self.kinds]

    def with_known_kinds(self, voice: Feedback) -> Feedback:
        """The voice with the entities that the schema has."""
        if not self.unknown_kinds(voice):
            return voice
        entities = {k: v for k, v in (voice.entities or {}).items() if k in self.kinds}
        return replace(voice, entities=entities)


def decode_checked(record: InputRecord, bounds: FeedbackBounds) -> Feedback:
    """The voice that a record of the topic holds, if it can be true. Raises RecordError."""
    voice = checked(decode_feedback(record.value))
    if voice.event_time_ms is not None:
        bounds.check_time("event_time_ms", voice.event_time_ms, max(record.timestamp, 0))
    if voice.observed_ms:  # a source may date it into the future: then the broker's time counts
        bounds.check_time("observed_ms", voice.observed_ms, 0)
    return voice
