"""Summaries as they are published and read."""

from dataclasses import dataclass, replace

import msgspec

from sentinel.codec.drift.counts import listed_sums, unpack_sparse
from sentinel.codec.stored import encode_stored
from sentinel.core.drift.counts.open_steps import Arm, ArmPiece
from sentinel.core.drift.counts.steps import Arrival
from sentinel.errors import RecordError
from sentinel.records import InputRecord
from sentinel.stored.summaries import Summary, SummarySpan

_PART_MAX = 1_000_000
_TIME_MS_MAX = 1 << 53
# Of a summary's counts in memory: a record of 16 MB, packed as ours are, unfolds to half of it.
_UNFOLDED_BYTES_MAX = 256 << 20
_SUMMARY = msgspec.json.Decoder(Summary)


@dataclass(frozen=True, slots=True)
class EncodedSummary:
    """A summary in as many parts as it takes.

    Attributes
    ----------
    left_out
        Rows of spans that are too large even for a record of their own.
    """

    encoded: list[bytes]
    left_out: int


def in_parts(summary: Summary, bytes_max: int) -> EncodedSummary:
    """A summary as records of at most so many bytes.

    Who catches up on a slow stream counts days of it from one commit to the next.
    """
    whole = encode_stored(summary)
    if len(whole) <= bytes_max:
        return EncodedSummary([whole], 0)
    room = bytes_max - len(encode_stored(replace(summary, spans=[], part=_PART_MAX)))
    parts: list[list[SummarySpan]] = []
    taken, left_out = room, 0
    for span in summary.spans:
        size = len(encode_stored(span)) + 1  # and a comma
        if size > room:
            left_out += span.row_count
            continue
        if taken + size > room:
            parts.append([])
            taken = 0
        parts[-1].append(span)
        taken += size
    told = [replace(summary, spans=spans, part=i) for i, spans in enumerate(parts)]
    return EncodedSummary([encode_stored(one) for one in told], left_out)


def decode_summary(record: InputRecord) -> Summary:
    """One summary. Raises RecordError."""
    if record.value is None:
        raise RecordError("tombstone", "the record has no value")
    try:
        return _SUMMARY.decode(record.value)
    except msgspec.MsgspecError as error:
        raise RecordError("not_a_summary", str(error)) from error


def arrival_of(
    summary: Summary,
    record: InputRecord,
    *,
    with_counts: bool = True,
    column_count: int | None = None,
    segmentation: str = "",
) -> Arrival:
    """A summary with its counts unfolded; without, it only says how far its partition has come.

    Raises RecordError.

    Parameters
    ----------
    column_count
        How many columns the cells have that are counted in, with the score; None: as many as it
        says.
    segmentation
        Counts by segment are those of the segmentation of this digest, or none.
    """
    room = _UNFOLDED_BYTES_MAX
    is_split = segmentation != "" and summary.segmentation == segmentation
    steps: dict[int, dict[Arm, ArmPiece]] = {}
    for span in summary.spans:
        if abs(span.at_ms) > _TIME_MS_MAX or not 0 < span.row_count < _TIME_MS_MAX:
            raise RecordError("not_a_summary", f"a step at {span.at_ms} makes no sense")
        if not with_counts:
            steps[span.at_ms] = {}
            continue
        arms = steps.setdefault(span.at_ms, {})
        piece = _counts(span, column_count, is_split=is_split)
        arms[span.version, span.arm] = piece
        room -= piece.byte_count
        if room < 0:
            raise RecordError("not_a_summary", "it unfolds to more than any that is published")
    return Arrival(
        source=f"{summary.topic} {summary.log} {summary.partition}",
        begin=summary.begin,
        end=summary.end,
        offset=record.offset,
        appended_ms=record.timestamp,
        steps=steps,
        part=summary.part,
    )


def _counts(span: SummarySpan, column_count: int | None, *, is_split: bool) -> ArmPiece:
    counts, scores = unpack_sparse(span.counts, column_count), listed_sums(span.scores)
    segments = None
    if is_split and span.segments:
        segments = unpack_sparse(span.segments, counts.column_count)
    return ArmPiece(span.row_count, span.actions, counts, scores, segments)
