"""Summaries as they are read."""

import msgspec

from sentinel.codec.drift.counts import listed_sums, unpack_counts
from sentinel.core.drift.steps import Arm, ArmCounts, Arrival
from sentinel.errors import RecordError
from sentinel.records import InputRecord
from sentinel.stored.summaries import Summary, SummarySpan

_SUMMARY = msgspec.json.Decoder(Summary)


def decode_summary(record: InputRecord) -> Summary:
    """One summary. Raises RecordError."""
    if record.value is None:
        raise RecordError("tombstone", "the record has no value")
    try:
        return _SUMMARY.decode(record.value)
    except msgspec.MsgspecError as error:
        raise RecordError("not_a_summary", str(error)) from error


def arrival_of(summary: Summary, record: InputRecord, *, with_counts: bool = True) -> Arrival:
    """A summary with its counts unfolded; without, it only says how far its partition has come.

    Raises RecordError.
    """
    steps: dict[int, dict[Arm, ArmCounts]] = {}
    for span in summary.spans:
        if not with_counts:
            steps[span.at_ms] = {}
            continue
        arms = steps.setdefault(span.at_ms, {})
        arms[span.version, span.arm] = _counts(span)
    return Arrival(
        source=f"{summary.topic} {summary.log} {summary.partition}",
        begin=summary.begin,
        end=summary.end,
        offset=record.offset,
        appended_ms=record.timestamp,
        steps=steps,
    )


def _counts(span: SummarySpan) -> ArmCounts:
    counts, scores = unpack_counts(span.counts), listed_sums(span.scores)
    return ArmCounts(span.row_count, span.actions, counts, scores)
