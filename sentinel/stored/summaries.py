"""Counts of decisions, as they are published: what drift is found in."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SummarySpan:
    """Decisions of one step of event time, by one arm of one model version.

    Attributes
    ----------
    at_ms
        When the step begins.
    row_count
        Of all decisions. What follows but `counts` is of all of them, too.
    actions
        How many there were of each action.
    counts
        Of the first rows of each account in an hour, packed (`codec.drift.counts`): GroupCounts of
        each feature, behind them of the score.
    scores
        For each cell of the score that was met its number, and behind it, over all rows: how many,
        the sum of their probabilities in millionths, of their amounts in minor units, of amount
        times probability; and of those that were not approved how many, and the sums of their
        probabilities and of amount times probability.
    segments
        The rows of `counts`, packed alike, by segment (`core.drift.counts.segments`); empty where
        the stream is not split.
    """

    at_ms: int
    version: str
    arm: str
    row_count: int
    actions: dict[str, int]
    counts: bytes
    scores: list[list[int]] = field(default_factory=list)
    segments: bytes = b""


@dataclass(frozen=True, slots=True)
class Summary:
    """Decisions of one input partition, from one commit to the next.

    Attributes
    ----------
    topic, log, partition
        Of the transactions; `log` names the log of the offsets.
    begin, end
        Offsets: from `begin` on, to before `end`. Of two that begin at the same offset the one
        counts that ends where the next begins, else the second: the other was not committed. One
        that begins before another that came first is nothing: who published it had lost the
        partition.
    columns
        Names the cells that were counted in.
    step_ms
        How long a step is.
    part
        Its number, from 0, where one record does not take all spans.
    segmentation
        Names the segments that were counted by; empty where the stream is not split.
    """

    topic: str
    log: str
    partition: int
    begin: int
    end: int
    columns: str
    step_ms: int
    spans: list[SummarySpan]
    part: int = 0
    segmentation: str = ""
    v: int = 1
