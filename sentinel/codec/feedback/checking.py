"""What feedback may be: checked alike where it is counted, sent, and read from files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
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


def checked(feedback: Feedback) -> Feedback:
    """The feedback, if its values can be true. Raises RecordError, whose detail names the field."""
    _check_names(feedback)
    if feedback.label not in WORDS:
        raise RecordError("bad_label", f'label "{feedback.label}" is not one of {", ".join(WORDS)}')
    if not 0 <= feedback.confidence <= 1:
        raise RecordError("bad_confidence", f"confidence {feedback.confidence} is not in [0, 1]")
    if feedback.probability is not None and not 0 <= feedback.probability <= 1:
        raise RecordError("bad_probability", f"probability {feedback.probability} is not in [0, 1]")
    if not 0 <= feedback.revision <= REVISION_MAX:
        raise RecordError(
            "bad_revision", f"revision {feedback.revision} is not from 0 to {REVISION_MAX}"
        )
    if len(feedback.notes) > _NOTES_LENGTH_MAX:
        raise RecordError("too_large", f"notes of {len(feedback.notes)} characters")
    if feedback.event_time_ms is not None and 0 < feedback.observed_ms < feedback.event_time_ms:
        raise RecordError("bad_time", "observed before the transaction happened")
    return feedback


def _check_names(feedback: Feedback) -> None:
    if not feedback.transaction_id:
        raise RecordError("bad_id", "transaction_id is empty")
    for name, text in (
        ("transaction_id", feedback.transaction_id),
        *(feedback.entities or {}).items(),
    ):
        if text is not None and len(text) > _ID_LENGTH_MAX:
            raise RecordError("bad_id", f"{name} of {len(text)} characters")
    names = (
        ("source", feedback.source, _NAME_LENGTH_MAX),
        ("who", feedback.who, _NAME_LENGTH_MAX),
        ("selected_by", feedback.selected_by or "", CHANNEL_LENGTH_MAX),
    )
    for name, text, length_max in names:
        if len(text) > length_max:
            raise RecordError("bad_id", f"{name} of over {length_max} characters")
    if "/" in feedback.source:
        raise RecordError("bad_source", f'source "{feedback.source}" must not hold a slash')


def is_placed(feedback: Feedback) -> bool:
    """Whether it says when and of whom its transaction was."""
    return feedback.event_time_ms is not None and bool((feedback.entities or {}).get("account"))


def other_entities(
    feedback: Feedback, known: Mapping[str, str | None]
) -> list[tuple[str, str, str]]:
    """Where feedback names another entity than its transaction has: kind, its name, the known one.

    What only one of the two knows is no contradiction.
    """
    found = []
    for kind, said in (feedback.entities or {}).items():
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
    zone
        Of times in files that do not say theirs.
    """

    kinds: frozenset[str]
    time_min_ms: int
    future_ms_max: float
    zone: tzinfo = UTC

    @classmethod
    def of(cls, schema: SchemaParams) -> Self:
        """The bounds that hold for its transactions, too."""
        return cls(
            frozenset({"account", *schema.entities}),
            rfc3339_ms(schema.event_time_min),
            schema.future_s_max * 1000.0,
            schema.zone,
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

    def unknown_kinds(self, feedback: Feedback) -> list[str]:
        """The kinds of entities that it names and the schema does not have."""
        return [kind for kind in feedback.entities or {} if kind not in self.kinds]

    def with_known_kinds(self, feedback: Feedback) -> Feedback:
        """The feedback with the entities that the schema has."""
        if not self.unknown_kinds(feedback):
            return feedback
        entities = {k: v for k, v in (feedback.entities or {}).items() if k in self.kinds}
        return replace(feedback, entities=entities)


def decode_checked(record: InputRecord, bounds: FeedbackBounds) -> Feedback:
    """The feedback that a record of the topic holds, if it can be true. Raises RecordError."""
    feedback = checked(decode_feedback(record.value))
    if feedback.event_time_ms is not None:
        bounds.check_time("event_time_ms", feedback.event_time_ms, max(record.timestamp, 0))
    if feedback.observed_ms:  # a source may date it into the future: then the broker's time counts
        bounds.check_time("observed_ms", feedback.observed_ms, 0)
    return feedback
